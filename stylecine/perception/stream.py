"""Which way water runs, by the shapes of streams, falls and shores.

A river comes from far away, where it is narrow and high in the picture, and runs towards the viewer; below a fall water
runs away from its foot, above one towards its lip; waves run towards the viewer and the shore. Along bends, downstream
is the gradient of the distance from where the water comes from, measured inside the stream (the geodesic metric of
Lantuéjoul and Beucher 1981). This told downstream from upstream in 92% of 47 streams, the network that saw directions
before the eye in 79%, which had not been trained on them; along their axes the network is the more accurate one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from stylecine.ops.image import fit_short_side, resize
from stylecine.ops.maps import geodesic_distance, mean_within
from stylecine.ops.regions import Parts, connected
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import FALLS, WATER

TRACE_SIDE = 64  # cells on the short side of the grid that streams are traced on
MIN_CELL_COVER = 0.4  # share of a cell that a stream must cover to be traced through it
MIN_CELLS = 6  # of a stream: the shape of a smaller one says nothing
FAR_END = 0.06  # of a stream's height: as far below its top the water comes from
COURSE_SIGMA = 0.04  # of the short side: standard deviation of the Gaussian that smooths the course
MIN_FALL = 0.005  # of the photo: smaller falls are rapids, which stand in a stream rather than end it
LIP_DEPTH, FOOT_DEPTH = 0.25, 0.6  # of a fall's height, from its top: water touches its lip above, its foot below
# Ranges: at the first, a stream is no channel; at the second, it surely is one.
ELONGATED = 2.5, 4.5  # length over mean width
RISING = 0.4, 0.8  # height over width of its bounding box: a lake seen from its shore is long, too, but low
SHORE_REACH = 0.4  # of the short side: how far away a shore is noticed
SHORE_PULL = 3.0  # weight of the way to the shore beside a traced course
# Log-odds, by logistic regression on the arrows of running water: COURSE_ODDS on 210 streams of all splits but val3,
# EYE_ODDS beside it on the 47 that the network before the eye was not trained on, by what that saw.
EYE_ODDS, COURSE_ODDS = 0.7, 2.7
KNIGHT_MOVES = ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, 1), (1, -2), (2, -1))  # king and knight: lengths to 3%


@dataclass(frozen=True, eq=False)
class Streams:
    """Connected stretches of water and falls, on the grid of the motion field.

    number: int [h,w], 0 where there is no stream. open: bool [h,w], seas, lakes and ponds. course: [2,h,w], unit
    vectors downstream, or towards the viewer and the shore on open water; 0 where unknown. channel: [h,w] in [0,1],
    how surely a stream is much longer than wide.
    """

    number: np.ndarray
    open: np.ndarray
    course: np.ndarray
    channel: np.ndarray


def find_streams(owner: np.ndarray, lies_open: np.ndarray) -> Streams:
    """The streams of a picture. owner [h,w]: class of each place, an index into CLASSES, -1 where nothing moves.
    lies_open: bool [h,w], water that does not run."""
    number = connected((owner == WATER) | (owner == FALLS)).numbers
    course, channel = _trace(owner)
    if lies_open.any():
        course = course + lies_open * SHORE_PULL * _towards_shore(owner)
    return Streams(number, lies_open, _unit(course), channel)


def sense_odds(directions: np.ndarray, streams: Streams, water: np.ndarray) -> np.ndarray:
    """Log-odds [h,w] that a stream runs in the sense of `directions` [2,h,w], not in the opposite one; one value for
    the `water`, bool [h,w], of a stream, 0 elsewhere."""
    parts = Parts(streams.number, int(streams.number.max())).within(water)
    agreement = parts.mean((_unit(directions) * streams.course).sum(0))
    return np.where(water, (EYE_ODDS + COURSE_ODDS * agreement)[parts.numbers], 0.0)


def _trace(owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`Streams.course` [2,h,w], roughly of unit length, from streams and falls alone, and `Streams.channel` [h,w]."""
    falls = _coarse(owner == FALLS) > MIN_CELL_COVER
    wet = _coarse((owner == WATER) | (owner == FALLS)) > MIN_CELL_COVER
    course, channel = np.zeros((2, *wet.shape)), np.zeros(wet.shape)
    for box, here in connected(wet):
        if here.sum() < MIN_CELLS:
            continue
        distance = _distance_from(_far_end(here), here)
        course[(slice(None), *box)] += _gradient(distance, here)
        # a lake seen from its shore is a long strip, too, but a low one
        rising = smoothstep(*RISING, here.shape[0] / here.shape[1])
        channel[box][here] = rising * smoothstep(*ELONGATED, float(distance.max() ** 2 / here.sum()))
    _follow_falls(course, falls, wet & ~falls)
    channel = ndimage.maximum_filter(channel, 3)  # or it would fade towards the banks
    return _unit(_fine(course, owner.shape)), _fine(channel[None], owner.shape)[0]


