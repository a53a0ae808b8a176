"""What the eye says of a photo, from the photo and its mirror image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stylecine.machine.threads import another_thread
from stylecine.networks.eye import Sight
from stylecine.ops.image import fast_dtype, network_size, resize
from stylecine.perception.refine import crf_refine

SHORT_SIDE = 640  # pixels on the short side of the copy that the eye sees

EyeNetwork = Callable[[Tensor], Sight]  # photos [N,3,H,W] in [-1,1], as `networks.eye.Eye`


@dataclass(frozen=True, eq=False)
class Seen:
    """What the eye sees in a photo, each map at a size of its own.

    classes: [5,h,w], probabilities of static and of CLASSES, which sum to 1; places of similar colour agree.
    occluder: [h,w], probability that something stands there, before water or sky at that.
    plants: [h,w], probability that something sways there in the wind.
    directions, mirrored: [2,h,w], which way matter flows, x right, y down, as seen in the photo and in its mirror
        image. They are shorter than 1 where that is uncertain, and a guess where they contradict each other.
    """

    classes: Tensor
    occluder: Tensor
    plants: Tensor
    directions: Tensor
    mirrored: Tensor


@torch.inference_mode()
def see(photo: Tensor, eye: EyeNetwork) -> Seen:
    """photo [3,H,W] in [-1,1]."""
    dtype, small = fast_dtype(photo.device), resize(photo, network_size(photo.shape[-2:], SHORT_SIDE))

    def sight(image: Tensor) -> Sight:
        with torch.inference_mode(), torch.autocast(photo.device.type, dtype, enabled=dtype != torch.float32):
            return eye(image[None])

    with another_thread(photo.device, "stylecine-mirror") as begin:  # no network keeps all cores busy by itself
        ahead = begin(lambda: sight(small.flip(2)))
        straight, mirrored = sight(small), ahead.result()
    classes = _mean(straight.classes.float().exp(), mirrored.classes.float().exp())
    sides = torch.tensor([-1.0, 1.0], device=photo.device)[:, None, None]
    return Seen(
        classes=crf_refine(classes, photo),
        occluder=_mean(straight.occluder, mirrored.occluder)[0].sigmoid(),
        plants=_mean(straight.plants, mirrored.plants)[0].sigmoid(),
        directions=straight.direction[0].float(),
        mirrored=mirrored.direction[0].float().flip(2) * sides,
    )


def _mean(straight: Tensor, mirrored: Tensor) -> Tensor:
    """[1,C,h,w] of a photo and of its mirror image -> [C,h,w]."""
    return (straight[0].float() + mirrored[0].float().flip(2)) / 2
