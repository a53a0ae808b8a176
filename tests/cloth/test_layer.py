"""Cloth at any real time: through its knots, smoothly between them, the same after every gust."""

import math

import pytest
import torch

from stylecine.cloth.layer import ClothLayer, periodic_weights


def test_at_a_knot_it_alone_counts() -> None:
    for k in range(16):
        assert periodic_weights(16, k / 16).tolist() == [float(j == k) for j in range(16)]


@pytest.mark.parametrize("cycles", range(8))
@pytest.mark.parametrize("phase", [0.013, 0.3, 0.77, 0.99])
def test_waves_up_to_half_of_the_knots_are_kept_between_them(cycles: int, phase: float) -> None:
    knots = torch.tensor([math.cos(2 * math.pi * cycles * k / 16 + 0.4) for k in range(16)])
    wanted = math.cos(2 * math.pi * cycles * phase + 0.4)
    assert float(periodic_weights(16, phase) @ knots) == pytest.approx(wanted, abs=1e-5)


def test_a_phase_is_the_same_after_every_gust() -> None:
    assert torch.equal(periodic_weights(16, 0.25), periodic_weights(16, 3.25))
    torch.testing.assert_close(periodic_weights(16, 0.3), periodic_weights(16, 5.3), rtol=0, atol=1e-5)


def test_the_loop_begins_with_the_frame_and_has_whole_gusts() -> None:
    photo = torch.randint(0, 256, (40, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    knots = torch.zeros(16, 3, 10, 12)
    knots[1:, 0] = 2.5
    matte, active = torch.full((40, 48), 255, dtype=torch.uint8), torch.ones(2, 2, dtype=torch.uint8)
    cloth_layer = ClothLayer(photo, photo, matte, active, knots, 4, torch.ones(40, 48), cycles=2, period=30)
    assert torch.equal(cloth_layer.draw_over(photo, 0), photo)
    assert not torch.equal(cloth_layer.draw_over(photo, 4), photo)
    assert torch.equal(cloth_layer.draw_over(photo, 15), photo), "after the first of two gusts"
    assert (cloth_layer.draw_over(photo, 19).int() - cloth_layer.draw_over(photo, 4).int()).abs().max() <= 1
