"""What benchmarks/kernels.py makes of its timings, and what it counts."""

from typing import Any

import pytest
import torch

from benchmarks import kernels
from benchmarks.kernels import CASES, PIXELS, REFERENCES, SEVERAL, Calls, kernel_of, measure, roofline, tensors, traffic
from stylecine.ops import native
from stylecine.ops.drape import drape
from stylecine.ops.render import render
from tests.ops import test_drape, test_render

CPU = torch.device("cpu")


def arguments_of(call: Any, sample: Any) -> tuple[Any, ...]:
    """Those that the operator gets."""
    values, keywords = sample.arguments()
    with Calls() as calls:
        call(*values, **keywords)
    return calls.arguments[call.__name__]


def test_every_kernel_is_measured() -> None:
    assert set(REFERENCES) == set(PIXELS) == set(native.KERNELS)
    assert {kernel_of(case) for case in CASES} == set(native.KERNELS) and kernel_of(SEVERAL) == "render"


def test_the_roofline_is_the_time_of_a_copy_of_as_many_bytes() -> None:
    row = roofline(8_000_000, 1_000_000, milliseconds=2.0, copied=16e9)
    assert row == {
        "bytes_per_pixel": 8,
        "megabytes": 8,
        "roofline_ms": 0.5,
        "gb_per_second": 4,
        "copy_gb_per_second": 16,
        "share_of_copy": 0.25,
    }


def test_bytes_are_those_of_all_inputs_and_outputs() -> None:
    frame, photo, background, matte, field, active = values = test_drape.Sample("of bytes").arguments()[0]
    arguments = arguments_of(drape, test_drape.Sample("of bytes"))
    assert [tuple(x.shape) for x in tensors(arguments)] == [tuple(x.shape) for x in values]
    expected = sum(x.nbytes for x in (frame, frame, photo, background, matte, field, active))
    assert traffic("drape", arguments, frame) == expected, "the frame is read and written"


@pytest.mark.parametrize("frames", [1, 2])
def test_of_renders_knots_those_that_its_frames_read_are_counted(frames: int) -> None:
    arguments = arguments_of(render, test_render.Sample("of bytes", frames=frames))
    held = sum(x.nbytes for x in arguments[3:5])
    assert arguments[3].shape[0] == 4
    everything = sum(x.nbytes for x in tensors(arguments))
    assert everything - traffic("render", arguments, []) == held * (1 - frames / 2), "two of four knots a frame"


@pytest.mark.parametrize(("call", "sample"), [(drape, test_drape.SAMPLES[0]), (render, test_render.SAMPLES[0])])
def test_a_row_compares_a_kernel_with_its_reference(call: Any, sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(run: Any, device: torch.device, **_: Any) -> float:
        return run() is not NotImplemented and 1e-3

    monkeypatch.setattr(kernels, "median_seconds", timed)
    arguments = arguments_of(call, sample)
    before = [x.clone() for x in tensors(arguments)]
    row = measure(call.__name__, arguments, CPU, 1, 1e9)
    assert row["native_ms"] == row["reference_ms"] == row["times_reference"] == 1
    assert row["largest_difference"] <= 1
    assert row["bytes_per_pixel"] * sample.arguments()[0][0][..., 0].numel() == pytest.approx(row["megabytes"] * 1e6)
    assert row["roofline_ms"] == pytest.approx(row["megabytes"]), "at a gigabyte a second"
    unchanged = [torch.equal(x, y) for x, y in zip(tensors(arguments), before, strict=True)]
    assert all(unchanged[1:]), "but for the frame that is drawn into"
