"""Frames -> video, whole or not at all, the end of a loop encoded so that it meets the beginning; and back."""

from __future__ import annotations

import io
import itertools
import logging
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import get_native_id
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation

from stylecine.atomic import Finish, PathLike, atomic_write, check_destination, translate_os_errors
from stylecine.errors import OptionError, OutputError, VideoError, printable
from stylecine.options import check_frame, check_int
from stylecine.output import VideoInfo
from stylecine.output.codecs import FORMATS, RUN, Codec, Format, codec_for

__all__ = ["FORMATS", "check_encoding", "read_video", "write_video"]

FASTEST, SLOWEST = 1000.0, 0.01  # frames per second
AHEAD = 2  # frames made while an earlier one is being encoded
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

_log = logging.getLogger("stylecine")


@dataclass(frozen=True)
class Encoding:
    """How one video is to be encoded, all options checked."""

    form: Format
    codec: Codec
    rate: Fraction
    quality: int


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
    """Encode frames, uint8 [H,W,3] sRGB, one at a time, as yuv420p with BT.709 colours.

    frames: one turn of a loop. With `len` and indices, as a list has them, the last frames are encoded so that they
        lead over to the first as it is decoded; some 30 to 100 frames are asked for twice. Others are encoded as they
        come, and may jump there.
    path: ends in .mp4 or .webm; the file appears complete or not at all, and an older one stays until then.
    fps: 0.01 to 1000. codec: "h264" (default), "h265" or "av1" in .mp4, "vp9" (default) or "av1" in .webm.
    quality: constant rate factor from 0 (best) to 51, default 16, for H.264; to 51, 20, for H.265; to 63, 24, for VP9;
        to 63, 28, for AV1. repeat: how many times the turn is in the file. comment: put into the file's metadata, if
        there is one. finish: called with the complete temporary file before it is renamed, and may change it.

    An odd column or row at the right or bottom is left out, and logged. Raises OptionError for an impossible
    option or frame, OutputError where the file cannot be written, WriterUnavailable without an encoder.
    """
    encoding = check_encoding(path, fps, quality, codec, repeat)
    target = check_destination(path)
    with atomic_write(target, finish) as part:
        encoder = _Encoder(part, encoding, comment, repeat, frames if _is_loop(frames) else None)
        try:
            _encode_beside(encoder, frames)
            encoder.finish()
        finally:
            encoder.close()
    if any(encoder.cropped):
        _log.warning(
            "%s: video needs even sizes, so the last %s is left out.",
            printable(path),
            " and ".join(name for name, odd in zip(("column", "row"), encoder.cropped, strict=True) if odd),
        )
    return VideoInfo(
        Path(path),
        encoder.frames * repeat,
        float(encoding.rate),
        encoder.width,
        encoder.height,
        encoding.codec.name,
        target.stat().st_size,
        encoder.cropped,
    )


