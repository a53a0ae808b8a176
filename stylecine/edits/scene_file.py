"""The file of a scene, .cine: a zip archive that is safe to open from a stranger.

    scene.json            format version, model, settings, source and edits
    photo.png             the photo, as it was sized
    reconstruction.png    the generator's own picture of it
    found.safetensors     layers, motion, w_plus, feature
    edits.safetensors     what each edit's area means, uint8, named by the edit's number

Nothing is unpacked to disk, nothing in it is executed, and nothing is read before its size is known to be what the
photo's size and the file's own allow. What could not be opened again is not saved. Files of older versions keep
opening: `VERSION` goes up only together with a way to read the old.
NumPy only, so that scenes are edited without PyTorch.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors
import safetensors.numpy
from PIL import Image

from stylecine import __version__
from stylecine.atomic import atomic_write, check_destination, translate_os_errors
from stylecine.edits.apply import MOST_EDITS, Edit, Editable, Paint, Speed, from_json, to_json
from stylecine.errors import SceneError, StylecineError, TooLarge
from stylecine.memory import available_bytes
from stylecine.options import CLASSES
from stylecine.stages.photo import MAX_PIXELS, MIN_SIDE, encode_png

VERSION = 1
ENDING = ".cine"
JSON, PHOTO, ALONE, FOUND, EDITS = (
    *("scene.json", "photo.png", "reconstruction.png"),
    *("found.safetensors", "edits.safetensors"),
)
MEMBERS = (JSON, PHOTO, ALONE, FOUND, EDITS)
STORED = (PHOTO, ALONE)  # compressed already

FACTS = {"version", "stylecine", "height", "width", "model", "source", "settings", "edits"}

END, LOCATOR = 22, 20  # bytes that end a zip archive, and that come before them in an archive of the 64-bit kind
MOST_DIRECTORY = 1 << 16  # bytes of the archive's own
MOST_JSON = 4 << 20  # bytes: strokes of 90,000 points, ...
SMALL_JSON, JSON_PACKED = 1 << 20, 16  # ... which do not pack well; bytes in any case, and for one in the archive
MOST_HEADER = 1 << 18  # bytes of a .safetensors file's JSON
MOST_STYLES, STYLE = 64, 512
MOST_FEATURE = 1 << 26  # numbers in F
FEATURE = 64  # of them for a pixel of the photo; small photos may have SMALL_FEATURE more
SMALL_FEATURE = 1 << 20
SMALL, MOST_PACKED = 16 << 20, 200  # bytes of all members together in any case, and for one in the archive
MASKS = 64  # as large as the photo, that edits may come to, and SMALL
ROOM = 100  # bytes of memory for a pixel, while it is read
MOST_TEXT = 4096  # characters
FASTEST = 4096.0  # pixels of the motion's own grid per 1/30 s

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Cine(Editable):
    """What a .cine file says: a `Scene` in arrays, JSON and edits; shapes, types and units are the scene's."""

    photo: Array
    reconstruction: Array
    layers: Array
    motion: Array
    w_plus: Array
    feature: Array
    model: Mapping[str, Any]  # name, resolution, injection, licence, source, weights {role: sha256 or None}
    source: Mapping[str, Any] | None  # name, sha256
    settings: Mapping[str, Any]  # size, refine, seed
    edits: tuple[Edit, ...] = ()

    @property
    def found_layers(self) -> Array:
        return self.layers


def write_cine(cine: Cine, path: str | os.PathLike[str]) -> Path:
    """Writes it whole or not at all. Raises OutputError; SceneError for another ending, or what could not be read."""
    target = check_ending(path)
    with atomic_write(target, finish=partial(_check_opens, target)) as part:
        _archive(pack(cine), part, target)
    return target


def read_cine(path: str | os.PathLike[str]) -> Cine:
    """Reads and checks it all. Raises SceneError where anything is not as `write_cine` leaves it, TooLarge."""
    return unpack(_members(Path(path)), Path(path))


def edit_cine(path: str | os.PathLike[str], change: Callable[[Cine], Cine], output: str | os.PathLike[str]) -> Cine:
    """Writes the scene of `path` with the edits that `change` gives it to `output`, which may be `path`.

    All else stays as it is, to the byte. Raises SceneError, TooLarge; OutputError, also where `output` is being edited
    by somebody else.
    """
    target = check_ending(output)
    with atomic_write(target, finish=partial(_check_opens, target)) as part:  # nobody else changes it once it is read
        members = _members(Path(path))
        cine = change(unpack(members, Path(path)))
        facts = json.loads(members[JSON]) | {"edits": [to_json(edit) for edit in cine.edits]}
        _archive({**members, JSON: _text(facts), EDITS: _areas(cine.edits)}, part, target)
    return cine


