"""The sound of a file: decoded, it is the track, goes round without a click, and leaves the pictures as they are."""

import hashlib
import struct
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from scipy import fft, signal

from stylecine import animate
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.errors import OptionError
from stylecine.options import FileOptions
from stylecine.output.audio import encode_flac, write_sound
from stylecine.output.codecs import check_encoding
from stylecine.output.live_photo import content_identifier
from stylecine.output.video import encode, video_source
from stylecine.sound.loudness import loudness
from stylecine.sound.noise import RATE, Track, shaped_noise
from stylecine.sound.track import TARGET
from tests.output.test_video import clip
from tests.outputs import write

FRAMES = clip(30)  # a second


@pytest.fixture(scope="module")
def track() -> Track:
    rng = np.random.default_rng(3)
    noise = [0.05 * shaped_noise(rng, RATE, 100, 5000, -3) for _ in range(2)]
    return Track(np.stack(noise, 1).astype(np.float32))


def make(track: Track) -> Any:
    return lambda loops: Track(track.period, loops * track.repeat)


def decoded(path: Any) -> np.ndarray:
    with av.open(path) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], 1).T


def pictures(path: Any) -> list[tuple[Any, ...]]:
    """The packets of the video: when each is shown, and its bytes."""
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        return [(p.pts, p.dts, p.duration, p.time_base, hashlib.sha256(bytes(p)).digest()) for p in packets]


def octaves(sound: np.ndarray, centre: int) -> np.ndarray:
    """Levels in dB of octaves from 250 Hz to 8 kHz, in 43 ms that go round."""
    part = np.take(sound, range(centre - 1024, centre + 1024), axis=0, mode="wrap").sum(1)
    power = np.abs(fft.rfft(part * signal.windows.hann(2048))) ** 2
    hertz = fft.rfftfreq(2048, 1 / RATE)
    lows = 177 * 2.0 ** np.arange(6)
    return np.array([10 * np.log10(power[(hertz >= low) & (hertz < 2 * low)].sum()) for low in lows])


# --- videos


@pytest.mark.parametrize(("ending", "codec"), [(".mp4", "aac"), (".webm", "opus"), (".mov", "aac")])
def test_a_video_has_the_track_and_the_same_pictures_as_without(
    tmp_path: Path, track: Track, ending: str, codec: str
) -> None:
    encoding = check_encoding(f"a{ending}", 30, FileOptions(codec="h264" if ending == ".mov" else None))
    plain, heard = (tmp_path / f"{name}{ending}" for name in ("plain", "heard"))
    encode(FRAMES, plain, encoding)
    encode(FRAMES, heard, encoding, sound=make(track))
    assert pictures(str(plain)) == pictures(str(heard))
    with av.open(str(heard)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate, stream.channels) == (codec, RATE, 2)
    sound = decoded(str(heard))
    assert 0 <= len(sound) - RATE < 1024, "what follows in the last frame of AAC is the beginning"
    error = sound[:RATE] - track.period
    assert np.square(error).mean() < 0.1 * np.square(track.period).mean(), "no shift by an encoder's delay"


