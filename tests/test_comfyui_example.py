"""examples/comfyui, loaded as ComfyUI loads it and given what ComfyUI gives, without ComfyUI."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from stylecine import Animator, MaskError, NothingMoves, OptionError, PhotoError, TooLarge

FOLDER = Path(__file__).parent.parent / "examples/comfyui"
WATER = (torch.arange(60)[None, :, None] >= 40).float().expand(1, 60, 96)  # a MASK of another size than the photo
NAME = "custom_nodes.stylecine-examples"  # ComfyUI names the module after its folder, which need not be an identifier


@pytest.fixture(scope="module")
def package() -> Iterator[ModuleType]:
    folders = [str(FOLDER)]
    spec = importlib.util.spec_from_file_location(NAME, FOLDER / "__init__.py", submodule_search_locations=folders)
    assert spec and spec.loader
    module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in [name for name in sys.modules if name.startswith(NAME)]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def sea() -> Tensor:
    """A small IMAGE [1,H,W,3] in 0..1, as Load Image gives it."""
    with Image.open(FOLDER.parent / "sea.jpg") as photo:
        pixels = np.array(photo.resize((192, 120)).convert("RGB"))
    return torch.from_numpy(pixels.astype(np.float32) / 255)[None]


@pytest.fixture
def quick(package: ModuleType, small_model: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package with a small model, which finds nothing by itself: it needs a mask."""
    animator = Animator.from_pretrained(small_model, "cpu")
    monkeypatch.setattr(sys.modules[f"{NAME}.node"], "_animator", lambda: animator)
    return package


def run(package: ModuleType, image: Tensor, **inputs: Any) -> tuple[Any, ...]:
    """Runs the node as ComfyUI does: with the defaults of its inputs, by keyword, in inference mode."""
    node = package.NODE_CLASS_MAPPINGS["StylecineCinemagraph"]
    widgets = {name: spec[1]["default"] for name, spec in node.INPUT_TYPES()["required"].items() if len(spec[1]) > 1}
    inputs = {"image": image, **widgets, "seconds": 0.5, "fps": 8.0, **inputs}
    with torch.inference_mode():
        return tuple(getattr(node(), node.FUNCTION)(**inputs))


def test_a_photo_becomes_the_frames_of_a_loop_in_which_the_land_stands_still(package: ModuleType, sea: Tensor) -> None:
    frames, fps, moving = run(package, sea, seconds=4.0, fps=1.0)
    assert frames.shape == (4, 120, 192, 3) and frames.dtype == torch.float32 and fps == 1.0
    assert frames.min() >= 0 and frames.max() <= 1
    still = moving[0] == 0
    assert moving.shape == (1, 120, 192) and 0.1 < still.float().mean() < 0.9
    assert torch.equal((frames * 255).round()[:, still], (sea * 255).round()[:, still].expand(4, -1, -1))
    changed = (frames - sea).abs().amax((0, 3)) > 0.02
    assert changed[~still].float().mean() > 0.2


def test_outputs_are_of_the_types_that_the_node_promises(quick: ModuleType, sea: Tensor) -> None:
    node = quick.NODE_CLASS_MAPPINGS["StylecineCinemagraph"]
    assert quick.NODE_DISPLAY_NAME_MAPPINGS.keys() == quick.NODE_CLASS_MAPPINGS.keys()
    ranks = {"IMAGE": lambda x: x.ndim == 4, "MASK": lambda x: x.ndim == 3, "FLOAT": lambda x: isinstance(x, float)}
    outputs = run(quick, sea, mask=WATER, size=64)
    assert len(node.RETURN_NAMES) == len(outputs) == len(node.RETURN_TYPES)
    assert all(ranks[kind](output) for kind, output in zip(node.RETURN_TYPES, outputs, strict=True))


@pytest.mark.parametrize("batched", [True, False])
def test_only_what_the_mask_contains_moves(quick: ModuleType, sea: Tensor, batched: bool) -> None:
    frames, _, moving = run(quick, sea, mask=WATER if batched else WATER[0])
    assert moving[0, 90:].mean() > 0.9 and not moving[0, :70].any()
    assert torch.equal((frames[2, :70] * 255).round(), (sea[0, :70] * 255).round())


def test_the_black_mask_of_an_opaque_photo_is_none(quick: ModuleType, sea: Tensor) -> None:
    """Load Image gives one of 64 by 64."""
    (with_it, _, moving), (without, _, predicted) = run(quick, sea, mask=torch.zeros(1, 64, 64)), run(quick, sea)
    assert torch.equal(with_it, without) and torch.equal(moving, predicted)


def test_a_style_changes_the_light_and_a_photo_with_transparency_is_one_too(quick: ModuleType, sea: Tensor) -> None:
    opaque = torch.cat((sea, torch.ones(1, 120, 192, 1)), 3)
    frames, _, _ = run(quick, opaque, mask=WATER, style="night")
    assert frames.shape[-1] == 3 and frames.mean() < 0.8 * sea.mean()


@pytest.mark.parametrize(
    ("inputs", "error", "says"),
    [
        ({"mask": torch.zeros(1, 120, 192)}, NothingMoves, "mask is empty"),
        ({"mask": torch.ones(2, 64, 64)}, MaskError, "one mask, not 2"),
        ({"seconds": 60.0, "fps": 120.0}, OptionError, "frames"),
        ({"size": 8}, OptionError, "too small"),
    ],
)
def test_errors_are_sentences(
    quick: ModuleType, sea: Tensor, inputs: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        run(quick, sea, **inputs)
    assert "\n" not in str(raised.value) and str(raised.value).endswith(".")


def test_a_batch_of_photos_is_refused(quick: ModuleType, sea: Tensor) -> None:
    with pytest.raises(PhotoError, match="one photo, not 2"):
        run(quick, torch.cat((sea, sea)))


def test_more_frames_than_memory_are_refused(
    quick: ModuleType, sea: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[f"{NAME}.node"], "available_bytes", lambda device: 1e6)
    with pytest.raises(TooLarge, match=r"4 frames of 192x120 need .* smaller size"):
        run(quick, sea, mask=WATER)


class Interrupted(Exception):
    """As ComfyUI's InterruptProcessingException."""


def test_comfyuis_progress_bar_fills_and_its_button_interrupts(
    quick: ModuleType, sea: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []

    def interrupt() -> None:
        if len(shown) == 2:
            raise Interrupted

    bar = SimpleNamespace(update_absolute=shown.append)
    monkeypatch.setitem(sys.modules, "comfy.utils", SimpleNamespace(ProgressBar=lambda total: bar))
    run(quick, sea, mask=WATER)
    assert shown == [1, 2, 3, 4]
    shown.clear()
    manager = SimpleNamespace(throw_exception_if_processing_interrupted=interrupt)
    monkeypatch.setitem(sys.modules, "comfy.model_management", manager)
    with pytest.raises(Interrupted):
        run(quick, sea, mask=WATER)
    assert shown == [1, 2]
