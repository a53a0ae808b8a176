"""Cloth at any real time: interpolated between keyframes, and periodic in the gusts."""

import math
from itertools import pairwise

import pytest
import torch

from stylecine.picture.overlay import Overlay, periodic_weights
from tests.transfers import NoTransfers


def test_only_the_keyframe_at_its_own_phase_has_weight() -> None:
    for k in range(16):
        assert periodic_weights(16, k / 16).tolist() == [float(j == k) for j in range(16)]


@pytest.mark.parametrize("cycles", range(8))
@pytest.mark.parametrize("phase", [0.013, 0.3, 0.77, 0.99])
def test_waves_up_to_half_the_keyframes_are_interpolated_exactly(cycles: int, phase: float) -> None:
    keyframes = torch.tensor([math.cos(2 * math.pi * cycles * k / 16 + 0.4) for k in range(16)])
    expected = math.cos(2 * math.pi * cycles * phase + 0.4)
    assert float(periodic_weights(16, phase) @ keyframes) == pytest.approx(expected, abs=1e-5)


def test_weights_are_periodic() -> None:
    assert torch.equal(periodic_weights(16, 0.25), periodic_weights(16, 3.25))
    torch.testing.assert_close(periodic_weights(16, 0.3), periodic_weights(16, 5.3), rtol=0, atol=1e-5)


def test_a_loop_begins_with_the_frame_and_repeats_with_each_gust() -> None:
    photo = torch.randint(0, 256, (40, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    keyframes = torch.zeros(16, 3, 10, 12)
    keyframes[1:, 0] = 2.5
    matte, active = torch.full((40, 48), 255, dtype=torch.uint8), torch.ones(2, 2, dtype=torch.uint8)
    cloth = Overlay("cloth", photo, photo, matte, active, keyframes, 4, torch.ones(40, 48), cycles=2, period=30)
    assert torch.equal(cloth.draw_over(photo, 0), photo)
    with NoTransfers():  # for which a GPU would wait
        cloth.draw_over(photo, 4)
    assert not torch.equal(cloth.draw_over(photo, 4), photo)
    kept, drawn = photo.clone(), cloth.draw_over(photo, 4)
    assert torch.equal(photo, kept) and torch.equal(cloth.draw_over_(kept[None], [4])[0], drawn)
    assert torch.equal(kept, drawn), "drawn in place"
    assert torch.equal(cloth.draw_over(photo, 15), photo), "after the first of two gusts"
    assert (cloth.draw_over(photo, 19).int() - cloth.draw_over(photo, 4).int()).abs().max() <= 1


def swaying(gustiness: float) -> Overlay:
    """Cloth that moves by up to 4 pixels to the side in each of two gusts."""
    photo = torch.randint(0, 256, (40, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    keyframes = torch.zeros(16, 3, 10, 12)
    keyframes[:, 0] = (2 - 2 * (2 * math.pi * torch.arange(16) / 16).cos())[:, None, None]
    matte, active = torch.full((40, 48), 255, dtype=torch.uint8), torch.ones(2, 2, dtype=torch.uint8)
    still = torch.ones(40, 48)
    return Overlay("cloth", photo, photo, matte, active, keyframes, 4, still, cycles=2, period=60, gustiness=gustiness)


def test_gusts_differ_within_a_loop_and_not_from_loop_to_loop() -> None:
    cloth = swaying(0.2)
    photo = cloth.photo
    assert torch.equal(cloth.draw_over(photo, 0), photo)
    assert not torch.equal(cloth.draw_over(photo, 30), photo), "the second gust does not begin as the first"
    assert torch.equal(cloth.draw_over(photo, 60 + 12.5), cloth.draw_over(photo, 12.5))
    shifts = [float(cloth.weights(t / 10) @ cloth.keyframes[:, 0, 0, 0]) for t in range(600)]
    assert max(shifts[:280]) > 4.4 and max(shifts[280:]) < 3.6, "a strong gust, then a weak one"
    steps = [b - a for a, b in pairwise([*shifts, *shifts])]
    assert max(abs(b - a) for a, b in pairwise(steps)) < 0.003, "no jolt, not over the seam either"
