"""Styles: the grid that turns one appearance into another, and the frames that it changes."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from stylecine.errors import OptionError
from stylecine.ops.image import LUMA
from stylecine.ops.recolour import recolour, recolour_
from stylecine.picture.style import Appearance, StyleNets, fit_grid, without_green_light


def picture(h: int = 128, w: int = 192, seed: int = 0) -> Tensor:
    """Smooth colours, [3,h,w] in [0,1]."""
    coarse = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (h, w), mode="bicubic", align_corners=False)[0].clamp(0, 1)


def as_bytes(image: Tensor) -> Tensor:
    return (image * 255).round().byte().permute(1, 2, 0).contiguous()


def error(made: Tensor, wanted: Tensor) -> float:
    return float((made.float() - wanted.float()).abs().mean())


def test_the_same_appearance_changes_nothing() -> None:
    photo = picture()
    assert torch.equal(recolour(as_bytes(photo), fit_grid(photo, photo)), as_bytes(photo))


def test_an_affine_change_of_all_is_found_exactly() -> None:
    photo = picture()
    matrix = torch.tensor([[0.6, 0.1, 0.0], [0.0, 0.5, 0.1], [0.1, 0.0, 0.4]])
    after = torch.einsum("oi,ihw->ohw", matrix, photo) + 0.1
    assert error(recolour(as_bytes(photo), fit_grid(photo, after)), as_bytes(after)) < 0.5


def test_bright_and_dark_and_left_and_right_may_change_in_different_ways() -> None:
    photo = picture()
    luma = photo.mean(0, keepdim=True)
    to_the_right = torch.linspace(0, 1, photo.shape[2])[None, None]
    after = photo * (0.3 + 0.6 * luma) + 0.2 * to_the_right * torch.tensor([1.0, 0.0, 0.0])[:, None, None] * luma
    assert error(recolour(as_bytes(photo), fit_grid(photo, after)), as_bytes(after)) < 1.5


def test_an_edge_keeps_its_place_at_any_size() -> None:
    """Dark land under a bright sky, each with a change of its own: a photo eight times as large has no halo."""
    small, ridge = torch.full((3, 64, 96), 0.15), 28
    small[:, :ridge] = 0.85
    after = small.clone()
    after[:, :ridge] = torch.tensor([0.9, 0.5, 0.4])[:, None, None]
    grid = fit_grid(small, after)
    large = as_bytes(torch.nn.functional.interpolate(small[None], scale_factor=8, mode="nearest")[0])
    made = recolour(large, grid).float()
    sky, land = made[: 8 * ridge], made[8 * ridge :]
    assert (sky - torch.tensor([0.9, 0.5, 0.4]) * 255).abs().max() < 6
    assert (land - 0.15 * 255).abs().max() < 6


def appearance(*, strength: float = 1.0, drift: bool = False) -> tuple[Appearance, Tensor]:
    photo = picture()
    moving = torch.zeros(photo.shape[1:])
    moving[:60] = 1
    grid = fit_grid(photo, photo * torch.tensor([0.9, 0.6, 0.5])[:, None, None])
    return Appearance(grid, strength, drift, as_bytes(photo), moving), moving == 0


def test_static_pixels_are_the_same_in_every_frame() -> None:
    shown, static = appearance(strength=0.7)
    frames = [as_bytes(picture(seed=k)) for k in range(3)]
    for frame in frames:
        frame[static] = shown.photo[static]
    made = [shown.show(frame, k / 3) for k, frame in enumerate(frames)]
    assert all(torch.equal(frame[static], made[0][static]) for frame in made)
    wanted = recolour(shown.photo, shown.grid, 0.7)[static]
    assert (made[0][static].int() - wanted.int()).abs().max() <= 1


def test_a_drift_begins_and_ends_with_the_photo_and_is_furthest_half_way() -> None:
    shown, _ = appearance(drift=True)
    way = [error(shown.show(shown.photo, k / 8), shown.photo) for k in range(9)]
    assert way[0] == 0 and way[8] == 0
    assert way[4] == max(way) > 10
    assert way == pytest.approx(way[::-1], abs=0.1)
    assert way[2] == pytest.approx(way[4] / 2, rel=0.05), "linear in the amount, which is half at a quarter"


def test_strength_counts_linearly() -> None:
    whole, half = (appearance(strength=s)[0] for s in (1.0, 0.5))
    ways = [error(a.show(a.photo, 0.0), a.photo) for a in (whole, half)]
    assert ways[1] == pytest.approx(ways[0] / 2, rel=0.05)


def test_a_name_that_the_model_does_not_have() -> None:
    nets = StyleNets(None, None, {})  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="no style 'noon'; give a photo"):
        nets.w_plus_of("noon", None)


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ((0.9, 0.8, 0.6), (0.7, 1.0, 0.9), None),  # a sun that would turn green
        ((1.0, 1.0, 1.0), (0.4, 1.0, 1.0), None),  # or cyan
        ((0.9, 0.8, 0.6), (0.9, 0.5, 0.3), (0.9, 0.5, 0.3)),
        ((0.5, 0.8, 0.3), (0.5, 0.8, 0.3), (0.5, 0.8, 0.3)),  # leaves in the sun
        ((0.7, 0.8, 0.9), (0.3, 0.5, 0.8), (0.3, 0.5, 0.8)),  # a blue sky
        ((0.8, 0.8, 0.9), (0.1, 0.25, 0.3), (0.1, 0.25, 0.3)),  # a night
    ],
)
def test_light_does_not_turn_green(
    before: tuple[float, ...], after: tuple[float, ...], shown: tuple[float, ...] | None
) -> None:
    two = [torch.tensor(colour)[:, None, None].expand(3, 4, 4) for colour in (before, after)]
    made = without_green_light(*two)[:, 0, 0]
    luma = float(made @ torch.tensor(LUMA))
    assert luma == pytest.approx(float(torch.tensor(after) @ torch.tensor(LUMA)), abs=1e-5)
    torch.testing.assert_close(made, torch.tensor(shown or (luma,) * 3))


@pytest.mark.parametrize("size", [(40, 300), (300, 40), (33, 33)])
def test_any_shape_of_picture(size: tuple[int, int]) -> None:
    photo = picture(*size)
    grid = fit_grid(photo, photo * 0.5)
    assert np.isfinite(grid.numpy()).all()
    assert error(recolour(as_bytes(photo), grid), as_bytes(photo * 0.5)) < 0.6
    assert math.isclose(float(grid[..., 3].abs().max()), 0)


@pytest.mark.parametrize("drift", [False, True])
def test_a_frame_over_the_backdrop_is_changed_where_it_moves_alone(drift: bool) -> None:
    shown, static = appearance(strength=0.8, drift=drift)
    plain = shown.photo.clone()
    plain[~static] = as_bytes(picture(seed=4))[~static]
    over = torch.where(static[..., None], shown.backdrop, plain)
    made = recolour_(torch.stack((over, over)), shown.recolouring([0.3, 0.8]))
    assert torch.equal(made, torch.stack([shown.show(plain, phase) for phase in (0.3, 0.8)]))
