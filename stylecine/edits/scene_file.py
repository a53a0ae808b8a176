"""The file of a scene, .cine: a zip archive that is safe to open whoever sent it.

    scene.json            format version, model, settings, source and edits
    photo.png             the photo at the scene's size, with its alpha if some of it is transparent
    reconstruction.png    G(F, w+)
    found.safetensors     layers, motion, w_plus, feature
    edits.safetensors     the area or picture of each edit, uint8, named by the edit's number

Nothing is unpacked to disk or executed, and nothing is read before its size has been checked against limits that
depend on the photo's size and the file's own. A scene that could not be opened again is not saved. Once a version is
released, `VERSION` is raised only together with code that reads the previous one.
"""

import io
import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy
from PIL import Image

from stylecine.edits.apply import Editable
from stylecine.edits.cine_name import SUFFIX, check_suffix
from stylecine.edits.model import MAX_EDITS, MAX_STYLE_SIDE, STYLE_SIDE, Edit, from_json, to_json, values_of
from stylecine.errors import SceneError, StylecineError, TooLarge, printable
from stylecine.machine.atomic import atomic_write, check_path, translate_os_errors
from stylecine.machine.given import check_file
from stylecine.machine.memory import available_bytes
from stylecine.options import CLASSES, format_size, parse_size
from stylecine.picture.photo import encode_png
from stylecine.picture.size import MAX_PIXELS, MIN_SIDE, checked_size
from stylecine.picture.transparency import split_alpha, with_alpha
from stylecine.version import __version__

VERSION = 1
JSON, PHOTO, RECONSTRUCTION = "scene.json", "photo.png", "reconstruction.png"
TENSORS, EDITS = "found.safetensors", "edits.safetensors"
MEMBERS = (JSON, PHOTO, RECONSTRUCTION, TENSORS, EDITS)

FACTS = {"version", "stylecine", "height", "width", "model", "source", "settings", "edits"}  # of scene.json
MODEL = {"name", "resolution", "injection", "licence", "source", "weights"}
SETTINGS = {"size", "refine", "seed"}
SOURCE = ("name", "sha256", "warning", "wraps")  # what is kept of the photo's own file

END, LOCATOR = 22, 20  # bytes that end a zip archive, and that precede them in a 64-bit one
MAX_DIRECTORY = 1 << 16  # bytes of the archive's own
MAX_JSON = 4 << 20  # bytes: strokes of 90,000 points
MIN_JSON, MAX_JSON_RATIO = 1 << 20, 16  # bytes always allowed, and per compressed byte: points compress badly
MAX_HEADER = 1 << 18  # bytes of a .safetensors file's JSON
MAX_STYLES, STYLE = 64, 512
MAX_FEATURE = 1 << 26  # numbers in F
FEATURE_PER_PIXEL, MIN_FEATURE = 64, 1 << 20  # numbers in F allowed per pixel, and for any photo
MIN_TOTAL, MAX_RATIO = 16 << 20, 200  # bytes of all members together: always allowed, and per compressed byte
MAX_MASKS = 64  # of the photo's size, that the edits may amount to, plus MIN_TOTAL
CHUNK = 1 << 20  # bytes that are read at a time
COPIES, BYTES_PER_PIXEL = 4, 12  # memory while reading: times all members, and for the two decoded pictures
MAX_REASON = 300  # characters of why a scene is refused
MAX_TEXT = 4096  # characters
MAX_SPEED = 4096.0  # pixels of the motion's own grid per 1/30 s

Limit: TypeAlias = tuple[tuple[type[np.generic], ...], tuple[int | None, ...], int]
"""Of a tensor: its possible types, its shape (None: any length), and the most numbers."""


