"""A silent track in an .mp4, for platforms that take no video without sound; and no edit list, which some refuse.

AAC-LC, 48 kHz, stereo. The video's packets are copied. Edit lists usually make up for the delay of frames that are
decoded before they are shown; here the frames' own offsets do, and silence needs none.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from stylecine.machine.atomic import translate_os_errors
from stylecine.output.audio import TIME_BASE
from stylecine.output.video import QUICKTIME
from stylecine.sound.noise import RATE

CHUNK = 1024  # samples of an AAC frame


def add_silence(path: Path) -> None:
    """Adds a silent track as long as the video to a complete .mp4, in place; its metadata stays."""
    made = path.with_name("with-silence")
    with translate_os_errors(path):
        with av.open(f"file:{path}") as source:
            tags = "+use_metadata_tags" if any(name.startswith(QUICKTIME) for name in source.metadata) else ""
            options = {"movflags": f"+faststart+negative_cts_offsets{tags}", "use_editlist": "0"}
            with av.open(f"file:{made}", "w", format="mp4", options=options) as target:
                target.metadata.update(source.metadata)
                _copy(source, target)
        os.replace(made, path)


def _copy(source: Any, target: Any) -> None:
    """Both tracks, their packets in the order of time."""
    video = source.streams.video[0]
    copied = target.add_stream_from_template(video)
    sound = target.add_stream("aac", rate=RATE, layout="stereo")
    silence = _silence(sound, float(video.duration * video.time_base))
    chunk = next(silence, None)
    for packet in source.demux(video):
        if packet.dts is None:  # the end
            break
        while chunk is not None and chunk.pts * chunk.time_base < packet.dts * packet.time_base:
            target.mux(chunk)
            chunk = next(silence, None)
        packet.stream = copied
        target.mux(packet)
    while chunk is not None:
        target.mux(chunk)
        chunk = next(silence, None)


def _silence(stream: Any, seconds: float) -> Iterator[Any]:
    """Packets of silence, from time 0."""
    count = round(seconds * RATE)
    first = None
    for begin in range(0, count, CHUNK):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, min(CHUNK, count - begin)), np.float32), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, begin, TIME_BASE
        last = begin + CHUNK >= count
        for packet in [*stream.encode(frame), *(stream.encode(None) if last else [])]:
            first = packet.pts if first is None else first
            packet.pts = packet.dts = packet.pts - first  # an encoder's delay, of silence as well
            if packet.pts < count:
                packet.duration = min(CHUNK, count - packet.pts)  # as long as the video
                yield packet
