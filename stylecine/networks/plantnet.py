"""Which plants sway in the wind: a small decoder of the cloth finder's backbone, which still knows what things are.

What is far sways too little to be seen, and looks like what is near but for its grain and its place in the photo; so
the decoder has coordinates, as those of the eye have, and ends at 1/4, where leaves still have edges.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stylecine.networks.backbone import Backbone, tap_channels
from stylecine.networks.decoder import Decoder, decoder_widths
from stylecine.networks.unet import load

WIDTHS = (16, 32, 48, 64)  # at 1/4, 1/8, 1/16 and 1/32


class PlantNet(nn.Module):
    """photo [N,3,H,W] in [-1,1] -> logits of what sways [N,1,H/4,W/4]; H and W multiples of 32.

    backbone: the cloth finder's, not trained and not stored with this network.
    """

    def __init__(self, backbone: Backbone, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = Decoder(tap_channels(backbone.widths)[1:], 1, widths)

    def forward(self, photo: Tensor) -> Tensor:
        return self.decoder(self.features(photo))

    def features(self, photo: Tensor) -> list[Tensor]:
        """Those that the decoder reads: at 1/4, 1/8, 1/16 and 1/32."""
        return self.backbone(photo.contiguous(memory_format=torch.channels_last))[1:]

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], backbone: Backbone) -> PlantNet:
        """The network with these tensors of its decoder, from which sizes come. WeightsMalformed if they do not fit."""
        message = "The plant network's weights do not fit it; fetch the model again."
        return load(lambda: cls(backbone, decoder_widths(tensors)), tensors, message, "decoder")
