"""The generator above F for many images with one w+: everything that they have in common is made once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.networks.generator import (
    Generator,
    SynthesisLayer,
    channels_last,
    combined_conv,
    transposed_conv,
    upsample,
    upsampling_kernel,
)

REACH = 3  # cells of F around a pixel on which it depends, whatever the number of blocks


@dataclass(frozen=True, eq=False)
class Layer:
    """A modulated convolution, its noise [1,1,h,w] over all of the image, and the leaky ReLU."""

    weight: Tensor
    bias: Tensor
    noise: Tensor | None
    up: bool

    def __call__(self, x: Tensor, top: int, left: int) -> Tensor:
        """x [1,I,a,b], where its noise begins -> [1,O,a',b']."""
        if not self.up:
            x = F.conv2d(x, self.weight, self.bias, padding=1)
        else:
            x = (combined_conv if x.is_cuda else transposed_conv)(x, self.weight, self.bias)
        if self.noise is not None:
            x += self.noise[..., top : top + x.shape[2], left : left + x.shape[3]]
        return F.leaky_relu(x, 0.2, inplace=True)


class ModulatedSynthesis:
    """Makes images of features.

    Args:
        w_plus: [L,512].
        size: (h, w) of the whole F, for the noise.
        dtype: of the convolutions; the image is float32.
    """

    def __init__(self, generator: Generator, w_plus: Tensor, size: tuple[int, int], dtype: torch.dtype) -> None:
        self.stride, self.dtype = generator.stride, dtype
        self.blocks: list[list[Layer]] = []                # coarse to fine, as the contributions that follow
        self.colours: list[tuple[Tensor, Tensor]] = []     # weight [3,C,1,1] and bias [3,1,1]
        above = [r for r in generator.channels if r >= generator.feature_resolution]
        for i, resolution in enumerate(above):
            block, ws = generator.block(resolution), generator.styles_of(resolution, w_plus[None])
            if i:
                extent = size[0] << i, size[1] << i
                layers = ((block.conv0, ws[:, 0]), (block.conv1, ws[:, 1]))
                self.blocks.append([self._layer(layer, w, layer.noise_map(generator.noise, extent))
                                    for layer, w in layers])
            weight = block.torgb.modulated(ws[:, 1 if block.first else 2])
            self.colours.append((channels_last(weight.to(dtype)), block.torgb.bias[:, None, None]))

    def _layer(self, layer: SynthesisLayer, w: Tensor, noise: Tensor | None) -> Layer:
        weight, bias = layer.modulated(w)
        if layer.up and weight.is_cuda:
            weight, bias = upsampling_kernel(weight), bias.repeat(4)
        return Layer(channels_last(weight.to(self.dtype)), bias.to(self.dtype),
                     None if noise is None else noise.to(self.dtype)[None, None], layer.up)

    def __call__(self, feature: Tensor, top: int = 0, left: int = 0) -> Tensor:
        """The image [3,s·a,s·b] of a part [C,a,b] of F, which begins at (top, left): as that part of the whole image,
        but for the s·REACH pixels along those of its borders that are not F's own."""
        x = channels_last(feature[None].to(self.dtype))
        image = self._contribution(0, x)
        for i, layers in enumerate(self.blocks, 1):
            for layer in layers:
                x = layer(x, top << i, left << i)
            image = upsample(image).add_(self._contribution(i, x))
        return image[0]

    def _contribution(self, i: int, x: Tensor) -> Tensor:
        weight, bias = self.colours[i]
        return F.conv2d(x, weight).to(torch.float32, memory_format=torch.contiguous_format).add_(bias)
