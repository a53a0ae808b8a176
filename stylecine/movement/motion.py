"""How it moves: an Eulerian motion field, predicted from the photo, adjusted by arrows, or supplied by the user.

The network knows directions: which way a river runs, a fall drops, a cloud drifts. The rest is modelled here, class by
class: one level wind for the whole sky, slower towards the horizon; falls along their streaks; water downstream, slower
in the distance and along, not through, static things in it; speeds that a loop of a few seconds can show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.errors import MotionError
from stylecine.machine.given import check_file
from stylecine.movement.horizon import along_horizon
from stylecine.movement.speed import (
    STILL_DRIFT,
    TRAVEL,
    fall_acceleration,
    falls_travel,
    sky_travel,
    steadiness,
    water_travel,
)
from stylecine.ops.maps import mean_within, nearness, nearness_within
from stylecine.ops.regions import connected
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import FALLS, SKY, SMOKE, WATER, Wind
from stylecine.perception.directions import ARROW_RADIUS, PER_SECOND, PlacedArrow
from stylecine.perception.scenery import Scenery

MIN_SPEED, MAX_SPEED = 0.6, 1.7  # of a class's median speed
RISE = 0.25  # of smoke, relative to its drift
SIDEWAYS = 0.2  # cosine of a wind's direction: one that blows less to a side turns no water
LEVEL_WIND = 0.12  # a wind that the network sees rise or fall by less is level
LEVEL_WATER = 0.5  # and so is open water's drift
# How much the course counts on open water and in channels, beside the usual length of the network's directions. Open
# water is drawn about as much as LEVEL_WATER takes: what is seen level stays almost level.
OPEN_COURSE, CHANNEL_COURSE = 0.6, 1.0
CALMER = {"lively": "natural", "natural": "calm", "calm": "calm"}
SHORE = 0.05  # of the short side: over this distance from static things water's flow towards them fades out
POST = 0.12  # of the short side: waves do not run around what is narrower
MAX_VALUES = 1 << 26  # of a user's field


@torch.inference_mode()
def predict_motion(scenery: Scenery, pace: str = "natural", wind: Wind | None = None) -> Tensor:
    """How everything flows: [2,h,w], pixels of the scenery's grid per 1/30 s, x right, y down; around what moves it
    goes on as at the nearest place and fades to 0, so that it can be interpolated at edges.

    The scenery's arrows are met exactly where they start, and rotate and scale the motion of their region: the whole
    sky, or a connected stretch of water, of falls or of smoke. pace: a key of TRAVEL; streams without an arrow that
    whose direction is ambiguous take the next calmer one. wind: sky and smoke drift with it, open water follows it
    sideways, as fast as it blows; falls and rivers keep their way.
    """
    flow = _apply_arrows(_model_flow(scenery, pace, wind), scenery)
    moves = scenery.owner >= 0
    if moves.any() and not moves.all():
        distance, (rows, columns) = ndimage.distance_transform_edt(~moves, return_indices=True)
        flow = flow[:, rows, columns] * np.clip(1 - (distance - 2) / (0.04 * scenery.short), 0, 1)
    return torch.from_numpy(flow.astype(np.float32)).to(scenery.layers.device)


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
    return torch.from_numpy(np.array(values, dtype=np.float32))


def _model_flow(scenery: Scenery, pace: str, wind: Wind | None) -> np.ndarray:
    """[2,h,w]: each class by its own physics, then joined into one field."""
    flow, owner, short = np.zeros_like(scenery.directions), scenery.owner, scenery.short
    for k, model in ((SKY, _sky), (WATER, _water), (FALLS, _falls), (SMOKE, _smoke)):
        here = owner == k
        if here.any():
            own, travel = model(scenery, here, pace, wind)
            travel = travel * (1 - (1 - STILL_DRIFT) * scenery.still.any)
            flow = np.where(here, normalize_speed(own, here, travel, short), flow)
    liquid = (owner >= 0) & (owner != SKY)
    if liquid.any():
        # where river and fall meet, the change of speed takes a short way
        flow = np.where(liquid, mean_within(flow, liquid, 0.025 * short), flow)
        if scenery.slope is not None:
            flow = np.where(liquid, flow * steadiness(flow, owner == FALLS, scenery.slope), flow)
        water = owner == WATER  # falls drop behind rocks, as clouds pass behind ridges
        static, calm = owner < 0, scenery.streams.open
        wide = ndimage.binary_opening(static, np.ones((1, max(1, round(POST * short)))))
        for here, shore in ((water & ~calm, static), (water & calm, wide), (water, owner == SKY)):
            flow = np.where(here, remove_normal_component(flow, shore, short), flow)
        flow = along_horizon(flow, owner, SHORE * short)
    return flow


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


# Of each class the way [2,h,w], whose length only tells how places differ, and the median travel, [h,w] or a number, in
# short sides in four seconds.


def _sky(scenery: Scenery, here: np.ndarray, pace: str, wind: Wind | None) -> tuple[np.ndarray, float]:
    """One wind, seen in perspective: clouds near the horizon are further away. It blows sideways, and quite level
    unless the network is sure of more."""
    x, y = (float(c[here].mean()) for c in scenery.directions)
    y = math.copysign(min(max(abs(y) - LEVEL_WIND * abs(x), 0.0), 0.25 * abs(x)), y)
    if math.hypot(x, y) < 1e-3:
        x, y = 1.0, 0.0
    way = np.array([x, y]) / math.hypot(x, y)
    rows = np.flatnonzero(here.any(1))
    horizon = max(float(np.percentile(np.nonzero(here)[0], 98)) + 1, 0.3 * scenery.short) if len(rows) else 1.0
    height = nearness(np.arange(here.shape[0]), horizon, -horizon)
    drift = way[:, None, None] * (0.35 + 0.65 * height)[None, :, None] * np.ones(here.shape)
    travel = sky_travel(scenery.cloud_reach, scenery.short, pace)
    return (drift, travel) if wind is None else (_in_wind(drift, wind, 0.35 + 0.65 * height), travel * wind.pace)


def _water(scenery: Scenery, here: np.ndarray, pace: str, wind: Wind | None) -> tuple[np.ndarray, np.ndarray]:
    """As predicted, smoothed, downstream, and slower in the distance; a sea or a lake drifts as one. Streams that
    arrows steer run as predicted."""
    predicted, calm = mean_within(scenery.directions, here, 0.03 * scenery.short), scenery.streams.open
    flow = _open_as_one(_downstream(predicted, here, scenery), scenery)
    if wind is not None:
        across = math.cos(wind.angle)
        against = calm & (flow[0] * across < 0) & (abs(across) > SIDEWAYS)
        flow = np.where(against, flow * np.array([-1.0, 1.0])[:, None, None], flow)
    # as fast as without arrows: other streams' speeds are relative to all water's
    steered = _open_as_one(predicted, scenery)
    steered = steered / (np.linalg.norm(steered, axis=0) + 1e-9) * np.linalg.norm(flow, axis=0)
    flow = np.where(scenery.steered, steered, flow)
    calmer = TRAVEL[CALMER[pace]].running_water / TRAVEL[pace].running_water
    travel = water_travel(scenery.owner < 0, calm, scenery.surf, scenery.foam, TRAVEL[pace])
    if wind is not None:
        travel = travel * np.where(calm, wind.pace, 1.0)
    travel = travel * np.where(scenery.ambiguous, calmer, 1.0)
    return flow * (0.55 + 0.45 * nearness_within(here, tail=2, least_span=0.1))[None, :, None], travel


def _downstream(flow: np.ndarray, here: np.ndarray, scenery: Scenery) -> np.ndarray:
    """The flow [2,h,w], and nowhere against the course of a stream. Channels and open water are drawn towards their
    course; of other streams' axes the network knows more."""
    streams = scenery.streams
    # mirrored, not cut off: at the change from with to against the course the field stays continuous
    against = np.where(streams.open, 0, np.minimum((flow * streams.course).sum(0), 0))
    usual = float(np.median(np.linalg.norm(flow, axis=0)[here]))
    draw = np.where(streams.open, OPEN_COURSE, CHANNEL_COURSE * streams.channel) * usual
    return flow + (draw - 2 * against) * streams.course


