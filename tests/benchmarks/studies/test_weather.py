"""What is measured of falling and drifting patterns whose answers are known."""

import numpy as np
import pytest

from benchmarks.studies.weather import again

FRAMES = 60


def falling(times: int) -> np.ndarray:
    """[T,h,w]: noise that falls `times` through its own height in a loop."""
    noise = np.random.default_rng(0).random((FRAMES, 8)).astype(np.float32)
    return np.stack([np.roll(noise, t * times, 0) for t in range(FRAMES)])


def test_what_starts_again_within_the_loop_is_told() -> None:
    assert again(falling(1)) < 0.3
    assert again(falling(3)) == pytest.approx(1, abs=1e-3)
    wave = np.sin(2 * np.pi * np.arange(FRAMES, dtype=np.float32) / FRAMES)
    assert again(np.broadcast_to(wave[:, None, None], (FRAMES, 8, 8))) < 0, "it takes the whole loop"
