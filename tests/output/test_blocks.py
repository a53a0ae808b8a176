"""Blocks of 16 x 16 pixels in the planes of yuv420p."""

import numpy as np

from stylecine.output.blocks import copy_blocks, still_blocks


def planes(height: int = 40, width: int = 56, seed: int = 0) -> list[np.ndarray]:
    """Y, U and V, in rows that are longer in memory, as FFmpeg's are."""
    rng = np.random.default_rng(seed)
    sizes = [(height, width), (height // 2, width // 2), (height // 2, width // 2)]
    return [rng.integers(0, 256, (h, 64), np.uint8)[:, :w] for h, w in sizes]


def test_a_block_is_still_where_all_its_samples_are_equal() -> None:
    """Two rows of three whole blocks; what is left over at the right and at the bottom belongs to none."""
    first, second = planes(), planes()
    assert still_blocks(first, second).tolist() == [[True] * 3, [True] * 3]
    second[0][15, 16] ^= 1  # luma of the block in row 0, column 1
    second[2][15, 23] ^= 1  # chroma of that in row 1, column 2
    second[0][39, 55] ^= 1
    assert still_blocks(first, second).tolist() == [[True, False, True], [True, True, False]]


def test_chosen_blocks_are_copied_and_nothing_else() -> None:
    first, second = planes(seed=1), planes(seed=2)
    copy_blocks(first, second, np.array([[False, True, False], [False, False, False]]))
    for plane, other, before, side in zip(first, second, planes(seed=1), (16, 8, 8), strict=True):
        changed = np.zeros(plane.shape, bool)
        changed[:side, side : 2 * side] = True
        assert np.array_equal(plane, np.where(changed, other, before))
