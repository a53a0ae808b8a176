"""What the tests of the native kernels have in common."""

from collections.abc import Callable, Sequence

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
SETS = [
    pytest.param(name, marks=pytest.mark.skipif(_missing(name), reason=f"this processor has no {name}"))
    for name in ("portable", "avx2", "avx512")
]


def apart(x: Tensor) -> Tensor:
    """The same values with gaps in memory."""
    return torch.stack((x, x), dim=-1)[..., 0]


def smooth(*shape: int, seed: int = 7) -> Tensor:
    """Noise without fine detail, about -1 to 1, whose last two dimensions are the image's."""
    noise = torch.randn(1, *shape[:-2], 5, 5, generator=torch.Generator().manual_seed(seed)).flatten(1, -3)
    return torch.nn.functional.interpolate(noise, shape[-2:], mode="bicubic").view(shape) / 2


def same_on_any_threads(call: Callable[[], Tensor | Sequence[Tensor]], instructions: str) -> list[Tensor]:
    """What the kernel makes, which is the same bits for 1 and 2 threads and in a second run."""
    assert native.available("cpu"), native.why("cpu")
    made = []
    for threads in (1, 2, 2):
        with native.using(threads=threads, instructions=instructions):
            result = call()
        made.append([result] if isinstance(result, Tensor) else list(result))
    for other in made[1:]:
        torch.testing.assert_close(other, made[0], rtol=0, atol=0, equal_nan=True)
    return made[0]


def assert_alike(made: Tensor, expected: Tensor) -> None:
    """Frames: one level at most, where a value lies between two; hardly anywhere."""
    assert made.shape == expected.shape and made.dtype == expected.dtype
    difference = (made.int() - expected.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() <= 1e-3 + 1 / difference.numel()
