"""The CUDA kernels' sources, compiled for the CPU and run there: see cuda_on_cpu/cuda_runtime.h for what that tests."""

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from stylecine.errors import KernelUnavailable
from stylecine.ops import native
from stylecine.ops.compare import compare
from stylecine.ops.drape import drape
from stylecine.ops.integrate import integrate
from stylecine.ops.recolour import recolour
from stylecine.ops.render import render
from stylecine.ops.splat import splat
from stylecine.ops.warp_features import warp_features
from tests.ops import (
    test_compare,
    test_drape,
    test_integrate,
    test_recolour,
    test_render,
    test_splat,
    test_warp_features,
)
from tests.ops.cuda_on_cpu.build import SOURCES, build, translated

COMPILER = os.environ.get("CXX", "g++")
ON_LINUX = sys.platform == "linux" and shutil.which(COMPILER.split()[0])


def needs_compiler(test: Callable[..., None]) -> Callable[..., None]:
    skip = pytest.mark.skipif(not ON_LINUX, reason=f"this needs Linux and {COMPILER}")
    return pytest.mark.slow(skip(test))


ASCENDING, SHUFFLED = 0, 1


def load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in native.FUNCTIONS.items():
        if name.endswith("_cuda") and hasattr(library, name):
            getattr(library, name).restype, getattr(library, name).argtypes = result, arguments
    return library


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return load(build(sorted(SOURCES.glob("*.cu")), tmp_path_factory.mktemp("cuda_on_cpu"), COMPILER))


@contextmanager
def emulated(library: ctypes.CDLL, order: int, device: int = 0) -> Iterator[None]:
    """Ops on the CPU run what they would on a GPU, its threads in this order."""

    def run(kernel: str, args: ctypes.Structure, _: torch.device, workspace: bool = False) -> None:
        where, space, message = ctypes.addressof(args), (), ctypes.create_string_buffer(native.MESSAGE)
        if workspace:
            size = getattr(library, f"stylecine_{kernel}_workspace_cuda")(where)
            buffer = torch.full((size + 64,), 255, dtype=torch.uint8)  # as floats not a number
            space = buffer.data_ptr(), size
        status = getattr(library, f"stylecine_{kernel}_cuda")(where, *space, device, None, message)
        native._check(status, f"{kernel}: {message.value.decode()}")
        assert not workspace or (buffer[size:] == 255).all(), "the kernel wrote past its workspace"

    library.cuda_on_cpu_order(order)
    with mock.patch.object(native, "run", run), mock.patch.object(native, "available", lambda _: True):
        yield


def in_any_order(library: ctypes.CDLL, call: Callable[[], Any], **tolerance: float) -> list[Tensor]:
    """What the kernel makes, the same in whatever order its threads run: the same bits, unless a tolerance is given."""
    made = []
    for order in (ASCENDING, SHUFFLED):
        with emulated(library, order):
            result = call()
        made.append([result] if isinstance(result, Tensor) else list(result))
    torch.testing.assert_close(*made, equal_nan=True, **(tolerance or {"rtol": 0, "atol": 0}))
    return made[0]


@needs_compiler
@test_integrate.named
def test_integrate_agrees_with_its_reference(library, sample):
    arguments = sample.arguments()
    made = in_any_order(library, lambda: integrate(*arguments))
    with native.disabled():
        torch.testing.assert_close(made, list(integrate(*arguments)), rtol=1e-5, atol=1e-4)


@needs_compiler
@pytest.mark.parametrize("deterministic", [False, True])
@test_splat.named
def test_splat_agrees_with_its_reference_and_in_whole_numbers_with_itself(library, sample, deterministic):
    tensors, keywords = sample.arguments()
    close = {"rtol": 1e-4, "atol": 1e-5}
    made = in_any_order(
        library, lambda: splat(*tensors, **keywords, deterministic=deterministic), **({} if deterministic else close)
    )
    with native.disabled():
        torch.testing.assert_close(made, list(splat(*tensors, **keywords)), **close)


@needs_compiler
@test_warp_features.named
def test_warp_features_agrees_with_its_reference(library, sample):
    arguments = sample.arguments()
    made = in_any_order(library, lambda: warp_features(*arguments))
    close = test_warp_features.CLOSE[sample.dtype]
    with native.disabled():
        torch.testing.assert_close(made, [warp_features(*arguments)], rtol=0, atol=close)


def assert_renders(library: ctypes.CDLL, sample: test_render.Sample) -> None:
    tensors, keywords = sample.arguments()
    [made] = in_any_order(library, lambda: render(*tensors, **keywords))
    with native.disabled():
        test_render.assert_alike(made, render(*tensors, **keywords))


@needs_compiler
@test_render.named
def test_render_agrees_with_its_reference(library, sample):
    assert_renders(library, sample)


@needs_compiler
@test_compare.named
def test_compare_agrees_with_its_reference(library, sample):
    tensors, keywords = sample.arguments()
    [made] = in_any_order(library, lambda: compare(*tensors, **keywords))
    with native.disabled():
        test_compare.assert_alike(made, compare(*tensors, **keywords))


@needs_compiler
@test_drape.named
def test_drape_agrees_with_its_reference(library, sample):
    tensors, keywords = sample.arguments()
    [made] = in_any_order(library, lambda: drape(*tensors, **keywords))
    with native.disabled():
        test_drape.assert_alike(made, drape(*tensors, **keywords))


@needs_compiler
@test_recolour.named
def test_recolour_agrees_with_its_reference(library, sample):
    tensors, keywords = sample.arguments()
    [made] = in_any_order(library, lambda: recolour(*tensors, **keywords))
    with native.disabled():
        test_recolour.assert_alike(made, recolour(*tensors, **keywords))


def askew(level: Tensor) -> Tensor:
    """The same coefficients where a GPU could not read four of them at once."""
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
@pytest.mark.parametrize(("instead", "failure"), [("", AssertionError), ("if (threadIdx.x < 32)", KernelUnavailable)])
def test_a_barrier_that_is_missing_or_not_for_all_is_noticed(tmp_path, instead, failure):
    source, barrier = (SOURCES / "render_cuda.cu").read_text(), "__syncthreads();"
    assert source.count(barrier) == 1
    (tmp_path / "faulty.cu").write_text(source.replace(barrier, f"{instead} {barrier}" if instead else ""))
    with pytest.raises(failure):
        assert_renders(load(build([tmp_path / "faulty.cu"], tmp_path, COMPILER)), test_render.SAMPLES[0])


@needs_compiler
def test_an_error_of_one_call_is_not_reported_by_the_next(library):
    arguments = test_integrate.SAMPLES[0].arguments()
    with emulated(library, ASCENDING, device=7), pytest.raises(KernelUnavailable, match="invalid device"):
        integrate(*arguments)
    with emulated(library, ASCENDING):
        integrate(*arguments)


def test_a_launch_is_translated_or_refused():
    launch = "  half<T, 2><<<blocks(a->b * c), 256, 0, static_cast<cudaStream_t>(s)>>>(*args);"
    call = "cuda_on_cpu::launch([&](const auto &...x) { half<T, 2>(x...); }, "
    assert translated(launch) == f"  {call}blocks(a->b * c), 256, 0, static_cast<cudaStream_t>(s))(*args);"
    for strange in ("kernel<<<1, 32>>>(x);", "(*kernel)<<<1, 32, 0, s>>>(x);", "x <<< y;"):
        with pytest.raises(ValueError, match="written in a way"):
            translated(strange)
