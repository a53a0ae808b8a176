"""How it moves: an Eulerian motion field, predicted from the photo, bent by arrows, or given.

The network knows directions: which way a river runs, a fall drops, a cloud drifts. The rest is said here,
class by class: one level wind for the whole sky, slower towards the horizon; falls along their streaks; water
slower in the distance and along, not through, what stands still in it; speeds that a loop of a few seconds
can show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.errors import MotionError
from stylecine.networks.motionnet import MotionNet
from stylecine.ops.arrows import GRID, start_cells
from stylecine.ops.image import resize
from stylecine.stages.swell import open_water

SKY, WATER, FALLS, SMOKE = range(4)

NETWORK_SHORT = 192  # that the network was trained at
LONGEST_ASPECT = 4.0
UNIT = 0.1  # of the short side: the network's unit
HINT_RADIUS = 0.05  # of the short side: standard deviation of an arrow's mark, and of its exact hold on the field
PER_SECOND = 30.0  # a flow's unit of time is 1/30 s
# median travel in 4 s, in short sides: sky, running water, falls, smoke
TRAVEL = (0.050, 0.050, 0.160, 0.045)
OPEN_WATER_SPEED = 0.6  # of that for open water, which rolls more than it drifts
PLUNGE = 3.0  # a fall is so many times as fast at its foot as at its lip, before differences are halved
SLOWEST, FASTEST = 0.6, 1.7  # of a class's median speed
LEVEL = 0.12  # a wind that the network sees fall or rise by less is level
SHORE = 0.05  # of the short side: over this distance water's way towards what stands still ends
MOST_PIXELS = 1 << 26  # of a given field


@dataclass(frozen=True)
class _Ground:
    """What the field is shaped over, on its own grid."""

    grey: np.ndarray  # [h,w]
    layers: np.ndarray  # [4,h,w]
    owner: np.ndarray  # [h,w]: class of each place, -1 where nothing moves

    @property
    def short(self) -> int:
        return min(self.owner.shape)

    def blur(self, field: np.ndarray, sigma: float, where: np.ndarray) -> np.ndarray:
        """Gaussian mean of [C,h,w] over the places in `where` only; sigma in short sides."""
        sigmas = sigma * self.short
        weight = ndimage.gaussian_filter(where.astype(np.float32), sigmas, mode="nearest") + 1e-6
        return np.stack([ndimage.gaussian_filter(c * where, sigmas, mode="nearest") for c in field]) / weight


@torch.inference_mode()
def predict_motion(
    photo: Tensor, layers: Tensor, motionnet: MotionNet, arrows: Sequence[Sequence[float]] = ()
) -> Tensor:
    """photo [3,H,W] in [-1,1], layers [4,H,W] -> flow [2,h,w], pixels of its own grid per 1/30 s, x right, y down.

    The grid's short side is 256, or the photo's if that is less; where nothing moves the flow is 0 only far
    from what moves, so that it can be interpolated at edges. arrows: (x0, y0, x1, y1) in fractions of width
    and height, where matter travels in one second; each is met exactly where it starts, and turns and
    stretches the motion of its region: the whole sky, or a connected stretch of water, of falls or of smoke.
    MotionError for an arrow that starts further than 5% of the short side from anything that moves.
    """
    grid = _grid(photo.shape[-2:])
    ground = _ground(photo, layers, grid)
    wanted = _arrows_on(layers, arrows, grid)
    answer = _ask(motionnet, photo, layers, wanted, grid)
    flow = _shaped(answer, ground)
    flow = _follow(flow, ground, wanted)
    return torch.from_numpy(_spread_out(flow, ground).astype(np.float32)).to(photo.device)


def given_motion(motion: Any) -> Tensor:
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
    if values.size > MOST_PIXELS:
        raise MotionError(f"A motion field of {values.shape[2]}x{values.shape[1]} is too large; 512x512 is plenty.")
    if not np.isfinite(values).all():
        raise MotionError("The motion holds NaN or infinite numbers; give finite pixels per 1/30 s.")
    if np.abs(values.astype(np.float32)).max() > max(values.shape):
        raise MotionError(
            "The motion is faster than the whole photo in 1/30 s; give pixels per 1/30 s of its own grid."
        )
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _grid(size: torch.Size | tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, GRID / min(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _ground(photo: Tensor, layers: Tensor, grid: tuple[int, int]) -> _Ground:
    small = resize(layers, grid).cpu().numpy()
    owner = np.where(small.max(0) > 0.05, small.argmax(0), -1)
    return _Ground(resize(photo.mean(0, keepdim=True), grid)[0].cpu().numpy(), small, owner)


@dataclass(frozen=True)
class _Arrow:
    row: int
    column: int
    velocity: complex  # pixels of the grid per 1/30 s, x + iy


def _arrows_on(layers: Tensor, arrows: Sequence[Sequence[float]], grid: tuple[int, int]) -> list[_Arrow]:
    h, w = grid
    found = []
    cells = start_cells(layers.cpu().numpy(), arrows) if len(arrows) else []
    for (x0, y0, x1, y1), cell in zip(arrows, cells, strict=True):
        if cell is None:
            raise MotionError(
                f"The arrow from ({x0:g}, {y0:g}) starts where nothing moves; start it on sky or water, or give a mask."
            )
        found.append(_Arrow(*cell, complex((x1 - x0) * w, (y1 - y0) * h) / PER_SECOND))
    return found


def _ask(
    motionnet: MotionNet, photo: Tensor, layers: Tensor, arrows: list[_Arrow], grid: tuple[int, int]
) -> np.ndarray:
    """The network's directions [2,h,w] on the grid."""
    h, w = photo.shape[-2:]
    scale = NETWORK_SHORT / min(h, w)
    size = tuple(max(32, round(min(n * scale, LONGEST_ASPECT * NETWORK_SHORT) / 16) * 16) for n in (h, w))
    hints = torch.zeros(3, *size, device=photo.device)
    rows = (torch.arange(size[0], device=photo.device) + 0.5) / size[0] * grid[0]
    columns = (torch.arange(size[1], device=photo.device) + 0.5) / size[1] * grid[1]
    for arrow in arrows:
        squared = (rows[:, None] - arrow.row - 0.5) ** 2 + (columns - arrow.column - 0.5) ** 2
        mark = torch.exp(-squared / (2 * (HINT_RADIUS * min(grid)) ** 2))
        # its length is a user's own; the network knows arrows of about one unit
        direction = arrow.velocity / max(abs(arrow.velocity), 1e-9)
        known = torch.stack([mark * direction.real, mark * direction.imag, mark])
        hints = torch.where(mark > hints[2], known, hints)
    answer = _told(motionnet, resize(photo, size), resize(layers, size), hints)
    return resize(answer, grid).cpu().numpy()


