"""Frames -> H.264 in MP4 or VP9 in WebM, whole or not at all; and back."""

from __future__ import annotations

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
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from stylecine.errors import OptionError, OutputError, VideoError, WriterUnavailable
from stylecine.files import Finish, PathLike, VideoInfo, check_place, told_plainly, whole
from stylecine.options import check_frame, check_int


@dataclass(frozen=True)
class Format:
    """How frames become a file: container, codec, encoder; default and worst quality (0 is best); fixed options."""

    container: str
    codec: str
    encoder: str
    quality: int
    worst: int
    encoding: dict[str, str]
    muxing: dict[str, str]


_VP9 = {"b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"}
# H.264, a slowly moving loop of 150 frames at 1024x1024: seam 1.25 times the median step, 16 kB and 16 ms a frame on
# two cores; above 1.3 at quality 18. Flat I/P/B ratios and no macroblock trees make the seam smaller only as a lower
# quality does, by spending bytes: 1.22 for 19 kB either way. faststart: the index comes first, so that a browser
# starts before it has everything.
# VP9: without b=0 a bit rate would decide, not the quality; row-mt: the rows of a frame on several threads. 40 frames
# of a sea at 1280x800, one core: 1.5 s and 8.2 kB a frame; "good" at cpu-used 5: 10.7 s, 7.1 kB, 0.2 dB better.
FORMATS = {
    ".mp4": Format("mp4", "h264", "libx264", 16, 51, {"preset": "veryfast"}, {"movflags": "+faststart"}),
    ".webm": Format("webm", "vp9", "libvpx-vp9", 24, 63, _VP9, {}),
}
FASTEST, SLOWEST = 1000.0, 0.01  # frames per second
AHEAD = 2  # frames made while an earlier one is being encoded

_log = logging.getLogger("stylecine")


def write_video(
    frames: Iterable[np.ndarray],
    path: PathLike,
    fps: float,
    *,
    quality: int | None = None,
    codec: str | None = None,
    repeat: int = 1,
    comment: str = "",
    finish: Finish | None = None,
) -> VideoInfo:
    """Encode frames, uint8 [H,W,3] sRGB, one at a time, as yuv420p with BT.709 colours: H.264 in MP4, VP9 in WebM.

    path: ends in .mp4 or .webm; written as path.part beside it and renamed once it is complete and on the disk, so
        a failure of any kind, in `frames` too, leaves neither a piece of it nor harms an older file.
    fps: 0.01 to 1000. quality: constant rate factor, 0 (best) to 51, default 16, for H.264; to 63, default 24, for
        VP9. codec: "h264" or "vp9", the one that belongs to the ending. repeat: how many times to go through
        `frames`. comment: put into the file's metadata, if there is one. finish: called with the complete .part
        before it is renamed, and may change it.

    An odd column or row at the right or bottom is left out, and logged. Raises OptionError for an impossible
    option or frame, OutputError where the file cannot be written, WriterUnavailable without an encoder.
    """
    rate, form, quality = check_encoding(path, fps, quality, codec, repeat)
    if repeat > 1 and iter(frames) is frames:
        raise OptionError("frames can be gone through only once, so repeat must be 1; give a list, say.")
    target = check_place(path)
    with whole(target, finish) as part:
        encoder = _Encoder(part, form, rate, quality, comment)
        try:
            _encode_beside(encoder, (frame for _ in range(repeat) for frame in frames))
            encoder.finish()
        finally:
            encoder.close()
    if any(encoder.cropped):
        _log.warning(
            "%s: video wants even sizes; %d column(s) at the right and %d row(s) at the bottom are left out.",
            target,
            *encoder.cropped,
        )
    size = target.stat().st_size
    return VideoInfo(
        Path(path), encoder.frames, float(rate), encoder.width, encoder.height, form.codec, size, encoder.cropped
    )


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

    def __init__(self, path: Path, form: Format, rate: Fraction, quality: int, comment: str) -> None:
        self.path, self.form, self.rate, self.quality, self.comment = path, form, rate, quality, comment
        self.frames = self.width = self.height = 0
        self.cropped = (0, 0)
        self.container: Any = None

    def take(self, frame: np.ndarray) -> av.VideoFrame:
        """A copy of a frame, checked: whoever made it may use its memory again."""
        check_frame(frame)
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
                f"Frames of {width}x{height} cannot be encoded as {self.form.codec}; give 16 to 16384 a side."
            )
        with _told_plainly(self.path):
            form = self.form
            self.container = av.open(_url(self.path), "w", format=form.container, options=form.muxing)
            if self.comment:
                self.container.metadata["comment"] = self.comment
        self.stream = self.container.add_stream(
            form.encoder, rate=self.rate, options=form.encoding | {"crf": str(self.quality)}
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


def check_encoding(
    path: PathLike, fps: Any, quality: Any, codec: str | None, repeat: Any
) -> tuple[Fraction, Format, int]:
    """Rate, format and quality of a video; also checks `repeat`."""
    rate, form = _checked_rate(fps), _checked_format(path, codec)
    check_int("repeat", repeat, 1, 10_000)
    return rate, form, check_int("quality", form.quality if quality is None else quality, 0, form.worst)


def _checked_rate(fps: Any) -> Fraction:
    try:
        rate = float(fps)
    except (TypeError, ValueError):
        rate = math.nan
    if isinstance(fps, bool) or not SLOWEST <= rate <= FASTEST:
        raise OptionError(f"fps is {SLOWEST:g} to {FASTEST:g} frames per second, not {fps!r}.")
    return Fraction(fps).limit_denominator(1001)  # 30000/1001 and 24000/1001 come out exactly


def _checked_format(path: PathLike, codec: str | None) -> Format:
    form = FORMATS.get(Path(path).suffix.lower())
    if form is None:
        raise OptionError(f"'{os.fspath(path)}' does not end in {' or '.join(FORMATS)}; rename it.")
    if codec not in (None, form.codec):
        known = ", ".join(f"{form.codec!r} in {ending}" for ending, form in FORMATS.items())
        raise OptionError(f"codec {codec!r} does not go into '{os.fspath(path)}'; there is {known}.")
    try:
        av.Codec(form.encoder, "w")
    except (av.FFmpegError, ValueError):
        raise WriterUnavailable(
            f"The installed av package has no {form.encoder} encoder; run 'pip install --force-reinstall av'."
        ) from None
    return form


def _url(path: Path) -> str:
    return "file:" + os.path.abspath(path)  # a colon in a name would be taken for a protocol


@contextmanager
def _told_plainly(target: Path) -> Iterator[None]:
    """Turns what the file system or the encoder complains about into one sentence."""
    try:
        with told_plainly(target):
            yield
    except av.FFmpegError as error:
        name = target.with_suffix("") if target.suffix == ".part" else target
        raise OutputError(f"'{name}' cannot be encoded ({error}); choose another place or quality.") from error
