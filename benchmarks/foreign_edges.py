"""How much a crossfade invents: strong edges of a frame that none of the copies it mixes has."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.picture.loop import Loop, frames
from stylecine.quality.measures import Frames, distant_pairs, grey_of, shrunk
from stylecine.quality.opticalflow import gradient

GOAL = 0.02
SIDE = 128  # pixels: short side to which frames are shrunk
STRONG_EDGE = 5.0  # grey levels a pixel of these: the gradient of a strong edge
OWN_SHARE = 0.7  # of an edge's gradient: a copy that has as much there, in its direction, has that edge
FEW_EDGES = 0.005  # of what moves: fewer strong edges count as so many

Copies = Callable[[int], Sequence[np.ndarray]]  # of a frame's number, the frames uint8 [H,W,3] of which it is a mix


def foreign_edges(frames: Frames, copies: Copies, moving: Tensor, fps: float) -> float:
    """The share of strong edges where moving, [H,W], is 0.5 or more that none of a frame's copies has there, in the
    worst of four frames; NaN where nothing moves.

    A strong edge changes by 5 grey levels a pixel, of 128 to the short side; a copy has it if it changes by 0.7 of that
    in the same direction within a pixel. Where the shares of the copies change from place to place, clouds get straight
    sides.
    """
    moves, count = shrunk(moving, SIDE) >= 0.5, len(frames)
    if not moves.any():
        return float("nan")
    shares = []
    for t in {start for start, _ in distant_pairs(count, fps)} - {0} or {count // 2}:
        edge = _edges(frames[t])
        steepness = edge.norm(dim=0)
        strong = (steepness >= STRONG_EDGE) & moves
        own = [_steepest_along(edge, _edges(copy), strong) for copy in copies(t)]
        foreign = torch.stack(own).amax(0) < OWN_SHARE * steepness[strong]
        shares.append(float(foreign.sum() / max(len(foreign), FEW_EDGES * float(moves.sum()))))
    return max(shares)


def copies_of(loop: Loop, t: float) -> Tensor:
    """The two copies of which frame t shows one or a mix, each alone: uint8 [2,H,W,3]."""
    _, swapped = loop.displacement.phase_map(loop.displacement.moment(t))
    never = torch.where(swapped, -1.0, 1.0)  # begins after the sub-cycle; or before it, where the copies swap names
    only = (torch.stack((begin, torch.ones_like(begin))) for begin in (never, -never))
    return torch.cat([frames(replace(loop, crossfade=crossfade), [t]) for crossfade in only])


def _edges(frame: np.ndarray) -> Tensor:
    """The gradient of a frame, shrunk: [2,h,w]."""
    return gradient(shrunk(grey_of(frame)[0, 0], SIDE)[None, None])[0]


def _steepest_along(edge: Tensor, gradient: Tensor, where: Tensor) -> Tensor:
    """The largest component in the direction of `edge` [2,h,w] that a gradient [2,h,w] has within a pixel of each place
    in `where`, bool [h,w]: [n]."""
    h, w = where.shape
    direction = edge[:, where] / edge[:, where].norm(dim=0)
    wide = F.pad(gradient[None], (1, 1, 1, 1), mode="replicate")[0]
    around = [wide[:, y : y + h, x : x + w][:, where] for y in range(3) for x in range(3)]
    return torch.stack([(direction * near).sum(0) for near in around]).amax(0)