@dataclass(frozen=True, eq=False)
class Cine(Editable):
    """The content of a .cine file: a `Scene` in arrays, JSON and edits; shapes, types and units as there."""

    photo: np.ndarray
    reconstruction: np.ndarray
    layers: np.ndarray
    motion: np.ndarray
    w_plus: np.ndarray
    feature: np.ndarray
    model: Mapping[str, Any]  # name, resolution, injection, licence, source, weights {role: sha256 or None}
    source: Mapping[str, Any] | None  # name, sha256, a warning or "", and whether it "wraps", as 360° photos do
    settings: Mapping[str, Any]  # size, refine, seed
    edits: tuple[Edit, ...] = ()
    alpha: np.ndarray | None = None

    @property
    def predicted_layers(self) -> np.ndarray:
        return self.layers


def write_cine(cine: Cine, path: str | os.PathLike[str], check: Callable[[], object] = lambda: None) -> Path:
    """The file appears complete or not at all. Raises OutputError; SceneError for another suffix, or if the file could
    not be opened again. check: called again and again, also by other threads, to raise Cancelled."""
    target = check_suffix(path)
    with atomic_write(target, finish=partial(_check_opens, target)) as part:
        _archive(pack(cine, check), part, target, check)
    return target


def read_cine(path: str | os.PathLike[str]) -> Cine:
    """Reads and checks everything. Raises SceneError for anything that `write_cine` does not write, TooLarge."""
    check_path(path, SceneError)
    return unpack(_read_members(Path(path)), Path(path))


def edit_cine(path: str | os.PathLike[str], change: Callable[[Cine], Cine], output: str | os.PathLike[str]) -> Cine:
    """Writes the scene of `path`, with the edits that `change` adds, to `output`, which may be `path`.

    Everything else stays the same, to the byte. Raises SceneError, TooLarge; OutputError, also if another run is
    writing `output`.
    """
    target = check_suffix(output)
    with atomic_write(target, finish=partial(_check_opens, target)) as part:  # locked before it is read
        members = _read_members(Path(path))
        cine = change(unpack(members, Path(path)))
        facts = json.loads(members[JSON]) | {"edits": [to_json(edit) for edit in cine.edits]}
        changed = {JSON: json.dumps(facts).encode(), EDITS: safetensors.numpy.save(_values(cine.edits))}
        _archive(members | changed, part, target)
    return cine


# --- members of the archive


def scene_size(path: Path) -> tuple[int, int]:
    """A scene's height and width, of which nothing else is read. Raises SceneError."""
    return _facts(_read_members(path, ())[JSON], path)[1]


