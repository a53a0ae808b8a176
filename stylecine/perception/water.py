"""What kind of water each stretch is, by what the eye says of all its places; white water; how falls brighten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from stylecine.networks.eye import KINDS
from stylecine.ops.image import resize
from stylecine.ops.maps import mean_within
from stylecine.ops.regions import connected
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import WATER
from stylecine.perception.see import Seen

RUNS, _OPEN, MIRRORS, SURF = range(len(KINDS))
MAX_FOAM, SURE_MIRROR = 0.05, 0.8  # a mirror has foam with this probability at most, or is one without with the second
FOAM_LEVEL = 0.35, 0.75  # brightness between the water's darkest fifth and its lights at which foam begins, and is sure
FOAM_TEXTURE = 0.02, 0.06  # of [0, 1]: local standard deviation at which foam begins, and is sure
FOAM_REACH = 0.04  # of the short side: foam quickens water around it
MIN_RANGE = 0.25  # of [0, 1]: brightness between the water's darkest fifth and its lights: with less there is no foam
SLOPE_SCALE = 0.015  # of the short side: finer texture does not make a fall beat


@dataclass(frozen=True, eq=False)
class Waters:
    """On the grid of the motion field. kind: int [h,w], an index into KINDS, -1 where there is no water. foamy: [h,w],
    probability that there is some foam on a stretch, 0 where there is no water."""

    kind: np.ndarray
    foamy: np.ndarray


def judge_water(seen: Seen | None, owner: np.ndarray) -> Waters:
    """owner [h,w]: class of each place, an index into CLASSES, -1 where nothing moves."""
    parts = connected(owner == WATER)
    if seen is None or not parts.count:
        return Waters(np.full(owner.shape, -1), np.zeros(owner.shape))
    maps = resize(seen.water, owner.shape).cpu().numpy()
    logits = torch.from_numpy(np.stack([parts.mean(values) for values in maps], 1))  # [stretches, 7]
    kinds, foamy = logits[:, : len(KINDS)], 1 - logits[:, len(KINDS) :].softmax(1)[:, 0].numpy()
    glassy = kinds.softmax(1)[:, MIRRORS].numpy() * (1 - foamy)
    kinds[(foamy > MAX_FOAM) & (glassy < SURE_MIRROR), MIRRORS] = -torch.inf
    kind = kinds.argmax(1).numpy()
    water = parts.numbers > 0
    return Waters(np.where(water, kind[parts.numbers], -1), np.where(water, foamy[parts.numbers], 0.0))


def foam(here: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """How much white water is in and around each place of `here`, bool [h,w]: [h,w] in [0,1]. Bright and rough,
    compared with the water around it; smooth lights are reflections."""
    if not here.any():
        return np.zeros(here.shape)
    level, short = (grey + 1) / 2, min(here.shape)
    dark, light = np.percentile(level[here], [20, 98])
    if light - dark < MIN_RANGE:
        return np.zeros(here.shape)
    mean = ndimage.gaussian_filter(level, 0.01 * short)
    rough = np.sqrt(ndimage.gaussian_filter((level - mean) ** 2, 0.015 * short))
    white = smoothstep(*FOAM_LEVEL, (mean - dark) / (light - dark)) * smoothstep(*FOAM_TEXTURE, rough)
    return np.clip(2 * mean_within(white, here.astype(float), FOAM_REACH * short, "reflect"), 0, 1)


def brightness_slope(grey: np.ndarray) -> np.ndarray:
    """[2,h,w] of grey [h,w] in [-1,1]: change of smooth brightness, in [0,1], per cell, x right, y down."""
    down, right = np.gradient(ndimage.gaussian_filter((grey + 1) / 2, SLOPE_SCALE * min(grey.shape)))
    return np.stack([right, down])
