"""Frames -> GIF, animated WebP, APNG or transparent AVIF, or a folder of PNG; one frame -> a still."""

import struct
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, pairwise
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

import numpy as np
from PIL import Image
from PIL.ExifTags import Base
from PIL.PngImagePlugin import getchunks, putchunk
from scipy.ndimage import binary_opening

from stylecine.machine.atomic import translate_os_errors
from stylecine.output import VideoInfo
from stylecine.output.encoders import check_pillow
from stylecine.output.formats import FORMATS, Picture, Still, frame_ticks
from stylecine.output.gif import changes, encode_gif
from stylecine.output.panorama import sphere_xmp
from stylecine.picture.photo import PNG_LEVEL, XMP_KEYWORD, encode_png

Frames: TypeAlias = Sequence[np.ndarray]
# frames, an open file, the duration of each in ticks, none of a still, quality, comment, XMP
Encode: TypeAlias = Callable[[Frames, BinaryIO, list[int], int, str, str], None]
Item = TypeVar("Item")
Result = TypeVar("Result")

FRAME = "frame-{:04}.png"  # in a folder
AHEAD = 3  # frames rendered while earlier ones are compressed
MIN_HOLE = np.ones((5, 5))  # of unchanged pixels that an APNG leaves out


def write_image(
    frames: Frames, path: Path, form: Picture, fps: float, quality: int | None, comment: str, sphere: bool
) -> VideoInfo:
    """Writes frames, uint8 [H,W,3] sRGB or, except of a .gif, [H,W,4] with a straight alpha, as an image that plays
    endlessly, its times rounded to ticks of the format; or one frame as a still. Raises OutputError.

    fps: 0.02 to the format's maximum. quality: on the scale of the format, or None. sphere: whether frames show all
        directions, which a .webp, an .apng and a .png say.
    """
    check_pillow(form.ending)
    still = isinstance(form, Still)
    ticks = [0] if still else frame_ticks(len(frames), fps, form.clock)
    durations = [end - start for start, end in pairwise(ticks)]
    if quality is None:
        quality = form.qualities[1] if form.qualities else 0
    height, width = frames[0].shape[:2]
    xmp = sphere_xmp(width, height) if sphere else ""
    with translate_os_errors(path), path.open("wb") as file:
        ENCODERS[form.ending](frames, file, durations, quality, comment, xmp)
    rate = 0.0 if still else form.clock * len(frames) / ticks[-1]
    return VideoInfo(path, len(frames), rate, width, height, form.id, path.stat().st_size, (0, 0))


def write_folder(frames: Frames, path: Path, fps: float) -> VideoInfo:
    """Writes frames, uint8 [H,W,3] sRGB or [H,W,4] with a straight alpha, as frame-0000.png, frame-0001.png, ... into a
    folder. Raises OutputError if they cannot be written."""
    with translate_os_errors(path):
        for k, content in enumerate(map_ahead(encode_png, frames, AHEAD)):
            (path / FRAME.format(k)).write_bytes(content)
    height, width = frames[0].shape[:2]
    return VideoInfo(path, len(frames), fps, width, height, "png", 0, (0, 0))


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int, workers: int | None = None
) -> Generator[Result, None, None]:
    """function(item) in order, computed on threads while this one produces up to `ahead` further items."""
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="stylecine-encode") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


class _LazyFrames:
    """A sequence of frames as Pillow's writers of WebP and AVIF take it; only one at a time is in memory."""

    _min_frame = 0

    def __init__(self, frames: Iterator[np.ndarray], count: int) -> None:
        self._frames, self.n_frames = frames, count

    def seek(self, frame: int) -> None:
        if (pixels := next(self._frames, None)) is None:
            raise EOFError
        self._image = Image.fromarray(pixels)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._image, name)


def _encode_webp(frames: Frames, file: BinaryIO, durations: list[int], quality: int, comment: str, xmp: str) -> None:
    remaining = iter(frames)
    first = next(remaining)
    # Key frames would make static parts flicker, and only help seeking; but libwebp draws what is transparent in part
    # over the frame before, so that it would become opaque.
    translucent = first.shape[2] == 4 and bool((first[..., 3] % 255).any())
    distance = 1 if translucent else len(frames) + 1
    exif = Image.Exif()
    exif[Base.ImageDescription] = comment.encode()
    Image.fromarray(first).save(
        file,
        "WEBP",
        save_all=True,
        append_images=[_LazyFrames(remaining, len(frames) - 1)],
        duration=durations,
        loop=0,
        quality=quality,
        method=4,  # Pillow's default for animations is 0, a fifth larger
        kmin=distance,
        kmax=1 if translucent else distance + 1,
        exif=exif.tobytes() if comment else b"",
        xmp=xmp.encode(),
    )


