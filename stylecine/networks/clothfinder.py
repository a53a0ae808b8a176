"""Where flags, banners and hung cloth are: a small decoder of a backbone that still knows what they are.

Fine-tuned on landscapes, the eye's backbone has forgotten most of what ImageNet taught it about flags and
fabrics. What separates it from its former weights is nearly of low rank, so one small pair of factors for each 1x1
convolution (Hu et al., "LoRA", 2021) leads back far enough.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

from stylecine.networks.backbone import Backbone, tap_channels
from stylecine.networks.decoder import Context, Join, decoder_widths
from stylecine.networks.unet import Conv2d, load

LEFT, RIGHT, DECODER = ".left", ".right", "decoder."


class FinderDecoder(Context):
    """Features at 1/8, 1/16 and 1/32 of an image -> logits [N,1,H/8,W/8]."""

    def __init__(self, channels: tuple[int, ...], widths: tuple[int, ...]) -> None:
        w8, w16, w32 = widths
        super().__init__(channels[2], w32, dilations=(1, 2))
        self.up16 = Join(w32, channels[1], w16)
        self.up8 = Join(w16, channels[0], w8)
        self.leave = Conv2d(w8, 1, 1)
        nn.init.constant_(cast(Tensor, self.leave.bias), -2.0)  # cloth is rare

    def forward(self, features: list[Tensor]) -> Tensor:
        eighth, sixteenth, last = features
        return self.leave(self.up8(self.up16(self.gather(last), sixteenth), eighth))


class ClothFinder(nn.Module):
    """photo [N,3,H,W] in [-1,1] -> logits of cloth [N,1,H/8,W/8]; H and W multiples of 32.

    backbone: the eye's, which is copied; `corrections` are added to its 1x1 convolutions, by name: left [out,r]
    and right [r,in]. `decoder` is what is trained.
    """

    def __init__(
        self,
        backbone: Backbone,
        corrections: dict[str, tuple[Tensor, Tensor]],
        widths: tuple[int, ...] = (24, 32, 40),
    ) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone).requires_grad_(False)
        convolutions = dict(self.backbone.named_modules())
        for name, (left, right) in corrections.items():
            weight = convolutions[name].weight
            weight += (left @ right).to(weight)[:, :, None, None]
        channels = tap_channels(backbone.widths)
        self.decoder = FinderDecoder(channels[2:], widths)

    def forward(self, photo: Tensor) -> Tensor:
        return self.decoder(self.features(photo))

    def features(self, photo: Tensor) -> list[Tensor]:
        """Those that the decoder reads: at 1/8, 1/16 and 1/32."""
        return self.backbone(photo.contiguous(memory_format=torch.channels_last))[2:]

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], backbone: Backbone) -> ClothFinder:
        """The network with these tensors of corrections and decoder. WeightsMalformed if they do not fit."""
        decoder = {name.removeprefix(DECODER): x for name, x in tensors.items() if name.startswith(DECODER)}

        def build() -> ClothFinder:
            names = [name.removesuffix(LEFT) for name in tensors if name.endswith(LEFT)]
            corrections = {name: (tensors[name + LEFT], tensors[name + RIGHT]) for name in names}
            return cls(backbone, corrections, decoder_widths(decoder))

        message = "The cloth finder's weights do not fit its network; fetch the model again."
        return load(build, decoder, message, "decoder")
