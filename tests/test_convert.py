"""Foreign checkpoints: converted ones compute what the originals do; hostile ones execute nothing.

The checkpoints are made here, in the published layouts, with random weights: stylegan2-ada-pytorch's and
stylegan3's pickle, stylegan2's TensorFlow pickle, and rosinality's .pt, of which StyleCineGAN's is one.
"""

import argparse
import io
import pickle
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.convert import convert
from stylecine.errors import OptionError, OutputError, WeightsError, WeightsMalformed, WeightsNotFound
from stylecine.networks.generator import Generator
from stylecine.weights import find_model, read_tensors
from tests.networks import stylegan2_literal as literal

CHANNELS = {4: 6, 8: 5, 16: 4, 32: 3}
LAYERS = 2  # of the mapping network


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return literal.random_tensors(CHANNELS, LAYERS)


def converted(data: bytes, folder: Path) -> dict[str, Tensor]:
    (folder / "in.bin").write_bytes(data)
    convert(folder / "in.bin", folder / "out.safetensors")
    return read_tensors(folder / "out.safetensors")


def same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=0, msg=name)


# -- NVIDIA, PyTorch --


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


@pytest.fixture(autouse=True)
def nvidia(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of NVIDIA's names, so that pickle can write references to them."""
    members: dict[str, dict[str, Any]] = {
        "torch_utils": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": lambda meta: None},
        "dnnlib": {},
        "dnnlib.util": {"EasyDict": type("EasyDict", (dict,), {})},
        "dnnlib.tflib": {},
        "dnnlib.tflib.network": {"Network": type("Network", (), {})},
    }
    for module_name, content in members.items():
        module = ModuleType(module_name)
        for name, value in content.items():
            value.__module__, value.__name__, value.__qualname__ = module_name, name, name
            setattr(module, name, value)
        monkeypatch.setitem(sys.modules, module_name, module)


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


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nvidia_pytorch_pickle(tensors: dict[str, Tensor], tmp_path: Path, protocol: int) -> None:
    same(converted(nvidia_pickle(nvidia_generator(tensors), protocol), tmp_path), tensors)


def test_nvidia_picture(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    found = converted(nvidia_pickle(nvidia_generator(tensors)), tmp_path)
    w_plus = torch.randn(1, 8, 512, generator=torch.Generator().manual_seed(1))
    ours = Generator.from_tensors(found).synthesize(w_plus, "const")
    torch.testing.assert_close(ours, literal.synthesis(tensors, w_plus, noise=True), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "tensor"),
    {
        "mapping.embed.weight": torch.zeros(512, 10),  # class-conditional
        "synthesis.b8.skip.weight": torch.zeros(5, 6, 1, 1),  # residual outputs
        "synthesis.L0_36_512.weight": torch.zeros(1),  # StyleGAN3's own generator
    }.items(),
)
def test_other_nvidia_architectures(
    tensors: dict[str, Tensor], tmp_path: Path, name: str, tensor: Tensor
) -> None:
    with pytest.raises(WeightsMalformed, match=name):
        converted(nvidia_pickle(nvidia_generator({**tensors, name: tensor})), tmp_path)


def test_other_learning_rate_multiplier(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    generator = nvidia_generator(tensors)
    generator.state["_modules"]["mapping"].state["_modules"]["fc1"].state["bias_gain"] = 1.0
    with pytest.raises(WeightsMalformed, match="learning-rate multiplier"):
        converted(nvidia_pickle(generator), tmp_path)


def test_other_filter(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    generator = nvidia_generator(tensors)
    layer = generator.state["_modules"]["synthesis"].state["_modules"]["b8"].state["_modules"]["conv0"]
    layer.state["_buffers"]["resample_filter"] = torch.ones(4, 4) / 16
    with pytest.raises(WeightsMalformed, match="filter"):
        converted(nvidia_pickle(generator), tmp_path)


# -- NVIDIA, TensorFlow --


def tensorflow_variables(t: Mapping[str, Tensor]) -> dict[str, dict[str, np.ndarray]]:
    """The same generator as TensorFlow stores it, by network."""
    mapping, synthesis = {}, {}
    for i in range(LAYERS):
        mapping[f"Dense{i}/weight"] = t[f"mapping.fc{i}.weight"].T
        mapping[f"Dense{i}/bias"] = t[f"mapping.fc{i}.bias"]
    synthesis["4x4/Const/const"] = t["synthesis.b4.const"][None]
    number = 0
    for r in CHANNELS:
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


def test_nvidia_tensorflow_pickle(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    found = converted(tensorflow_pickle(tensorflow_variables(tensors)), tmp_path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6, msg=name)


def test_tensorflow_upsamples_by_correlation(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    """Its kernel slides unturned over the zero-inserted input, then comes the blur; ours gives the same."""
    variables = tensorflow_variables(tensors)
    layer = Generator.from_tensors(converted(tensorflow_pickle(variables), tmp_path)).block(8).conv0
    x, w = torch.randn(1, 6, 5, 7), torch.randn(1, 512)
    kernel = torch.from_numpy(variables["synthesis"]["8x8/Conv0_up/weight"])  # [3,3,I,O]
    style = w @ torch.from_numpy(variables["synthesis"]["8x8/Conv0_up/mod_weight"]) / 512**0.5 + 1
    style = style + torch.from_numpy(variables["synthesis"]["8x8/Conv0_up/mod_bias"])
    weight = kernel * style[0, :, None]
    weight = weight / weight.square().sum((0, 1, 2)).sqrt()
    y = F.conv2d(F.pad(literal.inserted(x[0]), (2, 1, 2, 1))[None], weight.permute(3, 2, 0, 1))
    y = literal.fir(F.pad(y[0], (1, 1, 1, 1)), gain=4)
    y = literal.activation(y + torch.from_numpy(variables["synthesis"]["8x8/Conv0_up/bias"])[:, None, None])
    torch.testing.assert_close(layer(x, w, "none")[0], y, rtol=1e-4, atol=1e-4)


OPTIONS = {"architecture": "resnet", "label_size": 10, "mapping_lrmul": 1.0, "resample_kernel": [1, 1]}


@pytest.mark.parametrize(("name", "value"), OPTIONS.items())
def test_other_tensorflow_options(
    tensors: dict[str, Tensor], tmp_path: Path, name: str, value: object
) -> None:
    with pytest.raises(WeightsMalformed):
        converted(tensorflow_pickle(tensorflow_variables(tensors), **{name: value}), tmp_path)


# -- rosinality and StyleCineGAN --


def rosinality_state(channels: Mapping[int, int] = CHANNELS, seed: int = 5) -> dict[str, Tensor]:
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
    for i in range(1, LAYERS + 1):
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


def rosinality_picture(s: Mapping[str, Tensor], z: Tensor) -> Tensor:
    """Its forward pass, restated: transposed convolution of stride 2, then blur; z [1,512] -> [1,3,R,R]."""

    def modulated(name: str, w: Tensor, *, demodulate: bool) -> Tensor:
        style = w @ s[f"{name}.modulation.weight"].T / 512**0.5 + s[f"{name}.modulation.bias"]
        return literal.modulated(s[f"{name}.weight"][0], style[0], demodulate=demodulate)

    def styled(name: str, x: Tensor, number: int, up: bool) -> Tensor:
        weight = modulated(f"{name}.conv", w, demodulate=True)
        if up:
            y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            y = literal.fir(F.pad(y[0], (1, 1, 1, 1)), gain=4)[None]
        else:
            y = F.conv2d(x, weight, padding=1)
        y = y + s[f"noises.noise_{number}"] * s[f"{name}.noise.weight"]
        return literal.activation(y + s[f"{name}.activate.bias"][:, None, None])

    def rgb(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, modulated(f"{name}.conv", w, demodulate=False)) + s[f"{name}.bias"]

    w = z * (z.square().mean() + 1e-8).rsqrt()
    for i in range(1, LAYERS + 1):
        w = literal.activation(w @ (s[f"style.{i}.weight"] * 0.01 / 512**0.5).T + 0.01 * s[f"style.{i}.bias"])
    x = styled("conv1", s["input.input"], 0, up=False)
    image = rgb("to_rgb1", x)
    for i in range(len(CHANNELS) - 1):
        x = styled(f"convs.{2 * i}", x, 2 * i + 1, up=True)
        x = styled(f"convs.{2 * i + 1}", x, 2 * i + 2, up=False)
        image = literal.upsampled(image[0])[None] + rgb(f"to_rgbs.{i}", x)
    return image


def saved(content: Any, *, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


STATE = rosinality_state()
TRAINING = {"g": rosinality_state(seed=6), "d": {}, "args": argparse.Namespace(size=32), "ada_aug_p": 0.1}
ROSINALITY = {
    "converted from NVIDIA": {"g_ema": STATE, "latent_avg": torch.ones(512)},
    "saved while training": {**TRAINING, "g_ema": STATE},
    "wrapped for several GPUs": {"g_ema": {f"module.{k}": v for k, v in STATE.items()}},
    "under state_dict": {"state_dict": STATE},
    "the state itself": STATE,
}


@pytest.mark.parametrize("content", ROSINALITY.values(), ids=ROSINALITY.keys())
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_rosinality_picture(content: dict[str, Any], zipped: bool, tmp_path: Path) -> None:
    found = converted(saved(content, zipped=zipped), tmp_path)
    generator = Generator.from_tensors(found)
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(1))
    w_plus = generator.mapping(z)[:, None].expand(-1, generator.num_ws, -1)
    torch.testing.assert_close(
        generator.synthesize(w_plus, "const"), rosinality_picture(STATE, z), rtol=1e-4, atol=1e-4
    )


def test_rosinality_average_style(tmp_path: Path) -> None:
    """latent_avg where the checkpoint has it, the average of many mapped z where it does not."""
    given = converted(saved(ROSINALITY["converted from NVIDIA"]), tmp_path)["mapping.w_avg"]
    assert torch.equal(given, torch.ones(512))
    found = converted(saved({"g_ema": STATE}), tmp_path)
    z = torch.randn(4000, 512, generator=torch.Generator().manual_seed(9))
    expected = literal.mapping(found, z).mean(0)
    assert float((found["mapping.w_avg"] - expected).std() / expected.std()) < 0.1


# -- what convert writes --


def test_a_converted_model_is_found_by_its_path(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    (tmp_path / "ffhq.pkl").write_bytes(nvidia_pickle(nvidia_generator(tensors)))
    info = convert(tmp_path / "ffhq.pkl", tmp_path / "ffhq.safetensors")
    assert (info.resolution, info.source_format) == (32, "nvidia")
    assert info.parameters == sum(t.numel() for t in tensors.values())
    assert find_model(info.path).resolution == 32
    with safetensors.safe_open(info.path, framework="pt") as file:
        assert file.metadata()["source"] == "ffhq.pkl"
        assert file.metadata()["licence"] == "unknown"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ffhq.pkl", "ffhq.safetensors"]


def test_paths_that_do_not_work(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    good = tmp_path / "in.pkl"
    good.write_bytes(nvidia_pickle(nvidia_generator(tensors)))
    with pytest.raises(WeightsNotFound):
        convert(tmp_path / "missing.pkl", tmp_path / "out.safetensors")
    with pytest.raises(WeightsNotFound):
        convert(tmp_path, tmp_path / "out.safetensors")
    with pytest.raises(OutputError):
        convert(good, tmp_path / "no folder" / "out.safetensors")
    with pytest.raises(OptionError):
        convert(good, tmp_path / "out.pt")
    with pytest.raises(OptionError, match="already"):
        convert(tmp_path / "converted.safetensors", tmp_path / "out.safetensors")
    assert list(tmp_path.iterdir()) == [good]


# -- damaged ones --


def without(name: str) -> dict[str, Tensor]:
    return {k: v for k, v in STATE.items() if not k.startswith(name)}


LARGE = torch.ones(1).expand(2**40)
DAMAGED: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"<html>404</html>",
    "truncated pickle": lambda: nvidia_pickle(with_state({}))[:-99],
    "truncated zip": lambda: saved({"g_ema": STATE})[:-999],
    "truncated old format": lambda: saved({"g_ema": STATE}, zipped=False)[:-999],
    "no generator in the pickle": lambda: pickle.dumps({"D": 1}),
    "no generator in the zip": lambda: saved({"d": {"x": torch.ones(1)}}),
    "a list": lambda: saved([1, 2]),
    "a tensor": lambda: saved(torch.ones(3)),
    "G_ema is a number": lambda: pickle.dumps({"G_ema": 3}),
    "a layer is missing": lambda: saved({"g_ema": without("convs.1.conv.weight")}),
    "an upsampling layer is missing": lambda: saved({"g_ema": without("convs.2")}),
    "a wrong shape": lambda: saved({"g_ema": {**STATE, "style.1.bias": torch.ones(7)}}),
    "a strange name": lambda: saved({"g_ema": {**STATE, "convs.0.extra": torch.ones(7)}}),
    "names that are numbers": lambda: saved({"g_ema": {**STATE, 3: torch.ones(7)}}),
    "a sparse tensor": lambda: saved({"g_ema": {**STATE, "style.1.bias": torch.eye(9).to_sparse()}}),
    "text for a tensor": lambda: saved({"g_ema": {**STATE, "style.1.bias": "x"}}),
    "NaN": lambda: saved({"g_ema": {**STATE, "style.1.bias": torch.full((512,), torch.nan)}}),
    "a tensor larger than its data": lambda: saved({"g_ema": {**STATE, "style.1.bias": LARGE}}),
    "modules in a circle": lambda: nvidia_pickle(circle()),
}  # fmt: skip


def circle() -> Module:
    """A module that is its own child."""
    root = Module("Generator")
    root.state["_modules"] = children = {}
    children["synthesis"] = child = Module("Synthesis")
    child.state["_modules"] = children
    return root


@pytest.mark.parametrize("make", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_checkpoints(make: Callable[[], bytes], tmp_path: Path) -> None:
    with pytest.raises(WeightsMalformed):
        converted(make(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["in.bin"]


# -- hostile ones: each would create a file if any of its code ran --


class Call:
    """Pickled as a call of any function, with a state to set on the result."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


def touch(canary: Path) -> str:
    return f"open({str(canary)!r}, 'w').close()"


def opcodes(text: str, canary: Path) -> bytes:
    """A pickle written by hand; CODE stands for Python source that creates the CANARY."""
    return text.replace("CODE", touch(canary)).replace("CANARY", str(canary)).encode("latin-1")


def exploit(canary: Path) -> bytes:
    return pickle.dumps(Call(exec, touch(canary)))


def load_from_bytes(content: bytes) -> Call:
    return Call(torch.storage._load_from_bytes, content)


HOSTILE: dict[str, Callable[[Path], bytes]] = {
    "exec": exploit,
    "os.system": lambda c: pickle.dumps({"G_ema": Call(__import__("os").system, f"touch '{c}'")}),
    "subprocess": lambda c: pickle.dumps(Call(__import__("subprocess").run, ["touch", str(c)])),
    "protocol 0": lambda c: pickle.dumps(Call(exec, touch(c)), protocol=0),
    "INST opcode": lambda c: opcodes("(S\"CODE\"\nibuiltins\nexec\n.", c),
    "OBJ opcode": lambda c: opcodes("(cbuiltins\nexec\nS\"CODE\"\no.", c),
    "dotted name": lambda c: opcodes("\x80\x04S'os'\nS'path.os.system'\n\x93S'touch CANARY'\n\x85R.", c),
    "through an allowed module": lambda c: opcodes("ctorch.storage\nos.system\n(S'touch CANARY'\ntR.", c),
    "torch's own loader, unrestricted": lambda c: pickle.dumps(Call(torch.load, io.BytesIO(exploit(c)))),
    "bytes that torch.storage would load": lambda c: pickle.dumps(load_from_bytes(exploit(c))),
    "the same as a zip": lambda c: pickle.dumps(load_from_bytes(saved(Call(exec, touch(c))))),
    "in the old format": lambda c: pickle.dumps(load_from_bytes(saved(Call(exec, touch(c)), zipped=False))),
    "twice wrapped": lambda c: pickle.dumps(load_from_bytes(pickle.dumps(load_from_bytes(exploit(c))))),
    "inside a generator": lambda c: nvidia_pickle(with_state({"_buffers": {"x": Call(exec, touch(c))}})),
    "inside an object array": lambda c: pickle.dumps(np.array([Call(exec, touch(c))], dtype=object)),
    "in a .pt": lambda c: saved({"g_ema": Call(exec, touch(c))}),
    "in an old .pt": lambda c: saved({"g_ema": Call(exec, touch(c))}, zipped=False),
    "in options of a .pt": lambda c: saved({"args": argparse.Namespace(x=Call(exec, touch(c)))}),
    "getattr chain": lambda c: pickle.dumps(Call(getattr, OrderedDict, "__init__")),
    "extension registry": lambda c: b"\x80\x02\x82\x01.",
    "persistent id": lambda c: b"\x80\x02X\x01\x00\x00\x00aQ.",
    "attributes of a function": lambda c: set_on("torch._utils", "_rebuild_tensor_v2", {"__code__": 1}),
    "attributes of a class": lambda c: set_on("collections", "OrderedDict", {"__setitem__": 1}),
    "memo that reserves 64 GB": lambda c: b"\x80\x02Nr\xff\xff\xff\xff.",
    "bytes of a length of 2**60": lambda c: b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.",
    "tensor of a size of 2**40": lambda c: nvidia_pickle(with_state({"_buffers": {"x": LARGE}})),
    "nesting": lambda c: b"\x80\x02" + b"]" * 100_000 + b".",
}  # fmt: skip


def with_state(state: dict[str, Any]) -> Module:
    generator = nvidia_generator(literal.random_tensors(CHANNELS, LAYERS))
    generator.state |= state
    return generator


def set_on(module: str, name: str, attributes: dict[str, Any]) -> bytes:
    """Names something allowed, then sets attributes on that itself."""
    state = pickle.dumps(({}, attributes), protocol=2)[2:-1]
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + state + b"b."


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_checkpoints_execute_nothing(make: Callable[[Path], bytes], tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    data = make(canary)
    functions = torch._utils._rebuild_tensor_v2, torch._utils._rebuild_tensor_v2.__code__
    with pytest.raises(WeightsMalformed):
        converted(data, tmp_path)
    assert not canary.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["in.bin"]
    assert functions == (torch._utils._rebuild_tensor_v2, torch._utils._rebuild_tensor_v2.__code__)


def test_these_exploits_are_real(tmp_path: Path) -> None:
    """The canary does appear where a checkpoint is simply unpickled."""
    pickle.loads(exploit(tmp_path / "canary"))
    assert (tmp_path / "canary").exists()


def test_source_code_in_a_genuine_pickle_is_not_executed(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    generator = nvidia_generator(tensors)
    generator.meta["module_src"] = touch(tmp_path / "canary")
    same(converted(nvidia_pickle(generator), tmp_path), tensors)
    assert not (tmp_path / "canary").exists()


def test_the_message_names_what_was_asked_for(tmp_path: Path) -> None:
    for data in (exploit(tmp_path / "canary"), saved({"g_ema": Call(exec, "1")})):
        with pytest.raises(WeightsError, match=r"exec.*do not trust"):
            converted(data, tmp_path)
