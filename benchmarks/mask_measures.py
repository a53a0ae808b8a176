"""How well a mask agrees with a label made by hand.

mask: float32 [H,W] in [0,1], how much each pixel moves; from 0.5 on it counts as moving.
label: uint8 [H,W], hand-labelled classes; 0 is static.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.quality.measures import without_margin

WATER_LABELS = (2, 3)  # water and falls
LEAST_STRETCH = 0.003  # of a photo: a smaller stretch of water is not counted


def static_kept(mask: Tensor, label: np.ndarray) -> float:
    """Share of the pixels labelled static, without a margin of 1% of the width, with mask exactly 0; 1 if none are."""
    static = without_margin(torch.from_numpy(label == 0))
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


def _border(inside: Tensor) -> np.ndarray:
    """Pixels whose left or upper neighbour is on the other side, bool [H,W]."""
    area = inside.numpy()
    border = np.zeros_like(area)
    border[:, 1:] |= area[:, 1:] != area[:, :-1]
    border[1:] |= area[1:] != area[:-1]
    return border
