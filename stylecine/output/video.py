"""Frames -> video, with the end of a loop encoded so that it meets the beginning; and video -> frames."""

from __future__ import annotations

import io
import itertools
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from threading import get_native_id
from typing import Any, cast

import av
import numpy as np
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)

from stylecine.errors import OptionError, OutputError, TooLarge, VideoError, printable
from stylecine.machine.atomic import Finish, PathLike, atomic_write, check_destination, translate_os_errors
from stylecine.machine.given import check_file
from stylecine.machine.memory import available_bytes
from stylecine.options import check_frame
from stylecine.output import VideoInfo
from stylecine.output.audio import MakeTrack, SoundStream
from stylecine.output.blocks import copy_blocks, still_blocks
from stylecine.output.codecs import MAX_SIDE, REFERENCE_DISTANCE, Codec
from stylecine.output.encoders import check_encoder
from stylecine.output.encoding import Encoding, check_encoding
from stylecine.output.formats import LIVE_ARCHIVE, ending_of
from stylecine.output.images import map_ahead
from stylecine.output.live_photo import archived_movie, is_live_photo, live_photo_movie
from stylecine.output.motion_photo import motion_photo_video
from stylecine.output.origin import Origin
from stylecine.sound.track import Track

AHEAD = 2  # frames rendered while an earlier one is being encoded
QUICKTIME = "com.apple.quicktime."  # begins its keys
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

_log = logging.getLogger("stylecine")


def write_video(
    frames: Iterable[np.ndarray],
    path: PathLike,
    fps: float,
    *,
    quality: int | None = None,
    codec: str | None = None,
    repeat: int = 1,
    duration: float | str | None = None,
    keyframes: str = "first",
    comment: str = "",
    origin: Origin | None = None,
    sound: MakeTrack | None = None,
    finish: Finish | None = None,
) -> VideoInfo:
    """Encode frames, uint8 [H,W,3] sRGB, one at a time, with BT.709 colours, as yuv420p or the codec's own pixels.

    frames: one period of a loop. The last frames of a sequence are encoded so that they lead back to the decoded first
        one; if it is shorter than the encoder looks ahead, its frames are taken twice, and on another thread. Other
        iterables are encoded as they come, and may jump there.
        Of "vp9" and "prores4444" they may be [H,W,4], with a straight alpha; of codecs with 10 bits, uint16.
    path: ends in .mp4, .webm or .mov; the file appears complete or not at all, and an older one stays until then.
    fps: 0.01 to 1000. codec: "h264" (default), "h265", "h265-10bit" or "av1" in .mp4, "vp9" (default) or "av1" in
        .webm, "prores4444" (default), "prores422hq", "h265-10bit" or "h264" in .mov.
    quality: constant rate factor, 0 is best; default and worst are those of the codec in `codecs.CODECS`.
    repeat: number of times the file contains the loop. duration: instead of it, how long the file lasts: seconds, or a
        text such as "10m", rounded up to whole loops, which is logged. Repeats are copies of the encoded loop, made one
        at a time; in an .mp4 the index takes 0.1 kB of memory per frame.
    keyframes: "first", the first frame of every loop, or "all", for players that halt where a loop starts again; such
        files are many times as large.
    comment: for the file's metadata. origin: when and where the photo was taken, for that of an .mp4.
    sound: makes the track of so many loops; frames are a sequence, then.
    finish: called with the complete temporary file before it is renamed, and may change it.

    An odd column or row at the right or bottom is omitted, and logged. Raises OptionError for an invalid option or
    frame, OutputError if the file cannot be written, WriterUnavailable without an encoder.
    """
    encoding = check_encoding(path, fps, quality, codec, repeat, duration, keyframes)
    check_encoder(encoding.form, encoding.codec)
    target = check_destination(path)
    with atomic_write(target, finish) as part:
        info = encode(frames, part, encoding, comment, video_tags(origin), sound)
    info = replace(info, path=Path(path), bytes=target.stat().st_size)
    log_changes(info, encoding)
    return info


def video_tags(origin: Origin | None) -> dict[str, str]:
    """What FFmpeg writes into an .mp4 of a photo's origin: the date of the movie, and QuickTime's keys."""
    if origin is None:
        return {}
    return origin.quicktime | ({"creation_time": origin.taken_utc} if origin.taken_utc else {})


