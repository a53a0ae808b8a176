"""Bytes to floats and back, mirrored borders, and push-pull filling."""

from typing import Literal

import numpy as np
import pytest
import torch

from stylecine.ops.image import (
    blur,
    box_sums,
    cell_means,
    dilate,
    meeting,
    mirrored,
    nearest,
    push_pull,
    still_across,
    to_tensor,
    to_uint8,
    unmix,
    wrapped,
)

EVERY_BYTE = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)


def test_range_shape_and_order() -> None:
    photo = np.zeros((2, 5, 3), np.uint8)
    photo[1, 4] = (255, 128, 0)
    image = to_tensor(photo)
    assert image.shape == (3, 2, 5) and image.dtype == torch.float32 and image.is_contiguous()
    assert image.min() == -1 and image.max() == 1
    assert image[:, 1, 4].tolist() == [1.0, np.float32(128) / np.float32(127.5) - np.float32(1), -1.0]


def test_every_byte_survives_the_round_trip() -> None:
    assert np.array_equal(to_uint8(to_tensor(EVERY_BYTE)).numpy(), EVERY_BYTE)


def test_rounds_half_to_even_and_clamps() -> None:
    levels = torch.tensor([-7.0, 300.0, 41.4, 41.6])
    image = (levels / 127.5 - 1).expand(3, 1, 4)
    assert to_uint8(image)[0, :, 0].tolist() == [0, 255, 41, 42]
    assert to_uint8(torch.zeros(3, 1, 1))[0, 0].tolist() == [128, 128, 128]  # 127.5 -> 128
    assert to_uint8(torch.full((3, 1, 1), float("nan"))).max() == 0
    assert to_uint8(torch.full((3, 1, 1), float("inf"))).min() == 255


def test_the_photo_is_unchanged_and_views_are_accepted() -> None:
    photo = EVERY_BYTE.copy()
    photo.setflags(write=False)
    flipped = photo[::-1, ::-1]  # negative strides, which torch does not take
    assert np.array_equal(to_uint8(to_tensor(flipped)).numpy(), flipped)
    to_tensor(flipped).zero_()
    assert np.array_equal(photo, EVERY_BYTE)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 3), (4, 4), (9, 6), (0, 21)])
@pytest.mark.parametrize("axis", [1, 2])
def test_it_is_numpys_symmetric_padding(before, after, axis):
    image = torch.randn(2, 4, 5)
    width = [(0, 0)] * 3
    width[axis] = before, after
    expected = np.pad(image.numpy(), width, mode="symmetric")
    np.testing.assert_array_equal(mirrored(image, before, after, axis).numpy(), expected)


def test_visible_pixels_are_kept_and_the_rest_stays_within_their_range() -> None:
    y, x = torch.meshgrid(torch.arange(41.0), torch.arange(60.0), indexing="ij")
    image = (torch.sin(x / 9) * torch.cos(y / 7))[None, None]
    visible = torch.ones(1, 1, 41, 60)
    visible[..., 10:30, 20:40] = 0
    filled = push_pull(image, visible)
    assert torch.equal(filled * visible, image * visible)
    assert filled.abs().max() <= image.abs().max() + 1e-6
    step = (filled[..., 15:25, 26:35] - filled[..., 15:25, 25:34]).abs().max()
    assert step < 0.2


def test_one_visible_pixel_colours_everything() -> None:
    visible = torch.zeros(1, 1, 33, 70)
    visible[..., 3, 4] = 1
    torch.testing.assert_close(push_pull(torch.full((1, 3, 33, 70), 0.3), visible), torch.full((1, 3, 33, 70), 0.3))


def test_without_visible_pixels_everything_is_finite() -> None:
    assert torch.isfinite(push_pull(torch.ones(1, 3, 40, 60), torch.zeros(1, 1, 40, 60))).all()


@pytest.mark.parametrize("radius", [0, 1, 2, 7, 40])
def test_places_are_dilated_by_a_radius_in_rows_and_columns(radius: int) -> None:
    places = torch.rand(33, 50, generator=torch.Generator().manual_seed(0)) > 0.99
    expected = torch.nn.functional.max_pool2d(places[None].float(), 2 * radius + 1, 1, radius)[0] if radius else places
    if radius < 16:  # PyTorch pads by at most half of its window
        assert torch.equal(dilate(places, radius), expected > 0)
    else:
        assert dilate(places, radius).all()


