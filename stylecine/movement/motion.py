"""How it moves: an Eulerian motion field, predicted from the photo, adjusted by arrows, or supplied by the user.

The network knows directions: which way a river runs, a fall drops, a cloud drifts. The rest is modelled here, class by
class: one level wind for the whole sky, slower towards the horizon; falls along their streaks; water downstream, slower
in the distance and along, not through, static things in it; speeds that a loop of a few seconds can show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from os import PathLike
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.errors import MotionError
from stylecine.movement.speed import TRAVEL, fall_acceleration, falls_travel, sky_travel, steadiness, water_travel
from stylecine.networks.motionnet import MotionNet
from stylecine.ops.arrows import GRID, start_cells
from stylecine.ops.image import fit_short_side, network_size, resize
from stylecine.ops.means import mean_within
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import FALLS, SKY, SMOKE, WATER, Wind
from stylecine.perception.bed import standing_colours
from stylecine.perception.glow import sun_glow
from stylecine.perception.reflection import HELD_DRIFT, mirroring
from stylecine.perception.stream import Streams, find_streams, sense_odds
from stylecine.perception.water import class_map, grey_on, open_water

NETWORK_SHORT = 256  # short side that the network was trained at
UNIT = 0.1  # of the short side: the network's unit
HINT_RADIUS = 0.05  # of the short side: standard deviation of an arrow's hint, and of its exact hold on the field
PER_SECOND = 30.0  # a flow's unit of time is 1/30 s
MIN_SPEED, MAX_SPEED = 0.6, 1.7  # of a class's median speed
OFF_CENTRE = 0.03  # of half the width: a sky whose centre lies further to the left drifts to the left
RISE = 0.25  # of smoke, relative to its drift
SIDEWAYS = 0.2  # cosine of a wind's direction: one that blows less to a side turns no water
LEVEL_WIND = 0.12  # a wind that the network sees rise or fall by less is level
LEVEL_WATER = 0.5  # and so is open water's drift
# How much the course counts on open water and in channels, beside the usual length of the network's directions. Open
# water is drawn about as much as LEVEL_WATER takes: what is seen level stays almost level.
OPEN_COURSE, CHANNEL_COURSE = 0.6, 1.0
TOSS = 0.5  # log-odds of a stream's sense below which it is a toss-up: it is not turned round, but slower
CALMER = {"lively": "natural", "natural": "calm", "calm": "calm"}
CASCADE = (0.3, 0.7)  # sine of the predicted slope: flatter water runs, steeper water falls
SHORE = 0.05  # of the short side: over this distance from static things water's flow towards them fades out
POST = 0.12  # of the short side: waves do not run around what is narrower
MAX_VALUES = 1 << 26  # of a user's field


@dataclass(frozen=True, eq=False)
class MotionContext:
    """What the field is modelled on, on the field's own grid."""

    grey: np.ndarray  # [h,w]
    red: np.ndarray  # [h,w], in which clouds stand out from a blue sky
    owner: np.ndarray  # [h,w]: class of each place, -1 where nothing moves
    streams: Streams
    steered: np.ndarray  # bool [h,w]: streams that have an arrow, and the sky if it has one
    odds: np.ndarray  # [h,w]: log-odds that a stream runs as the network says, and not the other way
    held: np.ndarray  # [h,w] in [0,1]: how much stays where it is: water that mirrors its shore or shows its bed, glow
    wind: Wind | None = None  # which sky and smoke drift with, and open water follows; None: as predicted

    @property
    def short(self) -> int:
        return min(self.owner.shape)

    @property
    def toss_up(self) -> np.ndarray:
        """Bool [h,w]: streams that might as well run the other way. Open water is none: it has no right direction."""
        unsure = np.abs(self.odds) < TOSS
        return (self.owner == WATER) & unsure & ~self.streams.open & ~self.steered

    def blur(self, field: np.ndarray, sigma: float, where: np.ndarray) -> np.ndarray:
        """Gaussian mean of [C,h,w] over the places in `where` only; sigma in short sides."""
        return mean_within(field, where, sigma * self.short)


