"""Third-party checkpoints: converted ones compute the same as the originals; hostile ones execute nothing.

tests/checkpoint_files.py makes the checkpoints, with random weights; those of full size are in test_readers.py.
"""

import argparse
import io
import os
import pickle
import struct
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.checkpoints.convert import convert
from stylecine.checkpoints.unpickle import load_pickle
from stylecine.errors import OptionError, OutputError, WeightsError, WeightsMalformed
from stylecine.networks.generator import Generator
from stylecine.weights import FileRecord, ModelRecord, find_model, read_tensors
from tests.checkpoint_files import (
    Module,
    nvidia_generator,
    nvidia_modules,
    nvidia_pickle,
    rosinality_state,
    saved,
    tensorflow_pickle,
    tensorflow_variables,
)
from tests.networks import stylegan2_literal as literal

CHANNELS = {4: 6, 8: 5, 16: 4, 32: 3}
LAYERS = 2  # of the mapping network


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return literal.random_tensors(CHANNELS, LAYERS)


@pytest.fixture(autouse=True)
def nvidia(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in nvidia_modules().items():
        monkeypatch.setitem(sys.modules, name, module)


def converted(data: bytes, folder: Path) -> dict[str, Tensor]:
    (folder / "in.bin").write_bytes(data)
    convert(folder / "in.bin", folder / "out.safetensors")
    return read_tensors(folder / "out.safetensors")


def same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=0, msg=name)


