from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stylecine import Animator
from stylecine.engine.loop_warnings import MIN_PHOTO_LIKENESS, changing_share, is_surely_known
from stylecine.engine.scene import likeness
from stylecine.ops.image import to_tensor, to_uint8
from stylecine.picture.inversion import invert
from stylecine.picture.photo import load_photo

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZE = 480, 320


@pytest.fixture(scope="module")
def default() -> Animator:
    return Animator.from_pretrained("default", "cpu")


def text() -> np.ndarray:
    page = Image.new("RGB", SIZE, "white")
    for y in range(0, SIZE[1], 14):
        ImageDraw.Draw(page).text((4, y), "the quick brown fox jumps over the lazy dog " * 4, fill="black")
    return np.array(page)


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


def likeness_of(photo: np.ndarray, model: Animator) -> float:
    """As of its scene."""
    made = invert(to_tensor(photo), model.generator, model.encoder).reconstruction
    return likeness(to_uint8(made).numpy(), photo)


def test_what_changes_at_any_time_is_seen_to_move() -> None:
    photo = np.full((20, 20, 3), 100, np.uint8)
    first, second, faint = photo.copy(), photo.copy(), photo + np.uint8(8)
    first[:2, :10, 1] += 9
    second[:2, 8:16, 2] -= 9
    assert changing_share([first, second, faint], photo) == 0.08


@pytest.mark.parametrize("name", ["lake", pytest.param("sea", marks=pytest.mark.slow)])
def test_the_generator_surely_knows_a_landscape(default: Animator, name: str) -> None:
    photo = load_photo(EXAMPLES / f"{name}.jpg", 320)
    assert is_surely_known(photo, default)
    assert is_surely_known(np.ascontiguousarray(photo.transpose(1, 0, 2)), default), "upright"
    assert likeness_of(photo, default) > MIN_PHOTO_LIKENESS
    assert not is_surely_known(photo[:200], default), "too small to tell"


@pytest.mark.parametrize("picture", [text, pytest.param(noise, marks=pytest.mark.slow)])
def test_it_does_not_surely_know_what_gets_a_warning(default: Animator, picture: Callable[[], np.ndarray]) -> None:
    assert not is_surely_known(picture(), default)
    assert likeness_of(picture(), default) < MIN_PHOTO_LIKENESS