@torch.inference_mode()
def predict_motion(
    photo: Tensor,
    layers: Tensor,
    motionnet: MotionNet,
    arrows: Sequence[Sequence[float]] = (),
    pace: str = "natural",
    wind: Wind | None = None,
) -> Tensor:
    """photo [3,H,W] in [-1,1], layers [4,H,W] -> flow [2,h,w], pixels of its own grid per 1/30 s, x right, y down.

    The grid's short side is 256, or the photo's if that is less; around what moves the flow fades to 0, so that it can
    be interpolated at edges. arrows: (x0, y0, x1, y1, ...) in fractions of width and height, the way of matter in one
    second; each is met exactly where it starts, and rotates and scales the motion of its region: the whole sky, or a
    connected stretch of water, of falls or of smoke. pace: a key of TRAVEL; streams without an arrow that might as well
    run the other way take the next calmer one. wind: sky and smoke drift with it, open water follows it sideways, as
    fast as it blows; falls and rivers keep their way. MotionError for an arrow that starts further than 5% of the short
    side from anything that moves.
    """
    return motion_in_any_wind(photo, layers, motionnet, arrows, pace)(wind)


@torch.inference_mode()
def motion_in_any_wind(
    photo: Tensor,
    layers: Tensor,
    motionnet: MotionNet,
    arrows: Sequence[Sequence[float]] = (),
    pace: str = "natural",
    short: int = GRID,
) -> Callable[[Wind | None], Tensor]:
    """A function from a wind to `predict_motion` of the rest: what no wind changes is computed once. short: side of the
    flow's grid."""
    grid = fit_short_side(photo.shape[-2:], short)
    placed = _place_arrows(layers, arrows, grid)
    directions = _predict_directions(motionnet, photo, layers, placed, grid)
    context = _context(photo, layers, directions, placed)

    def flow_in(wind: Wind | None) -> Tensor:
        windy = replace(context, wind=wind)
        flow = _apply_arrows(_model_flow(directions, windy, pace), windy, placed)
        return torch.from_numpy(_extrapolate(flow, windy).astype(np.float32)).to(photo.device)

    return flow_in


def read_motion(motion: Any) -> Tensor:
    """A user's motion field as float32 [2,h,w], in pixels of its own grid per 1/30 s.

    motion: array, tensor or path of a .npy, [2,h,w] or [1,2,h,w] of finite numbers. MotionError otherwise;
    a .npy with pickled objects is refused.
    """
    values = _array(motion)
    if values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 3 or values.shape[0] != 2 or min(values.shape) < 1:
        raise MotionError(f"Motion of shape {list(values.shape)} is not understood; give [2, height, width].")
    if values.dtype.kind not in "buif":
        raise MotionError(f"Motion of type {values.dtype} is not understood; give floating-point numbers.")
    if values.size > MAX_VALUES:
        raise MotionError(f"A motion field of {values.shape[2]}x{values.shape[1]} is too large; 512x512 is plenty.")
    if not np.isfinite(values).all():
        raise MotionError("The motion holds NaN or infinite numbers; give finite pixels per 1/30 s.")
    if np.abs(values.astype(np.float32)).max() > max(values.shape):
        raise MotionError(
            "The motion is faster than the whole photo in 1/30 s; give pixels per 1/30 s of its own grid."
        )
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _context(photo: Tensor, layers: Tensor, directions: np.ndarray, arrows: list[_Arrow]) -> MotionContext:
    grid = directions.shape[1:]
    owner = class_map(layers, grid)
    grey = grey_on(photo, grid)
    streams = find_streams(owner, open_water(owner, directions, grey))
    steered = np.isin(streams.number, [streams.number[a.row, a.column] for a in arrows]) & (streams.number > 0)
    steered |= (owner == SKY) & any(owner[a.row, a.column] == SKY for a in arrows)
    odds = sense_odds(directions, streams, owner == WATER)
    held = np.maximum(mirroring(grey, streams.open, owner < 0), standing_colours(photo, streams.open))
    held = np.where(owner == SKY, sun_glow(photo, owner == SKY), held) * ~steered
    return MotionContext(grey, grey_on(photo[:1], grid), owner, streams, steered, odds, held)


@dataclass(frozen=True)
class _Arrow:
    row: int
    column: int
    velocity: complex  # pixels of the grid per 1/30 s, x + iy