def _open_as_one(flow: np.ndarray, scenery: Scenery) -> np.ndarray:
    """The flow [2,h,w], and each stretch of open water in its mean direction: with less slope, and none if that was
    small. Waves come from far away, and do not meet in the middle of a sea."""
    stretches = connected(scenery.streams.open)
    x, y = (stretches.mean(component) for component in flow)
    y = np.copysign(np.maximum(np.abs(y) - LEVEL_WATER * np.abs(x), 0), y)
    way = np.stack([x, y]) / (np.hypot(x, y) + 1e-9)
    return np.where(scenery.streams.open, way[:, stretches.numbers] * np.linalg.norm(flow, axis=0), flow)


def _falls(scenery: Scenery, here: np.ndarray, pace: str, wind: Wind | None) -> tuple[np.ndarray, np.ndarray]:
    """As predicted, smoothed, and faster towards the foot."""
    flow = mean_within(scenery.directions, here, 0.02 * scenery.short)
    length = np.linalg.norm(flow, axis=0)
    flow = flow / (length + 1e-6) * length.clip(0.05) * fall_acceleration(here)
    return flow, falls_travel(here, flow, TRAVEL[pace])


def _smoke(scenery: Scenery, here: np.ndarray, pace: str, wind: Wind | None) -> tuple[np.ndarray, float]:
    """Drifts as predicted, or with the wind, and rises a little, also without any."""
    flow, travel = mean_within(scenery.directions, here, 0.06 * scenery.short), TRAVEL[pace].smoke
    length = np.linalg.norm(flow, axis=0)
    if wind is not None:
        flow = np.array([math.cos(wind.angle) * wind.pace, 0.0])[:, None, None] * length
        travel *= math.hypot(wind.pace, RISE) / math.hypot(1, RISE)
    return flow + np.array([0.0, -RISE])[:, None, None] * length, travel


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


