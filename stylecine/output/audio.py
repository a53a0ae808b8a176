"""A track in files: an audio stream beside a video, or a file of its own."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np

from stylecine.errors import OptionError
from stylecine.machine.atomic import translate_os_errors
from stylecine.output import VideoInfo
from stylecine.output.encoders import SOUND
from stylecine.sound.noise import RATE, Track

MakeTrack: TypeAlias = Callable[[int], Track]  # of so many loops
TIME_BASE = Fraction(1, RATE)
FULL_SCALE = 32767
MAX_WAV = (2**32 - 1000) // 4  # samples: RIFF counts bytes in 32 bits


class SoundStream:
    """The audio stream of a file that is being written.

    AAC's encoder is late by 1024 samples, Opus's by 312: these come before time 0, which MP4 and MOV say by an edit
    list, and WebM by its codec delay. AAC is given the end of the track for them, and the beginning after its end, so
    that both sides of the seam are coded as any other place is.

    name: FFmpeg's of the container. delayed: whether what comes before time 0 is in the file; silence needs none of it.
    """

    def __init__(self, container: Any, name: str, track: Track, *, delayed: bool) -> None:
        encoder, rate = SOUND[name]
        self.track, self.round, self.delayed = track, encoder == "aac", delayed
        self.stream = container.add_stream(encoder, rate=RATE, layout="stereo")
        self.stream.bit_rate = rate
        self.packets = self._encoded()
        self.waiting: Any = None

    def before(self, seconds: float) -> Iterator[Any]:
        """The packets that are due before a time, each of them once."""
        while (packet := self.waiting or next(self.packets, None)) is not None:
            self.waiting = packet
            if packet.pts >= seconds * RATE:
                return
            self.waiting = None
            yield packet

    def _encoded(self) -> Iterator[Any]:
        context, end = self.stream.codec_context, self.track.samples
        context.open(strict=False)
        size = context.frame_size
        lead = 2 * size if self.round else 0
        last = end + 2 * size if self.round else end
        for begin in (*range(-lead, last, size), None):
            frame = None  # at the end
            if begin is not None:
                samples = np.ascontiguousarray(self.track.at(begin, min(begin + size, last)).T)
                frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, begin, TIME_BASE
            for packet in self.stream.encode(frame):
                if self.round and not (-size if self.delayed else 0) <= packet.pts < end:
                    continue
                if self.round:
                    packet.duration = min(size, end - packet.pts)
                yield packet


def write_sound(track: Track, path: Path) -> VideoInfo:
    """Writes a track as 16-bit PCM in a .wav, with loop points from its first to its last sample, for programs that
    read these. Raises OptionError for more than a .wav can hold, OutputError."""
    if track.samples > MAX_WAV:
        raise OptionError(f"A .wav holds at most {MAX_WAV / RATE / 3600:.1f} h of sound; ask for less, or for a video.")
    with translate_os_errors(path), path.open("wb") as file:
        with wave.open(file, "wb") as sound:
            sound.setparams((2, 2, RATE, 0, "NONE", ""))
            for _ in range(track.repeat):
                sound.writeframes(_pcm(track.period).tobytes())
        _add_loop_points(file, track.samples)
    return VideoInfo(path, 0, 0.0, 0, 0, "pcm", path.stat().st_size, (0, 0))


def encode_flac(track: Track) -> bytes:
    """A track as a FLAC file, whose samples browsers decode exactly, neither more nor fewer."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream: Any = container.add_stream("flac", rate=RATE, layout="stereo", options={"compression_level": "8"})
        stream.format = "s16"
        frame = av.AudioFrame.from_ndarray(_pcm(track.at(0, track.samples)).reshape(1, -1), "s16", "stereo")
        frame.sample_rate, frame.time_base, frame.pts = RATE, TIME_BASE, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()


def _pcm(samples: np.ndarray) -> np.ndarray:
    return np.rint(samples * FULL_SCALE).astype("<i2")


def _add_loop_points(file: Any, samples: int) -> None:
    """A `smpl` chunk with one endless loop over the whole file, at its end; the RIFF size includes it."""
    header = (0, 0, round(1e9 / RATE), 60, 0, 0, 0, 1, 0)
    content = struct.pack("<9I6I", *header, 0, 0, 0, samples - 1, 0, 0)
    end = file.seek(0, 2)
    file.write(b"smpl" + struct.pack("<I", len(content)) + content)
    file.seek(4)
    file.write(struct.pack("<I", end + len(content)))
