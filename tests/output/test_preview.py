"""Pictures for people: their shapes, and that each shows what it is for."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylecine.errors import OutputError
from stylecine.output import preview
from stylecine.output.palette import SHOWN

HEIGHT, WIDTH, FRAMES = 60, 90, 16


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def loop(photo: np.ndarray) -> np.ndarray:
    """Row 20 runs to the right by a pixel a frame; the rest stands still."""
    frames = np.stack([photo] * FRAMES)
    for t in range(FRAMES):
        frames[t, 20] = np.roll(photo[20], t, axis=0)
    return frames


def test_every_picture_is_written_and_nothing_else(tmp_path: Path, photo: np.ndarray, loop: np.ndarray) -> None:
    folder = tmp_path / "new" / "folder"
    layers = torch.zeros(4, HEIGHT, WIDTH)
    layers[1, 20] = 1
    paths = preview.write_previews(folder, photo, layers, torch.ones(2, 30, 45), loop)
    names = {"mask.png", "motion.png", "sheet.png", "difference.png", "slice.png"}
    assert {path.name for path in paths} == names == {path.name for path in folder.iterdir()}
    for path in paths:
        with Image.open(path) as picture:
            assert picture.mode == "RGB"


def test_an_impossible_folder_is_an_output_error(tmp_path: Path, photo: np.ndarray, loop: np.ndarray) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        preview.write_previews(occupied, photo, torch.zeros(1, HEIGHT, WIDTH), torch.zeros(2, 8, 8), loop)


def test_the_mask_overlay_is_grey_where_static_and_tinted_by_class() -> None:
    photo = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)
    layers = np.zeros((4, HEIGHT, WIDTH), np.float32)
    layers[0, :20], layers[1, 40:] = 1, 1
    picture = preview.mask_overlay(photo, layers)
    static, sky, water = (picture[y, 45].astype(int) for y in (30, 5, 55))
    assert np.ptp(static) < np.ptp(photo[0, 0])
    for shown, name in ((sky, "sky"), (water, "water")):
        assert np.abs(shown - (0.6 * photo[0, 0] + 0.4 * np.array(SHOWN[name].rgb))).max() <= 1
    assert (picture[20] == 255).all() and (picture[40] == 255).all()  # borders


def test_flow_colours_tell_directions_apart_and_fade_with_speed() -> None:
    right, left, rest = (preview._wheel(np.array([[[x]], [[0.0]]]))[0, 0] for x in (1.0, -1.0, 0.0))
    assert (rest == 255).all()
    assert np.abs(right - left).max() > 200


def test_the_flow_picture_is_grey_where_static(photo: np.ndarray) -> None:
    moving = np.zeros((HEIGHT, WIDTH), np.float32)
    moving[:30] = 1
    picture = preview.flow_picture(photo, np.ones((2, 15, 20), np.float32), moving)
    assert picture.shape == photo.shape
    static = picture[45:, :40].astype(int)
    assert np.ptp(static, axis=-1).max() == 0
    assert np.ptp(picture[:28].astype(int), axis=-1).max() > 50


def test_the_flow_pictures_wheel_is_labelled_with_its_unit(photo: np.ndarray) -> None:
    moving = torch.ones(HEIGHT, WIDTH)
    slow, fast = (preview.flow_picture(photo, np.ones((2, 15, 20), np.float32), moving, per_second=s) for s in (0, 1))
    assert not np.array_equal(slow[-12:], fast[-12:]) and np.array_equal(slow[:-20], fast[:-20])


def test_the_flow_picture_of_nothing_moving_is_the_photo_in_grey(photo: np.ndarray) -> None:
    picture = preview.flow_picture(photo, torch.zeros(2, 8, 8), torch.zeros(HEIGHT, WIDTH)).astype(int)
    above_the_wheel = slice(0, HEIGHT // 2)
    assert np.abs(picture - photo.mean(-1, keepdims=True))[above_the_wheel].max() <= 1


def test_contact_sheet_shows_eight_frames_in_order() -> None:
    frames = [np.full((HEIGHT, WIDTH, 3), 10 * t, np.uint8) for t in range(FRAMES)]
    sheet = preview.contact_sheet(frames)
    assert sheet.shape == (2 * HEIGHT + 4, 4 * WIDTH + 12, 3)
    shown = [sheet[y * (HEIGHT + 4) + 50, x * (WIDTH + 4) + 80, 0] for y in range(2) for x in range(4)]
    assert shown == [20 * i for i in range(8)]


def test_frames_on_a_sheet_are_shrunk() -> None:
    frames = [np.zeros((300, 960, 3), np.uint8)] * 4
    assert preview.contact_sheet(frames).shape == (150, 4 * 480 + 12, 3)


def test_the_difference_sheet_is_grey_except_for_changes(loop: np.ndarray) -> None:
    sheet = preview.difference_sheet(loop)
    assert (sheet[30:HEIGHT, :WIDTH] == 128).all()
    assert (sheet[20, :WIDTH] != 128).mean() > 0.8


def test_time_slice_takes_the_row_that_moves(loop: np.ndarray) -> None:
    picture = preview.time_slice(loop)
    thickness = len(picture) // (2 * FRAMES)
    assert picture.shape[1:] == (WIDTH, 3)
    np.testing.assert_array_equal(picture[::thickness][:FRAMES], loop[:, 20])
    np.testing.assert_array_equal(picture[: len(picture) // 2], picture[len(picture) // 2 :])


def test_loops_shorter_than_a_sheet() -> None:
    frames = [np.full((HEIGHT, WIDTH, 3), value, np.uint8) for value in (0, 255)]
    for picture in (preview.contact_sheet(frames), preview.difference_sheet(frames), preview.time_slice(frames)):
        assert picture.dtype == np.uint8 and math.prod(picture.shape) > 0
