"""The CUDA kernels' sources, compiled for the CPU and run there: see cuda_on_cpu/cuda_runtime.h for what that tests."""

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from stylecine.errors import KernelUnavailable
from stylecine.ops import native
from stylecine.ops.compare import compare
from stylecine.ops.recolour import Recolouring, recolour, recolour_
from stylecine.ops.render import render
from stylecine.ops.splat import splat
from tests.ops import test_compare, test_recolour, test_render
from tests.ops.cuda_on_cpu.build import SOURCES, build, translated
from tests.ops.kernels import called

COMPILER = os.environ.get("CXX", "g++")
ON_LINUX = sys.platform == "linux" and shutil.which(COMPILER.split()[0])


def needs_compiler(test: Callable[..., None]) -> Callable[..., None]:
    skip = pytest.mark.skipif(not ON_LINUX, reason=f"this needs Linux and {COMPILER}")
    return pytest.mark.slow(skip(test))


CPU_FLAGS = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
ASCENDING, SHUFFLED = 0, 1
STREAM = 0x5EED  # that a test passes
TESTS: dict[str, Any] = {kernel: import_module(f"tests.ops.test_{kernel}") for kernel in native.KERNELS}


def load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in native.FUNCTIONS.items():
        if name.endswith("_cuda") and hasattr(library, name):
            getattr(library, name).restype, getattr(library, name).argtypes = result, arguments
    library.cuda_on_cpu_expect.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_int64
    library.cuda_on_cpu_calls.restype, library.cuda_on_cpu_error.restype = ctypes.c_int64, ctypes.c_char_p
    return library


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return load(build(sorted(SOURCES.glob("*.cu")), tmp_path_factory.mktemp("cuda_on_cpu"), COMPILER))


@contextmanager
def emulated(library: ctypes.CDLL, order: int, device: int = 1, failing: int = 0) -> Iterator[None]:
    """Ops on the CPU run what they would on a GPU, its threads in this order; call number `failing` of CUDA fails.

    Whatever happens, the device that was current is so again, and no error is left for somebody else to find.
    """

    def run(kernel: str, args: ctypes.Structure, _: torch.device) -> None:
        where, space, message = ctypes.addressof(args), (), ctypes.create_string_buffer(native.MESSAGE)
        workspace = native.KERNELS[kernel]
        if workspace:
            size = getattr(library, f"stylecine_{kernel}_workspace_cuda")(where)
            buffer = torch.full((size + 64,), 255, dtype=torch.uint8)  # as floats not a number
            space = buffer.data_ptr(), size
        library.cuda_on_cpu_expect(device, STREAM, failing)
        status = getattr(library, f"stylecine_{kernel}_cuda")(where, *space, device, STREAM, message)
        assert library.cuda_on_cpu_error() is None, "an error is left for the next call"
        assert failing or library.cuda_on_cpu_device() == 0, "another device is current"
        native._check(status, f"{kernel}: {message.value.decode()}")
        assert not workspace or (buffer[size:] == 255).all(), "the kernel wrote past its workspace"

    library.cuda_on_cpu_order(order)
    with mock.patch.object(native, "run", run), mock.patch.object(native, "available", lambda _: True):
        yield


def in_any_order(library: ctypes.CDLL, call: Callable[[], list[Tensor]], **tolerance: float) -> list[Tensor]:
    """What the kernel makes, the same in whatever order its threads run: the same bits, unless a tolerance is given."""
    made = []
    for order in (ASCENDING, SHUFFLED):
        with emulated(library, order):
            made.append(call())
    torch.testing.assert_close(*made, equal_nan=True, **(tolerance or {"rtol": 0, "atol": 0}))
    return made[0]


def samples(*kernels: str) -> pytest.MarkDecorator:
    of = ((name, sample) for name in kernels for sample in TESTS[name].SAMPLES)
    cases = [pytest.param(name, sample, id=f"{name}, {sample.name}") for name, sample in of]
    return pytest.mark.parametrize(("kernel", "sample"), cases)


def assert_agrees(library: ctypes.CDLL, kernel: str, sample: Any) -> None:
    """With its reference."""
    call = partial(called, getattr(TESTS[kernel], kernel), sample)
    made = in_any_order(library, call)
    with native.disabled():
        TESTS[kernel].assert_alike(made, call(), sample)


