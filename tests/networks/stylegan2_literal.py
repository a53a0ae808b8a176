"""StyleGAN2, restated literally and slowly from the paper's formulas: the tests' independent witness.

Imports nothing of stylecine. Resampling is upfirdn2d written out (zero insertion, padding, FIR by unfolding),
modulated convolutions are a loop over samples with the weights really modulated and demodulated.
Tensors carry NVIDIA's names.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FIR = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8


def random_tensors(
    channels: dict[int, int], layers: int = 2, noise: bool = True, seed: int = 0
) -> dict[str, Tensor]:
    """A generator's tensors with every part doing something: biases, strengths and averages are not zero."""
    source = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source)

    tensors = {"mapping.w_avg": 0.3 * randn(512)}
    for i in range(layers):
        tensors |= {f"mapping.fc{i}.weight": 100 * randn(512, 512), f"mapping.fc{i}.bias": 30 * randn(512)}
    before = 0
    for resolution, width in sorted(channels.items()):
        block = f"synthesis.b{resolution}"
        sizes = {"conv1": (width, width, 3), "torgb": (3, width, 1)}
        if before:
            sizes["conv0"] = (width, before, 3)
        else:
            tensors[f"{block}.const"] = randn(width, 4, 4)
        for layer, (outputs, inputs, kernel) in sizes.items():
            tensors |= {
                f"{block}.{layer}.weight": randn(outputs, inputs, kernel, kernel),
                f"{block}.{layer}.bias": 0.2 * randn(outputs),
                f"{block}.{layer}.affine.weight": randn(inputs, 512),
                f"{block}.{layer}.affine.bias": 1 + 0.2 * randn(inputs),
            }
            if noise and layer != "torgb":
                tensors[f"{block}.{layer}.noise_const"] = randn(resolution, resolution)
                tensors[f"{block}.{layer}.noise_strength"] = 0.3 * randn(1)[0]
        before = width
    return tensors


def dense(t: dict[str, Tensor], name: str, x: Tensor, multiplier: float = 1.0) -> Tensor:
    """Equalised learning rate: weights are stored with unit variance / multiplier."""
    weight, bias = t[f"{name}.weight"], t[f"{name}.bias"]
    return x @ (weight * multiplier / math.sqrt(weight.shape[1])).T + bias * multiplier


def activation(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)


def mapping(t: dict[str, Tensor], z: Tensor, psi: float = 1.0) -> Tensor:
    x = z / torch.sqrt((z**2).mean(1, keepdim=True) + 1e-8)
    layer = 0
    while f"mapping.fc{layer}.weight" in t:
        x = activation(dense(t, f"mapping.fc{layer}", x, 0.01))
        layer += 1
    return psi * x + (1 - psi) * t["mapping.w_avg"]


def fir(x: Tensor, gain: float) -> Tensor:
    """The separable filter [1,3,3,1]/8 over an already padded [C,h,w] -> [C,h-3,w-3]."""
    c, h, w = x.shape
    patches = F.unfold(x[:, None], 4).view(c, 16, h - 3, w - 3)
    return torch.einsum("ckhw,k->chw", patches, torch.outer(FIR, FIR).flatten()) * gain


def inserted(x: Tensor) -> Tensor:
    """Zeros between pixels: [C,h,w] -> [C,2h,2w]; the last row and column are zeros."""
    c, h, w = x.shape
    y = torch.zeros(c, 2 * h, 2 * w)
    y[:, ::2, ::2] = x
    return y


def upsampled(x: Tensor) -> Tensor:
    """upfirdn2d with up=2, gain 4: [C,h,w] -> [C,2h,2w]."""
    return fir(F.pad(inserted(x), (2, 1, 2, 1)), gain=4)


def modulated(weight: Tensor, style: Tensor, *, demodulate: bool) -> Tensor:
    """w'_oikl = s_i w_oikl / sqrt(fan-in), on demand divided by its norm over i, k, l."""
    w = weight / math.sqrt(weight[0].numel()) * style[None, :, None, None]
    if demodulate:
        w = w / torch.sqrt((w**2).sum((1, 2, 3), keepdim=True) + 1e-8)
    return w


def correlated(x: Tensor, w: Tensor) -> Tensor:
    """Correlation of [I,h,w] with [O,I,k,k], same size, zeros beyond the border."""
    o, _, k, _ = w.shape
    patches = F.unfold(x[None], k, padding=k // 2)[0]
    return (w.reshape(o, -1) @ patches).view(o, *x.shape[1:])


def upsampling_convolution(x: Tensor, w: Tensor) -> Tensor:
    """Zero insertion, true convolution (the kernel turned by 180 degrees), blur: [I,h,w] -> [O,2h,2w]."""
    full = correlated(F.pad(inserted(x), (1, 1, 1, 1)), w.flip(2, 3))  # nothing is cut: it ends in zeros
    return fir(F.pad(full, (1, 0, 1, 0)), gain=4)


def layer(t: dict[str, Tensor], name: str, x: Tensor, w: Tensor, *, noise: bool) -> Tensor:
    """x [N,I,h,w], w [N,512]."""
    up = name.endswith("conv0")
    outputs = []
    for sample, latent in zip(x, w, strict=True):
        weight = modulated(t[f"{name}.weight"], dense(t, f"{name}.affine", latent), demodulate=True)
        y = upsampling_convolution(sample, weight) if up else correlated(sample, weight)
        if noise:
            y = y + t[f"{name}.noise_const"] * t[f"{name}.noise_strength"]
        outputs.append(activation(y + t[f"{name}.bias"][:, None, None]))
    return torch.stack(outputs)


def torgb(t: dict[str, Tensor], name: str, x: Tensor, w: Tensor) -> Tensor:
    outputs = []
    for sample, latent in zip(x, w, strict=True):
        weight = modulated(t[f"{name}.weight"], dense(t, f"{name}.affine", latent), demodulate=False)
        outputs.append(correlated(sample, weight) + t[f"{name}.bias"][:, None, None])
    return torch.stack(outputs)


def synthesis(t: dict[str, Tensor], w_plus: Tensor, *, noise: bool) -> Tensor:
    """The whole generator with skip outputs: w+ [N,L,512] -> [N,3,R,R]."""
    x = t["synthesis.b4.const"].expand(len(w_plus), -1, -1, -1)
    x = layer(t, "synthesis.b4.conv1", x, w_plus[:, 0], noise=noise)
    image = torgb(t, "synthesis.b4.torgb", x, w_plus[:, 1])
    for image_part, _ in above(t, x, w_plus, 4, noise=noise):
        image = torch.stack([upsampled(i) for i in image]) + image_part
    return image


def above(
    t: dict[str, Tensor], x: Tensor, w_plus: Tensor, resolution: int, *, noise: bool
) -> list[tuple[Tensor, Tensor]]:
    """(RGB contribution, features) of each resolution above the one whose features are x."""
    results = []
    style = 2 * int(math.log2(resolution)) - 3  # the first that the next block reads
    while f"synthesis.b{2 * resolution}.const" in t or f"synthesis.b{2 * resolution}.conv0.weight" in t:
        resolution *= 2
        block = f"synthesis.b{resolution}"
        x = layer(t, f"{block}.conv0", x, w_plus[:, style], noise=noise)
        x = layer(t, f"{block}.conv1", x, w_plus[:, style + 1], noise=noise)
        results.append((torgb(t, f"{block}.torgb", x, w_plus[:, style + 2]), x))
        style += 2
    return results
