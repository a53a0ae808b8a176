"""A silent track in an .mp4: what platforms ask for, and the same pictures as before."""

from pathlib import Path

import av
import numpy as np
import pytest

from stylecine.errors import OptionError
from stylecine.options import FileOptions
from stylecine.output.formats import check_format
from stylecine.output.origin import Origin
from stylecine.output.silence import add_silence
from stylecine.output.video import read_video, write_video


@pytest.fixture
def video(tmp_path: Path) -> Path:
    frames = [np.full((64, 96, 3), 3 * k, np.uint8) for k in range(40)]
    origin = Origin(make="Pear", model="One")
    write_video(frames, tmp_path / "loop.mp4", 30, repeat=3, comment="why", origin=origin)
    return tmp_path / "loop.mp4"


def test_the_track_is_silent_and_as_long_as_the_video(video: Path) -> None:
    pictures, _ = read_video(video)
    add_silence(video)
    assert np.array_equal(read_video(video)[0], pictures)
    with av.open(str(video)) as container:
        sound = container.streams.audio[0]
        made = sound.codec_context.name, sound.profile, sound.rate, sound.layout.name
        assert made == ("aac", "LC", 48000, "stereo")
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert not samples.any() and abs(samples.shape[1] / 48000 - 4) <= 1024 / 48000


def test_it_begins_at_once_without_an_edit_list_and_can_be_streamed(video: Path) -> None:
    add_silence(video)
    content = video.read_bytes()
    assert b"elst" not in content and content.index(b"moov") < content.index(b"mdat")
    with av.open(str(video)) as container:
        first = {}
        for packet in container.demux():
            if packet.pts is not None:
                first.setdefault(packet.stream.type, packet.pts)
    assert first == {"video": 0, "audio": 0}


def test_colours_and_metadata_stay(video: Path) -> None:
    with av.open(str(video)) as container:
        before, space = dict(container.metadata), container.streams.video[0].codec_context.colorspace
    add_silence(video)
    with av.open(str(video)) as container:
        after = dict(container.metadata)
        assert container.streams.video[0].codec_context.colorspace == space
    brands = ("major_brand", "minor_version", "compatible_brands")
    assert {n: v for n, v in after.items() if n not in brands} == {n: v for n, v in before.items() if n not in brands}
    assert [path.name for path in video.parent.iterdir()] == ["loop.mp4"]


def test_only_an_mp4_gets_one() -> None:
    check_format("loop.mp4", FileOptions(silence=True))
    with pytest.raises(OptionError):
        check_format("loop.webm", FileOptions(silence=True))