# -- NVIDIA, PyTorch --


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
def test_other_nvidia_architectures(tensors: dict[str, Tensor], tmp_path: Path, name: str, tensor: Tensor) -> None:
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
def test_other_tensorflow_options(tensors: dict[str, Tensor], tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(WeightsMalformed):
        converted(tensorflow_pickle(tensorflow_variables(tensors), **{name: value}), tmp_path)


# -- rosinality and StyleCineGAN --


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


STATE = rosinality_state(CHANNELS, LAYERS)
OTHER = rosinality_state(CHANNELS, LAYERS, seed=6)
TRAINING = {"g": OTHER, "d": {}, "args": argparse.Namespace(size=32), "ada_aug_p": 0.1}
ROSINALITY = {
    "converted from NVIDIA": {"g_ema": STATE, "latent_avg": torch.ones(512)},
    "saved while training": {**TRAINING, "g_ema": STATE},
    "wrapped for several GPUs": {"g_ema": {f"module.{k}": v for k, v in STATE.items()}},
    "under state_dict": {"state_dict": STATE},
    "the state itself": STATE,
}


@pytest.mark.parametrize(
    ("content", "zipped"),
    [*((content, True) for content in ROSINALITY.values()), (ROSINALITY["saved while training"], False)],
    ids=[*ROSINALITY, "before torch 1.6"],
)
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


def test_a_converted_model_is_loaded_by_its_path(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    (tmp_path / "ffhq.pkl").write_bytes(nvidia_pickle(nvidia_generator(tensors)))
    path = convert(tmp_path / "ffhq.pkl", tmp_path / "ffhq.safetensors")
    assert find_model(path).resolution == 32
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata()["source"] == "ffhq.pkl"
        assert file.metadata()["source_format"] == "nvidia"
        assert file.metadata()["licence"] == "unknown"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ffhq.pkl", "ffhq.safetensors"]


def test_a_public_models_name_as_output(
    tensors: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file goes where the model is looked for by that name, with its record's licence; others do not fit it."""
    monkeypatch.setenv("STYLECINE_MODELS", str(tmp_path / "models"))
    record = ModelRecord("lakes", 32, "b8.conv1", "MIT", "https://example.org", {}, checkpoint="c", file="lakes.pkl")
    target = tmp_path / "models" / "lakes.safetensors"
    public = replace(record, files={"generator": FileRecord(target, "MIT")})
    monkeypatch.setattr("stylecine.checkpoints.convert.models", lambda: [public])
    (tmp_path / "lakes.pkl").write_bytes(nvidia_pickle(nvidia_generator(tensors)))
    assert convert(tmp_path / "lakes.pkl", "lakes") == target
    assert find_model(target).licence == "MIT"
    target.unlink()
    monkeypatch.setattr("stylecine.checkpoints.convert.models", lambda: [replace(public, resolution=64)])
    with pytest.raises(WeightsMalformed, match=r"32 pixels.*'lakes' of 64.*lakes\.pkl"):
        convert(tmp_path / "lakes.pkl", "lakes")
    with pytest.raises(OptionError, match="stylecine models"):
        convert(tmp_path / "lakes.pkl", "seas")
    assert not target.exists()


def test_paths_that_do_not_work(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    good = tmp_path / "in.pkl"
    good.write_bytes(nvidia_pickle(nvidia_generator(tensors)))
    with pytest.raises(OutputError):
        convert(good, tmp_path / "no folder" / "out.safetensors")
    with pytest.raises(OutputError, match="no folder"):
        convert(good, good / "out.safetensors")
    with pytest.raises(OptionError):
        convert(good, tmp_path / "out.pt")
    with pytest.raises(OptionError, match="already"):
        convert(tmp_path / "converted.safetensors", tmp_path / "out.safetensors")
    assert list(tmp_path.iterdir()) == [good]


def test_an_interrupt_leaves_nothing(
    tensors: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tmp_path / "in.pkl"
    good.write_bytes(nvidia_pickle(nvidia_generator(tensors)))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(good, tmp_path / "out.safetensors")
    assert list(tmp_path.iterdir()) == [good]


def test_without_a_home_a_public_name_needs_a_folder(
    tensors: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"generator": FileRecord(Path("~/models/lakes.safetensors"), "MIT")}
    record = ModelRecord("lakes", 32, "b8.conv1", "MIT", "https://example.org", files, checkpoint="c", file="lakes.pkl")
    monkeypatch.setattr("stylecine.checkpoints.convert.models", lambda: [record])
    monkeypatch.chdir(tmp_path)
    good = tmp_path / "lakes.pkl"
    good.write_bytes(nvidia_pickle(nvidia_generator(tensors)))
    with pytest.raises(OutputError, match="STYLECINE_MODELS"):
        convert(good, "lakes")
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


NUMBERS = np.zeros(1 << 16, np.float32)
CONTENT = NUMBERS.tobytes()
COPIES: dict[str, Callable[[Call], Call]] = {
    "views": lambda storage: Call(torch._utils._rebuild_tensor_v2, storage, 0, NUMBERS.shape, (1,), False, {}),
    "storages": lambda storage: load_from_bytes(storage.parts[1][0]),
    "arrays": lambda _: Call(NUMBERS.__reduce_ex__(5)[0], CONTENT, NUMBERS.dtype, NUMBERS.shape, "C"),
    "states of arrays": lambda _: Call(
        NUMBERS.__reduce__()[0], np.ndarray, (0,), b"b", state=(1, NUMBERS.shape, NUMBERS.dtype, False, CONTENT)
    ),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES.keys())
def test_data_are_not_copied_any_number_of_times(copy: Callable[[Call], Call]) -> None:
    """A few bytes, which refer to data that the pickle holds once, would take as much memory again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that typed storages are deprecated
        storage = load_from_bytes(saved(torch.from_numpy(NUMBERS)._typed_storage(), zipped=False))
    assert len(load_pickle(pickle.dumps([copy(storage), copy(storage)]))) == 2
    with pytest.raises(WeightsMalformed, match="again and again"):
        load_pickle(pickle.dumps([copy(storage) for _ in range(100)]))


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


def test_the_message_names_what_the_pickle_requests(tmp_path: Path) -> None:
    for data in (exploit(tmp_path / "canary"), saved({"g_ema": Call(exec, "1")})):
        with pytest.raises(WeightsError, match=r"exec.*do not trust"):
            converted(data, tmp_path)
