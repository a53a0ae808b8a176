"""Frames -> video, with the end of a loop encoded so that it meets the beginning; and video -> frames."""

from __future__ import annotations

import io
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from threading import get_native_id
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from stylecine.errors import OptionError, OutputError, TooLarge, VideoError
from stylecine.machine.atomic import PathLike, translate_os_errors
from stylecine.machine.given import check_file
from stylecine.machine.memory import available_bytes, release_freed
from stylecine.output import VideoInfo
from stylecine.output.audio import MakeTrack, SoundStream
from stylecine.output.codecs import MAX_SIDE, REFERENCE_DISTANCE, Codec, Encoding
from stylecine.output.formats import LIVE_ARCHIVE, LIVE_PHOTO, ending_of
from stylecine.output.images import Frames, map_ahead
from stylecine.output.live_photo import archived_movie, live_photo_movie
from stylecine.output.motion_photo import motion_photo_video
from stylecine.sound.noise import RATE, Track

AHEAD = 2  # frames rendered while an earlier one is being encoded
RELEASED = 20  # frames after which freed memory is returned
BLOCK = (16, 8, 8)  # samples of a side of a block in the planes Y, U and V of yuv420p
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def encode(
    frames: Frames,
    path: Path,
    encoding: Encoding,
    comment: str = "",
    tags: Mapping[str, str] | None = None,
    sound: MakeTrack | None = None,
) -> VideoInfo:
    """Writes one period of a loop, uint8 [H,W,3] sRGB, as a video, with BT.709 colours, as yuv420p or the codec's own
    pixels. With codecs that keep an alpha frames may be [H,W,4], with a straight one; of codecs with 10 bits, uint16.

    The last frames are encoded so that they lead back to the decoded first one; if the loop is shorter than the encoder
    looks ahead, its frames are taken twice, and on another thread. Repeats are copies of the encoded loop; in an .mp4
    the index takes 0.1 kB of memory per frame. An odd column or row at the right or bottom is omitted.

    path: need not outlive an error. tags: metadata by FFmpeg's names. sound: makes the track of so many loops.
    Raises OptionError for frames of a size that the codec does not know, OutputError if the file cannot be written.
    """
    metadata = {**(tags or {}), **({"comment": comment} if comment else {})}
    loops = encoding.loops(len(frames))
    track = sound(loops) if sound else None
    if encoding.silence:
        track = Track(np.zeros((1, 2), np.float32), round(loops * len(frames) / encoding.rate * RATE))
    encoder = _Encoder(path, encoding, metadata, frames, track)
    try:
        prepared = (encoder.prepare(t, frame) for t, frame in enumerate(frames))
        context = copy_context()  # this thread's settings, in case that the other one renders frames
        written = map_ahead(lambda picture: context.run(encoder.write, picture), prepared, AHEAD, workers=1)
        with closing(written) as encoded:
            for count, _ in enumerate(encoded):
                if count % RELEASED == RELEASED - 1:
                    release_freed()  # an encoder keeps frames among which freed ones lie: a tenth of the process
        encoder.finish()
    finally:
        encoder.close()
    rate, size = float(encoding.rate), path.stat().st_size
    name, (width, height) = encoding.codec.name, encoder.size
    return VideoInfo(path, loops * len(frames), rate, width, height, name, size, encoder.cropped)


def read_video(path: PathLike, most: int | None = None) -> tuple[np.ndarray, float]:
    """The frames of a video, GIF or APNG, uint8 [N,H,W,3], converted as its colour tags say, and its frames per second.

    most: how many frames are read at the most; None for all.

    Also those of a Motion Photo, and of a Live Photo: path is its .mov, its archive, or ends in .livephoto, for the two
    files, which have to belong together.

    Raises VideoError for anything that is not a readable video, including animated WebP and AVIF, which FFmpeg does not
    read, and TooLarge if its frames do not fit into memory.
    """
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
                # the default interpolation is 1.2 levels too dark on average
                frames.append(frame.to_ndarray(format="rgb24", interpolation=EXACT))
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
    return np.stack(frames), fps


def video_source(path: Path) -> str | io.BytesIO:
    """What PyAV opens for a video; for a Live or Motion Photo, its video. Raises VideoError if there is none."""
    if ending_of(path) == LIVE_PHOTO:
        return _url(live_photo_movie(path))
    check_file(path, "video", VideoError)
    video = archived_movie(path) if ending_of(path) == LIVE_ARCHIVE else motion_photo_video(path)
    return _url(path) if video is None else io.BytesIO(video)