def _apply_arrows(flow: np.ndarray, scenery: Scenery) -> np.ndarray:
    """The flow, rotated and scaled to follow the arrows: that of the whole sky, or of one class in a connected region.
    What falls into a pool still falls when the pool has an arrow."""
    arrows = scenery.arrows
    if not arrows:
        return flow
    field = flow[0] + 1j * flow[1]
    sky = scenery.owner == SKY
    regions = connected((scenery.owner >= 0) & ~sky).numbers - sky
    for region, k in {(int(regions[a.row, a.column]), int(scenery.owner[a.row, a.column])) for a in arrows}:
        around = regions == region
        here = around & (scenery.owner == k)
        # as between river and fall, the change into another class takes a short way
        share = mean_within(here.astype(np.float32), around, 0.025 * scenery.short) * around
        rotated = _rotate_to_arrows(field, here, [a for a in arrows if here[a.row, a.column]])
        field = field + share * (rotated - field)
    for region in {int(regions[a.row, a.column]) for a in arrows}:
        own = [a for a in arrows if regions[a.row, a.column] == region]
        errors = [a.velocity - field[a.row, a.column] for a in own]
        near = [np.exp(-_squared_distance(a, sky.shape) / (2 * (ARROW_RADIUS * scenery.short) ** 2)) for a in own]
        terms = zip(_shepard_weights(own, sky.shape, power=2.0), near, errors, strict=True)
        correction = sum(s * n * r for s, n, r in terms)
        field = np.where(regions == region, field + correction, field)
    return np.stack([field.real, field.imag])


def _rotate_to_arrows(field: np.ndarray, here: np.ndarray, arrows: Sequence[PlacedArrow]) -> np.ndarray:
    """The field rotated as a whole so that the arrows are met, and mixed, one to two, with the arrows' directions.

    An error of the field at an arrow would otherwise spread everywhere.
    """
    slow = 0.35 * float(np.median(np.abs(field[here]))) + 1e-6
    weights = _shepard_weights(arrows, here.shape, power=1.0)
    ratios = []
    for arrow in arrows:
        value = field[arrow.row, arrow.column]
        at_least = value * max(1.0, slow / abs(value)) if abs(value) > 1e-9 else slow
        ratios.append(arrow.velocity / at_least)
    rotated = field * np.sum([w * r for w, r in zip(weights, ratios, strict=True)], axis=0)
    direct = np.sum([w * a.velocity for w, a in zip(weights, arrows, strict=True)], axis=0)
    return np.abs(rotated) * _unit(_unit(rotated) + 2 * _unit(direct))


def _unit(field: np.ndarray) -> np.ndarray:
    return field / (np.abs(field) + 1e-9)


def _shepard_weights(arrows: Sequence[PlacedArrow], shape: tuple[int, ...], power: float) -> list[np.ndarray]:
    """Each arrow's weight at each place (Shepard 1968); they sum to 1, and an arrow's is 1 at its own start."""
    weights = [1 / (_squared_distance(a, shape) + 1e-6) ** power for a in arrows]
    total = np.sum(weights, axis=0)
    return [w / total for w in weights]


def _squared_distance(arrow: PlacedArrow, shape: tuple[int, ...]) -> np.ndarray:
    y, x = np.ogrid[0 : shape[0], 0 : shape[1]]
    return (y - arrow.row) ** 2.0 + (x - arrow.column) ** 2.0


def _array(motion: Any) -> np.ndarray:
    if isinstance(motion, Tensor):
        return motion.detach().cpu().numpy()
    if not isinstance(motion, (str, PathLike)):
        try:
            return np.asarray(motion)
        except ValueError as error:
            raise MotionError("The motion is not an array of numbers; give [2, height, width].") from error
    check_file(motion, "motion", MotionError)
    try:
        loaded = np.load(motion, mmap_mode="r", allow_pickle=False)  # its size is checked before it is read
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise MotionError(
            f"{motion} cannot be read as motion; save a [2, height, width] array with numpy.save."
        ) from error
    if not isinstance(loaded, np.ndarray):
        raise MotionError(f"{motion} holds several arrays; save one [2, height, width] array with numpy.save.")
    return loaded