def _place_arrows(layers: Tensor, arrows: Sequence[Sequence[float]], grid: tuple[int, int]) -> list[_Arrow]:
    ways = [_along_way(arrow, grid) for arrow in arrows]
    cells = iter(start_cells(layers.cpu().numpy(), [place for way in ways for place, _ in way]))
    placed = []
    for (x, y, *_), way in zip(arrows, ways, strict=True):
        own = [(next(cells), velocity) for _, velocity in way]
        if own[0][0] is None:
            raise MotionError(
                f"The arrow from ({x:g}, {y:g}) starts where nothing moves; start it on sky or water, or give a mask."
            )
        placed += [_Arrow(*cell, velocity) for cell, velocity in own if cell]
    return placed


def _along_way(arrow: Sequence[float], grid: tuple[int, int]) -> list[tuple[tuple[float, float], complex]]:
    """Places along an arrow's way, in fractions, and the velocities there, in pixels of the grid per 1/30 s: at its
    start, and in the middle of each further leg. The speed is the same all the way."""
    h, w = grid
    points = list(zip(arrow[::2], arrow[1::2], strict=True))
    legs = [complex((x1 - x0) * w, (y1 - y0) * h) for (x0, y0), (x1, y1) in pairwise(points)]
    speed = sum(map(abs, legs)) / PER_SECOND
    middles = [((x0 + x1) / 2, (y0 + y1) / 2) for (x0, y0), (x1, y1) in pairwise(points)]
    places = [points[0], *middles[1:]]
    return [(place, speed * leg / max(abs(leg), 1e-9)) for place, leg in zip(places, legs, strict=True)]


def _predict_directions(
    motionnet: MotionNet, photo: Tensor, layers: Tensor, arrows: list[_Arrow], grid: tuple[int, int]
) -> np.ndarray:
    """The network's directions [2,h,w] on the grid."""
    size = network_size(photo.shape[-2:], NETWORK_SHORT)
    hints = torch.zeros(3, *size, device=photo.device)
    rows = (torch.arange(size[0], device=photo.device) + 0.5) / size[0] * grid[0]
    columns = (torch.arange(size[1], device=photo.device) + 0.5) / size[1] * grid[1]
    for arrow in arrows:
        squared = (rows[:, None] - arrow.row - 0.5) ** 2 + (columns - arrow.column - 0.5) ** 2
        mark = torch.exp(-squared / (2 * (HINT_RADIUS * min(grid)) ** 2))
        # The network was trained on hints of about unit length, whatever the arrow's own.
        direction = arrow.velocity / max(abs(arrow.velocity), 1e-9)
        hint = torch.stack([mark * direction.real, mark * direction.imag, mark])
        hints = torch.where(mark > hints[2], hint, hints)
    directions = mirror_averaged(motionnet, resize(photo, size), resize(layers, size), hints)
    return resize(directions, grid).cpu().numpy()


def mirror_averaged(motionnet: MotionNet, photo: Tensor, layers: Tensor, hints: Tensor) -> Tensor:
    """The network's mean prediction for the photo and its mirror image.

    Where the two contradict each other the network has not read the picture but has a bias: calm water and clouds drift
    to the right. The bias is kept only where the mean says little, and points to where the sky as a whole drifts, or
    else to the open side of the picture.
    """
    direct, mirrored = _both_predictions(motionnet, photo, layers, hints)
    mean, bias = (direct + mirrored) / 2, (direct - mirrored) / 2
    bias = bias * (1 - 2 * mean.norm(dim=0) / bias.norm(dim=0).clamp_min(1e-6)).clamp(0, 1)
    sky = resize(layers[SKY : SKY + 1], mean.shape[1:])
    side = _open_side(layers)
    wind = float(((mean + bias * side)[:1] * sky).sum())
    if wind:
        side = torch.tensor([math.copysign(1.0, wind), 1.0], device=photo.device)[:, None, None]
    return mean + bias * side


def _both_predictions(motionnet: MotionNet, photo: Tensor, layers: Tensor, hints: Tensor) -> tuple[Tensor, Tensor]:
    """The network's directions [2,h,w] for the photo, and those for its mirror image, mirrored back."""
    sides = torch.tensor([-1.0, 1.0], device=photo.device)[:, None, None]
    mirrored_hints = torch.cat([hints[:2] * sides, hints[2:]]).flip(2)
    pairs = ((photo, photo.flip(2)), (layers, layers.flip(2)), (hints, mirrored_hints))
    direct, mirrored = motionnet(*(torch.stack(pair) for pair in pairs))
    return direct, mirrored.flip(2) * sides


