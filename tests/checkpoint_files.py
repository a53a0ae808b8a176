"""Foreign checkpoints with random weights, in the published layouts: the pickles of stylegan2-ada-pytorch, stylegan3
and stylegan2 (TensorFlow), and rosinality's .pt, which StyleCineGAN uses too.

Pickling NVIDIA's layouts needs `nvidia_modules` in sys.modules.
"""

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.networks import stylegan2_literal as literal


class Module:
    """A module as NVIDIA's persistence pickles it: by name, source code and state."""

    def __init__(self, class_name: str, source: str = "raise SystemExit('executed')") -> None:
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name}
        kinds = ("_parameters", "_buffers", "_modules", "_forward_hooks")
        self.state: dict[str, Any] = {kind: OrderedDict() for kind in kinds}
        self.state |= {"training": False, "_non_persistent_buffers_set": set()}

    def __reduce__(self) -> tuple[Any, ...]:
        make = sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj
        return make, ({**self.meta, "state": self.state},), None


def nvidia_modules() -> dict[str, ModuleType]:
    """Modules with NVIDIA's names, for sys.modules, so that pickle can write references to them."""
    members: dict[str, dict[str, Any]] = {
        "torch_utils": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": lambda meta: None},
        "dnnlib": {},
        "dnnlib.util": {"EasyDict": type("EasyDict", (dict,), {})},
        "dnnlib.tflib": {},
        "dnnlib.tflib.network": {"Network": type("Network", (), {})},
    }
    modules = {}
    for module_name, content in members.items():
        modules[module_name] = module = ModuleType(module_name)
        for name, value in content.items():
            value.__module__, value.__name__, value.__qualname__ = module_name, name, name
            setattr(module, name, value)
    return modules


def nvidia_generator(tensors: Mapping[str, Tensor]) -> Module:
    """The tree of modules whose state dict is `tensors`, filters included."""
    root = Module("Generator")
    for name, tensor in tensors.items():
        node, path = root, name.split(".")
        for part in path[:-1]:
            node = node.state["_modules"].setdefault(part, Module(part))
        if path[-1] in ("w_avg", "noise_const"):
            node.state["_buffers"][path[-1]] = tensor
        else:
            node.state["_parameters"][path[-1]] = torch.nn.Parameter(tensor)
        if path[-2].startswith("fc"):
            node.state |= {"bias_gain": 0.01, "weight_gain": 0.01 / np.sqrt(512), "activation": "lrelu"}
        if path[-1] == "noise_const":
            node.state["_buffers"]["resample_filter"] = torch.outer(literal.FIR, literal.FIR)
    return root


def nvidia_pickle(generator: Module, protocol: int = 4) -> bytes:
    easy = sys.modules["dnnlib.util"].EasyDict({"class_name": "training.dataset.ImageFolderDataset"})
    content = {"G": None, "D": None, "G_ema": generator, "training_set_kwargs": easy, "augment_pipe": None}
    return pickle.dumps(content, protocol)


def tensorflow_variables(t: Mapping[str, Tensor]) -> dict[str, dict[str, np.ndarray]]:
    """The same generator as TensorFlow stores it, by network."""
    mapping, synthesis = {}, {}
    for i in range(sum(name.startswith("mapping.fc") for name in t) // 2):
        mapping[f"Dense{i}/weight"] = t[f"mapping.fc{i}.weight"].T
        mapping[f"Dense{i}/bias"] = t[f"mapping.fc{i}.bias"]
    synthesis["4x4/Const/const"] = t["synthesis.b4.const"][None]
    number = 0
    for r in sorted(int(name.split(".")[1][1:]) for name in t if name.endswith("torgb.bias")):
        kinds = {"conv1": "Conv1", "torgb": "ToRGB"} if r > 4 else {"conv1": "Conv", "torgb": "ToRGB"}
        for ours, theirs in ({"conv0": "Conv0_up"} if r > 4 else {}).items() | kinds.items():
            source, target = f"synthesis.b{r}.{ours}", f"{r}x{r}/{theirs}"
            weight = t[f"{source}.weight"].permute(2, 3, 1, 0)
            synthesis[f"{target}/weight"] = weight.flip(0, 1) if ours == "conv0" else weight
            synthesis[f"{target}/bias"] = t[f"{source}.bias"]
            synthesis[f"{target}/mod_weight"] = t[f"{source}.affine.weight"].T
            synthesis[f"{target}/mod_bias"] = t[f"{source}.affine.bias"] - 1
            if ours != "torgb":
                synthesis[f"{target}/noise_strength"] = t[f"{source}.noise_strength"]
        for conv in ("conv0", "conv1") if r > 4 else ("conv1",):
            synthesis[f"noise{number}"] = t[f"synthesis.b{r}.{conv}.noise_const"][None, None]
            number += 1
    top = {"dlatent_avg": t["mapping.w_avg"], "lod": torch.tensor(0.0)}
    networks = {"": top, "mapping": mapping, "synthesis": synthesis}
    return {n: {k: np.array(v.numpy()) for k, v in part.items()} for n, part in networks.items()}


def tensorflow_pickle(variables: Mapping[str, Mapping[str, np.ndarray]], **options: Any) -> bytes:
    def network(name: str, **components: Any) -> Any:
        made = sys.modules["dnnlib.tflib.network"].Network()
        # Scalars come out of a TensorFlow session as numpy scalars, not arrays.
        values = [(k, v if v.ndim else v[()]) for k, v in variables.get(name, {}).items()]
        made.__dict__ |= {
            "version": 4, "name": name, "static_kwargs": options, "variables": values,
            "components": sys.modules["dnnlib.util"].EasyDict(components),
            "build_module_src": "raise SystemExit('executed')", "build_func_name": "G_main",
        }  # fmt: skip
        return made

    average = network("", mapping=network("mapping"), synthesis=network("synthesis"))
    return pickle.dumps((network("G"), network("D"), average), protocol=4)


def rosinality_state(channels: Mapping[int, int], layers: int, seed: int = 5) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source)

    def styled(name: str, inputs: int, outputs: int, kernel: int = 3) -> dict[str, Tensor]:
        return {
            f"{name}.conv.weight": randn(1, outputs, inputs, kernel, kernel),
            f"{name}.conv.modulation.weight": randn(inputs, 512),
            f"{name}.conv.modulation.bias": 1 + 0.2 * randn(inputs),
        }

    state: dict[str, Tensor] = {"input.input": randn(1, channels[4], 4, 4)}
    for i in range(1, layers + 1):
        state |= {f"style.{i}.weight": 100 * randn(512, 512), f"style.{i}.bias": 30 * randn(512)}
    before, number = channels[4], 0
    for resolution, width in channels.items():
        index = resolution.bit_length() - 4  # 0 for 8×8
        convs = [f"convs.{2 * index}", f"convs.{2 * index + 1}"] if resolution > 4 else ["conv1"]
        for conv in convs:
            state |= styled(conv, before, width)
            state |= {f"{conv}.noise.weight": 0.3 * randn(1), f"{conv}.activate.bias": 0.2 * randn(width)}
            state[f"noises.noise_{number}"] = randn(1, 1, resolution, resolution)
            before, number = width, number + 1
        torgb = f"to_rgbs.{index}" if resolution > 4 else "to_rgb1"
        state |= styled(torgb, width, 3, 1) | {f"{torgb}.bias": randn(1, 3, 1, 1)}
        if resolution > 4:
            for filtered in (f"convs.{2 * index}.conv.blur", f"{torgb}.upsample"):
                state[f"{filtered}.kernel"] = torch.ones(4, 4)
    return state


def saved(content: Any, *, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()
