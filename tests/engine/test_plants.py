"""Plants over the loop of their landscape: the photo's bytes at frame 0 and beside them, and what shows behind them."""

import numpy as np
import pytest
import torch
from torch import Tensor

from stylecine.engine.plants import SwayingPlants, find_swaying
from stylecine.ops.image import to_uint8
from stylecine.options import CLASSES, SKY, Wind
from stylecine.picture.overlay import Overlay

H, W, PERIOD = 128, 160, 40
STRONG = Wind(0, 1)
NOTHING = torch.zeros(H, W, dtype=torch.bool)
BLUE, GREEN, BROWN = (-0.4, 0.0, 0.8), (-0.6, 0.2, -0.7), (0.1, -0.3, -0.6)


class Park:
    """A round crown with leaves before a plain sky, on a trunk on the ground, and a wall beside it."""

    def __init__(self) -> None:
        y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
        self.crown = (y - 50) ** 2 + (x - 80) ** 2 < 32**2
        ground, trunk = y >= 100, ((x - 80).abs() < 4) & (y > 50)
        self.static = ground | trunk
        self.sky = ~(self.static | self.crown)
        leaves = torch.rand(H // 4, W // 4, generator=torch.Generator().manual_seed(0))
        leaves = leaves.repeat_interleave(4, 0).repeat_interleave(4, 1)
        self.photo = torch.empty(3, H, W)
        for where, colour in ((self.sky, BLUE), (self.crown, GREEN), (self.static, BROWN)):
            self.photo[:, where] = torch.tensor(colour)[:, None]
        self.photo += 0.3 * leaves * self.crown
        self.plants = (self.crown & ~trunk).float()
        self.layers = torch.zeros(len(CLASSES), H, W)
        self.layers[SKY] = self.sky.float()
        self.plate = torch.tensor(BLUE)[:, None, None].expand(3, H, W)

    def swaying(self, **changed: Tensor | None) -> SwayingPlants | None:
        given = {"photo": self.photo, "plants": self.plants, "layers": self.layers, "moving": self.sky.float()}
        given |= {"plate": self.plate, "held": NOTHING, "thin": NOTHING} | changed
        plate = given.pop("plate")
        swaying = find_swaying(**given, period=PERIOD, seconds=4.0)
        return None if swaying is None else swaying.before(given["moving"], plate)

    def layer(self, wind: Wind = STRONG, **changed: Tensor | None) -> Overlay:
        swaying = self.swaying(**changed)
        assert swaying is not None
        return swaying.overlay(swaying.motion.in_wind(wind))


@pytest.fixture(scope="module")
def park() -> Park:
    return Park()


@pytest.fixture(scope="module")
def layer(park: Park) -> Overlay:
    return park.layer()


def other_sky(park: Park) -> Tensor:
    """A frame of the loop in which clouds have come."""
    frame = to_uint8(park.photo)
    frame[park.sky] = torch.tensor([250, 240, 230], dtype=torch.uint8)
    return frame


def test_frame_0_is_the_photo(park: Park, layer: Overlay) -> None:
    assert torch.equal(layer.draw_over(to_uint8(park.photo), 0), to_uint8(park.photo))
    assert torch.equal(layer.draw_over(other_sky(park), PERIOD), other_sky(park))


def test_only_what_is_within_reach_changes(park: Park, layer: Overlay) -> None:
    under = other_sky(park)
    for t in range(1, PERIOD, 5):
        drawn = layer.draw_over(under, t)
        assert torch.equal(drawn[layer.reach == 0], under[layer.reach == 0])
        assert torch.equal(drawn[park.static], under[park.static]), "trunk and ground"
        assert (drawn != under)[park.crown].float().mean() > 0.2


def test_what_the_crown_uncovers_is_the_plate_and_not_the_crown(park: Park, layer: Overlay) -> None:
    """No leaf is left where the crown has gone: its pixels are those of the sky, of the crown, or mixtures."""
    drawn = np.stack([layer.draw_over(to_uint8(park.photo), t).numpy() for t in range(PERIOD)]).astype(int)
    blue = to_uint8(park.plate)[0, 0].int()
    assert (np.abs(drawn[:, park.crown.numpy()] - blue.numpy()).sum(-1).min(0) < 12).sum() > 8
    covered = drawn[:, park.sky.numpy()]
    assert (covered[..., 2] < int(blue[2]) - 60).any(0).sum() > 8, "and its leaves hide the sky"


def test_a_mast_before_the_sky_stands_still_beside_a_crown(park: Park) -> None:
    mast = torch.zeros(H, W, dtype=torch.bool)
    mast[10:100, 116:119] = True
    photo = torch.where(mast, torch.tensor(BROWN)[:, None, None], park.photo)
    given = {"photo": photo, "moving": (park.sky & ~mast).float()}

    def moved(thin: Tensor) -> Tensor:
        layer, under = park.layer(**given, thin=thin), to_uint8(photo)
        return torch.stack([layer.draw_over(under, t) != under for t in range(1, PERIOD, 5)]).any(0).any(-1)

    assert not moved(mast)[mast].any() and moved(mast)[park.crown].float().mean() > 0.3
    assert moved(NOTHING)[mast].any(), "the crown would bend it"


def test_before_a_rough_wall_nothing_at_the_border_moves(park: Park) -> None:
    bricks = 0.4 * torch.rand(H, W, generator=torch.Generator().manual_seed(2))
    photo = torch.where(park.sky, park.photo + bricks, park.photo).clamp(-1, 1)
    wall = park.layer(photo=photo, layers=torch.zeros_like(park.layers), moving=torch.zeros(H, W))
    under = to_uint8(photo)
    for t in range(0, PERIOD, 7):
        drawn = wall.draw_over(under, t)
        assert torch.equal(drawn[~park.crown], under[~park.crown])
    assert torch.equal(wall.background, wall.photo)


def test_before_a_smooth_wall_it_sways_freely_and_the_wall_stands_still(park: Park) -> None:
    nothing = {"layers": torch.zeros_like(park.layers), "moving": torch.zeros(H, W), "plate": None}
    layer = park.layer(**nothing)
    under = to_uint8(park.photo)
    drawn = torch.stack([layer.draw_over(under, t) for t in range(PERIOD)])
    assert torch.equal(drawn[0], under)
    blue = to_uint8(park.plate)[0, 0]
    uncovered = ((drawn.int() - blue.int()).abs().sum(-1) < 60).any(0) & park.crown
    covered = (drawn.int()[..., 2] < int(blue[2]) - 60).any(0) & park.sky
    assert uncovered.sum() > 5 and covered.sum() > 8
    assert torch.equal(drawn[:, park.static], under[park.static].expand(PERIOD, -1, -1)), "trunk and ground"
    far = park.sky & (torch.arange(W) < 20)
    assert torch.equal(drawn[:, far], under[far].expand(PERIOD, -1, -1))

    held = park.layer(**nothing, held=~park.crown)
    assert torch.equal(held.draw_over(under, PERIOD // 3)[~park.crown], under[~park.crown])


def test_a_post_among_plants_stands_still() -> None:
    noise = torch.rand(1, H, W, generator=torch.Generator().manual_seed(1)).expand(3, -1, -1)
    photo = noise * 0.6 - 0.7
    photo = photo.clone()
    photo[:, 20:110, 76:84] = 0.8
    everywhere = {"plants": torch.ones(H, W), "layers": torch.zeros(len(CLASSES), H, W), "moving": torch.zeros(H, W)}
    swaying = find_swaying(photo, **everywhere, held=NOTHING, thin=NOTHING, period=PERIOD, seconds=4.0)
    assert swaying is not None
    made = swaying.overlay(swaying.motion.in_wind(Wind(0, 1)))
    under = to_uint8(photo)
    moved = torch.stack([made.draw_over(under, t) != under for t in range(0, PERIOD, 5)]).any(0).any(-1)
    assert not moved[25:105, 76:84].any() and moved[:, :60].float().mean() > 0.4


def test_nothing_sways_without_plants_or_wind(park: Park) -> None:
    assert park.swaying(plants=torch.zeros(H, W)) is None
    calm = park.layer(Wind(0, 0))
    assert torch.equal(calm.draw_over(other_sky(park), 7), other_sky(park))


def test_a_rough_layer_is_about_the_same(park: Park, layer: Overlay) -> None:
    swaying = park.swaying()
    assert swaying is not None
    rough, under = swaying.overlay(swaying.motion.coarse.in_wind(STRONG)), to_uint8(park.photo)
    assert rough.cell == 2 * layer.cell
    fine, coarse = (made.draw_over(under, 9).float() for made in (layer, rough))
    assert (coarse - fine).abs().mean() < 0.35 * (fine - under.float()).abs().mean()
