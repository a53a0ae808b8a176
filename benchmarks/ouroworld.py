"""The measures by which OuroWorld compares cinemagraphs, and the figures that it publishes.

Xie et al., "OuroWorld: Bringing Any 3D World Alive as Diverse, Endlessly Looping 3D Cinemagraphs", arXiv 2610.12461,
2026: equations 3 and 4, appendix A.5; thresholds and sampling as in their code. Its vividness degree is the mean of
three shares, between frames a third of a second apart: what moves, what changes in brightness, 1 − SSIM. Its
motion-aware loop fidelity (MALF) is how much more alike frames are one period apart than at other phases.

Two things differ: their optical flow is SEA-RAFT, here it is that of stylecine.quality, which finds no motion where it
explains little of the change; and their scenes are rendered worlds, not photos.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.tables import table
from stylecine.ops.image import LUMA, fit_short_side, resize
from stylecine.quality.measures import ssim
from stylecine.quality.opticalflow import optical_flow

SIDE = 384  # pixels: short side of their videos
SECONDS, RATE = 20, 3  # of their videos, which repeat the loop; frames per second that are compared
MOTION, ILLUMINATION = 0.003, 0.2  # of the short side; of the darker level
PHASES = 10  # of a period

FIGURES = ("mv", "iv", "vv", "vividness_degree", "loop_fidelity", "seam_ssim")
PUBLISHED = {  # tables 2 and A.3, static camera, means of 39 scenes
    "Gaussians-to-Life": (0.0588, 0.0170, 0.0364, 0.0374, 0.0265, 0.9388),
    "3D Cinemagraphy": (0.0045, 0.0069, 0.0086, 0.0066, 0.0134, 0.9995),
    "LoopGaussian": (0.0021, 0.0025, 0.0027, 0.0024, 0.0025, 0.9998),
    "3D-MOM": (0.0234, 0.0248, 0.0259, 0.0247, 0.0317, 0.9158),
    "OuroWorld": (0.0413, 0.0518, 0.0338, 0.0423, 0.0809, 0.9965),
}


def ouroworld(frames: np.ndarray, fps: float) -> dict[str, float]:
    """Motion, illumination and visual variation (mv, iv, vv), their mean, MALF and the SSIM at the seam.

    frames: uint8 [N,H,W,3], one period of a loop that is played again and again, at least two frames.
    """
    period = len(frames)
    gap = max(1, round(fps / RATE))
    pairs = Counter((k * gap % period, (k + 1) * gap % period) for k in range(max(1, int(SECONDS * fps / gap) - 1)))
    phases = sorted({round(period * k / PHASES) % period for k in range(PHASES)})
    used = {0, period - 1, *phases, *(t for pair in pairs for t in pair)}
    grey = {t: _grey(frames[t]) for t in used}
    with torch.inference_mode():
        variations = np.array([_variations(grey[a], grey[b]) for a, b in pairs])
        mv, iv, vv = np.average(variations, axis=0, weights=list(pairs.values()))
        others = [ssim(grey[a], grey[b]) for a, b in combinations(phases, 2)]
        seam = ssim(grey[period - 1], grey[0])
    values = (mv, iv, vv, (mv + iv + vv) / 3, 1 - np.mean(others), seam)  # one period apart they are the same frame
    return dict(zip(FIGURES, map(float, values), strict=True))


def published_table(means: Mapping[str, float]) -> str:
    """The published figures, and those of these loops."""
    rows = [{"method": name} | dict(zip(FIGURES, values, strict=True)) for name, values in PUBLISHED.items()]
    return table([*rows, {"method": "**these loops**", **means}], ("method", *FIGURES))


def _variations(first: Tensor, second: Tensor) -> tuple[float, float, float]:
    """Shares of pixels that move, and that are brighter or darker than where they come from; and 1 − SSIM."""
    moved = optical_flow(first, second).norm(dim=0) > MOTION * min(first.shape)
    height, width = first.shape
    back = optical_flow(second, first)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    grid = torch.stack((x + back[0], y + back[1]), -1) / torch.tensor([width, height]) * 2 - 1
    before = F.grid_sample(first[None, None], grid[None], padding_mode="border", align_corners=False)[0, 0]
    darker, brighter = torch.minimum(before, second), torch.maximum(before, second)
    changed = (brighter / (darker + 255e-6) > 1 + ILLUMINATION) & (grid.abs() <= 1).all(-1)
    return float(moved.float().mean()), float(changed.float().mean()), 1 - min(1.0, max(0.0, ssim(first, second)))


def _grey(frame: np.ndarray) -> Tensor:
    """[h,w] in whole grey levels, as decoded frames have."""
    grey = torch.from_numpy(frame.astype(np.float32) @ np.array(LUMA, np.float32))
    return resize(grey[None], fit_short_side(grey.shape, SIDE))[0].round()
