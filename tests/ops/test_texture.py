"""Detail of places that can be seen, for what was made up."""

import pytest
import torch

from stylecine.ops.texture import best_shift, blurred, copy_texture_


def stripes(height: int, width: int) -> torch.Tensor:
    """Fine upright stripes on the left, fine level ones on the right, the halves of different colours."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    left = x < width // 2
    return torch.where(left, 0.4 * torch.cos(torch.pi * x) - 0.5, 0.4 * torch.cos(torch.pi * y) + 0.5).expand(3, -1, -1)


def test_detail_comes_from_places_of_the_same_colour() -> None:
    image, visible = stripes(128, 256), torch.ones(128, 256)
    holes = [(slice(50, 64), slice(column, column + 14)) for column in (100, 140)]  # one in each half
    for hole in holes:
        visible[hole] = 0
    restored = copy_texture_(torch.where(visible > 0, image, blurred(image)), visible)
    (across_left, down_left), (across_right, down_right) = (
        [restored[0][hole].diff(dim=axis).abs().median() for axis in (1, 0)] for hole in holes
    )
    assert across_left > 0.7 and down_right > 0.7
    assert down_left < 0.1 and across_right < 0.1


def test_visible_cells_are_unchanged() -> None:
    image, visible = stripes(40, 50), torch.ones(40, 50)
    visible[10:20, 10:30] = 0
    assert torch.equal(copy_texture_(image.clone(), visible)[:, visible > 0], image[:, visible > 0])


def test_shifts_lead_to_visible_cells_inside_the_picture() -> None:
    image, visible = torch.rand(3, 96, 130, generator=torch.Generator().manual_seed(0)), torch.ones(96, 130)
    visible[:, 60:] = 0
    dy, dx = best_shift(image, visible, 2)
    y, x = torch.nonzero((dy != 0) | (dx != 0), as_tuple=True)
    there = 2 * y + dy[y, x], 2 * x + dx[y, x]
    assert all(place.min() >= 0 and place.max() < size for place, size in zip(there, visible.shape, strict=True))
    assert visible[there].min() == 1
    assert (dx[:, 30:36] < 0).all() and (dx[:, 60:] == 0).all()  # from too far away nothing can be reached


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (3, 200)])
@pytest.mark.parametrize("seen", [0.0, 1.0])
def test_nothing_or_everything_visible_and_tiny_photos(size: tuple[int, int], seen: float) -> None:
    image = torch.rand(3, *size)
    assert torch.equal(copy_texture_(image.clone(), torch.full(size, seen)), image)