@needs_compiler
@samples(*(kernel for kernel in TESTS if kernel != "splat"))
def test_each_agrees_with_its_reference(library, kernel, sample):
    assert_agrees(library, kernel, sample)


@needs_compiler
@pytest.mark.parametrize("deterministic", [False, True])
@samples("splat")
def test_splat_agrees_with_its_reference_and_in_whole_numbers_with_itself(library, kernel, sample, deterministic):
    close = {"rtol": 1e-4, "atol": 1e-5}
    tolerance = {} if deterministic else close
    made = in_any_order(library, lambda: called(splat, sample, deterministic=deterministic), **tolerance)
    with native.disabled():
        torch.testing.assert_close(made, called(splat, sample), **close)


@needs_compiler
def test_a_copy_that_does_not_show_is_not_read(library):
    tensors, keywords = test_render.one_copy_that_shows()
    with emulated(library, ASCENDING):
        assert torch.equal(render(*tensors, **keywords)[0], tensors[0])


@needs_compiler
def test_frames_are_recoloured_together_as_alone(library):
    """More of them than a launch has."""
    (frame, grid, _), keywords = test_recolour.Sample("several", still="given").arguments()
    frames, amounts = torch.stack([frame.roll(n, 0) for n in range(18)]), [n / 17 for n in range(18)]
    with emulated(library, ASCENDING):
        each = [recolour(frame, grid, amount, **keywords) for frame, amount in zip(frames, amounts, strict=True)]
        assert torch.equal(recolour_(frames, Recolouring(grid, amounts, **keywords)), torch.stack(each))


def askew(level: Tensor) -> Tensor:
    """The same numbers where a GPU could not read four of them at once."""
    return torch.cat((level.new_zeros(2), level.flatten()))[2:].view(level.shape)


@needs_compiler
@pytest.mark.parametrize("dtype", native.DTYPES)
def test_coefficients_that_a_gpu_could_not_read_at_once_are_refused(library, dtype):
    tensors, keywords = test_render.Sample("askew", dtype=dtype).arguments()
    tensors[2][1] = askew(tensors[2][1])
    with emulated(library, ASCENDING), pytest.raises(ValueError, match="multiple of the size of four numbers"):
        render(*tensors, **keywords)
    (spline, *others), keywords = test_compare.Sample("askew", dtype=dtype).arguments()
    with emulated(library, ASCENDING), pytest.raises(ValueError, match="multiple of the size of four numbers"):
        compare(askew(spline), *others, **keywords)


@needs_compiler
def test_a_grid_that_a_gpu_could_not_read_four_numbers_at_once_of_is_refused(library):
    (frame, grid, amount), _ = test_recolour.Sample("askew").arguments()
    with emulated(library, ASCENDING), pytest.raises(ValueError, match="multiple of the size of four numbers"):
        recolour(frame, askew(grid), amount)
    tensors, keywords = test_render.Sample("askew", style="fixed").arguments()
    keywords["recolouring"] = keywords["recolouring"]._replace(grid=askew(keywords["recolouring"].grid))
    with emulated(library, ASCENDING), pytest.raises(ValueError, match="multiple of the size of four numbers"):
        render(*tensors, **keywords)


@needs_compiler
@pytest.mark.parametrize(("instead", "failure"), [("", AssertionError), ("if (threadIdx.x < 32)", KernelUnavailable)])
def test_a_barrier_that_is_missing_or_not_for_all_is_noticed(tmp_path, instead, failure):
    source, barrier = (SOURCES / "render_cuda.cu").read_text(), "__syncthreads();"
    assert source.count(barrier) == 1
    (tmp_path / "faulty.cu").write_text(source.replace(barrier, f"{instead} {barrier}" if instead else ""))
    faulty = load(build([tmp_path / "faulty.cu", SOURCES / "recolour_cuda.cu"], tmp_path, COMPILER))
    with pytest.raises(failure):
        assert_agrees(faulty, "render", test_render.SAMPLES[0])


CALLS: dict[str, Callable[[], list[Tensor]]] = {
    name: partial(called, getattr(tests, name), tests.SAMPLES[0], **{"deterministic": True} if name == "splat" else {})
    for name, tests in TESTS.items()
}


