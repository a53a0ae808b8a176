"""A photo that has been understood: its latents, what moves in it and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylecine.measures import psnr
from stylecine.networks.lpips import LPIPS
from stylecine.ops.pixels import to_tensor
from stylecine.provenance import PhotoFile
from stylecine.weights import ModelRecord, role_tensors


@dataclass(frozen=True, eq=False)
class Scene:
    """What `Animator.invert` found in one photo, and all that `Animator.render` needs; it never changes.

    Attributes:
        photo: the photo, oriented, in sRGB and sized, uint8 [H,W,3].
        reconstruction: the generator's own picture of it, G(F, w+), without the residual, uint8 [H,W,3].
        w_plus: style vectors, float32 [L,512].
        feature: features at the injection layer, float32 [C,h,w].
        layers: soft maps of what can move, float32 [K,H,W] in [0,1]: sky, water, falls, smoke.
        mask: how much each pixel moves, 1 − Π(1 − layer), float32 [H,W] in [0,1].
        motion: Eulerian motion field, float32 [2,h,w], pixels of its own grid per 1/30 s, x right, y down.
        model: record of the weights that made it.
        source: the photo's file as it was given; None for pixels.
        settings: the options it was inverted with.
        timings: seconds by stage.
    """

    photo: np.ndarray
    reconstruction: np.ndarray
    w_plus: Tensor
    feature: Tensor
    layers: Tensor
    mask: Tensor
    motion: Tensor
    model: ModelRecord
    source: PhotoFile | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)

    @cached_property
    def score(self) -> dict[str, float]:
        """How near `reconstruction` is to `photo`: {"lpips" (0 is equal), "psnr" (dB)}; when asked for."""
        with torch.inference_mode():
            network = LPIPS.from_tensors(role_tensors(self.model, "lpips"))
            distance = network(to_tensor(self.photo)[None], to_tensor(self.reconstruction)[None])
        return {"lpips": float(distance), "psnr": psnr(self.reconstruction, self.photo)}

    @cached_property
    def likeness(self) -> float:
        """PSNR in dB of `reconstruction` to `photo`, both shrunk by 4: do its colours and coarse forms come back?

        Says in milliseconds whether the generator knows such pictures. LPIPS does not say it: text and bricks have
        better ones than much foliage.
        """
        height, width = (side // 4 * 4 for side in self.photo.shape[:2])  # whole blocks: what is cut is no form
        ours, truth = (Image.fromarray(image[:height, :width]) for image in (self.reconstruction, self.photo))
        return psnr(np.asarray(ours.reduce(4)), np.asarray(truth.reduce(4)))