class _Encoder:
    """A file being written, of the size of the first frame. track: what is heard, if anything."""

    def __init__(
        self, path: Path, encoding: Encoding, metadata: Mapping[str, str], loop: Frames, track: Track | None
    ) -> None:
        self.path, self.encoding, self.metadata, self.loop, self.track = path, encoding, metadata, loop, track
        # of key frames alone the end needs no correction: what stands still has the same errors in all of them
        self.closes = len(loop) > 1 and not encoding.all_keys
        self.size = self.cropped = (0, 0)
        self.pixels = ""  # FFmpeg's name of the format that is encoded
        self.container: Any = None
        self.sound: SoundStream | None = None
        self.reformatter = VideoReformatter()
        self.first: av.VideoFrame | None = None  # until it is decoded
        self.closing: _Closing | None = None
        self.period: list[av.Packet[Any]] = []

    def prepare(self, t: int, frame: np.ndarray) -> av.VideoFrame:
        """Frame t as it is encoded; its own memory may be reused."""
        if self.container is None:
            self._open(*frame.shape)
        return self._picture(frame, t, self.reformatter)

    def write(self, picture: av.VideoFrame) -> None:
        """Encodes what `prepare` returned, in order, on another thread."""
        count = len(self.loop)
        if picture.pts == 0 and self.closes:
            self.first = picture
            if self.encoding.first_is_independent:
                self._close(self._decode_ahead([picture]))
        elif self.first and picture.pts == count - _blended(count):
            reformatter = VideoReformatter()
            again = (self._picture(self.loop[t], t, reformatter) for t in range(count))
            self._close(self._decode_ahead(again))
        if self.closing and picture.pts:
            self.closing.correct(picture)
        self._encode(picture)

    def finish(self) -> None:
        count = len(self.loop)
        if self.closing:
            for t in range(count, count + self.encoding.codec.hidden_frames(count)):
                self._encode(self.closing.hidden(t))
        self._encode(None)
        for k in range(1, self.encoding.loops(count)):
            self._mux(_shifted(packet, k * count) for packet in self.period)
        self._mux_sound(math.inf)
        container, self.container = self.container, None
        with _translate_errors(self.path):
            container.close()

    def close(self) -> None:
        """Closes a file that failed; does nothing after `finish`."""
        if self.container is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self.container.close()

    def _open(self, height: int, width: int, channels: int) -> None:
        self.cropped = (width % 2, height % 2)
        self.size = (width - self.cropped[0], height - self.cropped[1])
        form, codec = self.encoding.form, self.encoding.codec
        self.pixels = codec.pixels if channels == 3 else codec.alpha
        if min(self.size) < codec.smallest or max(self.size) > MAX_SIDE:
            raise OptionError(
                f"Frames of {width}x{height} cannot be encoded as {codec.name};"
                f" give {codec.smallest} to {MAX_SIDE} a side."
            )
        with _translate_errors(self.path):
            options = dict(form.options)
            if self.encoding.silence:
                options |= {"movflags": options["movflags"] + "+negative_cts_offsets", "use_editlist": "0"}
            if any(name.startswith("com.apple.quicktime.") for name in self.metadata):
                options["movflags"] = options.get("movflags", "") + "+use_metadata_tags"  # or such keys are dropped
            self.container = av.open(_url(self.path), "w", format=form.name, options=options)
            self.container.metadata.update(self.metadata)
            self.stream = self._add_stream(self.container)
            if self.track is not None:
                self.sound = SoundStream(self.container, form.name, self.track, delayed=not self.encoding.silence)
            self.container.start_encoding()

    def _add_stream(self, container: Any) -> Any:
        """A video stream with its encoder."""
        encoding, codec, rate = self.encoding, self.encoding.codec, self.encoding.rate
        limits = codec.limits(*self.size, float(rate), encoding.may_be_large)
        stream = container.add_stream(codec.encoder, rate=rate, options=encoding.options(len(self.loop)) | limits)
        context = stream.codec_context
        context.width, context.height = self.size
        context.pix_fmt, context.time_base = self.pixels, 1 / rate
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        if codec.tag:
            context.codec_tag = codec.tag
        if codec.name == "vp9" and self.pixels == codec.alpha:
            stream.metadata["alpha_mode"] = "1"  # or players do not look for the alpha, which each block has beside it
        if codec.encoder == "libsvtav1":
            with _normal_priority():
                context.open()
        return stream

    def _picture(self, frame: np.ndarray, t: int, reformatter: VideoReformatter) -> av.VideoFrame:
        """The upper left part of frame t as it is encoded. reformatter: keeps its tables; one thread at a time may use
        it."""
        width, height = self.size
        shown = np.ascontiguousarray(frame[:height, :width])
        # the default is BT.601, whatever the file's tags say; AREA, the mean of four pixels for a chroma sample, is
        # more accurate than the other interpolations and as fast
        names = ("rgb24", "rgba")
        if shown.dtype == np.uint16:  # of which FFmpeg takes 255 * 256 for white
            names, shown = ("rgb48le", "rgba64le"), shown.copy()
            shown[..., :3] = np.rint(shown[..., :3] * np.float32(256 / 257))
        picture = reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(shown, format=names[shown.shape[2] - 3]),
            format=self.pixels,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.AREA,
        )
        picture.pts, picture.time_base = t, 1 / self.encoding.rate
        picture.color_primaries, picture.color_trc = ColorPrimaries.BT709, ColorTrc.BT709  # ProRes takes them from here
        return picture

    def _decode_ahead(self, pictures: Iterable[av.VideoFrame]) -> av.VideoFrame:
        """Frame 0 as it will come out of the encoder, which has not returned it yet: encodes pictures until it does."""
        form, codec = self.encoding.form, self.encoding.codec
        with _translate_errors(self.path), av.open(io.BytesIO(), "w", format=form.name) as container:
            stream = self._add_stream(container)
            packets = (packet for picture in itertools.chain(pictures, [None]) for packet in stream.encode(picture))
            return _decoded(next(packets), stream.codec_context, codec)

    def _close(self, decoded: av.VideoFrame) -> None:
        """From now on frames lead back to the first one as it was decoded."""
        assert self.first is not None
        self.closing = _Closing(self.first, decoded, len(self.loop), holds=self.encoding.first_is_independent)
        self.first = None

    def _encode(self, picture: av.VideoFrame | None) -> None:
        """Drops hidden frames, which are recognised by their time."""
        with _translate_errors(self.path):
            packets = [packet for packet in self.stream.encode(picture) if packet.pts < len(self.loop)]
            if len(self.loop) == 1:
                for packet in packets:
                    packet.dts = packet.pts  # for a single frame x265 leaves it uninitialised
            if self.first and packets:
                self._close(_decoded(packets[0], self.stream.codec_context, self.encoding.codec))
        if self.encoding.loops(len(self.loop)) > 1:
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