@needs_compiler
@pytest.mark.parametrize("kernel", native.KERNELS)
def test_a_failure_of_any_call_is_reported_once(library, kernel):
    with emulated(library, ASCENDING):
        expected = CALLS[kernel]()
    count = library.cuda_on_cpu_calls()
    assert count >= 4, "the device is asked for, set and set back, and at least one kernel launched"
    for number in range(1, count + 1):
        with emulated(library, ASCENDING, failing=number), pytest.raises(KernelUnavailable, match="was to fail"):
            CALLS[kernel]()
    with emulated(library, ASCENDING):
        torch.testing.assert_close(CALLS[kernel](), expected, rtol=0, atol=0, equal_nan=True)
    with emulated(library, ASCENDING, device=7), pytest.raises(KernelUnavailable, match="invalid device"):
        CALLS[kernel]()


@needs_compiler
@pytest.mark.skipif(" fma " not in CPU_FLAGS, reason="this processor does not fuse multiplications and additions")
def test_fused_multiplications_and_additions_change_results_only_slightly(tmp_path, monkeypatch):
    """nvcc fuses them, the compiler of the other tests does not."""
    monkeypatch.setenv("CXXFLAGS", "-mfma -ffp-contract=fast")
    fused = load(build(sorted(SOURCES.glob("*.cu")), tmp_path, COMPILER))
    for kernel, call in CALLS.items():
        with emulated(fused, ASCENDING):
            made = call()
        with native.disabled():
            expected = call()
        for ours, theirs in zip(made, expected, strict=True):
            close = {"rtol": 0, "atol": 1} if ours.dtype == torch.uint8 else {"rtol": 1e-4, "atol": 1e-4}
            torch.testing.assert_close(ours, theirs, **close, msg=lambda says, kernel=kernel: f"{kernel}: {says}")


@needs_compiler
@pytest.mark.parametrize(
    ("source", "right", "wrong", "failure", "reason"),
    [
        ("splat_cuda.cu", "0, stream>>>(args, extremes, s", "0, 0>>>(args, extremes, s", KernelUnavailable,
         "not on the stream"),
        ("splat_cuda.cu", "sizeof(Extremes), stream)", "sizeof(Extremes), nullptr)", KernelUnavailable,
         "not on the stream"),
        ("device.h", "status = cudaSetDevice(device);", "", KernelUnavailable, "not on the device"),
        ("device.h", "const cudaError_t restored = cudaSetDevice(before);", "const cudaError_t restored = cudaSuccess;",
         AssertionError, "another device is current"),
        ("device.h", "  cudaGetLastError();  // cleared", "  // cleared", AssertionError, "left for the next call"),
        ("device.h", "if (status == cudaSuccess) status = restored;", "", AssertionError, "left for the next call"),
    ],
)  # fmt: skip
def test_mistakes_with_streams_devices_and_errors_are_noticed(tmp_path, source, right, wrong, failure, reason):
    for path in (SOURCES / "splat_cuda.cu", SOURCES / "device.h"):
        text = path.read_text()
        if path.name == source:
            assert text.count(right) >= 1
            text = text.replace(right, wrong)
        (tmp_path / path.name).write_text(text)
    faulty = load(build([tmp_path / "splat_cuda.cu"], tmp_path, COMPILER))
    with pytest.raises(failure, match=reason):
        test_a_failure_of_any_call_is_reported_once(faulty, "splat")


@needs_compiler
def test_whether_a_device_can_run_kernels_is_asked_without_running_one(library):
    message = ctypes.create_string_buffer(native.MESSAGE)
    for device, failing, status in ((1, 0, native.OK), (7, 0, native.CUDA), (0, 3, native.CUDA)):
        library.cuda_on_cpu_expect(device, None, failing)
        assert library.stylecine_probe_cuda(device, message) == status
        assert library.cuda_on_cpu_error() is None
    assert message.value == b"this call was to fail"


def test_a_launch_is_translated_or_refused():
    launch = "  half<T, 2><<<blocks(a->b * c), 256, 0, static_cast<cudaStream_t>(s)>>>(*args);"
    call = "cuda_on_cpu::launch([&](const auto &...x) { half<T, 2>(x...); }, "
    assert translated(launch) == f"  {call}blocks(a->b * c), 256, 0, static_cast<cudaStream_t>(s))(*args);"
    for strange in ("kernel<<<1, 32>>>(x);", "(*kernel)<<<1, 32, 0, s>>>(x);", "x <<< y;"):
        with pytest.raises(ValueError, match="written in a way"):
            translated(strange)
