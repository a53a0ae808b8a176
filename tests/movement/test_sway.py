"""How plants sway: when, how fast, where they are held, and how gusts pass over a meadow."""

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.movement.sway import PlantMotion, Sway, gust_speed, natural_frequency, predict_sway, response
from stylecine.options import Wind
from stylecine.picture.overlay import periodic_weights

H, W = 120, 160
SECONDS = 8.0
FRESH = Wind(0, 0.5)


def grid() -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    return y, x


@cache
def noise() -> Tensor:
    """A photo [3,H,W] with texture everywhere."""
    return torch.rand(3, H, W, generator=torch.Generator().manual_seed(0)) * 2 - 1


@cache
def crown() -> tuple[Tensor, Tensor]:
    """A crown before the sky, on a trunk that stands on the ground: plants [H,W], sky bool [H,W]."""
    y, x = grid()
    plants = ((y - 47) ** 2 + (x - 80) ** 2 < 33**2).float()
    trunk = (x - 80).abs() < 3
    plants[trunk & (y > 47)] = 0
    return plants, (plants == 0) & (y < 93) & ~(trunk & (y > 47))


@cache
def meadow() -> tuple[Tensor, Tensor]:
    y, _ = grid()
    return (y > 40).float(), y < 33


@cache
def motion_of(places: tuple[Tensor, Tensor], seconds: float = SECONDS, photo: Tensor | None = None) -> PlantMotion:
    motion = predict_sway(noise() if photo is None else photo, *places, seconds)
    assert motion is not None
    return motion


def sway_of(places: tuple[Tensor, Tensor], wind: Wind = FRESH, **options: Any) -> Sway:
    return motion_of(places, **options).in_wind(wind)


def fields(sway: Sway, *phases: float) -> Tensor:
    """[P,3,gh,gw] at phases of the loop."""
    keyframes = sway.keyframes
    weights = torch.stack([periodic_weights(len(keyframes), sway.cycles * phase) for phase in phases])
    return torch.tensordot(weights, keyframes, 1)


def moved(sway: Sway, times: int = 64) -> np.ndarray:
    """Displacements [times,2,gh,gw] of what is seen, in pixels, at equal times of the loop."""
    return -fields(sway, *(k / times for k in range(times)))[:, :2].numpy()


@pytest.mark.parametrize("seconds", [0.5, 4.0, 30.0])
def test_it_is_zero_at_frame_0_and_repeats_with_the_loop(seconds: float) -> None:
    sway = sway_of(crown(), seconds=seconds)
    assert sway.keyframes[0].abs().max() == 0 and len(sway.keyframes) % 2 == 0 and len(sway.keyframes) <= 32
    end, between = fields(sway, 1 - 1e-6, 0.37)
    assert end.abs().max() < 1e-3 and between.abs().max() > 0.02
    turn = 2 * math.pi * sway.cycles * 0.37
    angles = turn * torch.arange(1, len(sway.modes) + 1)
    modes = torch.tensordot(torch.stack((angles.cos() - 1, angles.sin()), 1), sway.modes, 2)
    torch.testing.assert_close(between, modes, atol=1e-4, rtol=0)


def test_it_is_the_same_each_time() -> None:
    again = predict_sway(noise(), *crown(), SECONDS)
    assert again is not None and torch.equal(again.in_wind(FRESH).modes, sway_of(crown()).modes)


def test_most_power_lies_between_a_fifth_and_one_and_a_half_hertz_and_falls() -> None:
    """Of the displacement over the crown, by its Fourier transform."""
    power = (np.abs(np.fft.rfft(moved(sway_of(crown())), axis=0)) ** 2).sum((1, 2, 3))
    hertz = np.arange(len(power)) / SECONDS
    among = (hertz >= 0.2) & (hertz <= 1.5)
    assert power[among].sum() > 0.8 * power[1:].sum()
    slow, middle, quick = (power[(hertz >= a) & (hertz < b)].mean() for a, b in ((0.2, 0.6), (0.6, 1.1), (1.1, 1.6)))
    assert slow > middle > quick


def test_large_crowns_sway_slowly() -> None:
    large, small = natural_frequency(np.array([0.2, 0.02]))
    assert large < 0.5 < small
    slow, quick = np.abs(response(0.4, np.array([large, small]))), np.abs(response(1.1, np.array([large, small])))
    assert slow[0] / quick[0] > 3 * slow[1] / quick[1]


