"""Frames -> H.264 in an MP4 file, whole or not at all; and back."""

from __future__ import annotations

import errno
import logging
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from stylecine.errors import OptionError, OutputError, VideoError, WriterUnavailable

PathLike: TypeAlias = "str | os.PathLike[str]"

ENCODERS = {"h264": "libx264"}
QUALITY = 16  # x264's constant rate factor, 0 lossless to 51 worst; at 18 a slow loop's seam is above 1.3
FASTEST, SLOWEST = 1000.0, 0.01  # frames per second

# A slowly moving loop of 150 frames at 1024x1024: seam 1.25 times the median step, 16 kB and 16 ms a frame
# on two cores. Flat I/P/B ratios and no macroblock trees make the seam smaller only as a lower rate factor
# does, by spending bytes: 1.22 for 19 kB either way.
PRESET = "veryfast"
AHEAD = 2  # frames made while an earlier one is being encoded

_log = logging.getLogger("stylecine")


@dataclass(frozen=True)
class VideoInfo:
    """What was written: frames and pixels as they are in the file."""

    path: Path
    frames: int
    fps: float
    width: int
    height: int
    codec: str
    bytes: int
    cropped: tuple[int, int]  # columns at the right and rows at the bottom left out: H.264 wants even sizes


def write_video(
    frames: Iterable[np.ndarray],
    path: PathLike,
    fps: float,
    *,
    quality: int | None = None,
    codec: str | None = None,
    repeat: int = 1,
    comment: str = "",
) -> VideoInfo:
    """Encode frames, uint8 [H,W,3] sRGB, one at a time, as H.264 yuv420p in MP4 with BT.709 colours.

    path: ends in .mp4; written as path.part beside it and renamed once it is complete and on the disk, so a
        failure of any kind, in `frames` too, leaves neither a piece of it nor harms an older file.
    fps: 0.01 to 1000. quality: constant rate factor, 0 (lossless) to 51, default 16. codec: "h264".
    repeat: how many times to go through `frames`. comment: put into the file's metadata, if there is one.

    An odd column or row at the right or bottom is left out, and logged. Raises OptionError for an impossible
    option or frame, OutputError where the file cannot be written, WriterUnavailable without an encoder.
    """
    rate = _checked_rate(fps)
    quality = _checked_int("quality", QUALITY if quality is None else quality, 0, 51)
    repeat = _checked_int("repeat", repeat, 1, 10_000)
    encoder_name = _checked_encoder("h264" if codec is None else codec)
    if repeat > 1 and iter(frames) is frames:
        raise OptionError("frames can be gone through only once, so repeat must be 1; give a list, say.")
    target = check_output(path)
    part = _part(target)
    try:
        encoder = _Encoder(part, encoder_name, rate, quality, comment)
        try:
            _encode_beside(encoder, (frame for _ in range(repeat) for frame in frames))
            encoder.finish()
        finally:
            encoder.close()
        with _told_plainly(target):
            _flush_to_disk(part)
            size = part.stat().st_size
            os.replace(part, target)
    except BaseException:  # a cancelled or interrupted run leaves nothing behind either
        part.unlink(missing_ok=True)
        raise
    if any(encoder.cropped):
        _log.warning(
            "%s: H.264 wants even sizes; %d column(s) at the right and %d row(s) at the bottom are left out.",
            target,
            *encoder.cropped,
        )
    return VideoInfo(
        Path(path), encoder.frames, float(rate), encoder.width, encoder.height, "h264", size, encoder.cropped
    )


def check_output(path: PathLike) -> Path:
    """The file that `path` stands for, symbolic links resolved. Cheap; to be called before minutes of work.

    Raises OptionError for an extension other than .mp4, OutputError where no file can be written.
    """
    target = Path(os.path.realpath(path))
    if target.suffix.lower() != ".mp4":
        raise OptionError(
            f"'{os.fspath(path)}' does not end in .mp4, the one format that is written; rename it."
        )
    with _told_plainly(target):
        if target.is_dir():
            raise OutputError(f"'{target}' is a folder; name a file in it.")
        if target.exists() and not target.is_file():
            raise OutputError(f"'{target}' is not a regular file; name another one.")
        part = _part(target)
        part.open("wb").close()  # permissions, quotas and mounts have too many rules to foretell: try it
        part.unlink()
    return target


