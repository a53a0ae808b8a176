"""How well a mask agrees with a label made by hand.

mask: float32 [H,W] in [0,1], how much each pixel moves; from 0.5 on it counts as moving.
label: uint8 [H,W], hand-labelled classes; 0 is static.
"""

import math
import sys

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from benchmarks.machine import ROOT
from stylecine.ops.image import dilate

sys.path.insert(0, str(ROOT / "pretrained" / "recipes"))

from occluders.thin import step_across, top_hats

SKY_LABEL = 1
WATER_LABELS = (2, 3)  # water and falls
LEAST_STRETCH = 0.003  # of a photo: a smaller stretch of water is not counted
BY_STATIC, LEAST_SKY = 0.025, 500  # of the short side: where ghosts are looked for; pixels of sky, or there are none
GHOST_RADIUS = 0.003  # of the short side: half the width of a twig
GHOST_CONTRAST, GHOST_STEP = 0.2, 0.5  # of [-1, 1]: from the sky on both sides; of that, across two pixels


def static_kept(mask: Tensor, label: np.ndarray) -> float:
    """Share of the pixels labelled static, without a margin of 1% of the width, with mask exactly 0; 1 if none are."""
    static = _without_margin(torch.from_numpy(label == 0))
    return float((mask.cpu()[static] == 0).float().mean()) if static.any() else 1.0


def mask_iou(mask: Tensor, label: np.ndarray) -> float:
    """Intersection over union of the two; NaN where nothing moves in either."""
    ours, theirs = mask.cpu() >= 0.5, torch.from_numpy(label > 0)
    union = int((ours | theirs).sum())
    return int((ours & theirs).sum()) / union if union else math.nan


def false_positive_area(mask: Tensor, label: np.ndarray) -> float:
    """Share of the picture that moves but is labelled static: the score of photos without motion."""
    return float(((mask.cpu() >= 0.5) & torch.from_numpy(label == 0)).float().mean())


def stretch_recalls(moves: np.ndarray, label: np.ndarray) -> list[float]:
    """Of each connected stretch of water or falls in the label that takes up LEAST_STRETCH of it and does not touch the
    upper edge: the share that moves, bool [H,W]. A large sky hides in the IoU what is missed of these."""
    numbers, _ = ndimage.label(np.isin(label, WATER_LABELS), np.ones((3, 3)))
    sizes, kept = (np.bincount(numbers[place], minlength=numbers.max() + 1) for place in (numbers > 0, moves))
    lower = np.setdiff1d(np.nonzero(sizes >= max(1, LEAST_STRETCH * label.size))[0], numbers[0])
    return [float(kept[n] / sizes[n]) for n in lower]


def ghosts(moves: Tensor, photo: Tensor, label: np.ndarray) -> float:
    """Of the sky close to what is labelled static, the share that moves, bool [H,W], and is thin, sharp and unlike both
    sides: tips of twigs that labels leave out, and that would drift off. NaN where there is hardly any such sky.

    photo: [3,H,W] in [-1,1].
    """
    short = min(label.shape)
    static, sky = torch.from_numpy(label == 0), torch.from_numpy(label == SKY_LABEL)
    close = dilate(static, max(2, round(BY_STATIC * short)))
    pixels = int((close & sky).sum())
    if pixels < LEAST_SKY:
        return math.nan
    grey = photo.mean(0)
    contrast = torch.maximum(*top_hats(grey, max(2, round(GHOST_RADIUS * short))))
    sharp = dilate(step_across(grey), 1) > GHOST_STEP * contrast
    found = close & dilate(sky, 2) & moves & sharp & (contrast > GHOST_CONTRAST)
    return int(found.sum()) / pixels


def boundary_f(mask: Tensor, label: np.ndarray, tolerance: float = 4.0) -> float:
    """F-score of the mask's border against the label's: NaN where neither has one, 0 where only one has.

    A border pixel is matched if the other border comes within `tolerance` pixels, at 1024 pixels to the long side
    (Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013). The
    picture's own edges are no border.
    """
    scale = 1024 / max(label.shape)
    size = (max(1, round(label.shape[0] * scale)), max(1, round(label.shape[1] * scale)))
    areas = mask.cpu(), torch.from_numpy(label > 0).float()
    ours, theirs = (_border(F.adaptive_avg_pool2d(area[None, None], size)[0, 0] >= 0.5) for area in areas)
    if not ours.any() or not theirs.any():
        return math.nan if ours.any() == theirs.any() else 0.0
    precision = float((ndimage.distance_transform_edt(~theirs)[ours] <= tolerance).mean())
    recall = float((ndimage.distance_transform_edt(~ours)[theirs] <= tolerance).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _without_margin(mask: Tensor) -> Tensor:
    """Bool [H,W] without a margin of 1% of the width, where labels are uncertain. The frame's border is no edge."""
    return ~dilate(~mask, max(1, round(mask.shape[1] / 100)))


def _border(inside: Tensor) -> np.ndarray:
    """Pixels whose left or upper neighbour is on the other side, bool [H,W]."""
    area = inside.numpy()
    border = np.zeros_like(area)
    border[:, 1:] |= area[:, 1:] != area[:, :-1]
    border[1:] |= area[1:] != area[:-1]
    return border
