"""What the tests of the native kernels have in common."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from stylecine.ops import native


def _missing(instructions: str) -> bool:
    try:
        with native.using(instructions=instructions):
            native.why("cpu")
    except ValueError:
        return True
    return False


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
ALL_SETS = ("portable", "avx2", "avx512")
QUICK_SETS = {"portable", [name for name in ALL_SETS if not _missing(name)][-1]}
SETS = [
    pytest.param(
        name,
        marks=[
            pytest.mark.skipif(_missing(name), reason=f"this processor has no {name}"),
            *([] if name in QUICK_SETS else [pytest.mark.slow]),
        ],
    )
    for name in ALL_SETS
]


def apart(x: Tensor) -> Tensor:
    """The same values with gaps in memory."""
    return torch.stack((x, x), dim=-1)[..., 0]


def smooth(*shape: int, seed: int = 7) -> Tensor:
    """Noise without fine detail, about -1 to 1, whose last two dimensions are the image's."""
    noise = torch.randn(1, *shape[:-2], 5, 5, generator=torch.Generator().manual_seed(seed)).flatten(1, -3)
    return torch.nn.functional.interpolate(noise, shape[-2:], mode="bicubic").view(shape) / 2


def same_on_any_threads(call: Callable[[], list[Tensor]], instructions: str) -> list[Tensor]:
    """What the kernel makes, which is the same bits for 1 and 2 threads."""
    assert native.available("cpu"), native.why("cpu")
    made = []
    for threads in (1, 2):
        with native.using(threads=threads, instructions=instructions):
            made.append(call())
    torch.testing.assert_close(made[1], made[0], rtol=0, atol=0, equal_nan=True)
    return made[0]


def called(kernel: Callable[..., Any], sample: Any, device: str = "cpu", **options: bool) -> list[Tensor]:
    tensors, keywords = sample.arguments(device)
    made = kernel(*tensors, **keywords, **options)
    return [made] if isinstance(made, Tensor) else list(made)


def agreement(
    kernel: Callable[..., Any], samples: Sequence[Any], assert_alike: Callable[[list[Tensor], list[Tensor], Any], None]
) -> tuple[Callable[..., None], Callable[..., None]]:
    """Two tests of a kernel: against its reference, and on a GPU against the CPU.

    assert_alike: of what is made, what was expected, and the sample.
    """
    named = pytest.mark.parametrize("sample", samples, ids=lambda sample: sample.name)

    @cache
    def expected(sample: Any) -> list[Tensor]:
        with native.disabled():
            return called(kernel, sample)

    @named
    @pytest.mark.parametrize("instructions", SETS)
    def the_kernel_agrees(sample: Any, instructions: str) -> None:
        assert_alike(same_on_any_threads(lambda: called(kernel, sample), instructions), expected(sample), sample)

    @named
    @needs_gpu
    def the_gpu_agrees(sample: Any) -> None:
        made, again = ([x.cpu() for x in called(kernel, sample, "cuda")] for _ in range(2))
        assert_alike(made, called(kernel, sample), sample)
        torch.testing.assert_close(again, made, rtol=0, atol=0, equal_nan=True)

    return the_kernel_agrees, the_gpu_agrees


def within(rtol: float, atol: float) -> Callable[[list[Tensor], list[Tensor], Any], None]:
    return lambda made, expected, _: torch.testing.assert_close(made, expected, rtol=rtol, atol=atol)


def assert_alike(made: Sequence[Tensor], expected: Sequence[Tensor], _: Any = None) -> None:
    """Frames: one level at most, where a value lies between two; hardly anywhere."""
    for ours, theirs in zip(made, expected, strict=True):
        assert ours.is_contiguous() and ours.shape == theirs.shape and ours.dtype == theirs.dtype
        difference = (ours.int() - theirs.int()).abs()
        assert difference.max() <= 1
        assert (difference > 0).float().mean() <= 1e-3 + 1 / difference.numel()
