"""What moves: from a network's soft answer to layers at full size, and what a mask makes of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stylecine.errors import NothingMoves
from stylecine.options import CLASSES
from stylecine.perception.layers import apply_mask, moving, predict_probabilities, require_motion, segment

H, W = 192, 256

pytestmark = pytest.mark.usefixtures("as_shipped")


class BlueIsSky(nn.Module):
    """Stands in for the segmenter: 4 times as coarse as the photo, unsure by a few cells at borders."""

    def forward(self, photo: Tensor) -> Tensor:
        blue = nn.functional.avg_pool2d((photo[:, 2:] > 0.2).float(), 2)
        blue = nn.functional.avg_pool2d(blue, 9, 1, 4, count_include_pad=False)
        logits = torch.full((len(photo), 5, *blue.shape[2:]), -6.0)
        logits[:, 0], logits[:, 1] = 0.0, (12 * (blue - 0.5))[:, 0]
        return logits


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
    layers = segment(photo, BlueIsSky()).layers
    assert layers.shape == (4, H, W) and layers.min() >= 0 and layers.max() <= 1
    predicted = moving(layers) > 0.5
    assert (predicted & sky).sum() / (predicted | sky).sum() > 0.99
    torch.testing.assert_close(moving(layers), layers[CLASSES.index("sky")])


def test_probabilities_are_those_before_the_decision() -> None:
    photo, sky = landscape()
    probabilities = predict_probabilities(photo, BlueIsSky())  # type: ignore[arg-type]
    assert probabilities.shape[0] == 1 + len(CLASSES)
    assert torch.allclose(probabilities.sum(0), torch.ones(probabilities.shape[1:]), atol=1e-4)
    moves = torch.nn.functional.interpolate(1 - probabilities[None, :1], (H, W), mode="bilinear")[0, 0]
    assert float(moves[sky].mean()) > 0.9 > 0.1 > float(moves[~sky].mean())
    assert bool(((moves > 0.02) & (moves < 0.98)).any()), "soft at the border"


def test_static_pixels_are_exactly_zero() -> None:
    photo, sky = landscape()
    moves = moving(segment(photo, BlueIsSky()).layers)
    far = nn.functional.max_pool2d(sky[None].float(), 7, 1, 3)[0] == 0
    assert (moves[far] == 0).float().mean() == 1
    assert not bool(((moves > 0) & (moves < 0.02)).any())


def test_a_photo_of_one_colour_is_no_sky() -> None:
    flat = torch.tensor([0.0, 0.4, 0.9])[:, None, None].expand(3, H, W) + 0.005 * torch.rand(3, H, W)
    assert moving(segment(flat, BlueIsSky()).layers).max() == 0


def test_specks_do_not_move() -> None:
    photo, _ = landscape()
    photo[:, 170:174, 40:44] = torch.tensor([0.0, 0.4, 0.9])[:, None, None]
    assert moving(segment(photo, BlueIsSky()).layers)[160:185, 30:55].max() == 0


def test_a_small_region_moves_beside_a_large_one() -> None:
    photo, _ = landscape()
    photo[:, 165:181, 40:59] = torch.tensor([0.0, 0.4, 0.9])[:, None, None]  # 0.6% of the photo
    assert moving(segment(photo, BlueIsSky()).layers)[165:181, 40:59].mean() > 0.5


def test_a_white_sky_moves_as_any_other() -> None:
    photo, sky = landscape()
    photo[:, sky] = 0.99
    assert moving(segment(photo, BlueIsSky()).layers)[sky].mean() > 0.9


def test_what_is_found_before_the_sky_stands_still() -> None:
    photo, _ = landscape()
    photo[:, 20:60, 50:54] = torch.tensor([0.0, 0.45, 0.9])[:, None, None]  # a post as blue as the sky

    def post(photos: Tensor) -> Tensor:
        """Logits at 1/2 of a network that knows it by its place."""
        h, w = photos.shape[2:]
        logits = torch.full((1, 1, h // 2, w // 2), -6.0)
        y, x = torch.meshgrid((torch.arange(h // 2) + 0.5) / (h // 2) * H, torch.linspace(0, W, w // 2), indexing="ij")
        here = (y > 20) & (y < 60) & (x > 50) & (x < 54)
        mirrored = float(photos[0, 2, 110 * h // H, 0]) > float(photos[0, 2, 110 * h // H, -1])
        logits[0, 0][here.flip(1) if mirrored else here] = 6.0
        return logits

    moves = moving(segment(photo, BlueIsSky(), lambda: post).layers)  # type: ignore[arg-type]
    assert moving(segment(photo, BlueIsSky()).layers)[25:55, 51:53].min() > 0.9, "without the network it moves"
    assert moves[25:55, 51:53].max() == 0 and moves[25:55, 60:].min() > 0.9


def test_a_boat_stands_still_and_a_reflection_of_a_twig_does_not() -> None:
    """Neither is fastened to anything, and the network is as sure of both; the twig is long."""
    lake = torch.tensor([0.0, 0.4, 0.9])[:, None, None] + 0.1 * torch.rand(3, H, W)
    boat, twig = (slice(90, 95), slice(125, 131)), (slice(105, 108), slice(108, 148))

    def both(photos: Tensor) -> Tensor:
        """Logits at 1/2 of a network that knows them by their places, which are in the middle of the picture."""
        h, w = photos.shape[2:]
        logits = torch.full((1, 1, H, W), -6.0)
        for rows, columns in (boat, twig):
            logits[..., rows, columns] = 2.0
        return nn.functional.interpolate(logits, (h // 2, w // 2), mode="bilinear", antialias=True)

    moves = moving(segment(lake, Swapped(0.5, 1), lambda: both).layers)  # type: ignore[arg-type]
    assert moves[boat][1:-1, 1:-1].max() == 0 and moves[twig].min() > 0.9


class Swapped(nn.Module):
    """Stands in for a segmenter: the stub's sky, of which it takes the given rows for water."""

    def __init__(self, first: float, last: float) -> None:
        super().__init__()
        self.rows = first, last

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        logits = BlueIsSky()(photos)
        first, last = (round(share * logits.shape[2]) for share in self.rows)
        sky, water = 1 + CLASSES.index("sky"), 1 + CLASSES.index("water")
        logits[:, [sky, water], first:last] = logits[:, [water, sky], first:last]
        return logits