def _encode_avif(frames: Frames, file: BinaryIO, durations: list[int], quality: int, comment: str, xmp: str) -> None:
    """With libavif, whose animations have a second track for the alpha, which FFmpeg writes only of an encoder that
    knows pictures without colours."""
    remaining = iter(frames)
    Image.fromarray(next(remaining)).save(
        file,
        "AVIF",
        save_all=True,
        append_images=[_LazyFrames(remaining, len(frames) - 1)] if len(frames) > 1 else [],
        duration=durations,
        quality=round(100 * (1 - quality / FORMATS[".avif"].worst)),
        range="limited",  # as which Chromium shows it, whatever its tags say
        advanced={"alpha:lossless": "1"},  # takes no more bytes
        speed=8,
    )


def _encode_apng(frames: Frames, file: BinaryIO, durations: list[int], quality: int, comment: str, xmp: str) -> None:
    """Lossless: the rectangle of each frame that changes, with transparent pixels where nothing changes, unless what
    changes is transparent itself."""
    numbers = (struct.pack(">I", number) for number in count())
    images = map_ahead(_compress, _changes(frames), AHEAD)
    for k, ((left, top, width, height, blend, data), duration) in enumerate(zip(images, durations, strict=True)):
        if k == 0:
            file.write(b"\x89PNG\r\n\x1a\n")
            putchunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))  # 8 bits, RGBA
            putchunk(file, b"sRGB", b"\0")
            for keyword, text in ((b"Comment", comment), (XMP_KEYWORD.encode(), xmp)):
                if text:
                    putchunk(file, b"iTXt", keyword, bytes(5), text.encode())
            putchunk(file, b"acTL", struct.pack(">II", len(durations), 0))  # 0: endlessly
        # 0: not disposed of; blend 1: over the previous frame, 0: instead of it
        place = struct.pack(">IIIIHHBB", width, height, left, top, duration, 1000, 0, blend)
        putchunk(file, b"fcTL", next(numbers), place)
        if k == 0:
            putchunk(file, b"IDAT", data)
        else:
            putchunk(file, b"fdAT", next(numbers), data)
    putchunk(file, b"IEND")


def _changes(frames: Iterable[np.ndarray]) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """Left, top, whether to blend, and pixels, uint8 [h,w,4], of what changes; transparent black in between.

    Small groups of unchanged pixels are stored as well, since many holes compress worse.
    """
    for k, (frame, changed, box) in enumerate(changes(frames)):
        opaque = ~binary_opening(~changed[box], MIN_HOLE)[..., None]
        if frame.shape[2] == 3:
            pixels, blend = np.concatenate([frame[box], np.full_like(opaque, 255, np.uint8)], axis=-1), True
        else:
            pixels, blend = frame[box], k > 0 and bool((frame[box][..., 3:] == 255)[opaque].all())
        yield box[1].start, box[0].start, int(blend), pixels * opaque if blend else pixels


def _compress(change: tuple[int, int, int, np.ndarray]) -> tuple[int, int, int, int, int, bytes]:
    """Left, top, width, height, whether to blend, and the content of the IDAT chunks of its PNG."""
    left, top, blend, pixels = change
    chunks = getchunks(Image.fromarray(pixels), compress_level=PNG_LEVEL)
    data = b"".join(content for kind, content, _ in chunks if kind == b"IDAT")
    return left, top, pixels.shape[1], pixels.shape[0], blend, data


def _encode_png(frames: Frames, file: BinaryIO, durations: list[int], quality: int, comment: str, xmp: str) -> None:
    file.write(encode_png(frames[0], comment, xmp=xmp))


ENCODERS: dict[str, Encode] = {
    ".gif": encode_gif,
    ".webp": _encode_webp,
    ".apng": _encode_apng,
    ".avif": _encode_avif,
    ".png": _encode_png,
}
