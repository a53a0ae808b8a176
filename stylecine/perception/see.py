"""What the eye says of a photo, from the photo and its mirror image at two sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stylecine.machine.threads import another_thread
from stylecine.networks.eye import Sight
from stylecine.ops.image import fast_dtype, network_size, resize

# Pixels on the short sides of the copies that the eye sees. What it says of the two is less alike if they differ, so
# their mean is better than that of two large ones, for less than three quarters of the work.
SHORT_SIDE, MIRRORED_SHORT_SIDE = 640, 416

EyeNetwork = Callable[[Tensor], Sight]  # photos [N,3,H,W] in [-1,1], as `networks.eye.Eye`


@dataclass(frozen=True, eq=False)
class Seen:
    """What the eye sees in a photo, maps at a half to a sixteenth of the larger copy.

    classes: [5,h,w], probabilities of static and of CLASSES, which sum to 1.
    occluder: [h,w], probability that something stands there, before water or sky at that.
    water: [7,h,w], logits of KINDS of water and of how much FOAM is on it, which count on average over a stretch.
    directions, mirrored: [2,h,w], which way matter flows, x right, y down, as seen in the photo and in its mirror
        image. They are shorter than 1 where that is uncertain, and a guess where they contradict each other.
    """

    classes: Tensor
    occluder: Tensor
    water: Tensor
    directions: Tensor
    mirrored: Tensor


@torch.inference_mode()
def see(photo: Tensor, eye: EyeNetwork) -> Seen:
    """photo [3,H,W] in [-1,1]."""
    dtype = fast_dtype(photo.device)

    def sight(image: Tensor, short: int) -> Sight:
        small = resize(image, network_size(image.shape[-2:], short))
        with torch.inference_mode(), torch.autocast(photo.device.type, dtype, enabled=dtype != torch.float32):
            return eye(small[None])

    with another_thread(photo.device, "stylecine-mirror") as submit:  # no network keeps all cores busy by itself
        ahead = submit(lambda: sight(photo.flip(2), MIRRORED_SHORT_SIDE))
        straight, mirrored = sight(photo, SHORT_SIDE), ahead.result()
    sides = torch.tensor([-1.0, 1.0], device=photo.device)[:, None, None]
    return Seen(
        classes=_mean(straight.classes.float().exp(), mirrored.classes.float().exp()),
        occluder=_mean(straight.occluder, mirrored.occluder)[0].sigmoid(),
        water=_mean(straight.water, mirrored.water),
        directions=straight.direction[0].float(),
        mirrored=_mirrored_back(mirrored.direction, straight.direction) * sides,
    )


def _mean(straight: Tensor, mirrored: Tensor) -> Tensor:
    """[1,C,h,w] of a photo, and the same of its mirror image at another size -> [C,h,w]."""
    return (straight[0].float() + _mirrored_back(mirrored, straight)) / 2


def _mirrored_back(mirrored: Tensor, like: Tensor) -> Tensor:
    return resize(mirrored[0].float().flip(2), like.shape[-2:])