def test_the_sound_of_an_mp4_lasts_as_long_as_its_pictures(tmp_path: Path, track: Track) -> None:
    """AAC's first 1024 samples are before time 0, as an edit list says, and its last frame is cut short."""
    write(FRAMES, tmp_path / "a.mp4", 30, track=make(track))
    with av.open(str(tmp_path / "a.mp4")) as container:
        video, audio = container.streams
        assert (audio.start_time, audio.duration * audio.time_base) == (0, 1) == (0, video.duration * video.time_base)
        assert container.duration == 1_000_000
    content = (tmp_path / "a.mp4").read_bytes()
    lists = [content[at + 4 : at + 32] for at in range(len(content)) if content[at : at + 4] == b"elst"]
    assert 1024 in [struct.unpack_from(">i", entry, 12)[0] for entry in lists]


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_it_goes_round_without_a_click(tmp_path: Path, track: Track, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write(FRAMES, path, 30, track=make(track))
    sound = decoded(str(path))[:RATE].astype(np.float64)
    steps = np.abs(np.diff(sound, axis=0))
    assert (np.abs(sound[0] - sound[-1]) < np.concatenate((steps[:2400], steps[-2400:])).max(0)).all()
    seam = octaves(sound, 0) - octaves(track.period, 0)
    assert np.abs(seam).max() < 1, "as it was before it was encoded"


def test_more_loops_have_a_longer_track(tmp_path: Path, track: Track) -> None:
    asked: list[int] = []

    def note(loops: int) -> Track:
        asked.append(loops)
        return Track(track.period, loops)

    write(FRAMES, tmp_path / "a.mp4", 30, track=note, repeat=3)
    write(FRAMES, tmp_path / "b.mp4", 30, track=note, duration=4.5)
    assert asked == [3, 5]
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.audio[0].duration == 5 * RATE and container.streams.video[0].frames == 150


# --- other files


def test_a_wav_is_the_track_with_loop_points(tmp_path: Path, track: Track) -> None:
    path = tmp_path / "a.wav"
    info = write_sound(Track(track.period, 2), path)
    assert info.bytes == path.stat().st_size and info.codec == "pcm"
    with wave.open(str(path)) as sound:
        assert sound.getparams()[:4] == (2, 2, RATE, 2 * RATE)
        samples = np.frombuffer(sound.readframes(RATE), "<i2").reshape(-1, 2)
    assert np.abs(samples / 32767 - track.period).max() < 1 / 32767
    content = path.read_bytes()
    assert struct.unpack_from("<I", content, 4)[0] == len(content) - 8
    at = content.index(b"smpl") + 8
    assert struct.unpack_from("<I", content, at + 28) == (1,), "one loop"
    assert struct.unpack_from("<4I", content, at + 40) == (0, 0, 2 * RATE - 1, 0), "forward, over all, endless"
    assert decoded(str(path)).size == 2 * 2 * RATE, "FFmpeg reads it, too"


def test_a_wav_holds_six_hours(tmp_path: Path, track: Track) -> None:
    with pytest.raises(OptionError, match=r"at most 6\.2 h of sound; ask for less, or for a video"):
        write_sound(Track(track.period, 7 * 3600), tmp_path / "a.wav")
    assert not list(tmp_path.iterdir())


def test_a_flac_has_exactly_the_samples(tmp_path: Path, track: Track) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(encode_flac(track))
    samples = decoded(str(path)).reshape(-1, 2)
    assert len(samples) == RATE and np.abs(samples / 32767 - track.period).max() < 1 / 32767


# --- a loop


@pytest.fixture(scope="module")
def loop(photo: np.ndarray, water: np.ndarray, drift: np.ndarray, small_model: Path) -> Cinemagraph:
    return animate(photo, mask=water, motion=drift, seconds=1, fps=10, model=small_model)


def test_a_loop_has_no_sound_unless_it_is_asked_for(loop: Cinemagraph, tmp_path: Path) -> None:
    loop.save(tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.livephoto", "a.livephoto.zip", "a.MP.jpg"])
def test_a_loop_is_heard_in_files_that_can_have_a_sound(loop: Cinemagraph, tmp_path: Path, name: str) -> None:
    loop.save(tmp_path / name, sound=True)
    source = video_source(tmp_path / name)
    sound = decoded(source)
    assert loudness(sound.astype(np.float64)) == pytest.approx(TARGET, abs=0.7), "water, for this model"
    if name == "a.livephoto":
        assert content_identifier(tmp_path / "a.livephoto.mov"), "the two files are a pair still"
        with av.open(str(tmp_path / "a.livephoto.mov")) as container:
            assert [stream.type for stream in container.streams] == ["video", "audio", "data", "data"]


def test_a_wav_needs_no_option_and_may_be_longer(loop: Cinemagraph, tmp_path: Path) -> None:
    loop.save(tmp_path / "a.wav")
    loop.save(tmp_path / "b.wav", sound=True, duration="2.5s")
    lengths = [decoded(str(tmp_path / name)).size // 2 for name in ("a.wav", "b.wav")]
    assert lengths == [RATE, 3 * RATE]
    assert loop.timings["video"] > 0


def test_a_track_is_the_same_each_time(loop: Cinemagraph) -> None:
    assert (loop.track().period == loop.track().period).all() and loop.track().samples == RATE


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.avif", "a.apng", "a.png", "frames"])
def test_other_files_have_no_place_for_a_sound(loop: Cinemagraph, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"Only \.mp4, .* can have a sound; write one of these, or omit sound"):
        loop.save(tmp_path / name, sound=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [{"codec": "h264"}, {"quality": 5}, {"crop": "1:1"}, {"keyframes": "all"}], ids=str)
def test_a_wav_has_no_picture(loop: Cinemagraph, tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="sound without a picture"):
        loop.save(tmp_path / "a.wav", **wrong)
    with pytest.raises(OptionError, match=r"A \.wav has no place for a report"):
        loop.save(tmp_path / "a.wav", embed_report=True)
    assert not list(tmp_path.iterdir())
