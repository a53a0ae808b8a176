import numpy as np
import pytest
import torch
from scipy import ndimage

from stylecine.movement.displacement import integrate
from stylecine.movement.waves import SWASH_AMPLITUDE, Swash, predict_swash
from tests.seen import Everywhere, seen

SKY, WATER = range(2)
SHORT, WIDTH = 192, 256
HORIZON, EDGE = 60, 130  # rows: sky above, sea between, sand below
NOBODY = torch.zeros(SHORT, WIDTH)
SURF = Everywhere(1, 0, "surf", "much")


def layers() -> torch.Tensor:
    made = torch.zeros(4, SHORT, WIDTH)
    made[SKY, :HORIZON] = 1
    made[WATER, HORIZON:EDGE] = 1
    return made


def beach(ground: float = 0.7, roughness: float = 0.0, surf: bool = True) -> torch.Tensor:
    """A photo [3,H,W] in [-1,1]: dark sea with foam along the sand, if there is surf."""
    random = np.random.default_rng(0)
    grey = np.full((SHORT, WIDTH), 0.6)
    grey[HORIZON:EDGE] = 0.25
    if surf:
        texture = ndimage.gaussian_filter(random.standard_normal((SHORT, WIDTH)), 1.5)
        grey[EDGE - 25 : EDGE] = (0.75 + 0.15 * texture / texture.std())[EDGE - 25 : EDGE]
    grey[EDGE:] = ground + roughness * random.standard_normal((SHORT - EDGE, WIDTH))
    return torch.from_numpy(grey.clip(0, 1) * 2 - 1).float().expand(3, -1, -1)


def drift() -> torch.Tensor:
    return torch.tensor([0.05, 0.0])[:, None, None].expand(2, SHORT, WIDTH)


def swash_of(
    photo: torch.Tensor,
    held: torch.Tensor = NOBODY,
    moves: torch.Tensor | None = None,
    eye: Everywhere = SURF,
) -> Swash | None:
    return predict_swash(seen(photo, layers() if moves is None else moves, eye, frozen=held))


@pytest.fixture(scope="module")
def swash() -> Swash:
    found = swash_of(beach())
    assert found is not None
    return found


def test_the_edge_runs_up_the_sand_first(swash):
    up = swash.offset[1, EDGE, 60:200]
    assert up.max() < 0, "what is shown at the edge comes from above it, from the water"
    assert -up.mean() == pytest.approx(SWASH_AMPLITUDE * SHORT, rel=0.25)
    assert swash.offset[0, EDGE, 60:200].abs().max() < 0.1 * -up.mean()


def test_it_vanishes_towards_the_sea_and_up_the_beach(swash):
    assert swash.offset[:, : EDGE - 25].abs().max() == 0
    assert swash.offset[:, EDGE + 25 :].abs().max() == 0
    assert swash.band[EDGE - 5 : EDGE + 5, 60:200].min() == 1 and swash.band[EDGE + 25 :].max() == 0
    stretch = torch.gradient(swash.offset[1], dim=0)[0].abs().max()
    assert stretch < 0.5, "nowhere is the picture folded"


def test_water_does_not_drift_where_its_edge_sways(swash):
    assert swash.drift[EDGE - 5 : EDGE + 5, 60:200].max() < 0.1
    assert swash.drift[HORIZON : EDGE - 60].min() > 0.99


@pytest.mark.parametrize(
    "photo",
    [beach(surf=False), beach(ground=0.1), beach(roughness=0.1)],
    ids=["without foam", "dark rock", "pebbles"],
)
def test_only_foam_beside_smooth_bright_ground(photo):
    assert swash_of(photo) is None


@pytest.mark.parametrize("eye", [Everywhere(1, 0, "mirrors", "some"), Everywhere(1, 0, "surf", "none")])
def test_the_lights_of_a_calm_lake_are_no_surf(eye: Everywhere) -> None:
    assert swash_of(beach(), eye=eye) is None


def test_things_on_the_beach_stand_still():
    photo = beach().clone()
    photo[:, EDGE + 4 : EDGE + 30, 120:140] = -1
    found = swash_of(photo)
    assert found is not None
    assert found.band[EDGE + 4 : EDGE + 30, 120:140].max() == 0
    assert found.band[EDGE, 20:60].min() == 1


def test_what_is_held_stands_still():
    held = NOBODY.clone()
    held[EDGE:, :128] = 1
    found = swash_of(beach(), held)
    assert found is not None
    assert found.band[EDGE:, :128].max() == 0
    steps = found.offset[:, EDGE:].diff(dim=2).norm(dim=0)
    assert steps.max() < 0.5, "nor does the picture tear beside it"
    assert swash_of(beach(), torch.ones_like(NOBODY)) is None


def test_a_loop_begins_with_the_photo_and_runs_up_and_back(swash):
    moves = swash.widen(layers().amax(0))
    assert moves[EDGE + 5, 128] == 1 and moves[-1].max() == 0
    loop = integrate(drift() * swash.drift, moves, period=120, fps=30, margin=32, swells=[swash.swell])
    at = (EDGE + 32) // loop.cell, (128 + 32) // loop.cell
    heights = [float(loop.swell_offset(loop.moment(t))[1][at]) for t in (0, 30, 60, 90)]
    assert heights[0] == 0 and abs(heights[2]) < 1e-4
    assert heights[1] < -2 and heights[3] == pytest.approx(-heights[1])
