"""What moves: from what the eye says to layers at full size, and what a mask makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from stylecine.errors import NothingMoves
from stylecine.ops.image import resize
from stylecine.options import CLASSES
from stylecine.perception.layers import apply_mask, likeliest, moving, require_motion, segment, shows_nothing
from tests.seen import Everywhere, saying

H, W = 192, 256


def blue_is_sky(photo: Tensor, water: tuple[float, float] = (0, 0)) -> Tensor:
    """What an eye might say, [5,h,w] with a short side of 320: unsure by a few cells at borders. What is blue in the
    rows between these shares of the height is water."""
    copy = resize(photo, (640, 640 * W // H))
    blue = nn.functional.avg_pool2d((copy[2:] > 0.2).float(), 2)
    blue = nn.functional.avg_pool2d(blue, 9, 1, 4, count_include_pad=False)
    logits = torch.full((5, *blue.shape[1:]), -6.0)
    logits[0], logits[1] = 0.0, 12 * (blue[0] - 0.5)
    first, last = (round(share * logits.shape[1]) for share in water)
    logits[[1, 2], first:last] = logits[[2, 1], first:last]
    return logits.softmax(0)


def layers_of(photo: Tensor, stands: Tensor | None = None, water: tuple[float, float] = (0, 0)) -> Tensor:
    says = saying(blue_is_sky(photo, water), Everywhere(1, 0))
    return segment(photo, says if stands is None else replace(says, stands=stands))


def landscape() -> tuple[Tensor, Tensor]:
    """A slanting ridge under a blue sky: the photo [3,H,W] and what of it is sky."""
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    sky = y < 90 + 0.2 * x
    colours = torch.where(
        sky, torch.tensor([0.0, 0.4, 0.9])[:, None, None], torch.tensor([-0.5, -0.6, -0.8])[:, None, None]
    )
    torch.manual_seed(0)
    return colours + 0.02 * torch.randn(3, H, W), sky


def test_layers_follow_the_edges_of_the_photo() -> None:
    photo, sky = landscape()
    layers = layers_of(photo)
    assert layers.shape == (4, H, W) and layers.min() >= 0 and layers.max() <= 1
    predicted = moving(layers) > 0.5
    assert (predicted & sky).sum() / (predicted | sky).sum() > 0.99
    torch.testing.assert_close(moving(layers), layers[CLASSES.index("sky")])


def test_static_pixels_are_exactly_zero() -> None:
    photo, sky = landscape()
    moves = moving(layers_of(photo))
    far = nn.functional.max_pool2d(sky[None].float(), 7, 1, 3)[0] == 0
    assert (moves[far] == 0).float().mean() == 1
    assert not bool(((moves > 0) & (moves < 0.02)).any())


def test_a_photo_of_one_colour_is_no_sky() -> None:
    flat = torch.tensor([0.0, 0.4, 0.9])[:, None, None].expand(3, H, W) + 0.005 * torch.rand(3, H, W)
    assert shows_nothing(flat) and not shows_nothing(landscape()[0])


def test_a_small_region_moves_beside_a_large_one() -> None:
    photo, _ = landscape()
    photo[:, 165:181, 40:59] = torch.tensor([0.0, 0.4, 0.9])[:, None, None]  # 0.6% of the photo
    assert moving(layers_of(photo))[165:181, 40:59].mean() > 0.5


def test_a_white_sky_moves_as_any_other() -> None:
    photo, sky = landscape()
    photo[:, sky] = 0.99
    assert moving(layers_of(photo))[sky].mean() > 0.9


def test_what_is_seen_to_stand_at_the_photos_own_pixels_does_to_the_pixel() -> None:
    photo, sky = landscape()
    post = torch.zeros(H, W, dtype=torch.bool)
    post[20:60, 50:52] = True  # as blue as the sky
    moves = moving(layers_of(photo, (~sky | post).float()))
    assert torch.equal(moves == 0, ~sky | post)


@pytest.mark.parametrize(("probability", "moves"), [(0.45, True), (0.55, False)])
def test_what_stands_for_sure_enough_does_not_move(probability: float, moves: bool) -> None:
    photo, sky = landscape()
    stands = torch.where(sky, probability, 1.0)
    assert bool((moving(layers_of(photo, stands))[:60] > 0).all()) == moves


def test_a_rope_of_the_waters_colour_is_enlarged_whole() -> None:
    photo, _ = landscape()
    stands = torch.zeros(H // 2, W // 2)
    stands[20, :] = 1
    assert (moving(layers_of(photo, stands))[40:42, 20:-20] == 0).all()


def test_no_water_lies_over_the_sky() -> None:
    """Clouds seen from above look like the sea, and a lake with clouds in it like the sky."""
    blue = torch.tensor([0.0, 0.4, 0.9])[:, None, None] + 0.1 * torch.rand(3, H, W)
    sky, water = CLASSES.index("sky"), CLASSES.index("water")
    from_above = layers_of(blue, water=(0.3, 0.6))
    assert from_above[water].max() == 0 and from_above[sky].mean() > 0.9
    lake = layers_of(blue, water=(0.5, 1))
    assert lake[sky, : H // 2 - 10].mean() > 0.9 and lake[water, H // 2 + 10 :].mean() > 0.9, "as nature has it"


def test_sky_below_water_is_its_reflection() -> None:
    photo, _ = landscape()
    photo[:, 20:] = torch.tensor([-0.5, -0.6, -0.8])[:, None, None]  # the sky, a hill, a lake
    photo[:, 80:] = torch.tensor([0.0, 0.4, 0.9])[:, None, None]
    photo += 0.05 * torch.rand(3, H, W)
    layers = layers_of(photo, water=(0.4, 0.7))
    assert layers[CLASSES.index("sky"), 90:].max() == 0 and layers[CLASSES.index("water"), 90:].mean() > 0.9


@pytest.mark.parametrize(("somewhere", "moves"), [(0.65, False), (0.95, True)])
def test_a_part_that_moves_nowhere_for_sure_stands(somewhere: float, moves: bool) -> None:
    """Wet ground and far towns are water with little more than half the probability, all over."""
    classes = torch.zeros(5, 96, 128)
    water = 1 + CLASSES.index("water")
    classes[water, 50:, 20:100] = 0.65
    classes[water, 60:80, 40:60] = somewhere
    classes[0] = 1 - classes[water]
    photo = 0.4 * torch.rand(3, H, W) + torch.where(resize(classes[water, None], (H, W)) > 0.3, -0.5, 0.5)
    assert bool((moving(segment(photo, saying(classes, Everywhere(1, 0)))) > 0).any()) == moves


def test_moving_joins_the_layers() -> None:
    layers = torch.zeros(4, 2, 2)
    layers[0, 0, 0], layers[1, 0, 0], layers[2, 1, 1] = 0.5, 0.5, 1.0
    assert moving(layers).tolist() == [[0.75, 0.0], [0.0, 1.0]]


def test_less_than_half_a_percent_of_the_photo_is_ignored() -> None:
    mask = torch.zeros(100, 100)
    mask[:6, :10] = 1
    assert require_motion(mask) is mask
    mask[:2] = 0
    with pytest.raises(NothingMoves, match="mask"):
        require_motion(mask)


def test_a_mask_decides_what_moves_and_the_layers_its_class() -> None:
    layers = torch.zeros(4, 100, 100)
    layers[CLASSES.index("sky"), :30] = 1
    mask = torch.zeros(100, 100)
    mask[:35], mask[80:] = 0.75, 1.0
    applied = apply_mask(layers, mask)
    assert torch.equal(moving(applied), mask)
    assert torch.equal(applied[CLASSES.index("sky")][:35], mask[:35])
    assert torch.equal(applied[CLASSES.index("water")][80:], mask[80:])


def test_places_without_any_class_near_are_water() -> None:
    mask = torch.ones(20, 30)
    assert torch.equal(apply_mask(torch.zeros(4, 20, 30), mask)[CLASSES.index("water")], mask)


def test_the_likeliest_class_is_that_of_the_largest_map_and_the_first_of_equal_ones() -> None:
    maps = torch.tensor([[[0.5, 0.0, 0.2]], [[0.5, 0.3, 0.2]], [[0.1, 0.4, 0.9]]])
    assert likeliest(iter(maps)).tolist() == [[0, 2, 2]]
