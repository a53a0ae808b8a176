"""Provenance of a loop: weights, training data and versions; values for JSON; reading reports from files."""

import json
import math
import os
import platform
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL
import torch
from PIL.ExifTags import Base

from stylecine.errors import PhotoError, TooLarge, VideoError, as_utf8
from stylecine.machine.given import check_file
from stylecine.ops import native
from stylecine.output.formats import LIVE_PHOTO, Picture, ending_of, find_format
from stylecine.output.video import video_source
from stylecine.picture.photo import open_image
from stylecine.weights import PRETRAINED, FileRecord, ModelRecord, file_sha256

LIBRARIES = {"torch": torch, "numpy": np, "Pillow": PIL, "av": av}


def model_facts(model: ModelRecord) -> dict[str, Any]:
    """Name, licence and source of a model; SHA-256, licence, card and training data of each weight file."""
    folders = {folder for file in model.files.values() for folder in (file.path, *file.path.parents)}
    local = Path(model.source) in folders  # a path is private to the user
    return {
        "name": model.name,
        "licence": model.licence,
        "source": Path(model.source).name if local else model.source,
        "weights": {role: _weight_facts(file) for role, file in model.files.items()},
    }


def json_value(value: Any) -> Any:
    """An option for JSON; fractions and NumPy numbers become floats."""
    return value if isinstance(value, str | int | float | list) else float(value)


def json_figures(figures: Any) -> Any:
    """A figure, or a dict of figures, for JSON: NaN and infinity become None."""
    if isinstance(figures, dict):
        return {name: json_figures(figure) for name, figure in figures.items()}
    return figures if figures is not None and math.isfinite(figures) else None


def utf8_texts(value: Any) -> Any:
    """A value for JSON whose texts can be encoded: names of files may hold bytes that are not UTF-8."""
    if isinstance(value, str):
        return as_utf8(value)
    if isinstance(value, dict):
        return {name: utf8_texts(item) for name, item in value.items()}
    return [utf8_texts(item) for item in value] if isinstance(value, list) else value


def _weight_facts(file: FileRecord) -> dict[str, str | None]:
    card = _card(file)
    digest = file.sha256
    if digest is None:
        with suppress(OSError):  # deleted after it was loaded
            digest = file_sha256(file.path)
    data = None  # the training data in the table of the card
    if card and (row := re.search(r"^\| (?:data|sources?) \| (.*?) \|$", card.read_text("utf-8"), re.MULTILINE)):
        data = row[1].replace("`", "")
    return {
        "file": file.path.name,
        "sha256": digest,
        "licence": file.licence,
        "card": f"cards/{card.name}" if card else None,
        "data": data,
    }


def _card(file: FileRecord) -> Path | None:
    """The card beside the installed weights whose heading names this file."""
    if file.path.parent != PRETRAINED:
        return None
    cards = sorted(PRETRAINED.glob("cards/*.md"))
    return next((card for card in cards if file.path.name in card.read_text("utf-8").splitlines()[0].split()), None)


def versions(device: torch.device) -> dict[str, str]:
    """Versions of everything that affects pixels; for the native library, that of its C interface."""
    kernels = native.why(device) if native.available(device) else "PyTorch references"
    return {
        "python": platform.python_version(),
        **{name: str(library.__version__) for name, library in LIBRARIES.items()},
        "native": f"{kernels}, C interface {native.ABI}",
        "platform": f"{platform.system()} {platform.machine()}",
    }


def read_report(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The report that `Cinemagraph.save(embed_report=True)` embedded in a video or image.

    Raises VideoError if there is none. Anyone can write any report into a file; only a signature by
    `stylecine.output.c2pa` ties it to the pixels.
    """
    name = os.fspath(path)
    if ending_of(name) != LIVE_PHOTO:
        check_file(name, "file", VideoError)
    try:
        report = json.loads(_comment(Path(name)))
        json.dumps(report, indent=2, allow_nan=False)  # raises ValueError if it cannot be printed as JSON
    except (ValueError, RecursionError):
        report = None
    if not isinstance(report, dict) or "stylecine" not in report:
        raise VideoError(f"'{name}' contains no report of stylecine; write the file with --embed-report.")
    return report


def _comment(path: Path) -> str:
    """The comment in the file's metadata, or the description in its EXIF; "" without one."""
    try:
        if isinstance(find_format(path), Picture):
            with open(path, "rb") as file, open_image(file, path.name) as picture:
                text = picture.info.get("Comment") or picture.info.get("comment")
                # Pillow decodes EXIF as Latin-1
                text = text or str(picture.getexif().get(Base.ImageDescription, "")).encode("latin-1")
                return text.decode() if isinstance(text, bytes) else str(text)
        with av.open(video_source(path)) as container:
            tags = {key.lower(): text for key, text in container.metadata.items()}  # Matroska's are in upper case
            return str(tags.get("comment", ""))
    except (av.FFmpegError, PhotoError, TooLarge, OSError, SyntaxError):
        return ""