def read_video(path: PathLike) -> tuple[np.ndarray, float]:
    """All frames of a video, uint8 [N,H,W,3] by the colours its tags name, and its frames per second.

    Raises VideoError for anything that is not a readable video.
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise VideoError(f"There is no video at '{name}'; check the path.")
    try:
        with av.open(_url(Path(name))) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            frames = [_to_rgb(frame) for frame in container.decode(stream)]
            fps = float(stream.average_rate or 0)
    except (av.FFmpegError, OSError, IndexError, ValueError):
        frames = []
    if not frames:
        raise VideoError(f"'{name}' is not a video this can read, or is damaged; write it again.")
    return np.stack(frames), fps


def _encode_beside(encoder: _Encoder, frames: Iterable[np.ndarray]) -> None:
    """Encodes on a thread of its own while the next frames are being made on this one, a few of them ahead."""
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="stylecine-video") as beside:
        try:
            for frame in frames:
                waiting.append(beside.submit(encoder.write, encoder.take(np.asarray(frame))))
                if len(waiting) > AHEAD:
                    waiting.popleft().result()
            while waiting:
                waiting.popleft().result()
        finally:
            beside.shutdown(cancel_futures=True)


class _Encoder:
    """One file being written; sizes come from the first frame."""

    def __init__(self, path: Path, encoder: str, rate: Fraction, quality: int, comment: str) -> None:
        self.path, self.encoder, self.rate, self.quality, self.comment = path, encoder, rate, quality, comment
        self.frames = self.width = self.height = 0
        self.cropped = (0, 0)
        self.container: Any = None

    def take(self, frame: np.ndarray) -> av.VideoFrame:
        """A copy of a frame, checked: whoever made it may use its memory again."""
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise OptionError(f"A frame is uint8 [height, width, 3], not {frame.dtype} {list(frame.shape)}.")
        if self.container is None:
            self._open(*frame.shape[:2])
        expected = (self.height + self.cropped[1], self.width + self.cropped[0])
        if frame.shape[:2] != expected:
            raise OptionError(f"All frames must have one shape; got {frame.shape[:2]} after {expected}.")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[: self.height, : self.width]), format="rgb24")
        picture.pts, picture.time_base = self.frames, 1 / self.rate
        self.frames += 1
        return picture

    def write(self, picture: av.VideoFrame) -> None:
        """Encodes what take() gave, in that order."""
        self._write(_to_yuv(picture))

    def finish(self) -> None:
        if self.container is None:
            raise OptionError("There are no frames to write; give at least one.")
        self._write(None)
        container, self.container = self.container, None
        with _told_plainly(self.path):
            container.close()

    def close(self) -> None:
        """Lets go of a file that is not to be kept; nothing after `finish`."""
        if self.container is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self.container.close()

    def _open(self, height: int, width: int) -> None:
        self.cropped = (width % 2, height % 2)
        self.width, self.height = width - self.cropped[0], height - self.cropped[1]
        if min(self.width, self.height) < 16 or max(self.width, self.height) > 16384:
            raise OptionError(
                f"Frames of {width}x{height} cannot be encoded; H.264 takes 16 to 16384 a side."
            )
        with _told_plainly(self.path):
            # faststart: the index comes first, so that a browser starts before it has everything
            self.container = av.open(_url(self.path), "w", format="mp4", options={"movflags": "+faststart"})
            if self.comment:
                self.container.metadata["comment"] = self.comment
        self.stream = self.container.add_stream(
            self.encoder, rate=self.rate, options={"preset": PRESET, "crf": str(self.quality)}
        )
        context = self.stream.codec_context
        context.width, context.height, context.pix_fmt = self.width, self.height, "yuv420p"
        context.time_base = 1 / self.rate
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        with _told_plainly(self.path):
            self.container.start_encoding()

    def _write(self, picture: av.VideoFrame | None) -> None:
        with _told_plainly(self.path):
            for packet in self.stream.encode(picture):
                self.container.mux(packet)


def _to_yuv(picture: av.VideoFrame) -> av.VideoFrame:
    # the library converts by BT.601 unless told otherwise, whatever the file's tags say
    return picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="rgb24")


def _checked_rate(fps: Any) -> Fraction:
    try:
        rate = float(fps)
    except (TypeError, ValueError):
        rate = math.nan
    if isinstance(fps, bool) or not SLOWEST <= rate <= FASTEST:
        raise OptionError(f"fps is {SLOWEST:g} to {FASTEST:g} frames per second, not {fps!r}.")
    return Fraction(fps).limit_denominator(1001)  # 30000/1001 and 24000/1001 come out exactly


def _checked_int(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or not least <= value <= most:
        raise OptionError(f"{name} is a whole number from {least} to {most}, not {value!r}.")
    return int(value)


def _checked_encoder(codec: str) -> str:
    if codec not in ENCODERS:
        raise OptionError(f"codec {codec!r} is not known; use {' or '.join(map(repr, ENCODERS))}.")
    name = ENCODERS[codec]
    try:
        av.Codec(name, "w")
    except (av.FFmpegError, ValueError):
        raise WriterUnavailable(
            f"The installed av package has no {name} encoder; run 'pip install --force-reinstall av'."
        ) from None
    return name


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _url(path: Path) -> str:
    return "file:" + os.path.abspath(path)  # a colon in a name would be taken for a protocol


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


_NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def _told_plainly(target: Path) -> Iterator[None]:
    """Turns what the file system or the encoder complains about into one sentence."""
    name = target.with_suffix("") if target.suffix == ".part" else target
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            message = f"There is no folder '{name.parent}'; create it first."
        elif error.errno in _NO_PERMISSION:
            message = f"'{name}' may not be written; choose another folder or change its permissions."
        elif error.errno in _NO_SPACE:
            message = f"There is no space left to write '{name}'; free some or choose another disk."
        else:
            message = f"'{name}' cannot be written ({error.strerror or error}); choose another place."
        raise OutputError(message) from error
    except av.FFmpegError as error:
        raise OutputError(
            f"'{name}' cannot be encoded ({error}); choose another place or quality."
        ) from error