def encode(
    frames: Iterable[np.ndarray],
    path: Path,
    encoding: Encoding,
    comment: str = "",
    tags: Mapping[str, str] | None = None,
    sound: MakeTrack | None = None,
) -> VideoInfo:
    """Writes a video to a path that need not outlive an error; frames and errors as for `write_video`.

    tags: metadata by FFmpeg's names.
    """
    metadata = {**(tags or {}), **({"comment": comment} if comment else {})}
    track = None if sound is None else sound(encoding.loops(len(cast(Sequence[Any], frames))))
    encoder = _Encoder(path, encoding, metadata, frames if _is_loop(frames) else None, track)
    try:
        prepared = (encoder.prepare(np.asarray(frame)) for frame in frames)
        context = copy_context()  # this thread's settings, in case that the other one renders frames

        def write(picture: av.VideoFrame) -> None:
            context.run(encoder.write, picture)

        with closing(map_ahead(write, prepared, AHEAD, workers=1)) as encoded:
            for _ in encoded:
                pass
        encoder.finish()
    finally:
        encoder.close()
    count, rate, name = encoder.frames * encoding.loops(encoder.frames), float(encoding.rate), encoding.codec.name
    size = path.stat().st_size
    return VideoInfo(path, count, rate, encoder.width, encoder.height, name, size, encoder.cropped)


def log_changes(info: VideoInfo, encoding: Encoding) -> None:
    """Says if the video does not last as long as it was asked for."""
    lasts = info.frames / info.fps
    if encoding.duration is not None and abs(lasts - encoding.duration) > 0.001:
        _log.warning(
            "%s: a video contains whole loops, so it lasts %.5g s instead of %.5g.",
            printable(info.path),
            lasts,
            encoding.duration,
        )


def read_video(path: PathLike, most: int | None = None) -> tuple[np.ndarray, float]:
    """The frames of a video, GIF or APNG, uint8 [N,H,W,3], converted as its colour tags say, and its frames per second.

    most: how many frames are read at the most; None for all.

    Also those of a Motion Photo, and of a Live Photo: path is its .mov, its archive, or ends in .livephoto, for the two
    files, which have to belong together.

    Raises VideoError for anything that is not a readable video, including animated WebP and AVIF, which FFmpeg does not
    read, and TooLarge if its frames do not fit into memory.
    """
    frames, fps = _read(path, most)
    return np.stack(frames), fps


def _read(path: PathLike, most: int | None) -> tuple[list[np.ndarray], float]:
    """At least one frame, and at most so many, and the frames per second."""
    name = os.fspath(path)
    if Path(name).suffix.lower() in (".webp", ".avif"):
        raise VideoError(f"'{name}' cannot be read as a video; save an .mp4 or a .webm.")
    source, free = video_source(Path(name)), available_bytes(None)
    try:
        with av.open(source, "r") as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            frames = []
            for frame in itertools.islice(container.decode(stream), most):
                frames.append(_to_rgb(frame))
                first, last = frames[0].shape, frames[-1].shape
                if first != last:
                    sizes = f"{first[1]}x{first[0]} and {last[1]}x{last[0]} pixels"
                    raise VideoError(f"'{name}' has frames of {sizes}; write it again in one size.")
                if 2 * len(frames) * frames[-1].nbytes > free:  # they are copied once more
                    raise TooLarge(f"The frames of '{name}' do not fit into memory; cut it, or make it smaller.")
            fps = float(stream.average_rate or 0)
    except (av.FFmpegError, OSError, IndexError, ValueError):
        frames = []
    if not frames:
        raise VideoError(f"'{name}' is not a readable video, or is damaged; write it again.")
    return frames, fps


def video_source(path: Path) -> str | io.BytesIO:
    """What PyAV opens for a video; for a Live or Motion Photo, its video. Raises VideoError if there is none."""
    if is_live_photo(path):
        return _url(live_photo_movie(path))
    check_file(path, "video", VideoError)
    video = archived_movie(path) if ending_of(path) == LIVE_ARCHIVE else motion_photo_video(path)
    return _url(path) if video is None else io.BytesIO(video)


def _is_loop(frames: Any) -> bool:
    """Whether frames can be taken twice, by index."""
    return hasattr(frames, "__len__") and hasattr(frames, "__getitem__")


