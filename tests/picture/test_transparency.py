"""Which colours lie under transparent parts, and how frames show them."""

import numpy as np
import pytest
from PIL import Image

from stylecine.errors import PhotoError
from stylecine.picture.transparency import UNDER, continued, flattened, split_alpha, transparent, with_alpha


def cut_out(height: int = 60, width: int = 90) -> np.ndarray:
    """uint8 [H,W,4]: red at the left, blue at the right, and a transparent, bright green sky above."""
    pixels = np.full((height, width, 4), (200, 20, 20, 255), np.uint8)
    pixels[:, width // 2 :, :3] = 20, 20, 200
    pixels[: height // 2] = 0, 255, 0, 0
    return pixels


def test_colours_continue_without_what_nobody_sees() -> None:
    filled, alpha = continued(Image.fromarray(cut_out()))
    shown = np.asarray(filled).astype(int)
    assert np.array_equal(np.asarray(alpha), cut_out()[..., 3])
    assert np.array_equal(shown[30:], cut_out()[30:, :, :3]), "what is seen stays"
    assert np.abs(shown[20:30, :30] - (200, 20, 20)).max() < 60 and np.abs(shown[20:30, 60:] - (20, 20, 200)).max() < 60
    assert shown[:30, :, 1].max() < 40, "no green, at any distance"


def test_what_is_seen_in_part_keeps_its_colours() -> None:
    pixels = cut_out()
    pixels[25:30] = 10, 200, 90, 60
    filled, _ = continued(Image.fromarray(pixels))
    assert (np.asarray(filled)[25:30] == (10, 200, 90)).all()
    assert np.asarray(filled)[:20, :, 1].max() < 40, "but is too faint to be continued"


def test_nothing_to_see() -> None:
    with pytest.raises(PhotoError, match="transparent everywhere; give one"):
        continued(Image.new("RGBA", (80, 80)))


def test_a_photo_of_one_alpha_has_no_transparent_parts() -> None:
    alpha = np.full((4, 4), 200, np.uint8)
    assert not transparent(alpha).any()
    alpha[0] = 190
    assert transparent(alpha)[0].all() and not transparent(alpha)[1:].any()


def test_frames_over_a_colour() -> None:
    frame, alpha = split_alpha(cut_out())
    assert alpha is not None and np.array_equal(with_alpha(frame, alpha), cut_out())
    alpha[40] = 51
    shown = flattened(frame, alpha)
    assert (shown[:30] == UNDER).all() and np.array_equal(shown[41:], frame[41:])
    assert (shown[40, 0] == (244, 208, 208)).all()  # a fifth of (200, 20, 20), and four fifths of white
