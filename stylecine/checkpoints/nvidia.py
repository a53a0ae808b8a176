"""NVIDIA's StyleGAN2 pickles: stylegan2-ada-pytorch and stylegan3 (PyTorch), and stylegan2 (TensorFlow).

The PyTorch pickles are a dict whose G_ema is a tree of modules; the TensorFlow ones are three networks
(G, D, Gs), of which Gs is the average. `_from_tensorflow` describes the differences in layout.
"""

import re
from collections.abc import Iterator

import torch
from torch import Tensor

from stylecine.checkpoints.unpickle import Array, Persistent, TFNetwork, load_pickle
from stylecine.errors import WeightsMalformed

LEARNING_RATE_MULTIPLIER = 0.01  # of the mapping network; the generator's formulas have it built in
LAYER = r"weight|bias|affine\.weight|affine\.bias"
KNOWN = re.compile(
    r"mapping\.(fc\d+\.(weight|bias)|w_avg)"
    rf"|synthesis\.b\d+\.(const|torgb\.({LAYER})|conv[01]\.({LAYER}|noise_const|noise_strength))"
)


def from_nvidia(data: bytes) -> dict[str, Tensor]:
    """The averaged generator of a .pkl, float32. Raises WeightsMalformed.

    The output clamps of mixed-precision training (conv_clamp) are not kept: trained activations lie below.
    """
    content = load_pickle(data)
    if isinstance(content, dict) and isinstance(content.get("G_ema"), Persistent):
        return _from_modules(content["G_ema"])
    network = content[-1] if isinstance(content, tuple) and content else content
    if isinstance(network, TFNetwork):
        return _from_tensorflow(network)
    raise WeightsMalformed("The pickle holds no generator (G_ema or Gs); give a StyleGAN2 network pickle.")


def _unsupported(name: str) -> WeightsMalformed:
    return WeightsMalformed(f"The generator has '{name}'; use an unconditional StyleGAN2 with skip outputs.")


# -- PyTorch --


def _from_modules(generator: Persistent) -> dict[str, Tensor]:
    fir = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    tensors = {}
    for name, value in _walk(generator, ""):
        if name.endswith("resample_filter"):
            if value.shape != (4, 4) or not torch.allclose(value, torch.outer(fir, fir), atol=1e-6):
                raise WeightsMalformed("The generator's resampling filter is not [1,3,3,1], the only one supported.")
        elif KNOWN.fullmatch(name):
            tensors[name] = value.float()
        else:
            raise _unsupported(name)
    return tensors


def _walk(module: Persistent, prefix: str, depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """All parameters and buffers below a module, named as in its state_dict."""
    if not isinstance(module, Persistent) or depth > 5:
        raise WeightsMalformed(f"The pickle's module '{prefix.rstrip('.')}' is not one of StyleGAN2's.")
    multiplier = module.state.get("bias_gain", LEARNING_RATE_MULTIPLIER)
    if re.fullmatch(r"mapping\.fc\d+\.", prefix) and abs(multiplier - LEARNING_RATE_MULTIPLIER) > 1e-9:
        raise WeightsMalformed(f"The mapping network's learning-rate multiplier is {multiplier}, not 0.01.")
    for kind in ("_parameters", "_buffers"):
        for name, value in module.state.get(kind, {}).items():
            if isinstance(value, Array):
                yield prefix + name, value.tensor
    for name, child in module.state.get("_modules", {}).items():
        yield from _walk(child, f"{prefix}{name}.", depth + 1)


# -- TensorFlow --

TENSORFLOW_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}


def _from_tensorflow(network: TFNetwork) -> dict[str, Tensor]:
    """Translates each variable: TensorFlow stores kernels as HWIO, matrices as [in,out], style biases minus 1,
    and the kernels of upsampling layers rotated by 180 degrees."""
    options = network.state.get("static_kwargs", {})
    if options.get("architecture", "skip") != "skip" or options.get("label_size", 0):
        raise WeightsMalformed("The generator is not an unconditional StyleGAN2 with skip outputs.")
    if options.get("mapping_lrmul", LEARNING_RATE_MULTIPLIER) != LEARNING_RATE_MULTIPLIER:
        raise WeightsMalformed("The mapping network's learning-rate multiplier is not 0.01.")
    if list(options.get("resample_kernel") or [1, 3, 3, 1]) != [1, 3, 3, 1]:
        raise WeightsMalformed("The generator's resampling filter is not [1,3,3,1], the only one supported.")
    tensors = {}
    for name, value in _variables(network, ""):
        if name.endswith("lod"):
            continue
        translated = _translate(name, value.float())
        if translated is None:
            raise _unsupported(name)
        tensors[translated[0]] = translated[1].contiguous()
    return tensors


def _variables(network: TFNetwork, prefix: str, depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(network, TFNetwork) or depth > 2:
        raise WeightsMalformed("The pickle's network is not one of StyleGAN2's.")
    for name, value in network.state.get("variables", ()):
        # a pickled numpy scalar comes as a number
        yield prefix + name, value.tensor if isinstance(value, Array) else torch.tensor(value, dtype=torch.float32)
    for name, child in network.state.get("components", {}).items():
        yield from _variables(child, f"{prefix}{name}/", depth + 1)


def _translate(name: str, value: Tensor) -> tuple[str, Tensor] | None:
    """A TensorFlow variable's PyTorch name and layout; None if StyleGAN2 has no such variable."""
    if name == "dlatent_avg":
        return "mapping.w_avg", value
    if match := re.fullmatch(r"mapping/Dense(\d+)/(weight|bias)", name):
        return f"mapping.fc{match[1]}.{match[2]}", value.T if match[2] == "weight" else value
    if match := re.fullmatch(r"synthesis/noise(\d+)", name):  # two per resolution, but one at 4×4
        number = int(match[1])
        return f"synthesis.b{2 ** ((number + 5) // 2)}.conv{(number + 1) % 2}.noise_const", value[0, 0]
    if name == "synthesis/4x4/Const/const":
        return "synthesis.b4.const", value[0]
    if not (found := re.fullmatch(r"synthesis/(\d+)x\1/(Conv|Conv0_up|Conv1|ToRGB)/(\w+)", name)):
        return None
    resolution, layer, part = found.groups()
    prefix = f"synthesis.b{resolution}.{TENSORFLOW_LAYERS[layer]}"
    match part:
        case "weight":
            flipped = value.flip(0, 1) if layer == "Conv0_up" else value
            return f"{prefix}.weight", flipped.permute(3, 2, 0, 1)
        case "bias" | "noise_strength":
            return f"{prefix}.{part}", value
        case "mod_weight":
            return f"{prefix}.affine.weight", value.T
        case "mod_bias":
            return f"{prefix}.affine.bias", value + 1
    return None
