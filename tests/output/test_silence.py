"""A silent track in an .mp4: what platforms ask for, and the same pictures as without."""

from pathlib import Path

import av
import numpy as np
import pytest

from stylecine.errors import OptionError
from stylecine.options import FileOptions
from stylecine.output.formats import check_format
from stylecine.output.origin import Origin
from stylecine.output.video import read_video
from tests.outputs import write

FRAMES = [np.full((64, 96, 3), 3 * k, np.uint8) for k in range(40)]


def written(path: Path, silence: bool = True) -> Path:
    write(FRAMES, path, 30, repeat=3, comment="why", origin=Origin(make="Pear", model="One"), silence=silence)
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return written(tmp_path / "loop.mp4")


def test_the_track_is_silent_and_as_long_as_the_video(video: Path) -> None:
    assert np.array_equal(read_video(video)[0], read_video(written(video.with_name("plain.mp4"), silence=False))[0])
    with av.open(str(video)) as container:
        sound = container.streams.audio[0]
        made = sound.codec_context.name, sound.profile, sound.rate, sound.layout.name
        assert made == ("aac", "LC", 48000, "stereo")
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert not samples.any() and abs(samples.shape[1] / 48000 - 4) <= 1024 / 48000


def test_it_begins_at_once_without_an_edit_list_and_can_be_streamed(video: Path) -> None:
    content = video.read_bytes()
    assert b"elst" not in content and content.index(b"moov") < content.index(b"mdat")
    with av.open(str(video)) as container:
        first = {}
        for packet in container.demux():
            if packet.pts is not None:
                first.setdefault(packet.stream.type, packet.pts)
    assert first == {"video": 0, "audio": 0}


def test_colours_and_metadata_are_those_without(video: Path) -> None:
    seen = []
    for path in (video, written(video.with_name("plain.mp4"), silence=False)):
        with av.open(str(path)) as container:
            brands = ("major_brand", "minor_version", "compatible_brands")
            tags = {name: text for name, text in container.metadata.items() if name not in brands}
            seen.append((tags, container.streams.video[0].codec_context.colorspace))
    assert seen[0] == seen[1]


def test_only_an_mp4_gets_one() -> None:
    check_format("loop.mp4", FileOptions(silence=True))
    with pytest.raises(OptionError):
        check_format("loop.webm", FileOptions(silence=True))
