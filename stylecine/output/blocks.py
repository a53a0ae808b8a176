"""Blocks of a picture, as video codecs divide it: 16 x 16 pixels, of which yuv420p has 8 x 8 samples of chroma."""

from collections.abc import Sequence

import numpy as np

SIDES = (16, 8, 8)  # samples of a block in the planes Y, U and V


def still_blocks(planes: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> np.ndarray:
    """Bool [rows, columns]: which whole blocks of two pictures, uint8 planes [H,W] of yuv420p, are equal."""
    different = [
        np.bitwise_or.reduce(words ^ other, axis=1) for words, other in zip(_words(planes), _words(others), strict=True)
    ]
    return ~np.logical_or.reduce([words.any(-1) for words in different])


def copy_blocks(planes: Sequence[np.ndarray], others: Sequence[np.ndarray], chosen: np.ndarray) -> None:
    """Copies the chosen blocks, bool [rows, columns], of other planes."""
    for words, other in zip(_words(planes), _words(others), strict=True):
        words.swapaxes(1, 2)[chosen] = other.swapaxes(1, 2)[chosen]


def _words(planes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Views [rows, side, columns, side / 8] of whole blocks, eight samples in a word: comparing is as much faster."""
    rows, columns = (size // SIDES[0] for size in planes[0].shape)
    return [
        plane[: rows * side, : columns * side].view(np.uint64).reshape(rows, side, columns, side // 8)
        for plane, side in zip(planes, SIDES, strict=True)
    ]