class _Encoder:
    """A file being written, of the size of the first frame.

    loop: the frames if they are a sequence, so that the end can meet the beginning. track: what is heard, if anything.
    """

    def __init__(
        self, path: Path, encoding: Encoding, metadata: Mapping[str, str], loop: Any, track: Track | None = None
    ) -> None:
        self.path, self.encoding, self.metadata, self.loop = path, encoding, metadata, loop
        if encoding.all_keys or encoding.codec.intra:
            self.loop = None  # its end needs no correction: what stands still has the same errors in all frames
        self.frames = self.width = self.height = self.channels = 0
        self.cropped = (0, 0)
        self.container: Any = None
        self.track = track
        self.sound: SoundStream | None = None
        self.reformatter = VideoReformatter()
        self.first: av.VideoFrame | None = None  # until it is decoded
        self.closing: _Closing | None = None
        self.period: list[av.Packet[Any]] = []

    def prepare(self, frame: np.ndarray) -> av.VideoFrame:
        """The next frame, checked, as it is encoded; its own memory may be reused."""
        check_frame(frame, alpha=bool(self.encoding.codec.alpha), deep=self.encoding.codec.deep)
        if self.container is None:
            self.channels = frame.shape[2]
            self._open(*frame.shape[:2])
        expected = (self.height + self.cropped[1], self.width + self.cropped[0], self.channels)
        if frame.shape != expected:
            raise OptionError(f"All frames must have one shape; got {frame.shape} after {expected}.")
        picture = self._picture(frame, self.frames, self.reformatter)
        self.frames += 1
        return picture

    def write(self, yuv: av.VideoFrame) -> None:
        """Encodes what `prepare` returned, in order, on another thread."""
        count = 0 if self.loop is None else len(self.loop)
        if yuv.pts == 0 and count > 1:
            self.first = yuv
            if self.encoding.first_is_independent:
                self._close(self._decode_ahead([yuv]))
        elif self.first and yuv.pts == count - _Closing.blended(count):
            self._close(self._decode_ahead(self._pictures()))
        if self.closing and yuv.pts:
            self.closing.correct(yuv)
        self._encode(yuv)

    def finish(self) -> None:
        if self.container is None:
            raise OptionError("There are no frames to write; give at least one.")
        for picture in self.closing.hidden() if self.closing else ():
            self._encode(picture)
        self._encode(None)
        for k in range(1, self.encoding.loops(self.frames)):
            self._mux(_shifted(packet, k * self.frames) for packet in self.period)
        self._mux_sound(math.inf)
        container, self.container = self.container, None
        with _translate_errors(self.path):
            container.close()

    def close(self) -> None:
        """Closes a file that failed; does nothing after `finish`."""
        if self.container is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self.container.close()

    def _open(self, height: int, width: int) -> None:
        self.cropped = (width % 2, height % 2)
        self.width, self.height = width - self.cropped[0], height - self.cropped[1]
        codec = self.encoding.codec
        if min(self.width, self.height) < codec.smallest or max(self.width, self.height) > MAX_SIDE:
            raise OptionError(
                f"Frames of {width}x{height} cannot be encoded as {codec.name};"
                f" give {codec.smallest} to {MAX_SIDE} a side."
            )
        with _translate_errors(self.path):
            form = self.encoding.form
            options = dict(form.options)
            if any(name.startswith(QUICKTIME) for name in self.metadata):
                options["movflags"] = options.get("movflags", "") + "+use_metadata_tags"  # or such keys are dropped
            self.container = av.open(_url(self.path), "w", format=form.name, options=options)
            self.container.metadata.update(self.metadata)
            count = None if self.loop is None else len(self.loop)
            self.stream = self._add_stream(self.container, count)
            if self.track is not None:
                self.sound = SoundStream(self.container, form.name, self.track)
            self.container.start_encoding()

    def _picture(self, frame: np.ndarray, t: int, reformatter: VideoReformatter) -> av.VideoFrame:
        """The upper left part of frame t as it is encoded. reformatter: keeps its tables; one thread at a time may use
        it."""
        shown = np.ascontiguousarray(frame[: self.height, : self.width])
        # the default is BT.601, whatever the file's tags say; AREA, the mean of four pixels for a chroma sample, is
        # more accurate than the other interpolations and as fast
        names = ("rgb24", "rgba")
        if shown.dtype == np.uint16:  # of which FFmpeg takes 255 * 256 for white
            names, shown = ("rgb48le", "rgba64le"), shown.copy()
            shown[..., :3] = np.rint(shown[..., :3] * np.float32(256 / 257))
        picture = reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(shown, format=names[self.channels - 3]),
            format=self.pixels,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.AREA,
        )
        picture.pts, picture.time_base = t, 1 / self.encoding.rate
        picture.color_primaries, picture.color_trc = ColorPrimaries.BT709, ColorTrc.BT709  # ProRes takes them from here
        return picture

    @property
    def pixels(self) -> str:
        """FFmpeg's name of the pixel format that is encoded."""
        return self.encoding.codec.pixels if self.channels == 3 else self.encoding.codec.alpha

    def _add_stream(self, container: Any, count: int | None) -> Any:
        return _add_stream(container, self.encoding, self.width, self.height, self.pixels, count)

    def _close(self, decoded: av.VideoFrame) -> None:
        """From now on frames lead back to the first one as it was decoded."""
        assert self.first is not None
        self.closing = _Closing.of(self.first, decoded, len(self.loop), self.encoding)
        self.first = None

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """All of the loop's, once more."""
        reformatter = VideoReformatter()
        return (self._picture(np.asarray(self.loop[t]), t, reformatter) for t in range(len(self.loop)))

    def _decode_ahead(self, pictures: Iterable[av.VideoFrame]) -> av.VideoFrame:
        """Frame 0 as it will come out of the encoder, which has not returned it yet: encodes pictures until it does."""
        count, encoding = len(self.loop), self.encoding
        with _translate_errors(self.path), av.open(io.BytesIO(), "w", format=encoding.form.name) as container:
            stream = self._add_stream(container, count)
            packets = (packet for picture in itertools.chain(pictures, [None]) for packet in stream.encode(picture))
            return _decoded(next(packets), stream.codec_context, encoding.codec)

    def _encode(self, picture: av.VideoFrame | None) -> None:
        """Drops hidden frames, which are recognised by their time: all others have been counted."""
        with _translate_errors(self.path):
            packets = [packet for packet in self.stream.encode(picture) if packet.pts < self.frames]
            if self.frames == 1:
                for packet in packets:
                    packet.dts = packet.pts  # for a single frame x265 leaves it uninitialised
            if self.first and packets:
                self._close(_decoded(packets[0], self.stream.codec_context, self.encoding.codec))
        if self.encoding.repeats:
            self.period += [_shifted(packet, 0) for packet in packets]
        self._mux(packets)

    def _mux(self, packets: Iterable[av.Packet[Any]]) -> None:
        with _translate_errors(self.path):
            for packet in packets:
                if packet.dts is not None:
                    self._mux_sound(packet.dts / float(self.encoding.rate))
                packet.stream = self.stream
                self.container.mux(packet)

    def _mux_sound(self, seconds: float) -> None:
        """What is heard before a time."""
        if self.sound is not None:
            for packet in self.sound.before(seconds):
                self.container.mux(packet)