def test_trunk_ground_and_rim_stand_still() -> None:
    sway = sway_of(crown())
    extent = sway.extent.numpy()
    assert extent[60:86, 79:82].max() == 0, "the trunk"
    assert extent[95:].max() == 0, "the ground"
    full = sway_of((torch.ones(H, W), torch.zeros(H, W, dtype=torch.bool))).extent.numpy()
    assert max(full[0].max(), full[-1].max(), full[:, 0].max(), full[:, -1].max()) == 0 < full[H // 2].max()


def test_it_grows_away_from_where_the_plant_is_held() -> None:
    extent = sway_of(crown()).extent
    near, far = extent[67, 86], extent[23, 80]
    assert 0 < near < 0.7 * far


def test_what_stands_still_beside_a_plant_is_not_dragged_along() -> None:
    plants, _ = crown()
    sway = sway_of((plants, torch.zeros(H, W, dtype=torch.bool)))  # before a wall
    outside = plants == 0
    assert sway.extent[outside].max() == 0 < sway.extent.max()


def test_the_field_goes_on_a_little_past_the_outline_before_the_sky() -> None:
    """Where the crown leans, the sky beside it shows the crown, read at the crown's own displacement."""
    sway = sway_of(crown())
    tip, beside, far = (sway.extent[row, 80] for row in (16, 11, 2))
    assert beside > 0.6 * tip > 0 and far < 0.2 * tip


def test_the_tips_of_a_crown_move_by_about_a_250th_of_the_short_side() -> None:
    reach = np.hypot(*np.moveaxis(moved(sway_of(crown())), 1, 0)).max()
    assert 0.003 < reach / H < 0.02


def test_it_grows_with_the_wind() -> None:
    extents = [float(sway_of(crown(), Wind(0, s)).extent.mean()) for s in (0.1, 0.3, 0.5, 0.8, 1.0)]
    assert extents == sorted(extents) and extents[-1] > 5 * extents[0]
    assert sway_of(crown(), Wind(0, 0)).extent.max() == 0
    assert predict_sway(noise(), torch.zeros(H, W), torch.zeros(H, W, dtype=torch.bool), SECONDS) is None


def test_the_coarse_motion_is_about_the_same() -> None:
    motion = motion_of(crown())
    fine, coarse = motion.in_wind(FRESH), motion.coarse.in_wind(FRESH)
    assert coarse.cell == 2 * fine.cell and coarse.modes.shape[-2:] == (H // 2, W // 2)
    small = F.avg_pool2d(fine.modes.flatten(0, 1), 2).unflatten(0, fine.modes.shape[:2])
    assert (coarse.modes - small)[:, :, :2].square().mean().sqrt() < 0.2 * small[:, :, :2].square().mean().sqrt()


@pytest.mark.parametrize("degrees", [0, 180])
def test_plants_lean_downwind(degrees: float) -> None:
    across = moved(sway_of(crown(), Wind(degrees, 0.8)))[:, 0].mean()
    assert math.copysign(1, across) == math.cos(math.radians(degrees))


def test_neighbours_are_alike_and_branches_are_not() -> None:
    sway = sway_of(crown())
    way = moved(sway)[:, 0]
    places = sway.extent.numpy() > 0.5 * float(sway.extent.max())
    first = np.fft.rfft(way, axis=0)[2:6]
    phase = np.exp(1j * np.angle(first))
    together = np.abs((phase * places).sum((1, 2)) / places.sum())
    spread = np.degrees(np.sqrt(-2 * np.log(together))).mean()  # circular standard deviation
    assert spread > 60
    beside = (phase[:, :, 1:] * phase[:, :, :-1].conj()).real
    assert np.median(beside[:, places[:, 1:] & places[:, :-1]]) > 0.9


@pytest.mark.parametrize("degrees", [0, 180])
def test_gusts_travel_downwind_over_a_meadow(degrees: float) -> None:
    wind = Wind(degrees, 0.6)
    sway = sway_of(meadow(), wind)
    k = round(0.3 * SECONDS)
    cosine, sine = sway.modes[k - 1, :, 0].numpy()
    mode = (cosine - 1j * sine)[67:107]
    inner = slice(27, 133)
    step = mode[:, 1:] * mode[:, :-1].conj()  # a wave that travels by v has the phase exp(-i*2*pi*f*x/v)
    turn = np.angle(step[:, inner].sum())
    speed = -2 * math.pi * (k / SECONDS) / turn * sway.cell / H  # short sides a second
    assert speed / math.cos(math.radians(degrees)) == pytest.approx(gust_speed(wind), rel=0.2)


def test_the_step_to_frame_0_is_like_the_others() -> None:
    way = moved(sway_of(crown()), 240)
    steps = np.sqrt(((way - np.roll(way, 1, 0)) ** 2).mean((1, 2, 3)))
    assert 0.8 < steps[0] / np.median(steps) < 1.25


@pytest.mark.parametrize("half", [slice(0, 80), slice(80, 160)])
def test_the_step_to_frame_0_is_like_the_others_where_texture_shows_it(half: slice) -> None:
    photo = torch.zeros(3, H, W)
    photo[..., half] = noise()[..., half]
    way = moved(sway_of(crown(), photo=photo), 240)[..., half]
    steps = np.abs(way - np.roll(way, 1, 0)).mean((1, 2, 3))
    assert 0.9 < steps[0] / np.median(steps) < 1.1


def test_a_crown_does_not_nod_as_one() -> None:
    """What all of it does alike is the lesser part of its motion, at every harmonic and in every wind."""
    for strength in (0.3, 0.5, 1.0):
        sway = sway_of(crown(), Wind(0, strength))
        places = sway.extent.numpy() > 0.3 * float(sway.extent.max())
        modes = np.fft.rfft(moved(sway)[:, 0], axis=0)[2:13][:, places]
        assert (np.abs(modes.mean(1)) < 0.7 * np.sqrt((np.abs(modes) ** 2).mean(1))).all()