def _told(motionnet: MotionNet, photo: Tensor, layers: Tensor, hints: Tensor) -> Tensor:
    """What the network answers to the photo and to its mirror image alike.

    Where the two contradict each other it has not read the picture but has a habit: calm water and clouds drift to
    the right. That stays only where the picture tells little.
    """
    sides = torch.tensor([-1.0, 1.0], device=photo.device)[:, None, None]
    mirrored = torch.cat([hints[:2] * sides, hints[2:]]).flip(2)
    pairs = ((photo, photo.flip(2)), (layers, layers.flip(2)), (hints, mirrored))
    seen, other = motionnet(*(torch.stack(pair) for pair in pairs))
    other = other.flip(2) * sides
    told, habit = (seen + other) / 2, (seen - other) / 2
    little = (1 - 2 * told.norm(dim=0) / habit.norm(dim=0).clamp_min(1e-6)).clamp(0, 1)
    return told + little * habit


def _shaped(answer: np.ndarray, ground: _Ground) -> np.ndarray:
    """Directions [2,h,w] -> flow [2,h,w]: each class by its own physics, then one field."""
    flow = np.zeros_like(answer)
    for k, shape in ((SKY, _sky), (WATER, _water), (FALLS, _falls), (SMOKE, _smoke)):
        here = ground.owner == k
        if here.any():
            flow = np.where(here, _paced(shape(answer, here, ground), here, k, ground.short), flow)
    flow = np.where(open_water(ground.owner, flow), OPEN_WATER_SPEED * flow, flow)
    liquid = (ground.owner >= 0) & (ground.owner != SKY)
    if liquid.any():
        # where river and fall meet, the change of speed takes a little way
        flow = np.where(liquid, ground.blur(flow, 0.025, liquid), flow)
        wet = (ground.owner == WATER) | (ground.owner == FALLS)
        flow = np.where(wet, _past(flow, ground.owner < 0, ground.short), flow)
        flow = np.where(ground.owner == WATER, _past(flow, ground.owner == SKY, ground.short), flow)  # the horizon
    return flow


