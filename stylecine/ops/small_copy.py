"""What is found in a small copy of a photo, for any grid. Each loop of a photo asks the same, so answers are kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from stylecine.ops.image import fit_short_side, resize

SHORT_SIDE = 192
KEPT = 16  # answers: one photo asks for fewer

Find = Callable[[np.ndarray, np.ndarray], np.ndarray]  # photo [3,h,w] in [0,1], places bool [h,w] -> float32 [h,w]


def find_in_small_copy(find: Find, photo: Tensor, places: np.ndarray) -> np.ndarray:
    """What `find` says of a photo [3,H,W] in [-1,1] and places in it, bool [h,w]: [h,w]; zeros if there are none."""
    if not places.any():
        return np.zeros(places.shape, np.float32)
    size = fit_short_side((photo.shape[1], photo.shape[2]), SHORT_SIDE)
    small = resize(photo, size).float().cpu().numpy()
    inside = resize(torch.from_numpy(places)[None].float(), size)[0].numpy() > 0.5
    found = torch.from_numpy(_kept(find, size, small.tobytes(), inside.tobytes()))
    answer: np.ndarray = resize(found[None], places.shape)[0].numpy()
    return answer


@lru_cache(maxsize=KEPT)
def _kept(find: Find, size: tuple[int, int], photo: bytes, places: bytes) -> np.ndarray:
    picture = np.frombuffer(photo, np.float32).reshape(3, *size) / 2 + 0.5
    return find(picture, np.frombuffer(places, bool).reshape(size))
