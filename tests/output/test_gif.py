"""GIF: colours near the frames' own, dithering that does not crawl, nothing stored of what stands still."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from scipy.ndimage import gaussian_filter

from stylecine.output.gif import encode_gif
from tests.outputs import write


def scene(count: int = 6, height: int = 72, width: int = 96) -> list[np.ndarray]:
    """A smooth sky above a texture that drifts to the right, two pixels a frame."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0 : 1 : height // 2 * 1j, 0 : 1 : width * 1j]
    sky = np.stack([60 + 60 * y, 110 + 60 * y + 8 * x, 190 + 30 * y], axis=-1)
    water = gaussian_filter(rng.normal(0, 200, (height // 2, width, 1)), (2, 2, 0), mode="wrap") * [0.5, 1, 1] + [
        60,
        100,
        110,
    ]
    frames = [np.concatenate([sky, np.roll(water, 2 * t, axis=1)]) for t in range(count)]
    return [frame.clip(0, 255).round().astype(np.uint8) for frame in frames]


def encoded(frames: list[np.ndarray], quality: int = 100, comment: str = "") -> bytes:
    file = io.BytesIO()
    encode_gif(frames, file, [4] * len(frames), quality, comment)
    return file.getvalue()


def decoded(content: bytes) -> np.ndarray:
    """uint8 [N,H,W,3], as a player shows them."""
    with Image.open(io.BytesIO(content)) as gif:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)])


def rectangles(content: bytes) -> list[tuple[int, ...]]:
    """Left, top, right, bottom of what each frame stores."""
    with Image.open(io.BytesIO(content)) as gif:
        return [gif.tile[0][1] for gif.n in range(gif.n_frames) if gif.seek(gif.n) is None]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("as_shipped")
def test_averaged_colours_match_the_frames() -> None:
    frames = scene()
    error = decoded(encoded(frames)).astype(float) - np.stack(frames)
    assert np.abs(gaussian_filter(error, (0, 3, 3, 0))).mean() < 1
    assert np.abs(error).mean() < 4


@pytest.mark.usefixtures("as_shipped")
def test_a_smooth_sky_has_no_bands() -> None:
    """A mean over 8 x 8 pixels is right to a level and a half, though few colours are left for the sky."""
    frames = scene(1)
    error = (decoded(encoded(frames))[0].astype(float) - frames[0])[:32, :, :].reshape(4, 8, 12, 8, 3).mean((1, 3))
    assert np.abs(error).max() < 1.5


def test_static_areas_do_not_flicker_and_take_no_space() -> None:
    content = encoded(scene())
    sky = decoded(content)[:, :36]
    assert np.array_equal(sky, np.broadcast_to(sky[:1], sky.shape))
    first, *others = rectangles(content)
    assert first == (0, 0, 96, 72) and all(top >= 36 for _, top, _, _ in others)


def test_a_pixel_that_returns_to_a_colour_returns_to_its_index() -> None:
    frames = scene(3)
    shown = decoded(encoded([*frames, frames[0]]))
    assert np.array_equal(shown[0], shown[3])


@pytest.mark.usefixtures("as_shipped")
def test_lower_quality_is_smaller_with_a_bounded_error() -> None:
    frames = [np.clip(scene(1)[0] + np.uint8(t), 0, 255) for t in range(12)]  # everything brightens, level by level
    exact, rough = encoded(frames, 100), encoded(frames, 70)
    assert len(rough) < 0.7 * len(exact)
    late = decoded(rough).astype(float) - decoded(exact)
    assert np.abs(gaussian_filter(late, (0, 3, 3, 0))).max() <= 6 + 2


@pytest.mark.usefixtures("as_shipped")
def test_deferred_changes_do_not_all_appear_at_the_seam() -> None:
    """The sky grows brighter by twelve levels and dark again, slower than a pixel of this quality changes."""
    sky = np.full((64, 64, 3), 100, np.uint8) + np.arange(64, dtype=np.uint8)[:, None, None]
    frames = [sky + np.uint8(round(6 - 6 * np.cos(2 * np.pi * t / 48))) for t in range(48)]
    shown = decoded(encoded(frames, 60)).astype(int)
    steps = np.abs(np.roll(shown, -1, axis=0) - shown).mean(axis=(1, 2, 3))
    assert steps[-1] <= np.median(steps[steps > 0])
    assert np.array_equal(shown[0], decoded(encoded(frames, 100))[0])


def test_equal_frames_keep_their_duration() -> None:
    frames = scene(2)
    assert len(decoded(encoded([frames[0], frames[0], frames[1], frames[1]]))) == 4


@pytest.mark.parametrize(
    "picture",
    [
        lambda: np.zeros((16, 16, 3), np.uint8),
        lambda: np.full((1, 1, 3), 255, np.uint8),
        lambda: np.random.default_rng(0).integers(0, 256, (70, 131, 3), np.uint8),
    ],
    ids=["black", "one pixel", "noise"],
)
def test_odd_pictures(picture: Callable[[], np.ndarray]) -> None:
    shown = decoded(encoded([picture(), picture()]))
    assert shown.shape == (2, *picture().shape)
    assert np.abs(shown[1].astype(int) - picture()).mean() < 30


def test_it_loops_forever_and_names_its_software() -> None:
    comment = '{"größe": 1}' * 60  # longer than one block
    with Image.open(io.BytesIO(encoded(scene(2), comment=comment))) as gif:
        assert gif.info["loop"] == 0 and gif.info["duration"] == 40
        assert gif.info["comment"].decode() == comment


@pytest.mark.parametrize(("side", "advice"), [(500, "--size 480"), (40, "a shorter loop")])
def test_the_size_of_a_large_gif_is_said(
    side: int, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    frames = [np.full((side, side, 3), level, np.uint8) for level in (0, 9)]
    write(frames, tmp_path / "small.gif", 10)
    assert not caplog.messages
    monkeypatch.setattr("stylecine.output.writing.LARGE_GIF", 100)
    write(frames, tmp_path / "large.gif", 10)
    (told,) = caplog.messages
    assert "large.gif has 0 MB" in told and f"; {advice} would make it smaller" in told
    write(frames, tmp_path / "large.apng", 10)
    assert len(caplog.messages) == 1, "that is lossless, and known to be large"
