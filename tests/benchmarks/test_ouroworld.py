"""The published measures, of loops of which they are known."""

import numpy as np
import pytest
import torch

from benchmarks.ouroworld import FIGURES, PUBLISHED, ouroworld, published_table
from stylecine.quality.measures import ssim

FPS, COUNT = 30, 60


@pytest.fixture(scope="module")
def texture() -> np.ndarray:
    """uint8 [96,120,3], periodic in x."""
    noise = np.fft.fft2(np.random.default_rng(1).normal(size=(96, 120)))
    down, across = np.meshgrid(np.fft.fftfreq(96), np.fft.fftfreq(120), indexing="ij")
    smooth = np.fft.ifft2(noise * np.exp(-300 * (down**2 + across**2))).real
    return np.repeat(np.uint8(128 + 40 * smooth / smooth.std()).clip(20, 235)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def moving(texture: np.ndarray) -> np.ndarray:
    """A loop in which all of it moves by 2 pixels a frame, 20 in a third of a second."""
    return np.stack([np.roll(texture, 2 * t, axis=1) for t in range(COUNT)])


def test_a_still_has_nothing_but_its_seam(texture: np.ndarray) -> None:
    found = ouroworld(np.stack([texture] * COUNT), FPS)
    assert tuple(found) == FIGURES
    assert found == pytest.approx(dict.fromkeys(FIGURES, 0.0) | {"seam_ssim": 1.0}, abs=1e-5)


def test_what_moves_faster_than_the_threshold_counts(texture: np.ndarray) -> None:
    """0.003 of 96 pixels in a third of a second: half of the picture moves by 1 pixel, the other by nothing."""
    frames = []
    for t in range(COUNT):
        frame = texture.copy()
        frame[:48] = np.roll(texture[:48], t // 10, axis=1)
        frames.append(frame)
    assert ouroworld(np.stack(frames), FPS)["mv"] == pytest.approx(0.5, abs=0.05)


def test_a_patch_that_flashes_by_more_than_a_fifth_counts_as_light(texture: np.ndarray) -> None:
    def flashing(factor: float) -> float:
        frames = np.stack([texture] * COUNT)
        bright = np.arange(COUNT) // 10 % 2 == 1
        frames[bright, 24:72, 30:90] = np.uint8((texture[24:72, 30:90] * factor).clip(0, 255))
        return ouroworld(frames, FPS)["iv"]

    assert flashing(1.6) > 0.15  # 0.25 of the picture, less what flow explains
    assert flashing(1.15) < 0.02


def test_loop_fidelity_is_equation_4(moving: np.ndarray) -> None:
    phases = [torch.from_numpy(moving[6 * k, ..., 0].astype(np.float32)) for k in range(10)]
    terms = [
        ssim(phases[i], phases[i]) - np.mean([ssim(phases[i], phases[j]) for j in range(10) if j != i])
        for i in range(10)
    ]
    assert ouroworld(moving, FPS)["loop_fidelity"] == pytest.approx(np.mean(terms), abs=1e-3)


def test_a_jump_shows_at_the_seam_alone(moving: np.ndarray) -> None:
    cut = moving[: COUNT // 2]
    assert ouroworld(cut, FPS)["seam_ssim"] < ouroworld(moving, FPS)["seam_ssim"] - 0.2


def test_each_degree_is_published_as_the_mean_of_its_parts() -> None:
    for mv, iv, vv, degree, *_ in PUBLISHED.values():
        assert degree == pytest.approx((mv + iv + vv) / 3, abs=1.1e-4)
    rows = published_table({"mv": 0.3}).splitlines()
    assert "| OuroWorld | 0.0413 |" in rows[-2] and rows[-1].startswith("| **these loops** | 0.3 |")