class _Closing:
    """How a loop of `count` frames ends. first, decoded: frame 0 before and after encoding. holds: whether to hold
    still blocks still."""

    def __init__(self, first: av.VideoFrame, decoded: av.VideoFrame, count: int, *, holds: bool) -> None:
        self.first, self.decoded = _planes(first), _planes(decoded)
        self.shown = decoded.to_ndarray()
        self.count, self.holds = count, holds

    def correct(self, picture: Any) -> None:
        """Adds its share of the error to a frame: all of it to the last, none before the last few.

        Blocks that show what frame 0 does are replaced by what has been decoded of it: the encoder then skips them at
        first sight, which takes a fifth of the time of looking for a better way to code the same, and they stand.
        """
        planes = _planes(picture)
        still = still_blocks(planes, self.first) if self.holds else None
        share = 1 - (self.count - 1 - picture.pts) / _blended(self.count)
        if share > 0:
            for plane, first, decoded in zip(planes, self.first, self.decoded, strict=True):
                error = decoded.astype(np.float32) - first
                plane[...] = np.clip(np.rint(plane + share * error), 0, _largest(picture))
        if still is not None:
            copy_blocks(planes, self.decoded, still)

    def hidden(self, t: int) -> av.VideoFrame:
        """Frame t, after the last: frame 0 once more."""
        picture = av.VideoFrame.from_ndarray(self.shown, format="yuv420p")
        picture.pts = t
        return picture


def _blended(count: int) -> int:
    """The number of last frames of a loop over which the error of frame 0 is blended in."""
    return min(REFERENCE_DISTANCE, count // 2)


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


def still_blocks(planes: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> np.ndarray:
    """Bool [rows, columns]: which whole blocks of two pictures, uint8 planes [H,W] of yuv420p, are equal."""
    pairs = zip(_blocks(planes), _blocks(others), strict=True)
    different = [np.bitwise_or.reduce(words ^ other, axis=1).any(-1) for words, other in pairs]
    return ~np.logical_or.reduce(different)


def copy_blocks(planes: Sequence[np.ndarray], others: Sequence[np.ndarray], chosen: np.ndarray) -> None:
    """Copies the chosen blocks, bool [rows, columns], of other planes."""
    for words, other in zip(_blocks(planes), _blocks(others), strict=True):
        words.swapaxes(1, 2)[chosen] = other.swapaxes(1, 2)[chosen]


def _blocks(planes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Views [rows, side, columns, side / 8] of whole blocks, as codecs divide a picture, eight samples in a word:
    comparing is as much faster."""
    rows, columns = (size // BLOCK[0] for size in planes[0].shape)
    return [
        plane[: rows * side, : columns * side].view(np.uint64).reshape(rows, side, columns, side // 8)
        for plane, side in zip(planes, BLOCK, strict=True)
    ]


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
