"""The moving part alone: composited over the still it is the frame."""

import numpy as np
from PIL import Image

from stylecine.output.layer import moving_layer


def composited(layer: np.ndarray, still: np.ndarray) -> np.ndarray:
    alpha = layer[..., 3:] / 255
    return np.rint(alpha * layer[..., :3] + (1 - alpha) * still)


def test_any_frame_is_composited_exactly() -> None:
    rng = np.random.default_rng(3)
    still, frame = rng.integers(0, 256, (2, 128, 128, 3), np.uint8)
    frame[:32] = still[:32]
    matte = rng.integers(0, 256, (128, 128), np.uint8)
    layer = moving_layer(frame, still, matte)
    assert np.array_equal(composited(layer, still), frame)
    assert (layer[..., 3] >= matte).all() and np.array_equal(layer[:32, :, 3], matte[:32])


def test_where_nothing_moves_it_is_transparent_and_has_the_colours_of_the_still() -> None:
    still = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    layer = moving_layer(still, still, np.zeros((16, 16), np.uint8))
    assert not layer[..., 3].any() and np.array_equal(layer[..., :3], still)


def test_the_alpha_is_as_much_as_the_colour_needs() -> None:
    still, frame = np.full((1, 2, 3), 100, np.uint8), np.full((1, 2, 3), 100, np.uint8)
    frame[0, 0], frame[0, 1] = 50, 255
    layer = moving_layer(frame, still, np.full((1, 2), 10, np.uint8))
    assert layer[0].tolist() == [[0, 0, 0, 128], [255, 255, 255, 255]]  # half of black over 100 is 50


def test_another_program_composites_it_within_a_level() -> None:
    rng = np.random.default_rng(5)
    still = rng.integers(0, 256, (64, 64, 3), np.uint8)
    frame = np.clip(still + rng.integers(-40, 40, still.shape), 0, 255).astype(np.uint8)
    layer = moving_layer(frame, still, np.full((64, 64), 77, np.uint8))
    below = Image.fromarray(still).convert("RGBA")
    shown = np.asarray(Image.alpha_composite(below, Image.fromarray(layer)).convert("RGB"))
    assert np.abs(shown.astype(int) - frame).max() <= 1
