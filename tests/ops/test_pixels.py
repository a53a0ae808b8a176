"""Bytes to floats and back."""

import numpy as np
import torch

from stylecine.ops.pixels import to_tensor, to_uint8

EVERY_BYTE = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)


def test_range_shape_and_order() -> None:
    photo = np.zeros((2, 5, 3), np.uint8)
    photo[1, 4] = (255, 128, 0)
    image = to_tensor(photo)
    assert image.shape == (3, 2, 5) and image.dtype == torch.float32 and image.is_contiguous()
    assert image.min() == -1 and image.max() == 1
    assert image[:, 1, 4].tolist() == [1.0, np.float32(128) / np.float32(127.5) - np.float32(1), -1.0]


def test_every_byte_comes_back() -> None:
    assert np.array_equal(to_uint8(to_tensor(EVERY_BYTE)).numpy(), EVERY_BYTE)


def test_rounds_half_to_even_and_clamps() -> None:
    levels = torch.tensor([-7.0, 300.0, 41.4, 41.6])
    image = (levels / 127.5 - 1).expand(3, 1, 4)
    assert to_uint8(image)[0, :, 0].tolist() == [0, 255, 41, 42]
    assert to_uint8(torch.zeros(3, 1, 1))[0, 0].tolist() == [128, 128, 128]  # 127.5 -> 128
    assert to_uint8(torch.full((3, 1, 1), float("nan"))).max() == 0
    assert to_uint8(torch.full((3, 1, 1), float("inf"))).min() == 255


def test_leaves_the_photo_alone_and_takes_views() -> None:
    photo = EVERY_BYTE.copy()
    photo.setflags(write=False)
    flipped = photo[::-1, ::-1]  # negative strides, which torch does not take
    assert np.array_equal(to_uint8(to_tensor(flipped)).numpy(), flipped)
    to_tensor(flipped).zero_()
    assert np.array_equal(photo, EVERY_BYTE)