def _sky(answer: np.ndarray, here: np.ndarray, ground: _Ground) -> np.ndarray:
    """One wind, seen in perspective: clouds near the horizon are further away. It blows sideways, and quite level
    unless the network is sure of more."""
    x, y = (float(c[here].mean()) for c in answer)
    y = math.copysign(min(max(abs(y) - LEVEL * abs(x), 0.0), 0.25 * abs(x)), y)
    if math.hypot(x, y) < 1e-3:
        x, y = 1.0, 0.0
    wind = np.array([x, y]) / math.hypot(x, y)
    rows = np.flatnonzero(here.any(1))
    horizon = max(float(np.percentile(np.nonzero(here)[0], 98)) + 1, 0.3 * ground.short) if len(rows) else 1.0
    height = np.clip(1 - np.arange(here.shape[0]) / horizon, 0, 1)
    return wind[:, None, None] * (0.35 + 0.65 * height)[None, :, None] * np.ones(here.shape)


def _water(answer: np.ndarray, here: np.ndarray, ground: _Ground) -> np.ndarray:
    """As the network says, smoothly, and slower in the distance."""
    flow = ground.blur(answer, 0.03, here)
    rows = np.nonzero(here)[0]
    top, bottom = np.percentile(rows, [2, 98])
    nearness = np.clip((np.arange(here.shape[0]) - top) / max(bottom - top, 0.1 * ground.short), 0, 1)
    return flow * (0.55 + 0.45 * nearness)[None, :, None]


def _falls(answer: np.ndarray, here: np.ndarray, ground: _Ground) -> np.ndarray:
    """Along the streaks if there are any: where the photo changes least (structure tensor)."""
    flow = ground.blur(answer, 0.02, here)
    direction = flow / (np.linalg.norm(flow, axis=0) + 1e-6)
    direction = np.where(direction[1] > -0.2, direction, np.array([0.0, 1.0])[:, None, None])
    gy, gx = (ndimage.gaussian_filter(ground.grey, 1.0, order=order) for order in ((1, 0), (0, 1)))
    xx, xy, yy = ground.blur(np.stack([gx * gx, gx * gy, gy * gy]), 0.02, here)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + math.pi / 2
    streak = np.stack([np.cos(angle), np.sin(angle)])
    along = (streak * direction).sum(0)
    coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-6)
    trust = 0.8 * coherence * np.abs(along)  # a streak across what the network says is no streak
    mixed = (1 - trust) * direction + trust * np.sign(along) * streak
    mixed = ground.blur(mixed, 0.015, here)
    along_it = mixed / (np.linalg.norm(mixed, axis=0) + 1e-6)
    return along_it * np.linalg.norm(flow, axis=0).clip(0.05) * _plunging(here)


def _plunging(here: np.ndarray) -> np.ndarray:
    """How much faster water has become on its way down each fall: 1 at the lip, PLUNGE at the foot."""
    falls, _ = ndimage.label(here, structure=np.ones((3, 3)))
    faster = np.ones(here.shape)
    for i, (rows, _) in enumerate(ndimage.find_objects(falls), 1):
        depth = (np.arange(here.shape[0]) - rows.start) / (rows.stop - rows.start)
        faster = np.where(falls == i, (1 + (PLUNGE - 1) * depth)[:, None], faster)
    return faster


def _smoke(answer: np.ndarray, here: np.ndarray, ground: _Ground) -> np.ndarray:
    """Drifts as the network says and rises a little."""
    flow = ground.blur(answer, 0.06, here)
    return flow + np.array([0.0, -0.25])[:, None, None] * np.linalg.norm(flow, axis=0)


def _paced(flow: np.ndarray, here: np.ndarray, k: int, short: int) -> np.ndarray:
    """The same directions, at the class's median speed, differences between places halved and bounded."""
    length = np.linalg.norm(flow, axis=0)
    median = float(np.median(length[here])) + 1e-6
    relative = np.sqrt(length / median).clip(SLOWEST, FASTEST)
    # where the network hardly says anything, opposite directions meet: slow there rather than torn
    relative = relative * np.clip(length / (0.15 * median), 0, 1)
    return flow / (length + 1e-9) * relative * (TRAVEL[k] * short / (4 * PER_SECOND))


def _past(flow: np.ndarray, shore: np.ndarray, short: int) -> np.ndarray:
    """Takes the part that runs into or out of `shore` [h,w], the nearer the more; the rest runs past it.

    The photo's own border is no shore.
    """
    if not shore.any():
        return flow
    distance = ndimage.distance_transform_edt(~shore)
    smooth = ndimage.gaussian_filter(distance, 0.012 * short, mode="nearest")
    normal = np.stack(np.gradient(smooth)[::-1])
    normal = normal / (np.linalg.norm(normal, axis=0) + 1e-3)
    t = np.clip((distance - 1.5) / (SHORE * short), 0, 1)  # the first pixel lies a pixel away, and is at the border
    near = 1 - t * t * (3 - 2 * t)
    return flow - near * (flow * normal).sum(0) * normal


