"""What benchmarks/kernels.py makes of its timings, and what it counts."""

from typing import Any

import pytest
import torch

from benchmarks import kernels
from benchmarks.kernels import CASES, KERNELS, PIXELS, SEVERAL, Call, kernel_of, measure, roofline, tensors, traffic
from stylecine.ops import native
from tests.ops import test_drape, test_render

CPU = torch.device("cpu")


def test_every_kernel_is_measured() -> None:
    assert set(KERNELS) == set(PIXELS) == set(native.KERNELS)
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
    call = test_drape.Sample("of bytes").arguments()
    frames, *others = tensors(call)
    expected = sum(x.nbytes for x in (frames, frames, *others))
    assert traffic("drape", call, frames) == expected, "the frame is read and written"


@pytest.mark.parametrize("frames", [1, 2])
def test_of_renders_knots_those_that_its_frames_read_are_counted(frames: int) -> None:
    call = test_render.Sample("of bytes", frames=frames).arguments()
    moved = call[0][3]
    held = moved.positions.nbytes + moved.rates.nbytes
    assert len(moved.positions) == 4
    everything = sum(x.nbytes for x in tensors(call))
    assert everything - traffic("render", call, []) == held * (1 - frames / 2), "two of four knots a frame"


@pytest.mark.parametrize(("name", "sample"), [("drape", test_drape.SAMPLES[0]), ("render", test_render.SAMPLES[0])])
def test_a_row_compares_a_kernel_with_its_reference(name: str, sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(run: Any, device: torch.device, **_: Any) -> float:
        return run() is not NotImplemented and 1e-3

    monkeypatch.setattr(kernels, "median_seconds", timed)
    call: Call = sample.arguments()
    before = [x.clone() for x in tensors(call)]
    row = measure(name, call, CPU, 1, 1e9)
    assert row["native_ms"] == row["reference_ms"] == row["times_reference"] == 1
    assert row["largest_difference"] <= 1
    assert row["bytes_per_pixel"] * sample.arguments()[0][0][..., 0].numel() == pytest.approx(row["megabytes"] * 1e6)
    assert row["roofline_ms"] == pytest.approx(row["megabytes"]), "at a gigabyte a second"
    unchanged = [torch.equal(x, y) for x, y in zip(tensors(call), before, strict=True)]
    assert all(unchanged[1:]), "but for the frame that is drawn into"