@pytest.mark.parametrize("radius", [1, 3, 4, 10])
@pytest.mark.parametrize("axis", [0, 1])
def test_box_sums_are_sums_of_neighbours(radius: int, axis: int) -> None:
    image = torch.arange(63.0).reshape(7, 9) % 5
    modes: tuple[tuple[Literal["constant", "edge"], bool], ...] = (("constant", False), ("edge", True))
    for mode, replicate in modes:
        pads = [(radius, radius) if axis == k else (0, 0) for k in (0, 1)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(image.numpy(), pads, mode=mode), 2 * radius + 1, axis)
        np.testing.assert_array_equal(box_sums(image, radius, axis, replicate=replicate), windows.sum(-1))


def test_box_sums_of_a_batch_are_those_of_each_image() -> None:
    images = torch.arange(2 * 3 * 7 * 9.0).reshape(2, 3, 7, 9) % 5
    for last, axis in ((-1, 1), (3, 1), (-2, 0), (2, 0)):
        expected = torch.stack([box_sums(image, 3, axis) for image in images.flatten(0, 1)]).view_as(images)
        assert torch.equal(box_sums(images, 3, last), expected)


@pytest.mark.parametrize("radius", [1, 3, 8])
def test_a_blurred_point_is_about_a_gaussian(radius: int) -> None:
    point = torch.zeros(1, 1, 81, 81)
    point[..., 40, 40] = 1
    blurred = blur(point, radius)[0, 0]
    away = torch.arange(81.0) - 40
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-4)
    assert torch.allclose(blurred, blurred.T) and torch.allclose(blurred, blurred.flip(0))
    assert float((blurred.sum(0) * away**2).sum().sqrt()) == pytest.approx(radius, rel=0.2)


def test_beyond_the_border_a_blur_sees_zeros() -> None:
    blurred = blur(torch.ones(1, 1, 20, 30), 2)[0, 0]
    assert torch.allclose(blurred[4:-4, 4:-4], torch.ones(12, 22)) and float(blurred[0, 0]) < 0.6


def test_a_mixture_is_taken_apart() -> None:
    start, end = torch.zeros(3, 1, 4), torch.tensor([0.6, 0.0, 0.8])[:, None, None].expand(3, 1, 4)
    colours = torch.stack((start, end / 4, 1.5 * end, end + torch.tensor([0.0, 0.3, 0.0])[:, None, None]))[:, :, 0, 0]
    share, error, clear = unmix(colours.T[:, None], start, end, least=0.1)
    assert share[0].tolist() == pytest.approx([0, 0.25, 1.5, 1])
    assert error[0].tolist() == pytest.approx([0, 0, 0.5, 0.3], abs=1e-6) and clear.min() == 1
    assert unmix(colours.T[:, None], start, end, 0.1, beyond=0.5)[1][0, 2] == pytest.approx(0, abs=1e-6)
    assert unmix(start, start, start, 0.1)[2].max() == 0


def test_means_of_cells_leave_out_what_lies_beyond_the_border() -> None:
    image = torch.arange(15.0).view(3, 5)
    assert cell_means(image, 2).tolist() == [[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]]
    assert torch.equal(cell_means(image[None], 2)[0], cell_means(image, 2))


def test_the_nearest_place_is_found() -> None:
    known = torch.zeros(4, 6, dtype=torch.bool)
    known[0, 0] = known[3, 5] = True
    distance, rows, columns = nearest(known)
    assert distance[0, 2] == 2 and (rows[0, 2], columns[0, 2]) == (0, 0)
    assert distance[3, 5] == 0 and (rows[2, 4], columns[2, 4]) == (3, 5)


def test_a_picture_that_wraps_goes_on_with_its_other_side() -> None:
    assert wrapped(torch.arange(4.0)[None], 2).tolist() == [[2, 3, 0, 1, 2, 3, 0, 1]]


def test_edges_that_meet_are_brought_together_from_both_sides() -> None:
    field = torch.arange(64.0).expand(2, 3, 64)
    closed = meeting(field)
    assert (closed[..., 0] == 31.5).all() and (closed[..., -1] == 31.5).all()
    assert torch.equal(closed[..., 4:-4], field[..., 4:-4])
    thin = meeting(torch.tensor([1.0] + [0.0] * 63))
    assert thin.min() >= 0 and thin[0] == thin[-1] == 0.5, "what is in [0,1] stays there"


def test_what_stands_at_one_edge_stands_at_the_other() -> None:
    moves = torch.ones(2, 640)
    moves[0, :5] = 0
    moved = still_across(moves)
    assert moved[0, -1] == 0 and (moved[0, 5:-11] == 1).all() and (moved[0, -10:].diff() < 0).all()
    assert (moved[1] == 1).all()