@dataclass(frozen=True)
class _Closing:
    """How a loop of `count` frames ends. first, decoded: planes of frame 0 before and after encoding.

    blend: number of last frames over which their difference is blended in. hidden_count: hidden frames that follow.
    holds: whether to hold still blocks still.
    """

    first: Sequence[np.ndarray]
    decoded: Sequence[np.ndarray]
    shown: np.ndarray  # decoded, as PyAV takes it
    count: int
    blend: int
    hidden_count: int
    holds: bool

    @classmethod
    def of(cls, first: av.VideoFrame, decoded: av.VideoFrame, count: int, encoding: Encoding) -> _Closing:
        return cls(
            first=_planes(first),
            decoded=_planes(decoded),
            shown=decoded.to_ndarray(),
            count=count,
            blend=cls.blended(count),
            hidden_count=encoding.codec.hidden_frames(count),
            holds=encoding.first_is_independent,
        )

    @staticmethod
    def blended(count: int) -> int:
        """The number of last frames of a loop over which the error is blended in."""
        return min(REFERENCE_DISTANCE, count // 2)

    def correct(self, picture: Any) -> None:
        """Adds its share of the error to a frame: all of it to the last, none before the last few.

        Blocks that show what frame 0 does are replaced by what has been decoded of it: the encoder then skips them at
        first sight, which takes a fifth of the time of looking for a better way to code the same, and they stand.
        """
        still = still_blocks(_planes(picture), self.first) if self.holds else None
        share = 1 - (self.count - 1 - picture.pts) / self.blend
        if share > 0:
            for plane, first, decoded in zip(_planes(picture), self.first, self.decoded, strict=True):
                error = decoded.astype(np.float32) - first
                plane[...] = np.clip(np.rint(plane + share * error), 0, _largest(picture))
        if still is not None:
            copy_blocks(_planes(picture), self.decoded, still)

    def hidden(self) -> Iterator[av.VideoFrame]:
        for t in range(self.count, self.count + self.hidden_count):
            picture = av.VideoFrame.from_ndarray(self.shown, format="yuv420p")
            picture.pts = t
            yield picture


def _add_stream(
    container: Any, encoding: Encoding, width: int, height: int, pixels: str, count: int | None
) -> Any:
    """A video stream with its encoder, for `count` frames, None if unknown."""
    codec, rate = encoding.codec, encoding.rate
    limits = codec.limits(width, height, float(rate), encoding.may_be_large)
    stream = container.add_stream(codec.encoder, rate=rate, options=encoding.options(count) | limits)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt, context.time_base = width, height, pixels, 1 / rate
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    if codec.tag:
        context.codec_tag = codec.tag
    if codec.name == "vp9" and pixels == codec.alpha:
        stream.metadata["alpha_mode"] = "1"  # or players do not look for the alpha, which each block has beside it
    if codec.encoder == "libsvtav1":
        with _normal_priority():
            context.open()
    return stream


@contextmanager
def _normal_priority() -> Iterator[None]:
    """Restores the scheduling of this thread, and of those started inside.

    If permitted (as root, so in most containers), SVT-AV1 gives its threads and the one that opens it real-time
    priority: everything else on the machine would wait for them and, even after encoding, for this one.
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


def _decoded(packet: av.Packet[Any], encoder: Any, codec: Codec) -> av.VideoFrame:
    """The frame in the first packet of an encoder."""
    decoder: Any = av.CodecContext.create(codec.decoder, "r")
    decoder.extradata = encoder.extradata
    frames = [*decoder.decode(av.Packet(bytes(packet))), *decoder.decode(None)]
    frame: av.VideoFrame = frames[0]
    return frame


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="rgb24", interpolation=EXACT)  # the default is 1.2 levels too dark on average


def _planes(picture: Any) -> Sequence[np.ndarray]:
    """Views of the luma and chroma planes, uint8 or, of 10 bits, uint16."""
    dtype = np.dtype(np.uint8 if _largest(picture) == 255 else "<u2")
    return [
        np.frombuffer(plane, dtype).reshape(plane.height, plane.line_size // dtype.itemsize)[:, : plane.width]
        for plane in picture.planes[:3]
    ]


def _largest(picture: Any) -> int:
    """The largest value of a sample."""
    return int(2 ** picture.format.components[0].bits - 1)


def _shifted(packet: av.Packet[Any], frames: int) -> av.Packet[Any]:
    """A copy of a packet, some frames later."""
    copy = av.Packet(bytes(packet))
    for extra in packet.iter_sidedata():  # the alpha of VP9
        copy.set_sidedata(extra)
    assert packet.pts is not None and packet.dts is not None  # encoders set both
    copy.pts, copy.dts = packet.pts + frames, packet.dts + frames
    copy.duration, copy.time_base, copy.is_keyframe = packet.duration, packet.time_base, packet.is_keyframe
    return copy


def _url(path: Path) -> str:
    return "file:" + os.path.abspath(path)  # otherwise the part before a colon would be taken for a protocol


@contextmanager
def _translate_errors(target: Path) -> Iterator[None]:
    """Turns errors of the file system and of the encoder into an OutputError."""
    try:
        with translate_os_errors(target):
            yield
    except av.FFmpegError as error:
        raise OutputError(f"'{target.name}' cannot be encoded ({error}); choose another place or quality.") from error