@torch.inference_mode()
def mirror_disagreement(photo: Tensor, layers: Tensor, motionnet: MotionNet) -> Tensor:
    """The angle between the directions predicted for a photo and for its mirror image: [h,w], degrees from 0 to 180.

    photo [3,H,W] in [-1,1], layers [4,H,W]. Above 90 the network contradicts itself: the direction is a guess.
    """
    size = network_size(photo.shape[-2:], NETWORK_SHORT)
    hints = torch.zeros(3, *size, device=photo.device)
    direct, mirrored = _both_predictions(motionnet, resize(photo, size), resize(layers, size), hints)
    lengths = (direct.norm(dim=0) * mirrored.norm(dim=0)).clamp_min(1e-9)
    return torch.rad2deg(torch.acos(((direct * mirrored).sum(0) / lengths).clamp(-1, 1)))


@torch.inference_mode()
def toss_ups(photo: Tensor, layers: Tensor, motionnet: MotionNet, arrows: Sequence[Sequence[float]] = ()) -> Tensor:
    """Streams that `predict_motion` slows down, as they might as well run the other way: bool [h,w] on its grid.

    photo [3,H,W] in [-1,1], layers [4,H,W], arrows as there. MotionError as there.
    """
    grid = fit_short_side(photo.shape[-2:], GRID)
    placed = _place_arrows(layers, arrows, grid)
    directions = _predict_directions(motionnet, photo, layers, placed, grid)
    return torch.from_numpy(_context(photo, layers, directions, placed).toss_up).to(photo.device)


def _open_side(layers: Tensor) -> Tensor:
    """Where clouds and calm water without a visible direction drift: [2,1,1], (1, 1) to the right, (-1, 1) to the left.

    To the side with more of the sky, or of the water where there is no sky: away from what closes the picture.
    """
    drifting = layers[SKY] if bool((layers[SKY] > 0.5).any()) else layers[WATER]
    columns = torch.linspace(-1, 1, drifting.shape[1], device=layers.device)
    centre = float((drifting.mean(0) * columns).sum() / drifting.mean(0).sum().clamp_min(1e-6))
    return torch.tensor([-1.0 if centre < -OFF_CENTRE else 1.0, 1.0], device=layers.device)[:, None, None]


def _model_flow(directions: np.ndarray, context: MotionContext, pace: str) -> np.ndarray:
    """Directions [2,h,w] -> flow [2,h,w]: each class by its own physics, then joined into one field."""
    flow = np.zeros_like(directions)
    for k, model in ((SKY, _sky), (WATER, _water), (FALLS, _falls), (SMOKE, _smoke)):
        here = context.owner == k
        if here.any():
            own = model(directions, here, context)
            travel = _travel(k, own, here, context, pace) * (1 - (1 - HELD_DRIFT) * context.held)
            own = normalize_speed(own, here, travel, context.short)
            flow = np.where(here, own, flow)
    liquid = (context.owner >= 0) & (context.owner != SKY)
    if liquid.any():
        # where river and fall meet, the change of speed takes a short way
        flow = np.where(liquid, context.blur(flow, 0.025, liquid), flow)
        flow = np.where(liquid, flow * steadiness(flow, context.owner == FALLS, context.grey), flow)
        water = context.owner == WATER  # falls drop behind rocks, as clouds pass behind ridges
        static, still = context.owner < 0, context.streams.open
        wide = ndimage.binary_opening(static, np.ones((1, max(1, round(POST * context.short)))))
        for here, shore in ((water & ~still, static), (water & still, wide), (water, context.owner == SKY)):
            flow = np.where(here, remove_normal_component(flow, shore, context.short), flow)
    return flow


def _travel(k: int, flow: np.ndarray, here: np.ndarray, context: MotionContext, pace: str) -> np.ndarray | float:
    """Median travel of a class [h,w], in short sides in four seconds."""
    travel = TRAVEL[pace]
    if k == WATER:
        calmer = TRAVEL[CALMER[pace]].running_water / travel.running_water
        calm = open_water(context.owner, flow, context.grey)
        usual = water_travel(here, context.owner < 0, calm, context.grey, travel)
        usual = usual * np.where(context.streams.open, _pace(context.wind), 1.0)
        return usual * np.where(context.toss_up, calmer, 1.0)
    if k == FALLS:
        return falls_travel(here, flow, travel)
    if k == SKY:
        return sky_travel(here, context.red, pace) * _pace(context.wind)
    return travel.smoke * _rising_pace(context.wind)