def _follow(flow: np.ndarray, ground: _Ground, arrows: list[_Arrow]) -> np.ndarray:
    """Turns and stretches the flow of what has arrows so that it does what they say: of the whole sky, or of one
    class in a connected region. What falls into a pool still falls when the pool is given an arrow."""
    if not arrows:
        return flow
    field = flow[0] + 1j * flow[1]
    sky = ground.owner == SKY
    connected = ndimage.label((ground.owner >= 0) & ~sky, structure=np.ones((3, 3)))[0] - sky
    for region, k in {(int(connected[a.row, a.column]), int(ground.owner[a.row, a.column])) for a in arrows}:
        around = connected == region
        here = around & (ground.owner == k)
        # as between river and fall, the change into another class takes a little way
        share = ground.blur(here[None].astype(np.float32), 0.025, around)[0] * around
        turned = _turned(field, here, [a for a in arrows if here[a.row, a.column]])
        field = field + share * (turned - field)
    for region in {int(connected[a.row, a.column]) for a in arrows}:
        own = [a for a in arrows if connected[a.row, a.column] == region]
        rests = [a.velocity - field[a.row, a.column] for a in own]
        hold = zip(_shares(own, sky.shape, power=2.0), own, rests, strict=True)
        rest = sum(s * _mark(a, sky.shape, HINT_RADIUS * ground.short) * r for s, a, r in hold)
        field = np.where(connected == region, field + rest, field)
    return np.stack([field.real, field.imag])


def _turned(field: np.ndarray, here: np.ndarray, arrows: list[_Arrow]) -> np.ndarray:
    """The field turned as a whole so that the arrows are met, and mixed, one to two, with the arrows' own directions.

    What is wrong with the field at the arrow would otherwise make all the rest wrong.
    """
    slow = 0.35 * float(np.median(np.abs(field[here]))) + 1e-6
    shares = _shares(arrows, here.shape, power=1.0)
    ratios = [a.velocity / _at_least(field[a.row, a.column], slow) for a in arrows]
    turned = field * np.sum([s * r for s, r in zip(shares, ratios, strict=True)], axis=0)
    plain = np.sum([s * a.velocity for s, a in zip(shares, arrows, strict=True)], axis=0)
    return np.abs(turned) * _unit(_unit(turned) + 2 * _unit(plain))


def _unit(field: np.ndarray) -> np.ndarray:
    return field / (np.abs(field) + 1e-9)


def _at_least(value: complex, length: float) -> complex:
    return value * max(1.0, length / abs(value)) if abs(value) > 1e-9 else complex(length)


def _shares(arrows: list[_Arrow], shape: tuple[int, ...], power: float) -> list[np.ndarray]:
    """Shepard's weights: how much each arrow counts at each place, in all 1, and 1 at its own start."""
    weights = [1 / (_squared(a, shape) + 1e-6) ** power for a in arrows]
    total = np.sum(weights, axis=0)
    return [w / total for w in weights]


def _mark(arrow: _Arrow, shape: tuple[int, ...], radius: float) -> np.ndarray:
    return np.exp(-_squared(arrow, shape) / (2 * radius**2))


def _squared(arrow: _Arrow, shape: tuple[int, ...]) -> np.ndarray:
    y, x = np.ogrid[0 : shape[0], 0 : shape[1]]
    return (y - arrow.row) ** 2.0 + (x - arrow.column) ** 2.0


def _spread_out(flow: np.ndarray, ground: _Ground) -> np.ndarray:
    """Around each region the flow of its nearest place, fading, so that edges interpolate to something sensible."""
    moves = ground.owner >= 0
    if not moves.any() or moves.all():
        return flow
    distance, (rows, columns) = ndimage.distance_transform_edt(~moves, return_indices=True)
    fade = np.clip(1 - (distance - 2) / (0.04 * ground.short), 0, 1)
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
        raise MotionError(f"There is no motion at {motion}.") from error
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise MotionError(
            f"{motion} cannot be read as motion; save a [2, height, width] array with numpy.save."
        ) from error
    if not isinstance(loaded, np.ndarray):
        raise MotionError(f"{motion} holds several arrays; save one [2, height, width] array with numpy.save.")
    return loaded