def _read_members(path: Path, others: Sequence[str] = MEMBERS[1:]) -> dict[str, bytes]:
    """The content of scene.json, whose size of the photo limits all others, and of these."""
    check_file(path, "scene", SceneError)
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                raise SceneError(f"'{path}' is not a scene; give a {SUFFIX} file that stylecine wrote.")
            _check_end(file, path)
            with zipfile.ZipFile(file) as archive:
                infos = {info.filename: info for info in _checked_directory(archive, path)}
                json_limit = min(MAX_JSON, MIN_JSON + MAX_JSON_RATIO * infos[JSON].compress_size)
                members = {JSON: _read(archive, infos[JSON], json_limit, path)}
                _, (height, width) = _facts(members[JSON], path)
                if others:
                    _check_memory(height, width, sum(info.file_size for info in infos.values()), path)
                for name in others:
                    members[name] = _read(archive, infos[name], _max_bytes(name, height, width), path)
                return members
    except OSError as error:
        raise SceneError(f"'{path}' cannot be read ({error.strerror or 'damaged'}); copy it again.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error):
        raise _damaged(path) from None


def _check_end(file: BinaryIO, path: Path) -> None:
    """Refuses a directory that is too long, from the last bytes of the archive, before it is read."""
    file.seek(-min(END + LOCATOR, file.seek(0, os.SEEK_END)), os.SEEK_END)
    last = file.read()
    if len(last) < END or last[-END:][:4] != b"PK\x05\x06":
        raise _damaged(path)
    count, size, _, comment = struct.unpack("<HLLH", last[-END + 10 :])
    if count != len(MEMBERS) or size > MAX_DIRECTORY or comment or last.startswith(b"PK\x06\x07"):
        raise _unexpected(path)


def _checked_directory(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    infos = archive.infolist()
    known = sorted(info.filename for info in infos) == sorted(MEMBERS)
    encrypted = any(info.flag_bits & 0x1 for info in infos)
    links = any(info.external_attr >> 28 not in (0, 8) for info in infos)  # of a Unix file: 0 unspecified, 8 regular
    packed = {info.compress_type for info in infos}
    if not known or encrypted or links:
        raise _unexpected(path)
    if not packed <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise SceneError(f"'{path}' is compressed in another way than stylecine does; save the scene again.")
    large, small = (sum(getattr(info, size) for info in infos) for size in ("file_size", "compress_size"))
    if large > MIN_TOTAL + MAX_RATIO * small:
        raise SceneError(f"'{path}' would grow to {large >> 20} MB when read; open only what stylecine wrote.")
    return infos


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int, path: Path) -> bytes:
    """A member of at most `limit` bytes, whatever the directory claims; its CRC is checked."""
    content = None
    if info.file_size <= limit:
        with archive.open(info) as member:  # in chunks: a single `read` holds everything three times
            content = b"".join(islice(iter(partial(member.read, CHUNK), b""), limit // CHUNK + 1))
    if content is None or len(content) > limit:
        raise SceneError(f"'{path}' has a {info.filename} that is too large for its photo; save the scene again.")
    return content


def _max_bytes(name: str, height: int, width: int) -> int:
    """Bytes that a member may have in a scene of that size."""
    if name in (PHOTO, RECONSTRUCTION):
        return 4 * height * width + MAX_HEADER
    if name == TENSORS:
        return 4 * sum(numbers for _, _, numbers in _tensor_limits(height, width).values()) + MAX_HEADER
    return MAX_MASKS * height * width + MIN_TOTAL


def _check_memory(height: int, width: int, members: int, path: Path) -> None:
    """Raises TooLarge if the scene, with so many bytes of members, cannot even be read; `Scene.load` checks what
    rendering needs."""
    need, free = COPIES * members + BYTES_PER_PIXEL * height * width, available_bytes(None)
    if need > free:
        raise TooLarge(
            f"Opening '{path}', {width}x{height}, needs about {need / 1e9:.2g} GB of memory and {free / 1e9:.2g} GB are"
            " free; free some memory first."
        )


def _unexpected(path: Path) -> SceneError:
    return SceneError(f"'{path}' does not contain what a scene does; open only what stylecine wrote.")


def _damaged(path: Path) -> SceneError:
    return SceneError(f"'{path}' is damaged or was cut short; copy it or save the scene again.")


def _archive(members: dict[str, bytes], part: Path, target: Path, check: Callable[[], object] = lambda: None) -> None:
    with translate_os_errors(target), zipfile.ZipFile(part, "w") as archive:
        for name in MEMBERS:
            info = zipfile.ZipInfo(name)  # without a date, so that the same scene gives the same file
            info.external_attr = 0o644 << 16
            packed = zipfile.ZIP_STORED if name in (PHOTO, RECONSTRUCTION) else zipfile.ZIP_DEFLATED
            archive.writestr(info, members[name], packed, 1)
            check()


def _check_opens(target: Path, part: Path) -> None:
    """Raises SceneError if the written file could not be opened again."""
    try:
        with suppress(TooLarge):  # memory may be short for the moment
            unpack(_read_members(part), part)
    except SceneError as error:
        raise SceneError(
            f"'{target}' was not saved, because it could not be opened again: it contains more, or other things, than"
            " a scene can; undo some edits, or paint one mask for many strokes."
        ) from error


# --- content of the members


def pack(cine: Cine, check: Callable[[], object] = lambda: None) -> dict[str, bytes]:
    height, width = cine.photo.shape[:2]
    facts = {
        "version": VERSION,
        "stylecine": __version__,
        "height": height,
        "width": width,
        "model": _escaped(cine.model),
        "source": _escaped(cine.source),
        "settings": dict(cine.settings),
        "edits": [to_json(edit) for edit in cine.edits],
    }
    tensors = {name: np.asarray(getattr(cine, name), np.float32) for name in ("layers", "motion", "w_plus")}
    tensors["feature"] = _half_if_exact(cine.feature)
    with ThreadPoolExecutor(2) as pool:
        shown = cine.photo if cine.alpha is None else with_alpha(cine.photo, cine.alpha)
        photo, reconstruction = pool.map(partial(encode_png, check=check), (shown, cine.reconstruction))
    return {
        JSON: json.dumps(facts, allow_nan=False).encode(),
        PHOTO: photo,
        RECONSTRUCTION: reconstruction,
        TENSORS: safetensors.numpy.save({name: np.ascontiguousarray(values) for name, values in tensors.items()}),
        EDITS: safetensors.numpy.save(_values(cine.edits)),
    }


def unpack(members: Mapping[str, bytes], path: Path) -> Cine:
    """The scene in the members, which are checked alone and against each other. Raises SceneError."""
    facts, size = _facts(members[JSON], path)
    try:
        if isinstance(facts.get("source"), dict):  # older files have neither unless it says something
            facts["source"] = {"warning": "", "wraps": False} | facts["source"]
        _check_facts(facts)
        limits = _tensor_limits(*size)
        tensors = _read_tensors(members[TENSORS], limits)
        _require(tensors.keys() == limits.keys() and all(np.isfinite(values).all() for values in tensors.values()))
        layers, motion = tensors["layers"], tensors["motion"]
        _require(bool((layers >= 0).all() and (layers <= 1).all() and (np.abs(motion) <= MAX_SPEED).all()))
        with ThreadPoolExecutor(2) as pool:
            shown, reconstruction = pool.map(partial(_read_png, size=size), (members[PHOTO], members[RECONSTRUCTION]))
        photo, alpha = split_alpha(shown)
        _require(reconstruction.shape[2] == 3 and (alpha is None or bool(alpha.any())))
        tensors["feature"] = tensors["feature"].astype(np.float32, copy=False)
        found: dict[str, Any] = tensors | {name: facts[name] for name in ("model", "source", "settings")}
        edits = _read_edits(facts["edits"], members[EDITS], size)
        return Cine(photo=photo, reconstruction=reconstruction, **found, edits=edits, alpha=alpha)
    except (StylecineError, ValueError, TypeError, KeyError, OverflowError) as error:
        reason = str(error)[:MAX_REASON]  # it may quote the file
        raise SceneError(f"'{path}' contains an invalid scene ({reason}); open only what stylecine wrote.") from None


def _facts(content: bytes, path: Path) -> tuple[dict[str, Any], tuple[int, int]]:
    """What is in scene.json, and the photo's height and width, on which all limits depend."""
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        raise _damaged(path) from None
    version = facts.get("version") if isinstance(facts, dict) else None
    if type(version) is not int or version < 1:
        raise _damaged(path)
    if version > VERSION:
        raise SceneError(f"'{path}' was saved by a newer stylecine (its format is {version}); install that to open it.")
    height, width = facts.get("height"), facts.get("width")
    if type(height) is int and type(width) is int and min(height, width) >= MIN_SIDE and height * width <= MAX_PIXELS:
        return facts, (height, width)
    raise SceneError(f"'{path}' has no valid size; save the scene again.")


def _escaped(facts: Any) -> Any:
    """The facts with control characters escaped: names of files may contain anything."""
    if isinstance(facts, Mapping):
        return {_escaped(name): _escaped(fact) for name, fact in facts.items()}
    return printable(facts) if isinstance(facts, str) else facts


def _read_png(content: bytes, size: tuple[int, int]) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if (image.height, image.width) == size and image.mode in ("RGB", "RGBA"):
                return np.array(image)
    except Exception as error:  # decoders raise anything for damaged data
        raise ValueError("an image is damaged") from error
    raise ValueError("an image has another size or pixel format")


def _tensor_limits(height: int, width: int) -> dict[str, Limit]:
    """Limits of the tensors of a scene of that size."""
    pixels, full = height * width, (np.float32,)
    features = min(MAX_FEATURE, FEATURE_PER_PIXEL * pixels + MIN_FEATURE)
    return {
        "layers": (full, (len(CLASSES), height, width), len(CLASSES) * pixels),
        "motion": (full, (2, None, None), 2 * pixels),
        "w_plus": (full, (None, STYLE), MAX_STYLES * STYLE),
        "feature": ((np.float32, np.float16), (None, None, None), features),
    }


def _read_tensors(content: bytes, limits: Mapping[str, Limit]) -> dict[str, np.ndarray]:
    """The tensors of a .safetensors file, which are within the limits."""
    _require(int.from_bytes(content[:8], "little") <= MAX_HEADER)
    try:
        tensors: dict[str, np.ndarray] = safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError("tensors are damaged") from error
    _require(tensors.keys() <= limits.keys())
    for name, values in tensors.items():
        types, shape, numbers = limits[name]
        _require(values.dtype in types and values.ndim == len(shape) and 1 <= values.size <= numbers)
        _require(all(expected in (None, length) for length, expected in zip(values.shape, shape, strict=True)))
    return tensors


def _half_if_exact(values: np.ndarray) -> np.ndarray:
    """Values as float16 if that is exact, else as float32."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half, values) else values.astype(np.float32)


def _read_edits(facts: Any, content: bytes, size: tuple[int, int]) -> tuple[Edit, ...]:
    _require(isinstance(facts, list) and len(facts) <= MAX_EDITS)
    limit: Limit = (np.uint8,), (None, None), max(math.prod(size), 3 * STYLE_SIDE * MAX_STYLE_SIDE)
    values = _read_tensors(content, {str(number): limit for number in range(len(facts))})
    edits = tuple(from_json(edit, values.get(str(number)), size) for number, edit in enumerate(facts))
    _require(values.keys() == _values(edits).keys())
    return edits


def _values(edits: tuple[Edit, ...]) -> dict[str, np.ndarray]:
    """What of the edits is not JSON, by their numbers."""
    values = {str(number): values_of(edit) for number, edit in enumerate(edits)}
    return {name: np.ascontiguousarray(array) for name, array in values.items() if array is not None}


def _check_facts(facts: dict[str, Any]) -> None:
    """Raises an error unless scene.json has the fields that `pack` writes; size and edits are checked elsewhere."""
    _require(_has(facts, FACTS) and _is_text(facts["stylecine"]))
    model, source, settings = facts["model"], facts["source"], facts["settings"]
    _require(_has(model, MODEL) and _is_whole(model["resolution"], 4, 1 << 16))
    _require(isinstance(model["weights"], dict) and len(model["weights"]) <= 16)
    _require(all(_is_text(model[name]) for name in MODEL - {"resolution", "weights"}))
    for role, file in model["weights"].items():
        _require(_is_text(role) and _has(file, {"sha256", "licence"}) and _is_text(file["licence"]))
        _require(file["sha256"] is None or _is_digest(file["sha256"]))
    if source is not None:
        _require(_has(source, {*SOURCE}) and _is_digest(source["sha256"]) and _is_text(source["warning"]))
        _require((source["name"] is None or _is_text(source["name"])) and isinstance(source["wraps"], bool))
    _require(_has(settings, SETTINGS) and _is_text(settings["size"]))
    _require(format_size(checked_size(parse_size(settings["size"]))) == settings["size"])
    _require(all(_is_whole(settings[name], 0, (1 << 63) - 1) for name in ("refine", "seed")))


def _has(facts: Any, names: set[str]) -> bool:
    return isinstance(facts, dict) and facts.keys() == names


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable()


def _is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError("its parts do not fit together")
