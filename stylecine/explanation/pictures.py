"""The pictures of a page that explains a loop."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor

from stylecine.ops.regions import Region
from stylecine.output.embed import data_url, shrunk, webp

SIDE = 960  # pixels of a picture's long side
QUALITY = 80  # of pictures, as WebP
HOT = ((30, 40, 90), (60, 110, 190), (235, 235, 225), (240, 160, 60), (190, 30, 40))  # dark blue, white at 0.5, red


def picture_url(picture: np.ndarray) -> str:
    """uint8 [H,W,3] as a data URL, reduced to SIDE."""
    return data_url("image/webp", webp(shrunk(picture, (SIDE, SIDE)), QUALITY))


def mask_png(mask: np.ndarray) -> bytes:
    """[H,W] in [0,1] as a PNG that --mask takes."""
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * mask).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def residual_picture(reconstruction: np.ndarray, photo: np.ndarray, gain: float = 4.0) -> np.ndarray:
    """Photo less reconstruction, amplified, around mid-grey: uint8 [H,W,3]."""
    return np.clip(128 + gain * (photo.astype(np.float32) - reconstruction), 0, 255).astype(np.uint8)


def probability_picture(photo: np.ndarray, probability: Tensor) -> np.ndarray:
    """probability [h,w] in [0,1] over the photo in grey: blue below 0.5, white there, red above: uint8 [H,W,3]."""
    values = _over(photo, probability)
    places = np.linspace(0, 1, len(HOT))
    colour = np.stack([np.interp(values, places, [hot[c] for hot in HOT]) for c in range(3)], axis=-1)
    return _mixed(photo, colour, np.full(values.shape, 0.6))


def disagreement_picture(photo: np.ndarray, degrees: Tensor, moving: np.ndarray) -> np.ndarray:
    """Angles [h,w] from 0, grey, to 180, red, where something moves [H,W]: uint8 [H,W,3]."""
    strength = np.clip(_over(photo, degrees) / 180, 0, 1) * moving
    return _mixed(photo, np.broadcast_to((230.0, 40.0, 40.0), photo.shape), 0.85 * strength)


def vivid_picture(photo: np.ndarray, vivid: Tensor, moving: np.ndarray) -> np.ndarray:
    """Green what moves and is seen to, violet what moves and is not: vivid [h,w], moving [H,W] in [0,1]."""
    share = _over(photo, vivid)[..., None]
    colour = share * (60.0, 190.0, 90.0) + (1 - share) * np.array((150.0, 60.0, 190.0))
    return _mixed(photo, colour, 0.55 * moving)


def with_names(picture: np.ndarray, regions: Sequence[tuple[str, Region]], *, outlines: bool = False) -> np.ndarray:
    """The picture with a name at the centre of each region, and their outlines on request: uint8 [H,W,3]."""
    image = Image.fromarray(shrunk(picture, (SIDE, SIDE)))
    draw = ImageDraw.Draw(image)
    for name, region in regions:
        if outlines:
            inside = np.asarray(Image.fromarray(region.mask).resize(image.size, Image.Resampling.NEAREST))
            edge = inside & ~ndimage.binary_erosion(inside, iterations=2)
            image.paste((255, 255, 255), (0, 0), Image.fromarray(edge))
        x, y = region.centre[0] * image.width, region.centre[1] * image.height
        draw.ellipse((x - 13, y - 13, x + 13, y + 13), fill=(20, 20, 24), outline="white", width=2)
        draw.text((x, y), name, fill="white", anchor="mm", font_size=17)
    return np.asarray(image)


def _over(photo: np.ndarray, values: Tensor) -> np.ndarray:
    return F.interpolate(values[None, None], photo.shape[:2], mode="bilinear", align_corners=False)[0, 0].numpy()


def _mixed(photo: np.ndarray, colour: np.ndarray, share: np.ndarray) -> np.ndarray:
    grey = photo.mean(-1, keepdims=True)
    picture = grey + share[..., None] * (colour - grey)
    return torch.from_numpy(picture).round().clamp(0, 255).to(torch.uint8).numpy()
