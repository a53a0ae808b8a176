"""Frames -> GIF, animated WebP or APNG, or a folder of PNG; one frame -> PNG; whole or not at all."""

import math
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

import numpy as np
from PIL import Image, features
from PIL.ExifTags import Base
from scipy.ndimage import binary_opening

from stylecine.atomic import Finish, PathLike, atomic_write, check_destination, translate_os_errors
from stylecine.errors import OptionError, WriterUnavailable
from stylecine.options import check_frame, check_int, check_number
from stylecine.output import VideoInfo
from stylecine.output.gif import encode_gif
from stylecine.stages.photo import encode_png

Frames: TypeAlias = Sequence[np.ndarray]
Encode: TypeAlias = Callable[[Frames, BinaryIO, list[int], int, str], None]
Item = TypeVar("Item")

POSTER = ".png"
FRAME = "frame-{:04}.png"  # of a folder
SLOWEST = 0.02  # frames per second: an APNG's longest delay is 65.5 s
FASTEST = 90  # browsers show a frame of 10 ms and less for 100 ms
LONGEST_SIDE = 16383  # of WebP; the others take more
AHEAD = 3  # frames made while earlier ones are being compressed
STILL = np.ones((5, 5))  # the least that an APNG leaves out


@dataclass(frozen=True)
class Animation:
    """How frames become one animated picture.

    encode: takes frames, an open file, the ticks that each is shown, quality, comment. clock: ticks a second.
    fastest: frames a second. quality: default, of 0 to 100 (best), None where
    nothing is lost.
    """

    encode: Encode
    codec: str
    clock: int
    fastest: float
    quality: int | None


def check_animation(path: PathLike, fps: Any, quality: Any) -> Animation:
    """How to write an animated picture. OptionError for an impossible option, WriterUnavailable without an encoder."""
    ending = Path(path).suffix.lower()
    form = ANIMATIONS.get(ending)
    if form is None:
        raise OptionError(f"'{os.fspath(path)}' does not end in {' or '.join(ANIMATIONS)}; rename it.")
    check_number("fps", fps, ge=SLOWEST, le=math.inf)
    if quality is not None and form.quality is None:
        raise OptionError(f"Nothing is lost in {ending}, so it has no quality; leave it out.")
    if form.codec == "webp":
        check_webp(ending, quality)
    elif quality is not None:
        check_int(f"quality of {ending}", quality, 0, 100)
    return form


def check_webp(what: str, quality: Any) -> None:
    """For `what` is made of WebP: OptionError for an impossible quality, WriterUnavailable without its encoder."""
    if quality is not None:
        check_int(f"quality of {what}", quality, 0, 100)
    if not features.check("webp"):
        raise WriterUnavailable("The installed Pillow writes no WebP; run 'pip install --upgrade pillow'.")


def moments(count: int, fps: float, clock: int) -> list[int]:
    """When each of `count` frames appears, and when the last one goes, in ticks; rounding errors do not add up."""
    return [round(clock * k / fps) for k in range(count + 1)]


def write_animation(
    frames: Frames,
    path: PathLike,
    fps: float,
    *,
    quality: int | None = None,
    comment: str = "",
    finish: Finish | None = None,
) -> VideoInfo:
    """Frames, uint8 [H,W,3] sRGB of one shape, as a picture that plays for ever: .gif, .webp or .apng.

    frames: asked for one after the other; for a .gif eight are asked for before, by their number.
    fps: 0.02 to 50 for .gif, to 90 for the others. Times are rounded to 1/100 s in a .gif, else to 1/1000 s.
    quality: 0 to 100 (best); default 80; an .apng loses nothing and has none.
    comment, finish: as for a video.

    Raises OptionError for an impossible option or frame, OutputError where the file cannot be written,
    WriterUnavailable without an encoder.
    """
    form = check_animation(path, fps, quality)
    check_number("fps", fps, ge=SLOWEST, le=form.fastest)
    when = moments(len(frames), fps, form.clock)
    delays = [end - start for start, end in pairwise(when)]
    checked = _Checked(frames)
    target = check_destination(path)
    with atomic_write(target, finish) as part, translate_os_errors(target), part.open("wb") as file:
        form.encode(checked, file, delays, (form.quality or 0) if quality is None else quality, comment)
    height, width = checked.shape
    rate = form.clock * len(frames) / when[-1]
    return VideoInfo(Path(path), len(frames), rate, width, height, form.codec, target.stat().st_size, (0, 0))


def write_folder(frames: Frames, path: PathLike, fps: float) -> VideoInfo:
    """Frames, uint8 [H,W,3] sRGB of one shape, as frame-0000.png, frame-0001.png, ... in a new or empty folder.

    Raises OptionError for an impossible frame, OutputError where the folder cannot be made or has something in it.
    """
    checked = _Checked(frames)
    target = check_destination(path, folder=True)
    with atomic_write(target, folder=True) as part, translate_os_errors(target):
        for k, content in enumerate(_beside(encode_png, checked)):
            (part / FRAME.format(k)).write_bytes(content)
    height, width = checked.shape
    size = sum(file.stat().st_size for file in target.iterdir())
    return VideoInfo(Path(path), len(frames), fps, width, height, "png", size, (0, 0))


def write_poster(frame: np.ndarray, path: PathLike, *, comment: str = "", finish: Finish | None = None) -> VideoInfo:
    """One frame, uint8 [H,W,3] sRGB, as PNG without loss; `comment` and `finish` as for a video.

    Raises OptionError for an ending other than .png or an impossible frame, OutputError where it cannot be written.
    """
    check_frame(frame)
    if not is_poster(path):
        raise OptionError(f"'{os.fspath(path)}' does not end in {POSTER}; rename it.")
    target = check_destination(path)
    with atomic_write(target, finish) as part, translate_os_errors(target):
        part.write_bytes(encode_png(frame, comment))
    height, width = frame.shape[:2]
    return VideoInfo(Path(path), 1, 0.0, width, height, "png", target.stat().st_size, (0, 0))