def _towards_shore(owner: np.ndarray) -> np.ndarray:
    """Towards the static ground around each place, [2,h,w]: the nearer and the more of it, the longer, below 1."""
    reach = TRACE_SIDE * SHORE_REACH
    ground = ndimage.gaussian_filter(_coarse(owner < 0), reach, mode="nearest")
    return reach * _fine(np.stack(np.gradient(ground)[::-1]), owner.shape)


def _far_end(here: np.ndarray) -> np.ndarray:
    """Bool [h,w]: the uppermost rows of a stream that fills its box."""
    far = here.copy()
    far[1 + int(FAR_END * (len(here) - 1)) :] = False
    return far


def _follow_falls(course: np.ndarray, falls: np.ndarray, water: np.ndarray) -> None:
    """Turns the course of water that touches a fall: away from its foot, or else towards its lip."""
    feet, lips = _ends_of_falls(falls)
    for box, here in connected(water):
        below, above = here & feet[box], here & lips[box]
        if here.sum() < MIN_CELLS or not (below | above).any():
            continue
        ends, sign = (below, 1.0) if below.any() else (above, -1.0)
        turned = _gradient(sign * _distance_from(ends, here), here)
        course[(slice(None), *box)] = np.where(here, turned, course[(slice(None), *box)])


def _ends_of_falls(falls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bool [h,w] twice: what is beside the feet of falls, and beside their lips."""
    feet, lips = np.zeros(falls.shape, bool), np.zeros(falls.shape, bool)
    parts = connected(falls)
    for fall in parts.masks(parts.size >= MIN_FALL * falls.size):
        around = ndimage.binary_dilation(fall, iterations=2)
        rows = np.flatnonzero(fall.any(1))
        depth = ((np.arange(len(falls)) - rows[0]) / len(rows))[:, None]
        feet |= around & (depth > FOOT_DEPTH)
        lips |= around & (depth < LIP_DEPTH)
    return feet, lips


def _distance_from(start: np.ndarray, here: np.ndarray) -> np.ndarray:
    """The length of the shortest way inside `here`, bool [h,w], from `start` to each place; 0 where there is none."""
    distance = geodesic_distance(here, start, KNIGHT_MOVES)
    return np.where(np.isfinite(distance), distance, 0)


def _gradient(values: np.ndarray, here: np.ndarray) -> np.ndarray:
    """Unit vectors [2,h,w] along the smoothed gradient of `values` inside `here`; 0 elsewhere."""
    weight = here.astype(float)
    values = mean_within(values, weight, 1.0)
    slopes = []
    for axis in (1, 0):
        step = np.diff(values, axis=axis)
        inside = here.take(range(1, here.shape[axis]), axis) & here.take(range(here.shape[axis] - 1), axis)
        step, known = np.where(inside, step, 0), inside.astype(float)
        before, after = ([(0, 0)] * 2 for _ in range(2))
        before[axis], after[axis] = (1, 0), (0, 1)
        total = np.pad(step, before) + np.pad(step, after)
        slopes.append(total / np.maximum(np.pad(known, before) + np.pad(known, after), 1))
    return _unit(mean_within(np.stack(slopes), weight, COURSE_SIGMA * TRACE_SIDE)) * here


def _unit(field: np.ndarray) -> np.ndarray:
    return field / (np.hypot(*field) + 1e-6)


def _coarse(places: np.ndarray) -> np.ndarray:
    """Shares of bool [h,w] in the cells of a grid whose short side is TRACE_SIDE, or that of [h,w] if it is less."""
    size = fit_short_side(places.shape, TRACE_SIDE)
    shares: np.ndarray = F.adaptive_avg_pool2d(torch.from_numpy(places.astype(np.float32))[None], size)[0].numpy()
    return shares


def _fine(maps: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    fine: np.ndarray = resize(torch.from_numpy(maps.astype(np.float32)), size).numpy()
    return fine