def test_no_water_lies_over_the_sky() -> None:
    """Clouds seen from above look like the sea, and a lake with clouds in it like the sky."""
    blue = torch.tensor([0.0, 0.4, 0.9])[:, None, None] + 0.1 * torch.rand(3, H, W)
    sky, water = CLASSES.index("sky"), CLASSES.index("water")
    from_above = segment(blue, Swapped(0.3, 0.6)).layers  # type: ignore[arg-type]
    assert from_above[water].max() == 0 and from_above[sky].mean() > 0.9
    lake = segment(blue, Swapped(0.5, 1)).layers  # type: ignore[arg-type]
    assert lake[sky, : H // 2 - 10].mean() > 0.9 and lake[water, H // 2 + 10 :].mean() > 0.9, "as nature has it"


def test_sky_below_water_is_its_reflection() -> None:
    photo, _ = landscape()
    photo[:, 20:] = torch.tensor([-0.5, -0.6, -0.8])[:, None, None]  # the sky, a hill, a lake
    photo[:, 80:] = torch.tensor([0.0, 0.4, 0.9])[:, None, None]
    photo += 0.05 * torch.rand(3, H, W)
    layers = segment(photo, Swapped(0.4, 0.7)).layers  # type: ignore[arg-type]
    assert layers[CLASSES.index("sky"), 90:].max() == 0 and layers[CLASSES.index("water"), 90:].mean() > 0.9


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