def is_poster(path: PathLike) -> bool:
    """Whether the file that `path` names is a single picture."""
    return Path(path).suffix.lower() == POSTER


class _Checked(Sequence[np.ndarray]):
    """Frames that are what they have to be."""

    def __init__(self, frames: Frames) -> None:
        self.frames, self.shape = frames, (0, 0)
        if len(frames) == 0:
            raise OptionError("There are no frames to write; give at least one.")

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, k: Any) -> Any:
        return self._check(self.frames[k])

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self._check, self.frames)

    def _check(self, frame: np.ndarray) -> np.ndarray:
        check_frame(frame)
        height, width = frame.shape[:2]
        if not 1 <= min(height, width) <= max(height, width) <= LONGEST_SIDE:
            raise OptionError(f"Frames of {width}x{height} cannot be written; give 1 to {LONGEST_SIDE} a side.")
        if self.shape not in ((0, 0), (height, width)):
            raise OptionError(f"All frames must have one shape; got {(height, width)} after {self.shape}.")
        self.shape = (height, width)
        return frame


class _Film:
    """Frames as Pillow's writer of WebP sees an image of many, of which this holds one: it asks for them in turn."""

    def __init__(self, frames: Iterable[np.ndarray], count: int) -> None:
        self._frames, self.n_frames = iter(frames), count

    def seek(self, frame: int) -> None:
        self._image = Image.fromarray(next(self._frames))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._image, name)


def _encode_webp(frames: Frames, file: BinaryIO, delays: list[int], quality: int, comment: str) -> None:
    never = len(delays) + 1  # key frames, which only help seeking, would make static parts flicker
    coming = iter(frames)
    Image.fromarray(next(coming)).save(
        file,
        "WEBP",
        save_all=True,
        append_images=[_Film(coming, len(delays) - 1)] if len(delays) > 1 else [],
        duration=delays,
        loop=0,
        quality=quality,
        method=4,
        kmin=never,
        kmax=never + 1,
        exif=_exif(comment),
    )


def _exif(comment: str) -> bytes:
    """EXIF with a comment, UTF-8, as the image description; empty without one."""
    tags = Image.Exif()
    tags[Base.ImageDescription] = comment.encode()
    return tags.tobytes() if comment else b""


def _encode_apng(frames: Frames, file: BinaryIO, delays: list[int], quality: int, comment: str) -> None:
    """Without loss: of every frame the rectangle that changes, and in it transparent what does not."""
    number = 0

    def write(kind: bytes, *content: bytes) -> None:
        data = b"".join(content)
        file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))

    def numbered() -> bytes:
        nonlocal number
        number += 1
        return struct.pack(">I", number - 1)

    pictures = _beside(_compressed, _changes(frames))
    for k, ((left, top, width, height, data), delay) in enumerate(zip(pictures, delays, strict=True)):
        if k == 0:
            file.write(b"\x89PNG\r\n\x1a\n")
            write(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))  # 8 bits, RGBA
            write(b"sRGB", b"\0")
            if comment:
                write(b"iTXt", b"Comment\0\0\0\0\0", comment.encode())
            write(b"acTL", struct.pack(">II", len(delays), 0))  # 0: for ever
        # 0, 1: the next frame is drawn over what is there
        write(b"fcTL", numbered(), struct.pack(">IIIIHHBB", width, height, left, top, delay, 1000, 0, 1))
        if k == 0:
            write(b"IDAT", data)
        else:
            write(b"fdAT", numbered(), data)
    write(b"IEND")


def _changes(frames: Iterable[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
    """Left, top and pixels, uint8 [h,w,4], of what changes; transparent black in between.

    A few pixels that stay amid those that change are stored again: holes make noise, which compresses worse.
    """
    shown = None
    for frame in frames:
        changed = np.ones(frame.shape[:2], bool) if shown is None else (frame != shown).any(axis=-1)
        rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
        top, left, bottom, right = (rows[0], columns[0], rows[-1], columns[-1]) if len(rows) else (0, 0, 0, 0)
        part = slice(top, bottom + 1), slice(left, right + 1)
        opaque = ~binary_opening(~changed[part], STILL)[..., None]
        yield int(left), int(top), np.concatenate([frame[part] * opaque, opaque * np.uint8(255)], axis=-1)
        shown = frame.copy()


def _compressed(change: tuple[int, int, np.ndarray]) -> tuple[int, int, int, int, bytes]:
    """Left, top, width, height and what is in the IDAT chunks of its PNG."""
    left, top, pixels = change
    content, at, data = encode_png(pixels), 8, b""
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        if content[at + 4 : at + 8] == b"IDAT":
            data += content[at + 8 : at + 8 + length]
        at += 12 + length
    return left, top, pixels.shape[1], pixels.shape[0], data


def _beside(work: Callable[[Item], Any], items: Iterable[Item]) -> Iterator[Any]:
    """work(item) of each in turn, done on threads while the next items are being made on this one."""
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(thread_name_prefix="stylecine-pictures") as beside:
        try:
            for item in items:
                waiting.append(beside.submit(work, item))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            beside.shutdown(cancel_futures=True)


ANIMATIONS = {
    ".gif": Animation(encode_gif, "gif", 100, 50, 80),
    ".webp": Animation(_encode_webp, "webp", 1000, FASTEST, 80),
    ".apng": Animation(_encode_apng, "apng", 1000, FASTEST, None),
}
