"""Strokes along posts and branches before water, drawn by a hand that is not steady."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stylecine.edits.thin_stroke import fit_thin

H, W = 240, 320
RADIUS = 20.0
STROKE = np.array([[165.0, 40], [155, 110], [163, 160], [158, 210]])


def water(seed: int = 0) -> np.ndarray:
    """Ripples, uint8 [H,W,3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:H, :W]
    ripples = 12 * np.sin(y / 3 + 2 * np.sin(x / 25)) + rng.normal(0, 6, (H, W))
    return (np.array([90, 130, 150]) + ripples[..., None]).clip(0, 255).astype(np.uint8)


def with_post(grey: int, lean: float = 0.04, half: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """The photo, and where its post is."""
    y, x = np.mgrid[:H, :W]
    post = (np.abs(x - 158 - lean * (y - 120)) <= half) & (y > 30)
    photo = water()
    photo[post] = grey
    return photo, post


def fitted(photo: np.ndarray, stroke: np.ndarray) -> np.ndarray:
    """What is found, in the whole photo, [H,W]."""
    found = fit_thin(photo, stroke, RADIUS)
    assert found is not None and found[1].dtype == np.float32
    (top, left, bottom, right), part = found
    return np.pad(part, ((top, H - bottom), (left, W - right)))


@pytest.mark.parametrize("grey", [15, 235])
@pytest.mark.parametrize("lean", [0.0, 0.04, -0.05])
def test_a_stroke_along_a_post_means_the_post(grey: int, lean: float) -> None:
    photo, post = with_post(grey, lean)
    found = fitted(photo, STROKE)
    along = slice(42, 208)
    assert found[along][post[along]].mean() > 0.95
    assert (found > 0.5).sum() < 1.8 * post[along].sum(), "little beside it"
    assert not found[:30].any() and not found[220:].any(), "not past the ends of the stroke"


def test_a_bent_branch_is_followed() -> None:
    photo = water()
    x = np.arange(60, 260)
    y = np.rint(120 + 30 * np.sin(x / 40)).astype(int)
    for k in (-1, 0, 1):
        photo[y + k, x] = 20
    stroke = np.stack([x[::20], y[::20] + np.resize([3.0, -3.0], 10)], axis=1)
    found = fitted(photo, stroke)
    assert found[y[5:-25], x[5:-25]].mean() > 0.95 and (found > 0).sum() < 8 * len(x)


@pytest.mark.parametrize(
    "photo",
    [water(), with_post(15, half=13)[0], np.full((H, W, 3), 120, np.uint8)],
    ids=["open water", "a trunk", "nothing"],
)
def test_without_a_thin_thing_the_stroke_is_fitted_as_any_other(photo: np.ndarray) -> None:
    assert fit_thin(photo, STROKE, RADIUS) is None


def test_dabs_and_fine_brushes_are_not_along_anything() -> None:
    photo, _ = with_post(15)
    assert fit_thin(photo, STROKE[:1], RADIUS) is None
    assert fit_thin(photo, STROKE[:1] + np.array([[0, 0], [0, 20]]), RADIUS) is None
    assert fit_thin(photo, STROKE, 3.0) is None


def test_freezing_and_erasing_follow_it_but_painting_does_not(scene: Any) -> None:
    photo, post = with_post(15)
    layers = np.zeros((4, H, W), np.float32)
    layers[1] = 1
    before = replace(scene, photo=photo, layers=layers)
    stroke = (STROKE / (W, H)).tolist()
    for mode in ("freeze", "erase"):
        (edit,) = before.paint(None, stroke, mode, RADIUS / H).edits
        still = edit.area.over((H, W))
        assert still[60:200][post[60:200]].mean() > 0.9 and (still > 0.5).sum() < 2 * post.sum()
    (edit,) = before.paint("falls", stroke, "add", RADIUS / H).edits
    assert (edit.area.over((H, W)) > 0.5).sum() > 2 * post.sum()
