"""What stands still before water and sky: a decoder, at 1/2, of the cloth finder's backbone, which still knows things.

The segmenter learnt regions from labels whose borders leave out posts, stones, twigs and leaves; this network learnt
from such things pasted over water and sky, and has the last word on what the segmenter lets move.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stylecine.networks.segmenter import Backbone, Decoder, decoder_widths, tap_channels
from stylecine.networks.unet import load

WIDTHS = (16, 24, 40, 64, 96)  # at 1/2, 1/4, 1/8, 1/16 and 1/32


class OccluderNet(nn.Module):
    """photo [N,3,H,W] in [-1,1] -> logits of standing still [N,1,H/2,W/2]; H and W multiples of 32.

    backbone: the cloth finder's, not trained and not stored with this network.
    """

    def __init__(self, backbone: Backbone, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = Decoder(tap_channels(backbone.widths), 1, widths)

    def forward(self, photo: Tensor) -> Tensor:
        return self.decoder(self.features(photo))

    def features(self, photo: Tensor) -> list[Tensor]:
        """Those that the decoder reads: at 1/2, 1/4, 1/8, 1/16 and 1/32."""
        return self.backbone(photo.contiguous(memory_format=torch.channels_last))

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], backbone: Backbone) -> OccluderNet:
        """The network with these tensors of its decoder, from which sizes come. WeightsMalformed if they do not fit."""

        def build() -> OccluderNet:
            fine = (len(tensors["up2.mix.bias"]), len(tensors["up4.mix.bias"]))
            return cls(backbone, (*fine, *decoder_widths(tensors)))

        return load(build, tensors, "The occluder network's weights do not fit it; fetch the model again.", "decoder")