def check_ending(path: str | os.PathLike[str]) -> Path:
    """The file that a scene is to be written to. Raises SceneError for another ending, OutputError where none can."""
    if Path(path).suffix.lower() != ENDING:
        raise SceneError(f"'{os.fspath(path)}' does not end in {ENDING}; name the scene's file so.")
    return check_destination(path)


# --- members of the archive


def _members(path: Path) -> dict[str, bytes]:
    """The content of each member, once the archive's directory is known to be harmless."""
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
        raise SceneError(f"'{path}' is a pipe or a device, not a scene; give a {ENDING} file.")
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                raise SceneError(f"'{path}' is not a scene; give a {ENDING} file that stylecine wrote.")
            _check_end(file, path)
            with zipfile.ZipFile(file) as archive:
                infos = {info.filename: info for info in _checked_directory(archive, path)}
                most = min(MOST_JSON, SMALL_JSON + JSON_PACKED * infos[JSON].compress_size)
                facts = {JSON: _read(archive, infos[JSON], most, path)}
                height, width = _size(_json(facts[JSON], path), path)
                _check_room(height, width, path)
                return facts | {
                    name: _read(archive, infos[name], _most(name, height, width), path) for name in MEMBERS[1:]
                }
    except FileNotFoundError:
        raise SceneError(f"There is no scene at '{path}'; check the path.") from None
    except IsADirectoryError:
        raise SceneError(f"'{path}' is a folder, not a scene; name a {ENDING} file in it.") from None
    except OSError as error:
        raise SceneError(f"'{path}' cannot be read ({error.strerror or 'damaged'}); copy it again.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error):
        raise _damaged(path) from None


def _check_end(file: BinaryIO, path: Path) -> None:
    """Refuses a directory that is too long to be looked at, by the archive's last bytes."""
    file.seek(-min(END + LOCATOR, file.seek(0, os.SEEK_END)), os.SEEK_END)
    last = file.read()
    if len(last) < END or last[-END:][:4] != b"PK\x05\x06":
        raise _damaged(path)
    count, size, _, comment = struct.unpack("<HLLH", last[-END + 10 :])
    if count != len(MEMBERS) or size > MOST_DIRECTORY or comment or last.startswith(b"PK\x06\x07"):
        raise _stranger(path)


def _checked_directory(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    infos = archive.infolist()
    names = sorted(info.filename for info in infos)
    if names != sorted(MEMBERS):
        raise _stranger(path)
    for info in infos:
        kind = info.external_attr >> 28  # of a Unix file: 0 not said, 8 regular
        if info.flag_bits & 0x1 or kind not in (0, 8):
            raise SceneError(f"'{path}' has an encrypted member or a link in it; open only what stylecine wrote.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SceneError(f"'{path}' is compressed in another way than stylecine does; save the scene again.")
    large, small = (sum(getattr(info, size) for info in infos) for size in ("file_size", "compress_size"))
    if large > SMALL + MOST_PACKED * small:
        raise SceneError(f"'{path}' would grow to {large >> 20} MB when read; open only what stylecine wrote.")
    return infos


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int, path: Path) -> bytes:
    """A member of at most `most` bytes, whatever the directory says of it; its CRC is checked."""
    with archive.open(info) as member:
        content = member.read(most + 1) if info.file_size <= most else None
    if content is None or len(content) > most:
        raise SceneError(f"'{path}' holds a {info.filename} that is too large for its photo; save the scene again.")
    return content


def _most(name: str, height: int, width: int) -> int:
    """Bytes that a member may have in a scene of that size."""
    if name in (PHOTO, ALONE):
        return 4 * height * width + MOST_HEADER
    if name == FOUND:
        return 4 * sum(most.numbers for most in _found(height, width).values()) + MOST_HEADER
    return MASKS * height * width + SMALL


def _size(facts: dict[str, Any], path: Path) -> tuple[int, int]:
    size = facts.get("height"), facts.get("width")
    if not all(type(side) is int and side >= MIN_SIDE for side in size) or math.prod(size) > MAX_PIXELS:  # type: ignore[arg-type]
        raise SceneError(f"'{path}' does not say a size that a photo can have; save the scene again.")
    return size  # type: ignore[return-value]


def _check_room(height: int, width: int, path: Path) -> None:
    """Raises TooLarge where the scene cannot even be read; `Scene.load` asks for what rendering takes."""
    need, free = ROOM * height * width, available_bytes(None)
    if need > free:
        raise TooLarge(
            f"Opening '{path}', {width}x{height}, needs about {need / 1e9:.2g} GB of memory and {free / 1e9:.2g} GB are"
            " free; free some memory first."
        )


def _stranger(path: Path) -> SceneError:
    return SceneError(f"'{path}' does not hold what a scene holds; open only what stylecine wrote.")


def _damaged(path: Path) -> SceneError:
    return SceneError(f"'{path}' is damaged or was cut short; copy it or save the scene again.")


def _archive(members: dict[str, bytes], part: Path, target: Path) -> None:
    with translate_os_errors(target), zipfile.ZipFile(part, "w", compresslevel=1) as archive:
        for name in MEMBERS:
            info = zipfile.ZipInfo(name)  # without a date: the same scene is the same file
            info.external_attr = 0o644 << 16
            packed = zipfile.ZIP_STORED if name in STORED else zipfile.ZIP_DEFLATED
            archive.writestr(info, members[name], packed, 1)


def _check_opens(target: Path, part: Path) -> None:
    """Raises SceneError where what was written could not be opened again."""
    try:
        with suppress(TooLarge):  # not here and now, to be sure; what is saved is not lost
            unpack(_members(part), part)
    except SceneError as error:
        raise SceneError(
            f"'{target}' was not saved, because it could not be opened again: it holds more, or other things, than a"
            " scene can; undo some edits, or paint one mask for many strokes."
        ) from error


# --- between members and what they say


def pack(cine: Cine) -> dict[str, bytes]:
    height, width = cine.photo.shape[:2]
    facts = {
        "version": VERSION,
        "stylecine": __version__,
        "height": height,
        "width": width,
        "model": _printable(cine.model),
        "source": _printable(cine.source),
        "settings": dict(cine.settings),
        "edits": [to_json(edit) for edit in cine.edits],
    }
    found = {
        "layers": np.float32(cine.layers),
        "motion": np.float32(cine.motion),
        "w_plus": np.float32(cine.w_plus),
        "feature": _compact(cine.feature),
    }
    return {
        JSON: _text(facts),
        PHOTO: encode_png(cine.photo),
        ALONE: encode_png(cine.reconstruction),
        FOUND: safetensors.numpy.save({name: np.ascontiguousarray(values) for name, values in found.items()}),
        EDITS: _areas(cine.edits),
    }


def unpack(members: Mapping[str, bytes], path: Path) -> Cine:
    """What the members say, each checked by itself and against the others. Raises SceneError."""
    facts = _json(members[JSON], path)
    height, width = size = _size(facts, path)
    try:
        _require(facts.keys() == FACTS)
        _check_text(facts["stylecine"])
        found = _tensors(members[FOUND], most := _found(height, width))  # these are there, so the pictures may be large
        _require(found.keys() == most.keys() and all(np.isfinite(values).all() for values in found.values()))
        layers, motion = found["layers"], found["motion"]
        _require(bool((layers >= 0).all() and (layers <= 1).all() and (np.abs(motion) <= FASTEST).all()))
        photo, alone = (_picture(members[name], size) for name in (PHOTO, ALONE))
        return Cine(
            photo,
            alone,
            layers,
            motion,
            found["w_plus"],
            found["feature"].astype(np.float32),
            _checked_model(facts["model"]),
            _checked_source(facts["source"]),
            _checked_settings(facts["settings"]),
            _checked_edits(facts["edits"], members[EDITS], size),
        )
    except (StylecineError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise SceneError(f"'{path}' holds a scene that cannot be ({error}); open only what stylecine wrote.") from None


def _json(content: bytes, path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise _damaged(path) from None
    version = facts.get("version") if isinstance(facts, dict) else None
    if type(version) is not int or version < 1:
        raise _damaged(path)
    if version > VERSION:
        raise SceneError(f"'{path}' was saved by a newer stylecine (its format is {version}); install that to open it.")
    return facts


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _text(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts, allow_nan=False).encode()


def _printable(facts: Any) -> Any:
    """The same without what a terminal could take for orders; names of files may hold anything."""
    if isinstance(facts, Mapping):
        return {_printable(name): _printable(fact) for name, fact in facts.items()}
    return "".join(c if c.isprintable() else "?" for c in facts) if isinstance(facts, str) else facts


def _picture(content: bytes, size: tuple[int, int]) -> Array:
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if (image.height, image.width, image.mode) == (*size, "RGB"):
                return np.array(image)
    except Exception as error:  # decoders raise anything at damaged data
        raise ValueError("a picture is damaged") from error
    raise ValueError("a picture has another size or another kind of pixels")


@dataclass(frozen=True)
class _Most:
    """What a tensor may be: its type as the file has it, its axes (None: of any length), and how many numbers."""

    types: tuple[str, ...]
    shape: tuple[int | None, ...]
    numbers: int


def _found(height: int, width: int) -> dict[str, _Most]:
    """What there is to be found in a photo of that size."""
    pixels, full = height * width, ("F32",)
    return {
        "layers": _Most(full, (len(CLASSES), height, width), len(CLASSES) * pixels),
        "motion": _Most(full, (2, None, None), 2 * pixels),
        "w_plus": _Most(full, (None, STYLE), MOST_STYLES * STYLE),
        "feature": _Most(("F32", "F16"), (None,) * 3, min(MOST_FEATURE, FEATURE * pixels + SMALL_FEATURE)),
    }


def _tensors(content: bytes, most: Mapping[str, _Most]) -> dict[str, Array]:
    """The tensors of a .safetensors file, once its header says nothing but what they may be."""
    length = int.from_bytes(content[:8], "little")
    _require(len(content) >= 8 and length <= MOST_HEADER)
    try:
        header = json.loads(content[8 : 8 + length])
        _require(isinstance(header, dict) and header.keys() <= most.keys())
        for name, told in header.items():
            _check_tensor(told["dtype"], told["shape"], most[name])
        return {name: values.copy() for name, values in safetensors.numpy.load(content).items()}
    except (safetensors.SafetensorError, RecursionError) as error:
        raise ValueError("tensors are damaged") from error


def _check_tensor(kind: Any, shape: Any, most: _Most) -> None:
    _require(kind in most.types and isinstance(shape, list) and len(shape) == len(most.shape))
    for length, wanted in zip(shape, most.shape, strict=True):
        _require(type(length) is int and length >= 1 and wanted in (None, length))
    _require(math.prod(shape) <= most.numbers)


def _compact(values: Array) -> Array:
    """As float16 where that is the same to the bit."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else values.astype(np.float32)


def _checked_model(facts: Any) -> dict[str, Any]:
    texts = ("name", "injection", "licence", "source")
    _require(isinstance(facts, dict) and facts.keys() == {*texts, "resolution", "weights"})
    for name in texts:
        _check_text(facts[name])
    _require(type(facts["resolution"]) is int and 4 <= facts["resolution"] <= 1 << 16)
    _require(isinstance(facts["weights"], dict) and len(facts["weights"]) <= 16)
    for role, weights in facts["weights"].items():
        _check_text(role)
        _require(isinstance(weights, dict) and weights.keys() == {"sha256", "licence"})
        _check_text(weights["licence"])
        if weights["sha256"] is not None:
            _check_digest(weights["sha256"])
    return facts


def _checked_source(facts: Any) -> dict[str, Any] | None:
    if facts is None:
        return None
    _require(isinstance(facts, dict) and facts.keys() == {"name", "sha256"})
    _check_digest(facts["sha256"])
    if facts["name"] is not None:
        _check_text(facts["name"])
    return facts


def _checked_settings(facts: Any) -> dict[str, Any]:
    _require(isinstance(facts, dict) and facts.keys() == {"size", "refine", "seed"})
    _check_text(facts["size"])
    _require(all(type(facts[name]) is int and 0 <= facts[name] < 1 << 63 for name in ("refine", "seed")))
    return facts


def _checked_edits(facts: Any, content: bytes, size: tuple[int, int]) -> tuple[Edit, ...]:
    _require(isinstance(facts, list) and len(facts) <= MOST_EDITS)
    most = _Most(("U8",), (None, None), math.prod(size))
    areas = _tensors(content, {str(number): most for number in range(len(facts))})
    edits = tuple(from_json(edit, areas.get(str(number)), size) for number, edit in enumerate(facts))
    _require(areas.keys() == {str(number) for number, edit in enumerate(edits) if _area_of(edit) is not None})
    return edits


def _areas(edits: tuple[Edit, ...]) -> bytes:
    areas = {str(number): area for number, edit in enumerate(edits) if (area := _area_of(edit)) is not None}
    return safetensors.numpy.save({name: np.ascontiguousarray(values) for name, values in areas.items()})


def _area_of(edit: Edit) -> Array | None:
    area = edit.area if isinstance(edit, Paint | Speed) else None
    return None if area is None else area.values


def _check_text(text: Any) -> None:
    _require(isinstance(text, str) and len(text) <= MOST_TEXT and text.isprintable())


def _check_digest(text: Any) -> None:
    _require(isinstance(text, str) and re.fullmatch(r"[0-9a-f]{64}", text) is not None)


def _require(true: bool) -> None:
    if not true:
        raise ValueError("its parts do not fit together")
