import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from stylecine.ops.image import LUMA
from stylecine.options import WEATHERS, Wind
from stylecine.perception.depth import judge_depth
from stylecine.picture.weather import CYCLES, KINDS, MAX_FALL, Kind, Weather, light, make_weather

HEIGHT, WIDTH, PERIOD = 96, 144, 60
SHORT = min(HEIGHT, WIDTH)
CALM = Wind(90, 1)  # away from the viewer


def scenery() -> tuple[Tensor, Tensor]:
    """Dark land below a bright sky: uint8 [H,W,3], and the sky [H,W]."""
    sky = torch.zeros(HEIGHT, WIDTH)
    sky[: HEIGHT // 2] = 1
    return torch.where(sky[..., None] > 0, torch.tensor([120, 160, 220]), torch.tensor([30, 50, 20])).byte(), sky


def weather_in(kind: str, wind: Wind | None = CALM, strength: float = 0.5, period: int = PERIOD) -> Weather:
    photo, sky = scenery()
    return make_weather(kind, strength, wind, photo, photo, judge_depth(photo, sky), period=period, fps=30)


def shown(weather: Weather, t: float) -> Tensor:
    """A frame of the weather alone, before scenery that stands still: [H,W,3]."""
    photo, _ = scenery()
    return weather.draw_over_(photo[None].clone(), [t], [0.0])[0]


def drift(weather: Weather, t: float = 20.0, frames: float = 0.25) -> tuple[float, float]:
    """The mean way, in pixels per frame, of what falls."""
    before, after = weather.streaks([t, t + frames], HEIGHT, WIDTH)
    nearest = torch.cdist(before[:, :2], after[:, :2]).min(1)
    same = nearest.values < 0.05 * SHORT
    way = (after[nearest.indices[same], :2] - before[same, :2]) / frames
    return tuple(way.median(0).values.tolist())


@pytest.mark.parametrize("kind", WEATHERS)
def test_the_loop_closes(kind: str) -> None:
    weather = weather_in(kind)
    assert (shown(weather, 0).int() - shown(weather, PERIOD).int()).abs().max() <= 1
    steps = [(shown(weather, t + 1).float() - shown(weather, t).float()).abs().mean() for t in range(PERIOD)]
    assert steps[-1] == pytest.approx(float(torch.stack(steps).median()), rel=0.25)


@pytest.mark.parametrize("kind", WEATHERS)
def test_nothing_repeats_within_the_loop(kind: str) -> None:
    weather = weather_in(kind, Wind(0, 0.5), period=120)
    if kind != "fog":  # which drifts slowly before them as well
        weather = replace(weather, distance=torch.zeros_like(weather.distance))
    frames = torch.stack([shown(weather, t)[..., 1].float() for t in range(0, 120, 4)])
    mean = frames.mean(0)
    moved = (frames - mean).flatten(1)
    likeness = [float((moved * moved.roll(k, 0)).sum() / moved.square().sum()) for k in range(1, 30)]
    assert max(likeness[4:-4] if kind == "fog" else likeness) < 0.5


@pytest.mark.parametrize("kind", ["snow", "rain"])
def test_the_wind_blows_what_falls(kind: str) -> None:
    for wind, sign in ((Wind(0, 0.5), 1), (Wind(180, 0.5), -1)):
        across, down = drift(weather_in(kind, wind))
        assert down > 0 and across * sign > 0.2 * down
    across, down = drift(weather_in(kind, CALM))
    assert down > 0 and abs(across) < 0.25 * down
    weak, strong = (drift(weather_in(kind, Wind(0, strength)))[0] for strength in (0.2, 0.9))
    assert strong > 2 * weak


def test_flakes_are_near_and_far_and_slower_with_the_distance() -> None:
    paths = weather_in("snow", strength=1).paths
    fall, radius, cycles = paths[:, 6], paths[:, 10], paths[:, 1]
    snow = KINDS["snow"].falling
    assert snow and radius.max() > 0.7 * snow.radius * SHORT and radius.min() == pytest.approx(snow.thinnest)
    near, far = (fall * cycles)[radius > radius.quantile(0.99)], (fall * cycles)[radius == radius.min()]
    assert near.mean() > 2 * far.mean()
    assert (cycles == cycles.round()).all() and fall.max() <= 1.5 * MAX_FALL * SHORT


def test_twice_the_speed_makes_streaks_twice_as_long() -> None:
    photo, sky = scenery()

    def length(speed: float) -> float:
        depth = judge_depth(photo, sky)
        weather = make_weather("rain", 0.5, CALM, photo, photo, depth, period=PERIOD, fps=30, speed=speed)
        return float(weather.streaks([5], HEIGHT, WIDTH)[0][:, 3].abs().median())

    assert length(2) == pytest.approx(2 * length(1), rel=0.1)


def test_a_path_ends_where_the_next_flake_begins() -> None:
    weather = weather_in("snow", Wind(0, 0.5))
    start, end = weather.streaks([0, PERIOD - 1e-3], HEIGHT, WIDTH)
    assert torch.cdist(end[:, :2], start[:, :2]).min(1).values.max() < 0.5


def test_more_strength_is_more_of_it() -> None:
    photo, _ = scenery()
    for kind in WEATHERS:
        little, much = ((shown(weather_in(kind, strength=s), 7).float() - photo).abs().mean() for s in (0.2, 1.0))
        assert 0 < little < 0.6 * much


def test_long_loops_have_no_more_to_draw_at_once() -> None:
    short, long = (len(weather_in("rain", period=n).streaks([3], HEIGHT, WIDTH)[0]) for n in (60, 1800))
    assert long == pytest.approx(short, rel=0.25)
    assert max(weather_in("fog", period=1800).cycles) <= CYCLES


def test_rain_is_lighter_than_the_land_and_darker_than_the_sky() -> None:
    photo, sky = scenery()
    brightness = sum(a * b for a, b in zip(light(photo, sky, KINDS["rain"]).falling, LUMA, strict=True))
    lumas = (photo.float() * torch.tensor(LUMA)).sum(-1)
    assert lumas[-1, 0] + 40 < brightness < lumas[0, 0]
    night = light((photo * 0.2).byte(), sky, KINDS["snow"]).falling
    assert max(night) < 60, "flakes are as dark as the night"


def test_fog_is_bright_under_a_deep_blue_sky_with_something_white() -> None:
    photo, sky = scenery()
    blue = torch.where(sky[..., None] > 0, torch.tensor([20, 60, 140]), photo.int()).byte()
    blue[60:80, 20:60] = 250
    assert min(light(blue, sky, KINDS["fog"]).veil) > 110
    assert all(math.isfinite(value) for value in light(torch.zeros_like(photo), sky, KINDS["fog"]).veil)


def test_fog_is_less_bright_where_most_lies_in_the_shade() -> None:
    photo, sky = scenery()
    dark = torch.where(sky[..., None] > 0, photo, photo // 4)
    dark[: HEIGHT // 4], sky[: HEIGHT // 4] = 8, 0
    assert light(dark, sky, KINDS["fog"]).veil < light(dark, sky, KINDS["snow"]).veil
    assert light(photo, sky, KINDS["fog"]).veil == light(photo, sky, KINDS["snow"]).veil


def test_a_weather_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuple(KINDS) == WEATHERS
    rain = KINDS["rain"].falling
    assert rain
    monkeypatch.setitem(KINDS, "ash", Kind(0.6, replace(rain, radius=0.006, whiteness=0.8)))
    assert (shown(weather_in("ash"), 7) != shown(weather_in("rain"), 7)).any() and len(weather_in("ash").paths)
