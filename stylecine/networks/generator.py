"""StyleGAN2 generator with skip (ToRGB) outputs, in plain PyTorch.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020). Parameter names are those of
NVIDIA's PyTorch releases, so that converted state dicts load as they are. Every size is read off the tensors.
Everything from the injected feature F upward is convolutional, hence works at any aspect ratio.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.unet import load, normal

W_DIM = 512
Noise = Literal["none", "const"] | int      # none, the layers' own at their size, or a seed to draw from at any


class FullyConnected(nn.Module):
    """y = act(W x · gain + b · lr_multiplier) with equalised learning rate: gain = lr_multiplier / sqrt(in)."""

    def __init__(self, inputs: int, outputs: int, *, bias_init: float = 0.0, lr_multiplier: float = 1.0,
                 activate: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(outputs, inputs, deviation=1 / lr_multiplier))  # [O,I]
        self.bias = nn.Parameter(torch.full((outputs,), bias_init))                # [O]
        self.gain = lr_multiplier / math.sqrt(inputs)
        self.lr_multiplier = lr_multiplier
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:  # [...,I] -> [...,O]
        y = F.linear(x, self.weight * self.gain, self.bias * self.lr_multiplier)
        return F.leaky_relu(y, 0.2) * math.sqrt(2) if self.activate else y


class MappingNetwork(nn.Module):
    """z [N,512] -> w [N,512]; eight (or fewer) layers at a learning-rate multiplier of 0.01."""

    def __init__(self, layers: int = 8) -> None:
        super().__init__()
        self.layers = layers
        for i in range(layers):
            self.add_module(f"fc{i}", FullyConnected(W_DIM, W_DIM, lr_multiplier=0.01, activate=True))
        self.register_buffer("w_avg", torch.zeros(W_DIM))

    def forward(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for i in range(self.layers):
            x = self.get_submodule(f"fc{i}")(x)
        w_avg = self.get_buffer("w_avg")
        return w_avg + (x - w_avg) * truncation_psi


class SynthesisLayer(nn.Module):
    """Modulated, demodulated 3×3 convolution (optionally ×2 upsampling), noise, bias, leaky ReLU · sqrt(2)."""

    def __init__(self, inputs: int, outputs: int, resolution: int, *, up: bool, noise: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(outputs, inputs, 3, 3))                  # [O,I,3,3]
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.affine = FullyConnected(W_DIM, inputs, bias_init=1.0)
        self.up = up
        self.noise = noise
        if noise:
            self.noise_strength = nn.Parameter(torch.zeros([]))
            self.register_buffer("noise_const", normal(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, noise: Noise) -> Tensor:  # [N,I,h,w], [N,512] -> [N,O,h',w']
        if len(x) == len(w) == 1 and not w.requires_grad:  # modulating the weights costs nothing per pixel
            x = self._convolved(x, *self.modulated(w))
        else:                                          # equivalent: scale inputs and outputs of shared weights
            styles, scale = self._scales(w)
            x = self._convolved(x * styles[:, :, None, None].to(x.dtype), self.weight, None)
            bias = (self.bias * math.sqrt(2)).to(x.dtype)
            x = torch.addcmul(bias[:, None, None], x, scale[:, :, None, None].to(x.dtype))
        noise_map = self.noise_map(noise, x.shape[-2:])
        if noise_map is not None:
            x = x + noise_map.to(x.dtype)
        return F.leaky_relu(x, 0.2, inplace=True)

    def modulated(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Weight [O,I,3,3] and bias [O] at the style that w [1,512] gives."""
        styles, scale = self._scales(w)
        return self.weight * (scale[0, :, None] * styles[0])[:, :, None, None], self.bias * math.sqrt(2)

    def noise_map(self, noise: Noise, size: torch.Size | tuple[int, int]) -> Tensor | None:
        """What is added to each channel [h,w], None for nothing."""
        if not self.noise or noise == "none":
            return None
        constant = self.get_buffer("noise_const")
        if noise == "const":
            drawn = constant
        else:
            layer = 2 * constant.shape[0] + self.up                                # different in each layer
            source = torch.Generator().manual_seed((noise + layer) % 2**63)
            drawn = torch.randn(tuple(size), generator=source).to(constant.device)
        return drawn * (self.noise_strength * math.sqrt(2))

    def _scales(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Factors of the inputs [N,I] and of the outputs [N,O]."""
        styles = self.affine(w)
        demodulate = (styles.square() @ self.weight.square().sum((2, 3)).T + 1e-8).rsqrt()
        return styles, demodulate * math.sqrt(2)       # leaky ReLU commutes with its gain, which so costs no extra pass

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        return upsampling_conv(x, weight, bias) if self.up else F.conv2d(x, weight, bias, padding=1)


class ToRGB(nn.Module):
    """Modulated 1×1 convolution without demodulation: linear in x per pixel, so it commutes with a normalised warp."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(3, inputs, 1, 1))                        # [3,I,1,1]
        self.bias = nn.Parameter(torch.zeros(3))
        self.affine = FullyConnected(W_DIM, inputs, bias_init=1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:  # [N,I,h,w], [N,512] -> [N,3,h,w]
        if len(x) == len(w) == 1 and not w.requires_grad:
            return F.conv2d(x, self.modulated(w).to(x.dtype), self.bias.to(x.dtype))
        x = x * self._styles(w)[:, :, None, None].to(x.dtype)
        return F.conv2d(x, self.weight.to(x.dtype), self.bias.to(x.dtype))

    def modulated(self, w: Tensor) -> Tensor:
        """Weight [3,I,1,1] at the style that w [1,512] gives."""
        return self.weight * self._styles(w)[0, :, None, None]

    def _styles(self, w: Tensor) -> Tensor:  # [N,I]
        return self.affine(w) / math.sqrt(self.weight.shape[1])


class Block(nn.Module):
    """One resolution: b4 holds the learned constant and conv1; the others conv0 (×2), conv1; each has a ToRGB."""

    def __init__(self, inputs: int, outputs: int, resolution: int, *, noise: bool) -> None:
        super().__init__()
        self.first = inputs == 0
        if self.first:
            self.const = nn.Parameter(normal(outputs, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(inputs, outputs, resolution, up=True, noise=noise)
        self.conv1 = SynthesisLayer(outputs, outputs, resolution, up=False, noise=noise)
        self.torgb = ToRGB(outputs)

    def trunk(self, x: Tensor | None, ws: Tensor, noise: Noise) -> Tensor:
        """x [N,I,h,w] (None for b4), ws [N,≥2,512] from this block's first style on -> features [N,O,2h,2w]."""
        if x is None:
            return self.conv1(self.const[None].expand(ws.shape[0], -1, -1, -1), ws[:, 0], noise)
        return self.conv1(self.conv0(x, ws[:, 0], noise), ws[:, 1], noise)

    def rgb(self, x: Tensor, ws: Tensor) -> Tensor:
        return self.torgb(x, ws[:, 1 if self.first else 2])


class Generator(nn.Module):
    """StyleGAN2 generator.

    Args:
        channels: {resolution: channels}, resolutions 4, 8, … up to the output's.
        injection: the layer whose output is F, e.g. "b256.conv1".
        mapping_layers: depth of the mapping network.
        noise: whether the layers have noise inputs (the slim default model has none).
    """

    def __init__(self, channels: Mapping[int, int], injection: str = "b256.conv1", *, mapping_layers: int = 8,
                 noise: bool = False) -> None:
        super().__init__()
        self.channels = dict(sorted(channels.items()))
        self.resolution = max(channels)
        self.feature_resolution = int(injection.split(".")[0][1:])
        self.stride = self.resolution // self.feature_resolution                   # s: photo pixels a cell of F
        self.num_ws = 2 * int(math.log2(self.resolution)) - 2                      # L
        self.noise: Noise = "none"                                                 # of the layers above F
        self.mapping = MappingNetwork(mapping_layers)
        inputs = (0, *self.channels.values())
        self.synthesis = nn.ModuleDict({
            f"b{r}": Block(before, outputs, r, noise=noise)
            for before, (r, outputs) in zip(inputs, self.channels.items(), strict=False)
        })

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], injection: str = "b256.conv1") -> Generator:
        """The generator that these tensors describe. Raises WeightsMalformed if they do not fit together."""
        def build() -> Generator:
            resolutions = sorted({int(k.split(".")[1][1:]) for k in tensors if k.startswith("synthesis.b")})
            channels = {r: int(tensors[f"synthesis.b{r}.conv1.weight"].shape[0]) for r in resolutions}
            layers = sum(k.startswith("mapping.fc") and k.endswith(".weight") for k in tensors)
            noise = f"synthesis.b{resolutions[-1]}.conv1.noise_strength" in tensors
            if resolutions != [2**i for i in range(2, len(resolutions) + 2)]:
                raise ValueError(f"resolutions {resolutions}")
            feature_resolution = min(int(injection.split(".")[0][1:]), resolutions[-1])
            return cls(channels, f"b{feature_resolution}.conv1", mapping_layers=layers, noise=noise)

        used = {name: tensor for name, tensor in tensors.items() if "resample_filter" not in name}
        return load(build, used, "These tensors are not a StyleGAN2 generator; convert the checkpoint again.")

    def seeded(self, seed: int) -> Generator:
        """The same generator (weights are shared) with noise inputs above F drawn from `seed`, at any size."""
        seeded = copy.copy(self)
        seeded.noise = seed
        return seeded

    def block(self, resolution: int) -> Block:
        block = self.synthesis[f"b{resolution}"]
        assert isinstance(block, Block)
        return block

    @staticmethod
    def styles_of(resolution: int, w_plus: Tensor) -> Tensor:
        """The slice of w+ [N,L,512] that a block's layers read (conv0, conv1, torgb; b4: conv1, torgb)."""
        return w_plus[:, max(0, 2 * int(math.log2(resolution)) - 5):]

    def feature(self, w_plus: Tensor, noise: Noise = "none") -> Tensor:
        """F [N,C,r,r] that the layers up to the injection layer compute from w+ [N,L,512]."""
        x: Tensor | None = None
        for resolution in self.channels:
            if resolution <= self.feature_resolution:
                x = self.block(resolution).trunk(x, self.styles_of(resolution, w_plus), noise)
        assert x is not None
        return x

    def trunk_from_feature(self, feature: Tensor, w_plus: Tensor) -> list[Tensor]:
        """Features that feed each ToRGB at resolutions ≥ F's, coarse to fine: [N,C,h,w], [N,C',2h,2w], …"""
        features = [channels_last(feature)]
        for resolution in self.channels:
            if resolution > self.feature_resolution:
                ws = self.styles_of(resolution, w_plus)
                features.append(self.block(resolution).trunk(features[-1], ws, self.noise))
        return features

    def to_rgb(self, features: list[Tensor], w_plus: Tensor) -> list[Tensor]:
        """ToRGB contributions [N,3,h·2^i,w·2^i] of the features of `trunk_from_feature`, coarse to fine."""
        above = [r for r in self.channels if r >= self.feature_resolution]
        return [self.block(r).rgb(x, self.styles_of(r, w_plus)) for r, x in zip(above, features, strict=True)]

    def from_feature(self, feature: Tensor, w_plus: Tensor) -> list[Tensor]:
        """ToRGB contributions from F [N,C,h,w] upward, coarse to fine, before the upsampled sum (see `merge`)."""
        return self.to_rgb(self.trunk_from_feature(feature, w_plus), w_plus)

    def synthesize(self, w_plus: Tensor, noise: Noise = "const", up_to: int | None = None) -> Tensor:
        """The whole generator, or its blocks up to a resolution: w+ [N,L,512] -> image [N,3,R,R] in about [-1,1]."""
        x: Tensor | None = None
        image: Tensor | None = None
        for resolution in [r for r in self.channels if r <= (up_to or self.resolution)]:
            block, ws = self.block(resolution), self.styles_of(resolution, w_plus)
            x = block.trunk(x, ws, noise)
            rgb = block.rgb(x, ws)
            image = rgb if image is None else upsample(image) + rgb
        assert image is not None
        return image


def merge(contributions: list[Tensor]) -> Tensor:
    """Sum of ToRGB contributions, each upsampled to the next: [N,3,h,w], [N,3,2h,2w], … -> the finest's shape."""
    image = contributions[0]
    for finer in contributions[1:]:
        image = upsample(image) + finer
    return image


def upsample(x: Tensor) -> Tensor:
    """×2 by zero insertion and the FIR filter [1,3,3,1], zeros beyond the border: [N,C,h,w] -> [N,C,2h,2w].

    Inside, this is bilinear interpolation at half-pixel centres; weights 1/4 and 3/4 of the neighbours.
    """
    n, c, h, w = x.shape
    p = F.pad(x, (1, 1, 1, 1))
    rows = torch.stack((p[:, :, :-2] + 3 * p[:, :, 1:-1], 3 * p[:, :, 1:-1] + p[:, :, 2:]), 3)   # [N,C,h,2,w+2]
    rows = rows.reshape(n, c, 2 * h, w + 2) / 16
    columns = torch.stack((rows[..., :-2] + 3 * rows[..., 1:-1], 3 * rows[..., 1:-1] + rows[..., 2:]), 4)
    return columns.reshape(n, c, 2 * h, 2 * w)


def upsampling_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """StyleGAN2's transposed convolution of stride 2, then the blur [1,3,3,1] (gain 4): [N,I,h,w], [O,I,3,3], [O] ->
    [N,O,2h,2w], dense as [N,2h,2w,O].

    On CPUs it is done like this. GPUs have multiplications to spare: for them, and for gradients, both are one.
    """
    if x.is_cuda or torch.is_grad_enabled():
        return combined_conv(x, upsampling_kernel(weight), None if bias is None else bias.repeat(4))
    return transposed_conv(x, weight, bias)


def transposed_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`upsampling_conv` on the CPU, in two steps: 9 multiplications for each pair of channels and pixel of x, and the
    blur."""
    inserted = F.conv_transpose2d(channels_last(x), channels_last(weight.transpose(0, 1)), stride=2)
    return F.conv2d(inserted, _blur(len(weight), x.dtype), bias, padding=1, groups=len(weight))


def combined_conv(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """`upsampling_conv` in one step of 36 multiplications, with the kernel that `upsampling_kernel` makes; bias [4·O]:
    four times the layer's."""
    phases = F.conv2d(x, kernel, bias, padding=1).permute(0, 2, 3, 1)
    n, h, w, outputs = phases.shape
    pixels = phases.reshape(n, h, w, 2, 2, outputs // 4).transpose(2, 3).reshape(n, 2 * h, 2 * w, outputs // 4)
    return pixels.permute(0, 3, 1, 2)          # as pixel_shuffle, which would not leave channels last in memory


def upsampling_kernel(weight: Tensor) -> Tensor:
    """[O,I,3,3] -> [4·O,I,3,3]: weight convolved with [1,3,3,1]²/16 has 6×6 taps, which are here in its four phases,
    row by row: convolutions at the lower resolution, each of which makes every other pixel of every other row."""
    o, i = weight.shape[:2]
    phases = weight.reshape(o * i, 9) @ _phases(weight.device).to(weight.dtype)    # linear in the nine taps
    return phases.reshape(o, i, 4, 3, 3).permute(2, 0, 1, 3, 4).reshape(4 * o, i, 3, 3)


@functools.cache
@torch.inference_mode(False)    # cached for later callers, who may need gradients
def _phases(device: torch.device) -> Tensor:  # -> [9,36]: what each tap of a 3×3 kernel becomes in the four phases
    taps = torch.eye(9).reshape(9, 1, 3, 3)
    kernel = F.conv2d(taps, _blur(1, taps.dtype), padding=3)[:, 0]            # full convolution: [9,6,6]
    # Output pixel 2y+p takes input pixel y+d-1 (d = 0, 1, 2) with tap p + 4 - 2d of the 6.
    taken = 4 - 2 * torch.arange(3)
    phases = [kernel[:, taken + p][..., taken + q] for p in (0, 1) for q in (0, 1)]
    return torch.stack(phases, 1).reshape(9, 36).to(device)


@functools.cache
@torch.inference_mode(False)
def _blur(channels: int, dtype: torch.dtype) -> Tensor:  # -> [C,1,4,4] on the CPU
    fir = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=dtype)
    return (fir[:, None] * fir / 16).repeat(channels, 1, 1, 1)


def channels_last(x: Tensor) -> Tensor:
    """[N,C,h,w], dense as [N,h,w,C]: convolutions are up to ten times faster on CPUs, and in half precision on GPUs."""
    return x.contiguous(memory_format=torch.channels_last)
