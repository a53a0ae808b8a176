"""Cloth at rest: its pieces."""

import torch

from stylecine.cloth.rest_shape import find_pieces


def test_pieces_are_sorted_by_size_and_close_ones_merged() -> None:
    mask = torch.zeros(300, 400)
    mask[100:200, 50:150] = 1
    mask[100:150, 153:160] = 1  # a narrow strip next to it
    mask[20:60, 300:340] = 1
    mask[5, 5] = 1
    large, small = find_pieces(mask)
    assert (large.mask > 0).sum() == 10_000 + 350 and (small.mask > 0).sum() == 1600
    assert large.side == 132 and (large.top, large.left) == (84, 39)  # 110 wide, and a fifth more
    assert (small.top, small.left, small.side) == (16, 296, 48)
