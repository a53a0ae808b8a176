"""rosinality's stylegan2-pytorch checkpoints, the format of StyleCineGAN's generator too.

The formulas are NVIDIA's, so that only names change: both upsample by conv_transpose2d with unflipped kernels, start
style biases at 1 and scale weights when they are used.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from stylecine.checkpoints.unpickle import load_torch
from stylecine.errors import WeightsMalformed

GENERATORS = ("g_ema", "generator", "state_dict", "g")
ANCHOR = "input.input"  # in every generator, possibly after a prefix
RENAMED_PARTS = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
    "bias": "bias",
}


def from_rosinality(data: bytes) -> dict[str, Tensor]:
    """The averaged generator of a .pt, float32; `mapping.w_avg` only if the checkpoint has latent_avg.

    Raises WeightsMalformed; nothing in the checkpoint is executed.
    """
    content = load_torch(data)
    tensors = dict(_renamed(_generator(content)))
    average = content.get("latent_avg")
    if isinstance(average, Tensor):
        tensors["mapping.w_avg"] = average.float().reshape(-1)
    return tensors


def _generator(content: Any) -> dict[str, Tensor]:
    """The generator's state dict, without wrappers' prefixes such as "module."."""
    if isinstance(content, Mapping):
        for state in (*(content.get(name) for name in GENERATORS), content):
            if not isinstance(state, Mapping):
                continue
            anchor = next((name for name in state if str(name).endswith(ANCHOR)), None)
            if anchor is not None:
                prefix = anchor.removesuffix(ANCHOR)
                return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
    raise WeightsMalformed("The checkpoint has no StyleGAN2 generator (g_ema); give a generator's file.")


def _renamed(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, value in state.items():
        if name.endswith(".kernel"):  # the blur filters, always [1,3,3,1]
            continue
        renamed = _rename(name)
        if renamed is None or not isinstance(value, Tensor):
            raise WeightsMalformed(f"The generator has '{name}'; only StyleGAN2 with skip outputs fits.")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise WeightsMalformed(f"The tensor '{name}' is larger than its data; fetch it again.")
        yield renamed, _reshaped(renamed, value.float())


def _rename(name: str) -> str | None:
    if name == "input.input":
        return "synthesis.b4.const"
    if match := re.fullmatch(r"style\.([1-9]\d*)\.(weight|bias)", name):  # style.0 normalises z
        return f"mapping.fc{int(match[1]) - 1}.{match[2]}"
    if match := re.fullmatch(r"noises\.noise_(\d+)", name):
        return f"{_layer(int(match[1]))}.noise_const"
    if match := re.fullmatch(r"(conv1|convs\.(\d+)|to_rgb1|to_rgbs\.(\d+))\.(.+)", name):
        part = RENAMED_PARTS.get(match[4])
        if part is None:
            return None
        if match[1].startswith("to_rgb"):
            return f"synthesis.b{8 << int(match[3]) if match[3] else 4}.torgb.{part}"
        return f"{_layer(int(match[2]) + 1 if match[2] else 0)}.{part}"
    return None


def _layer(number: int) -> str:
    """The number-th 3×3 convolution: b4.conv1, b8.conv0, b8.conv1, b16.conv0, …"""
    return f"synthesis.b{2 ** ((number + 5) // 2)}.conv{(number + 1) % 2}"


def _reshaped(name: str, value: Tensor) -> Tensor:
    """Drops the axes of length 1 that NVIDIA's shapes do not have."""
    if name.endswith(("conv0.weight", "conv1.weight", "torgb.weight", "b4.const")):
        return value.squeeze(0)
    if name.endswith("noise_const"):
        return value.reshape(value.shape[-2:])
    if name.endswith("noise_strength"):
        return value.reshape(())
    return value.flatten() if name.endswith("torgb.bias") else value
