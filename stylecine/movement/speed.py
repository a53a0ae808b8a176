"""How fast matter travels: by what it is, how steep, how white, how large in the picture and how near.

NATURAL is life as far as a loop can show it. In films from fixed cameras matter travels, in the median of where it
flows steadily and in four seconds, by so many short sides: falls 0.4 to 2.0, white water 0.9 and 1.5, streams 0.18 and
0.19, pools below falls 0.03, seas 0.13 and 0.17, clouds that are not sped up 0.04 to 0.3. Falls and rapids are slower
here: a loop shows one photo's texture again and again, and faster motion makes that visible. Smoke has 0.65
of the speed of clouds and falls beside it, by the training photos' arrows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from stylecine.ops.regions import connected
from stylecine.ops.smoothstep import smoothstep


class Travel(NamedTuple):
    """Travel in four seconds, in short sides: medians over a region, but of falls at their feet."""

    sky: float
    open_water: float  # seas, lakes and ponds, whose swell is stronger than their drift
    surf: float  # breaking waves, whose foam would be seen twice if it went as far as the sea behind it
    running_water: float
    white_water: float  # rapids
    falls: float
    smoke: float

    def at(self, factor: float) -> Travel:
        return Travel(*(factor * each for each in self))


NATURAL = Travel(sky=0.12, open_water=0.09, surf=0.03, running_water=0.15, white_water=0.65, falls=0.95, smoke=0.105)
TRAVEL = {"calm": NATURAL.at(0.4), "natural": NATURAL, "lively": NATURAL.at(1.6)}
STILL_DRIFT = 0.02  # of its usual speed, at which what stands drifts: less than a pixel in a loop
MIN_SKY_FACTOR = 0.12  # of its usual speed: a sky of small or bright clouds goes no slower
FALL_ACCELERATION = 3.0  # speed at a fall's foot over that at its lip, before differences are halved
FOOT_OVER_MEDIAN = 1.22  # speed at a fall's foot over the median speed, after that
# What falls through this much of the short side falls at the table's speed at its foot; a lower fall is farther away,
# or has less way to gain speed, a higher one more: the factor on that speed is its height over the usual, in limits.
USUAL_FALL, MIN_FALL_FACTOR, MAX_FALL_FACTOR = 0.33, 0.8, 1.4
RAPIDS_SLOPE, FALL_SLOPE = 0.55, 0.85  # sine of the slope: flatter are rapids, steeper is a fall
FALL_REACH = 0.05  # of the short side: what is this near a fall beats with it
BEAT_FRAMES = 10  # half a sub-cycle of a fall
MAX_BEAT = 0.05  # of [0, 1]: by how much brightness may change along the way in that time; where it does, speed is less
MIN_STEADINESS = 0.25  # the least factor on the speed for that
BEAT_SCALE = 0.015  # of the short side: standard deviation of a Gaussian; finer texture does not beat
AT_BANK, IN_MIDSTREAM = 0.65, 1.1  # speed of running water there over the table's
BANK_REACH = 0.08  # of the short side: banks and rocks are felt no farther into wide water


def sky_travel(cloud_reach: int, short: int, pace: str) -> float:
    """Travel of a sky whose clouds may move by `cloud_reach` of the `short` side's cells and look the same: a sky of
    small or bright clouds goes slower, down to MIN_SKY_FACTOR, or they would be seen twice. pace: a key of TRAVEL."""
    like = cloud_reach / (TRAVEL["natural"].sky * short)
    return TRAVEL[pace].sky * min(max(like, MIN_SKY_FACTOR), 1.0)


def water_travel(
    static: np.ndarray, calm: np.ndarray, surf: np.ndarray, foam: np.ndarray, table: Travel
) -> np.ndarray:
    """Travel [h,w] of water: `static`, what does not move, `calm`, what lies open, `surf`, what of that breaks, bool
    [h,w]; foam [h,w] in [0,1]. Running water is slower along banks and around rocks than in midstream, by the parabola
    of a flow in a channel. The photo's own border is no bank."""
    running = table.running_water + (table.white_water - table.running_water) * foam
    across: float | np.ndarray = IN_MIDSTREAM
    if static.any():
        reach, distance = BANK_REACH * min(static.shape), ndimage.distance_transform_edt(~static)
        half_width = np.clip(ndimage.maximum_filter(distance, 2 * round(reach) + 1), 1, reach)
        place = np.clip(distance / half_width, 0, 1)
        across = AT_BANK + (IN_MIDSTREAM - AT_BANK) * place * (2 - place)
    return np.where(calm, np.where(surf, table.surf, table.open_water), running * across)


def falls_travel(here: np.ndarray, directions: np.ndarray, table: Travel) -> np.ndarray:
    """Median travel [h,w] of each fall in `here`, bool [h,w], by its height; of rapids where it is no steeper."""
    travel, short = np.full(here.shape, table.falls / FOOT_OVER_MEDIAN), min(here.shape)
    for box, fall in connected(here):
        x, y = (float(np.abs(d[box][fall]).mean()) for d in directions)
        steep = smoothstep(RAPIDS_SLOPE, FALL_SLOPE, y / max(math.hypot(x, y), 1e-9))
        foot = table.falls * min(max(len(fall) / short / USUAL_FALL, MIN_FALL_FACTOR), MAX_FALL_FACTOR)
        travel[box][fall] = table.white_water + steep * (foot / FOOT_OVER_MEDIAN - table.white_water)
    return travel


def fall_acceleration(here: np.ndarray) -> np.ndarray:
    """Factor on the speed within each fall: 1 at the lip, FALL_ACCELERATION at the foot."""
    factor = np.ones(here.shape)
    for box, fall in connected(here):
        depth = np.arange(len(fall))[:, None] / len(fall)
        factor[box] = np.where(fall, 1 + (FALL_ACCELERATION - 1) * depth, factor[box])
    return factor


def steadiness(flow: np.ndarray, falls: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Factor [h,w] on the speed in and around falls: below 1 where the picture gets much brighter or darker along the
    way, as at a fall's foot. Each sub-cycle would bring the white of the fall there and take it away again, a beat.

    flow [2,h,w] in pixels per 1/30 s, falls bool [h,w], slope [2,h,w]: change of brightness, in [0,1], per pixel.
    """
    short = min(falls.shape)
    right, down = slope
    change = np.abs(right * flow[0] + down * flow[1]) * BEAT_FRAMES
    factor = np.clip(MAX_BEAT / np.maximum(change, 1e-9), MIN_STEADINESS, 1)
    near = np.clip(4 * ndimage.gaussian_filter(falls.astype(np.float64), FALL_REACH * short), 0, 1)
    return 1 - near * (1 - ndimage.gaussian_filter(factor, BEAT_SCALE * short))
