"""Cuts a photo to a shape around what moves in it, before anything else is done with it."""

import logging

import numpy as np
import torch

from stylecine.engine.model_networks import Networks
from stylecine.movement.displacement import moving_points
from stylecine.movement.motion import predict_motion
from stylecine.ops.image import to_tensor
from stylecine.options import MOVING, Size
from stylecine.perception.layers import moving
from stylecine.perception.look import look
from stylecine.picture.crop import Crop
from stylecine.picture.photo import Source, load_photo, read_photo
from stylecine.picture.window import crop_window

LOOK_SIDE = 512  # pixels: short side at which is judged what moves
MAX_ENLARGED = 2.0  # times: a photo that is too small for the size gets a smaller one of that shape
_log = logging.getLogger("stylecine")


def is_around_motion(size: Size) -> bool:
    """Whether a size leaves it to `framed` what of the photo is kept."""
    return isinstance(size, tuple) and size[2:] == (MOVING,)


@torch.no_grad()
def framed(photo: Source, size: Size, networks: Networks) -> tuple[np.ndarray, Size]:
    """The largest part of a photo that has the shape of a size, where most moves, as `read_photo` gives it; and the
    size with the place, in fractions, that it is around.

    photo: as for `read_photo`, but no file object. What moves is what the landscape's eye sees, times its speed; in
    doubt the middle is kept. A photo that would have to be enlarged more than twice gets a smaller picture, which is
    logged.
    """
    assert isinstance(size, tuple)
    width, height = size[:2]
    small = load_photo(photo, LOOK_SIDE)
    high, wide = small.shape[:2]
    left, top, w, h = crop_window(Crop(width, height), wide, high, _moves(small, networks), even=False)
    centre = (round((left + w / 2) / wide, 4), round((top + h / 2) / high, 4))
    needed = max(width / wide, height / high) * min(wide, high)  # short side of the photo that is not enlarged
    own = min(load_photo(photo, max(LOOK_SIDE, round(needed / MAX_ENLARGED))).shape[:2])
    if needed > MAX_ENLARGED * own + 1:
        scale = MAX_ENLARGED * own / needed
        smaller = 2 * round(width * scale / 2), 2 * round(height * scale / 2)
        _log.warning("The photo is too small for %dx%d, so its picture is %dx%d.", width, height, *smaller)
        width, height = smaller
    size = width, height, centre
    return read_photo(photo, size)[0], size


def _moves(photo: np.ndarray, networks: Networks) -> np.ndarray:
    """How much moves in a photo uint8 [H,W,3], and how fast, [h,w]."""
    scenery = look(to_tensor(photo).to(networks.device), networks.eye, networks.refiner)
    motion = predict_motion(scenery)
    moves = moving_points(moving(scenery.layers), motion) * motion.norm(dim=0)
    return np.asarray(moves.cpu().numpy())
