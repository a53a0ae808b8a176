"""The decoder of directions: sizes, how texture runs."""

import math

import pytest
import torch

from stylecine.networks.course import CUES, CourseDecoder, cues, orientation


def test_two_components_at_an_eighth_of_the_size() -> None:
    photo, layers = torch.zeros(2, 3, 64, 96), torch.zeros(2, 4, 64, 96)
    known = cues(photo, layers)
    assert known.shape == (2, CUES, 8, 12)
    features = [torch.zeros(2, n, 64 // scale, 96 // scale) for n, scale in ((8, 8), (16, 16), (24, 32))]
    assert CourseDecoder((8, 16, 24), (8, 16, 24))(features, known).shape == (2, 2, 8, 12)


@pytest.mark.parametrize("degrees", [0, 30, 75, 90, 135])
def test_texture_runs_along_its_stripes(degrees: float) -> None:
    angle = math.radians(degrees)
    y, x = torch.arange(64)[:, None].float(), torch.arange(80)[None].float()
    stripes = torch.sin(0.6 * (y * math.cos(angle) - x * math.sin(angle)))
    look = orientation(stripes[None, None], 2, 4)[0, :, 12:20, 16:24]
    assert look.shape == (3, 8, 8)
    assert look[0].mean() == pytest.approx(math.cos(2 * angle), abs=0.05)
    assert look[1].mean() == pytest.approx(math.sin(2 * angle), abs=0.05)


def test_uniform_areas_have_no_orientation() -> None:
    look = orientation(torch.full((1, 1, 32, 32), 0.3), 2, 4)
    assert look[:, :2].abs().max() == 0
    assert look[:, 2].max() < orientation(torch.rand(1, 1, 32, 32), 2, 4)[:, 2].min()
