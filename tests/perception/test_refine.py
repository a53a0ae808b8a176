"""The random field: places near each other and of similar colour agree."""

import pytest
import torch

from stylecine.perception.refine import CRF_CELLS, _crf_grid, crf_refine


def test_nearby_places_of_similar_colour_agree() -> None:
    """The network says water on the blue half and static on the brown one, but errs on some places of each."""
    torch.manual_seed(0)
    photo = torch.full((3, 96, 128), -0.5)
    photo[2, :, :64] = 0.5
    water = torch.full((48, 64), 0.4)
    water[:, :32] = 0.6
    water = torch.where(torch.rand(12, 16).repeat_interleave(4, 0).repeat_interleave(4, 1) < 0.15, 1 - water, water)
    shares = torch.stack([1 - water, torch.zeros_like(water), water, *torch.zeros(2, 48, 64)])
    refined = crf_refine(shares, photo)
    assert (water[:, :32] < 0.5).float().mean() > 0.15
    assert (refined[2, :, :32] > 0.5).float().mean() > 0.95
    assert (refined[0, :, 32:] > 0.5).float().mean() > 0.95
    torch.testing.assert_close(refined.sum(0), torch.ones(48, 64))


@pytest.mark.parametrize("size", [(448, 448), (448, 1792), (1792, 448), (16, 16), (1, 5000)])
def test_the_grid_of_the_random_field_is_bounded(size: tuple[int, int]) -> None:
    rows, columns = _crf_grid(torch.Size(size))
    assert 1 <= rows * columns <= max(CRF_CELLS, max(size))
    assert rows <= size[0] and columns <= size[1]