def _pace(wind: Wind | None) -> float:
    return 1.0 if wind is None else wind.pace


def _rising_pace(wind: Wind | None) -> float:
    """By how much faster smoke moves in a wind: without any it still rises."""
    return 1.0 if wind is None else math.hypot(wind.pace, RISE) / math.hypot(1, RISE)


def _in_wind(flow: np.ndarray, wind: Wind, height: np.ndarray) -> np.ndarray:
    """The way [2,h,w] of clouds in a wind, height [h] in (0,1] above the horizon, as long as in the flow [2,h,w].

    Clouds that drift away from the viewer sink towards the horizon and close in on its middle, the more slowly the
    nearer they are to it.
    """
    h, w = flow.shape[1:]
    across, away = math.cos(wind.angle), math.sin(wind.angle)
    side = (np.arange(w) + 0.5 - w / 2) / min(h, w)
    x = (across - away * side) * height[:, None]
    way = np.stack((x, np.broadcast_to(away * height[:, None] ** 2, x.shape)))
    return way / (np.linalg.norm(way, axis=0).mean() + 1e-9) * np.linalg.norm(flow, axis=0).mean()


def _sky(directions: np.ndarray, here: np.ndarray, context: MotionContext) -> np.ndarray:
    """One wind, seen in perspective: clouds near the horizon are further away. It blows sideways, and quite level
    unless the network is sure of more."""
    x, y = (float(c[here].mean()) for c in directions)
    y = math.copysign(min(max(abs(y) - LEVEL_WIND * abs(x), 0.0), 0.25 * abs(x)), y)
    if math.hypot(x, y) < 1e-3:
        x, y = 1.0, 0.0
    wind = np.array([x, y]) / math.hypot(x, y)
    rows = np.flatnonzero(here.any(1))
    horizon = max(float(np.percentile(np.nonzero(here)[0], 98)) + 1, 0.3 * context.short) if len(rows) else 1.0
    height = np.clip(1 - np.arange(here.shape[0]) / horizon, 0, 1)
    drift = wind[:, None, None] * (0.35 + 0.65 * height)[None, :, None] * np.ones(here.shape)
    return drift if context.wind is None else _in_wind(drift, context.wind, 0.35 + 0.65 * height)


def _water(directions: np.ndarray, here: np.ndarray, context: MotionContext) -> np.ndarray:
    """As predicted, smoothed, downstream, and slower in the distance. A sea or lake that hardly rises or sinks drifts
    level. Streams that arrows steer run as predicted."""
    predicted = context.blur(directions, 0.03, here)
    flow = _level_open(_downstream(predicted, here, context), context)
    if context.wind is not None:
        across = math.cos(context.wind.angle)
        against = context.streams.open & (flow[0] * across < 0) & (abs(across) > SIDEWAYS)
        flow = np.where(against, flow * np.array([-1.0, 1.0])[:, None, None], flow)
    # as fast as without arrows: other streams' speeds are relative to all water's
    steered = _level_open(predicted, context)
    steered = steered / (np.linalg.norm(steered, axis=0) + 1e-9) * np.linalg.norm(flow, axis=0)
    flow = np.where(context.steered, steered, flow)
    rows = np.nonzero(here)[0]
    top, bottom = np.percentile(rows, [2, 98])
    nearness = np.clip((np.arange(here.shape[0]) - top) / max(bottom - top, 0.1 * context.short), 0, 1)
    return flow * (0.55 + 0.45 * nearness)[None, :, None]


def _downstream(flow: np.ndarray, here: np.ndarray, context: MotionContext) -> np.ndarray:
    """The flow [2,h,w] in the likelier sense of each stream, and nowhere against its course. Channels and open water
    are drawn towards their course; of other streams' axes the network knows more."""
    streams = context.streams
    sensed = np.where((context.odds < -TOSS) & ~streams.open, -flow, flow)
    # mirrored, not cut off: at the change from with to against the course the field stays continuous
    against = np.where(streams.open, 0, np.minimum((sensed * streams.course).sum(0), 0))
    usual = float(np.median(np.linalg.norm(flow, axis=0)[here]))
    draw = np.where(streams.open, OPEN_COURSE, CHANNEL_COURSE * streams.channel) * usual
    return sensed + (draw - 2 * against) * streams.course


