"""Transparent parts of a photo: which stand still, which colours lie under them, and how frames show them."""

import numpy as np
from PIL import Image

from stylecine.errors import PhotoError

UNDER = 255, 255, 255  # what lies under transparent parts in files that cannot keep them
UNDER_NAME = "white"
OPAQUE = 0.98  # of the photo's largest alpha: less is transparent; resampling and lossy formats change it a little
KNOWN = 0.5  # of the largest alpha: from there on a pixel's colours are continued into what is transparent


def continued(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """An RGBA picture as RGB, in which the colours of its opaque parts continue under what is fully transparent, and
    its alpha.

    So networks see no border of a colour that nobody sees, and resampling mixes none into the edges. A pull-push
    pyramid: the means of what is known at ever coarser levels fill what finer ones do not know. Raises PhotoError if
    all is transparent.
    """
    alpha = picture.getchannel("A")
    most = int(np.asarray(alpha).max())
    if most == 0:
        raise PhotoError("The photo is transparent everywhere; give one in which something can be seen.")
    levels = [_known(picture, round(KNOWN * most))]
    while max(levels[-1].size) > 1:
        levels.append(_known(levels[-1].reduce(2), 1))
    filled = levels.pop().convert("RGB")
    for level in reversed(levels):
        filled = filled.resize(level.size, Image.Resampling.BILINEAR)
        filled.paste(level.convert("RGB"), mask=level.getchannel("A"))
    filled.paste(picture.convert("RGB"), mask=alpha.point(lambda value: 255 * (value > 0)))
    return filled, alpha


def _known(picture: Image.Image, least: int) -> Image.Image:
    """An RGBA picture, opaque where its alpha is at least so much, else transparent."""
    known = picture.copy()
    known.putalpha(picture.getchannel("A").point(lambda value: 255 * (value >= least)))
    return known


def split_alpha(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels uint8 [H,W,3] or [H,W,4] as [H,W,3], and alpha [H,W], None without any."""
    if picture.shape[2] == 3:
        return picture, None
    return np.ascontiguousarray(picture[..., :3]), np.ascontiguousarray(picture[..., 3])


def transparent(alpha: np.ndarray) -> np.ndarray:
    """Where a photo with this alpha, uint8 [H,W], is transparent, if only in part: bool [H,W]. A photo of one alpha has
    no such places."""
    return alpha < OPAQUE * float(alpha.max())


def with_alpha(frame: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A frame [H,W,3], uint8 or uint16, with its photo's alpha, uint8 [H,W], straight: [H,W,4]."""
    return np.concatenate([frame, alpha[..., None].astype(frame.dtype) * (np.iinfo(frame.dtype).max // 255)], axis=-1)


def flattened(frame: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A frame [H,W,3], uint8 or uint16, over UNDER, of the same shape."""
    shown, places = frame.copy(), alpha < 255
    share = alpha[places, None].astype(np.float32) / 255
    under = np.array(UNDER, np.float32) * (np.iinfo(frame.dtype).max // 255)
    shown[places] = np.rint(frame[places] * share + under * (1 - share)).astype(frame.dtype)
    return shown
