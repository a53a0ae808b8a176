"""What kind of water each stretch is, and how much of it is foam: what the eye says on average of all its places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from stylecine.networks.eye import KINDS
from stylecine.ops.image import resize
from stylecine.ops.regions import connected
from stylecine.options import WATER
from stylecine.perception.see import Seen

RUNS, _OPEN, MIRRORS, SURF = range(len(KINDS))
MAX_FOAM = 0.05  # probability of some foam on a stretch that mirrors its shore: those labelled so have 0.03 at most


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
    kinds[foamy > MAX_FOAM, MIRRORS] = -torch.inf
    kind = kinds.argmax(1).numpy()
    water = parts.numbers > 0
    return Waters(np.where(water, kind[parts.numbers], -1), np.where(water, foamy[parts.numbers], 0.0))