def _level_open(flow: np.ndarray, context: MotionContext) -> np.ndarray:
    """The flow with less slope on open water, and none if it was small."""
    x, y = flow
    level = np.copysign(np.maximum(np.abs(y) - LEVEL_WATER * np.abs(x), 0), y)
    return np.stack([x, np.where(context.streams.open, level, y)])


def _falls(directions: np.ndarray, here: np.ndarray, context: MotionContext) -> np.ndarray:
    """Along the streaks if there are any: where the photo changes least (structure tensor). Where there are none, what
    is steep falls straight down, and cascades run as predicted."""
    flow = context.blur(directions, 0.02, here)
    direction = flow / (np.linalg.norm(flow, axis=0) + 1e-6)
    down = np.array([0.0, 1.0])[:, None, None]
    steep = smoothstep(*CASCADE, direction[1])
    direction = np.where(direction[1] > -0.2, direction + steep * (down - direction), down)
    direction = direction / (np.linalg.norm(direction, axis=0) + 1e-6)
    gy, gx = (ndimage.gaussian_filter(context.grey, 1.0, order=order) for order in ((1, 0), (0, 1)))
    xx, xy, yy = context.blur(np.stack([gx * gx, gx * gy, gy * gy]), 0.02, here)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + math.pi / 2
    streak = np.stack([np.cos(angle), np.sin(angle)])
    agreement = (streak * direction).sum(0)
    coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-6)
    trust = 0.8 * coherence * np.abs(agreement)  # a streak across the predicted direction is no streak
    mixed = (1 - trust) * direction + trust * np.sign(agreement) * streak
    mixed = context.blur(mixed, 0.015, here)
    unit = mixed / (np.linalg.norm(mixed, axis=0) + 1e-6)
    return unit * np.linalg.norm(flow, axis=0).clip(0.05) * fall_acceleration(here)


def _smoke(directions: np.ndarray, here: np.ndarray, context: MotionContext) -> np.ndarray:
    """Drifts as predicted, or with the wind, and rises a little."""
    flow = context.blur(directions, 0.06, here)
    length = np.linalg.norm(flow, axis=0)
    if context.wind is not None:
        flow = np.array([math.cos(context.wind.angle) * context.wind.pace, 0.0])[:, None, None] * length
    return flow + np.array([0.0, -RISE])[:, None, None] * length


def normalize_speed(flow: np.ndarray, here: np.ndarray, travel: np.ndarray | float, short: int) -> np.ndarray:
    """The same directions at the median speed that `travel` says, with differences between places halved (in
    logarithms) and bounded."""
    length = np.linalg.norm(flow, axis=0)
    median = float(np.median(length[here])) + 1e-6
    relative = np.sqrt(length / median).clip(MIN_SPEED, MAX_SPEED)
    # where predictions are weak, opposite directions meet: slow there rather than torn
    relative = relative * np.clip(length / (0.15 * median), 0, 1)
    return flow / (length + 1e-9) * relative * (travel * short / (4 * PER_SECOND))


def remove_normal_component(flow: np.ndarray, shore: np.ndarray, short: int) -> np.ndarray:
    """The flow without what runs into or out of `shore` [h,w], the more the nearer it is; the rest runs along it.

    The photo's own border is no shore.
    """
    if not shore.any():
        return flow
    distance = ndimage.distance_transform_edt(~shore)
    smooth = ndimage.gaussian_filter(distance, 0.012 * short, mode="nearest")
    normal = np.stack(np.gradient(smooth)[::-1])
    normal = normal / (np.linalg.norm(normal, axis=0) + 1e-3)
    # the first pixel has a distance of 1, and lies at the border
    near = 1 - smoothstep(0, 1, (distance - 1.5) / (SHORE * short))
    return flow - near * (flow * normal).sum(0) * normal


