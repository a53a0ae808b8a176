"""Whatever a program has set as PyTorch's defaults, loops are the same, and the defaults stay."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stylecine import Animator
from stylecine.machine.defaults import with_usual_defaults


@pytest.fixture
def other_defaults() -> object:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@with_usual_defaults
def nested() -> tuple[torch.dtype, torch.dtype]:
    return torch.zeros(1).dtype, with_usual_defaults(lambda: torch.zeros(1).dtype)()


def test_new_tensors_are_float32_inside_and_what_the_caller_wants_outside(other_defaults: object) -> None:
    assert nested() == (torch.float32, torch.float32) and torch.zeros(1).dtype == torch.float64

    @with_usual_defaults
    def fails() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        fails()
    assert torch.zeros(1).dtype == torch.float64


def test_a_loop_is_the_same(
    small_model: Path, photo: np.ndarray, water: np.ndarray, drift: np.ndarray, request: pytest.FixtureRequest
) -> None:
    def made() -> np.ndarray:
        animator = Animator.from_pretrained(small_model)
        scene = animator.invert(photo)
        return np.stack(animator.render(scene, mask=water, motion=drift, weather="rain", seconds=0.4, fps=10)[:])

    usual, state = made(), torch.random.get_rng_state()
    request.getfixturevalue("other_defaults")
    assert np.array_equal(made(), usual)
    assert torch.equal(torch.random.get_rng_state(), state), "nor does it draw from the program's random numbers"