def read_video(path: PathLike) -> tuple[np.ndarray, float]:
    """All frames of a video, GIF or APNG, uint8 [N,H,W,3] by the colours its tags name, and its frames per second.

    Raises VideoError for anything that is not a readable video; so are animated WebP and AVIF, of which FFmpeg, which
    reads here, sees a still picture at most.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise VideoError(f"'{name}' is a folder, not a video; name a file.")
    if Path(name).suffix.lower() in (".webp", ".avif"):
        raise VideoError(f"'{name}' is a picture that cannot be read as a video here; save an .mp4 or a .webm.")
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


def check_encoding(path: PathLike, fps: Any, quality: Any, codec: str | None, repeat: Any) -> Encoding:
    """How a video is to be encoded; options and what is raised as for `write_video`."""
    rate = _checked_rate(fps)
    form, chosen = codec_for(path, codec)
    check_int("repeat", repeat, 1, 10_000)
    crf = check_int("quality", chosen.quality if quality is None else quality, 0, chosen.worst)
    return Encoding(form, chosen, rate, crf)


def _is_loop(frames: Any) -> bool:
    """Whether it has a length and can be asked for a frame twice."""
    return hasattr(frames, "__len__") and hasattr(frames, "__getitem__")


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
    """One file being written; sizes come from the first frame.

    loop: the frames again, where they can be asked for by index, for the end to meet the beginning.
    """

    def __init__(self, path: Path, encoding: Encoding, comment: str, repeat: int, loop: Any) -> None:
        self.path, self.encoding, self.comment, self.repeat, self.loop = path, encoding, comment, repeat, loop
        self.frames = self.width = self.height = 0
        self.cropped = (0, 0)
        self.container: Any = None
        self.closing: _Closing | None = None
        self.turn: list[av.Packet[Any]] = []

    def take(self, frame: np.ndarray) -> av.VideoFrame:
        """A copy of a frame, checked: whoever made it may use its memory again."""
        check_frame(frame)
        if self.container is None:
            self._open(*frame.shape[:2])
        expected = (self.height + self.cropped[1], self.width + self.cropped[0])
        if frame.shape[:2] != expected:
            raise OptionError(f"All frames must have one shape; got {frame.shape[:2]} after {expected}.")
        picture = _picture(frame, self.frames, self.encoding.rate, self.width, self.height)
        self.frames += 1
        return picture

    def write(self, picture: av.VideoFrame) -> None:
        """Encodes what take() gave, in that order."""
        yuv = _to_yuv(picture)
        if self.closing:
            self.closing.lead_over(yuv)
        self._encode(yuv)

    def finish(self) -> None:
        if self.container is None:
            raise OptionError("There are no frames to write; give at least one.")
        for picture in self.closing.hidden() if self.closing else ():
            self._encode(picture)
        self._encode(None)
        for turn in range(1, self.repeat):
            self._mux(_later(packet, turn * self.frames) for packet in self.turn)
        container, self.container = self.container, None
        with _translate_errors(self.path):
            container.close()

    def close(self) -> None:
        """Lets go of a file that is not to be kept; nothing after `finish`."""
        if self.container is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self.container.close()

    def _open(self, height: int, width: int) -> None:
        self.cropped = (width % 2, height % 2)
        self.width, self.height = width - self.cropped[0], height - self.cropped[1]
        codec = self.encoding.codec
        if min(self.width, self.height) < codec.smallest or max(self.width, self.height) > 16384:
            raise OptionError(
                f"Frames of {width}x{height} cannot be encoded as {codec.name}; give {codec.smallest} to 16384 a side."
            )
        with _translate_errors(self.path):
            form = self.encoding.form
            self.container = av.open(_url(self.path), "w", format=form.container, options=form.options)
            if self.comment:
                self.container.metadata["comment"] = self.comment
            count = None if self.loop is None else len(self.loop)
            self.stream = _add_stream(self.container, self.encoding, self.width, self.height, count)
            self.container.start_encoding()
        if self.loop is not None and len(self.loop) > 1:
            self.closing = self._closed()

    def _closed(self) -> _Closing:
        """Finds what frame 0 will look like: the frames are encoded until it comes out, and it is decoded."""
        count, encoding = len(self.loop), self.encoding
        pictures = (
            _to_yuv(_picture(np.asarray(self.loop[t]), t, encoding.rate, self.width, self.height)) for t in range(count)
        )
        first = next(pictures)
        with _translate_errors(self.path):
            shown = _first_decoded(first, pictures, encoding, count)
        return _Closing.of(first, shown, count, encoding.codec)

    def _encode(self, picture: av.VideoFrame | None) -> None:
        """Frames past the last, which nobody is to see, are told by their time: all others have been taken."""
        with _translate_errors(self.path):
            packets = [packet for packet in self.stream.encode(picture) if packet.pts < self.frames]
        if self.repeat > 1:
            self.turn += [_later(packet, 0) for packet in packets]
        self._mux(packets)

    def _mux(self, packets: Iterable[av.Packet[Any]]) -> None:
        with _translate_errors(self.path):
            for packet in packets:
                packet.stream = self.stream
                self.container.mux(packet)


@dataclass(frozen=True)
class _Closing:
    """How a loop of `count` frames ends: `shown` is frame 0 as decoded, `error` what that has added to it.

    over: the last frames, which take the error over little by little. after: hidden frames that follow.
    """

    shown: np.ndarray
    error: Sequence[np.ndarray]
    count: int
    over: int
    after: int

    @classmethod
    def of(cls, first: av.VideoFrame, shown: av.VideoFrame, count: int, codec: Codec) -> _Closing:
        error = [a.astype(np.float32) - b for a, b in zip(_planes(shown), _planes(first), strict=True)]
        over = min(RUN, count // 2)
        return cls(shown.to_ndarray(), error, count, over, codec.tail(count))

    def lead_over(self, picture: Any) -> None:
        """Gives a frame its share of the error: all of it in the last, none before the last few."""
        share = 1 - (self.count - 1 - picture.pts) / self.over
        if share > 0:
            for plane, error in zip(_planes(picture), self.error, strict=True):
                plane[...] = np.clip(np.rint(plane + share * error), 0, 255)

    def hidden(self) -> Iterator[av.VideoFrame]:
        for t in range(self.count, self.count + self.after):
            picture = av.VideoFrame.from_ndarray(self.shown, format="yuv420p")
            picture.pts = t
            yield picture


def _add_stream(container: Any, encoding: Encoding, width: int, height: int, count: int | None) -> Any:
    """A video stream for `count` frames, None for who knows how many, with its encoder."""
    codec, rate = encoding.codec, encoding.rate
    stream = container.add_stream(codec.encoder, rate=rate, options=codec.options(encoding.quality, count))
    context = stream.codec_context
    context.width, context.height, context.pix_fmt, context.time_base = width, height, "yuv420p", 1 / rate
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    if codec.tag:
        context.codec_tag = codec.tag
    if codec.encoder == "libsvtav1":
        with _unhurried():
            context.open()
    return stream


@contextmanager
def _unhurried() -> Iterator[None]:
    """Threads that begin meanwhile are scheduled as this one, and this one stays as it is.

    SVT-AV1 makes its threads, and the one that opens it, real-time ones where it may (as root, so in most containers):
    everything else on the machine waits for them, and this one would stay so for good.
    """
    tasks = Path("/proc/self/task")
    if not tasks.exists() or not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
    before = {task.name for task in tasks.iterdir()} - {str(get_native_id())}
    yield
    for task in tasks.iterdir():
        if task.name not in before:
            with suppress(OSError):  # it has ended
                os.sched_setscheduler(int(task.name), policy, param)


def _first_decoded(
    first: av.VideoFrame, others: Iterator[av.VideoFrame], encoding: Encoding, count: int
) -> av.VideoFrame:
    """What a decoder shows for the first of `count` pictures; takes of the others what its encoder looks ahead."""
    file = io.BytesIO()
    with av.open(file, "w", format=encoding.form.container) as container:
        stream = _add_stream(container, encoding, first.width, first.height, count)
        ahead = itertools.chain([first], others, [None])
        container.mux(next(packet for picture in ahead for packet in stream.encode(picture)))
    file.seek(0)
    with av.open(file, "r") as written:
        return next(written.decode(video=0))


def _picture(frame: np.ndarray, t: int, rate: Fraction, width: int, height: int) -> av.VideoFrame:
    """A copy of frame t, its upper left part of that size."""
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
    picture.pts, picture.time_base = t, 1 / rate
    return picture


def _to_yuv(picture: av.VideoFrame) -> av.VideoFrame:
    # the library converts by BT.601 unless told otherwise, whatever the file's tags say; AREA: a chroma sample is the
    # mean of its four pixels, to rounding, which is nearer than what the other kinds make of it and takes no longer
    return picture.reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.AREA,
    )


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="rgb24", interpolation=EXACT)  # the default is 1.2 levels too dark on the average


def _planes(picture: Any) -> Sequence[np.ndarray]:
    """Luma and both chromas, uint8, to read and to write."""
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in picture.planes
    ]


def _checked_rate(fps: Any) -> Fraction:
    try:
        rate = float(fps)
    except (TypeError, ValueError):
        rate = math.nan
    if isinstance(fps, bool) or not SLOWEST <= rate <= FASTEST:
        raise OptionError(f"fps is {SLOWEST:g} to {FASTEST:g} frames per second, not {fps!r}.")
    return Fraction(fps).limit_denominator(1001)  # 30000/1001 and 24000/1001 come out exactly


def _later(packet: av.Packet[Any], frames: int) -> av.Packet[Any]:
    """A copy of a packet, some frames later."""
    copy = av.Packet(bytes(packet))
    assert packet.pts is not None and packet.dts is not None  # encoders number what they give
    copy.pts, copy.dts = packet.pts + frames, packet.dts + frames
    copy.duration, copy.time_base, copy.is_keyframe = packet.duration, packet.time_base, packet.is_keyframe
    return copy


def _url(path: Path) -> str:
    return "file:" + os.path.abspath(path)  # a colon in a name would be taken for a protocol


@contextmanager
def _translate_errors(target: Path) -> Iterator[None]:
    """Turns errors of the file system and of the encoder into an OutputError."""
    try:
        with translate_os_errors(target):
            yield
    except av.FFmpegError as error:
        raise OutputError(f"'{target.name}' cannot be encoded ({error}); choose another place or quality.") from error