def _apply_arrows(flow: np.ndarray, context: MotionContext, arrows: list[_Arrow]) -> np.ndarray:
    """The flow, rotated and scaled to follow the arrows: that of the whole sky, or of one class in a connected region.
    What falls into a pool still falls when the pool has an arrow."""
    if not arrows:
        return flow
    field = flow[0] + 1j * flow[1]
    sky = context.owner == SKY
    connected = ndimage.label((context.owner >= 0) & ~sky, structure=np.ones((3, 3)))[0] - sky
    for region, k in {(int(connected[a.row, a.column]), int(context.owner[a.row, a.column])) for a in arrows}:
        around = connected == region
        here = around & (context.owner == k)
        # as between river and fall, the change into another class takes a short way
        share = context.blur(here[None].astype(np.float32), 0.025, around)[0] * around
        rotated = _rotate_to_arrows(field, here, [a for a in arrows if here[a.row, a.column]])
        field = field + share * (rotated - field)
    for region in {int(connected[a.row, a.column]) for a in arrows}:
        own = [a for a in arrows if connected[a.row, a.column] == region]
        errors = [a.velocity - field[a.row, a.column] for a in own]
        terms = zip(_shepard_weights(own, sky.shape, power=2.0), own, errors, strict=True)
        correction = sum(s * _gaussian(a, sky.shape, HINT_RADIUS * context.short) * r for s, a, r in terms)
        field = np.where(connected == region, field + correction, field)
    return np.stack([field.real, field.imag])


def _rotate_to_arrows(field: np.ndarray, here: np.ndarray, arrows: list[_Arrow]) -> np.ndarray:
    """The field rotated as a whole so that the arrows are met, and mixed, one to two, with the arrows' directions.

    An error of the field at an arrow would otherwise spread everywhere.
    """
    slow = 0.35 * float(np.median(np.abs(field[here]))) + 1e-6
    weights = _shepard_weights(arrows, here.shape, power=1.0)
    ratios = [a.velocity / _min_length(field[a.row, a.column], slow) for a in arrows]
    rotated = field * np.sum([w * r for w, r in zip(weights, ratios, strict=True)], axis=0)
    direct = np.sum([w * a.velocity for w, a in zip(weights, arrows, strict=True)], axis=0)
    return np.abs(rotated) * _unit(_unit(rotated) + 2 * _unit(direct))


def _unit(field: np.ndarray) -> np.ndarray:
    return field / (np.abs(field) + 1e-9)


def _min_length(value: complex, length: float) -> complex:
    return value * max(1.0, length / abs(value)) if abs(value) > 1e-9 else complex(length)


def _shepard_weights(arrows: list[_Arrow], shape: tuple[int, ...], power: float) -> list[np.ndarray]:
    """Each arrow's weight at each place (Shepard 1968); they sum to 1, and an arrow's is 1 at its own start."""
    weights = [1 / (_squared_distance(a, shape) + 1e-6) ** power for a in arrows]
    total = np.sum(weights, axis=0)
    return [w / total for w in weights]


def _gaussian(arrow: _Arrow, shape: tuple[int, ...], radius: float) -> np.ndarray:
    return np.exp(-_squared_distance(arrow, shape) / (2 * radius**2))


def _squared_distance(arrow: _Arrow, shape: tuple[int, ...]) -> np.ndarray:
    y, x = np.ogrid[0 : shape[0], 0 : shape[1]]
    return (y - arrow.row) ** 2.0 + (x - arrow.column) ** 2.0


def _extrapolate(flow: np.ndarray, context: MotionContext) -> np.ndarray:
    """The flow, extended past each region by that of the nearest place and fading, for interpolation at edges."""
    moves = context.owner >= 0
    if not moves.any() or moves.all():
        return flow
    distance, (rows, columns) = ndimage.distance_transform_edt(~moves, return_indices=True)
    fade = np.clip(1 - (distance - 2) / (0.04 * context.short), 0, 1)
    return flow[:, rows, columns] * fade


def _array(motion: Any) -> np.ndarray:
    if isinstance(motion, Tensor):
        return motion.detach().cpu().numpy()
    if not isinstance(motion, (str, PathLike)):
        try:
            return np.asarray(motion)
        except ValueError as error:
            raise MotionError("The motion is not an array of numbers; give [2, height, width].") from error
    try:
        loaded = np.load(motion, allow_pickle=False)
    except FileNotFoundError as error:
        raise MotionError(f"There is no motion at {motion}; check its path.") from error
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise MotionError(
            f"{motion} cannot be read as motion; save a [2, height, width] array with numpy.save."
        ) from error
    if not isinstance(loaded, np.ndarray):
        raise MotionError(f"{motion} holds several arrays; save one [2, height, width] array with numpy.save.")
    return loaded
