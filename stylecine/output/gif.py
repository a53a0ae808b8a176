"""Frames -> GIF: one palette for the loop, ordered dithering, and only changed pixels are stored.

A pixel that does not change keeps its index in every frame, because the index depends only on its colour and position.
With error diffusion, static parts would crawl wherever anything moves.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.GifImagePlugin import getdata
from scipy.ndimage import gaussian_filter

COLOURS = 255  # one more is for unchanged pixels
UNCHANGED = 255
PALETTE_FRAMES = 8  # from which the palette is computed
KMEANS_STEPS = 10
RARITY_EXPONENT = 0.75  # of a colour's count, so that the few pixels of a sun get their own colours
CELL = 4  # levels of red, green or blue that share a mixture; rounding to them is dithered as well
PARTS = 8  # palette colours in a mixture
ERROR_FEEDBACK = 0.7  # 1 would make the mean of a mixture exact but its grain coarser
TILE = 64  # side of the blue noise, in pixels
RETURN_SHARE = 0.25  # of the loop, at its end, in which pixels return to the colours of the first frame


def encode_gif(
    frames: Sequence[np.ndarray], file: BinaryIO, durations: list[int], quality: int, comment: str, xmp: str = ""
) -> None:
    """Frames, uint8 [H,W,3] sRGB, into an open file; durations in 1/100 s. XMP has no place in it.

    quality: 100 stores every change; below, a pixel is kept until it is more than (100 − quality) / 5 levels off.
    """
    samples = min(PALETTE_FRAMES, len(frames))
    palette = _palette([frames[len(frames) * i // samples] for i in range(samples)])
    height, width = frames[0].shape[:2]
    file.write(_header(width, height, palette, comment))
    indices = _dither(_hold(frames, (100 - quality) / 5), palette)
    for (picture, corner), ticks in zip(_changes(indices), durations, strict=True):
        for block in getdata(Image.fromarray(picture), corner, transparency=UNCHANGED, duration=10 * ticks, disposal=1):
            file.write(block)
    file.write(b";")


def _header(width: int, height: int, palette: np.ndarray, comment: str) -> bytes:
    """Size, palette, endless repetition, comment."""
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    text = comment.encode()
    blocks = [text[i : i + 255] for i in range(0, len(text), 255)]
    note = b"".join([b"!\xfe", *(bytes([len(block)]) + block for block in blocks), b"\0"]) if text else b""
    return b"GIF89a" + size + b"\xf7\0\0" + colours.tobytes() + b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0" + note


def _hold(frames: Sequence[np.ndarray], tolerance: float) -> Iterator[np.ndarray]:
    """Frames in which a pixel keeps its earlier colour until it is more than `tolerance` levels off.

    Towards the end pixels return to the colour of the first frame, each at its own time, as soon as it is within the
    tolerance; otherwise all would change at once when the loop restarts.
    """
    held = first = None
    for k, frame in enumerate(frames):
        if held is None or first is None:
            held, first = frame.copy(), frame.copy()
            noise = _blue_noise(*frame.shape[:2])
        changed = _differ(frame, held, tolerance)
        held[changed] = frame[changed]
        back = (noise * RETURN_SHARE > 1 - k / len(frames)) & ~_differ(frame, first, tolerance)
        held[back] = first[back]
        yield held


def _differ(frame: np.ndarray, other: np.ndarray, tolerance: float) -> np.ndarray:
    return (np.maximum(frame, other) - np.minimum(frame, other) > tolerance).any(axis=-1)


def _changes(indices: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """The rectangle of each frame that changes, unchanged pixels marked, and its upper left corner."""
    for index, changed, box in changes(indices):
        yield np.where(changed[box], index[box], np.uint8(UNCHANGED)), (box[1].start, box[0].start)


def changes(frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray, tuple[slice, slice]]]:
    """Each frame [H,W,...], which of its pixels differ from the frame before, bool [H,W], and their bounding box."""
    previous = None
    for frame in frames:
        changed = np.ones(frame.shape[:2], bool)
        if previous is not None:
            changed = (frame != previous).reshape(*changed.shape, -1).any(-1)
        yield frame, changed, changed_box(changed)
        previous = frame.copy()


def changed_box(changed: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the bounding box of the true pixels in [H,W]; one pixel if there are none."""
    lines = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
    rows, columns = (slice(int(line[0]), int(line[-1]) + 1) if len(line) else slice(0, 1) for line in lines)
    return rows, columns


# --- colours


def _palette(frames: Iterable[np.ndarray]) -> np.ndarray:
    """At most COLOURS colours, uint8 [n,3]: k-means in OKLab, a perceptually uniform space."""
    from scipy.spatial import cKDTree  # takes a while to import, and most loops are videos

    pixels = np.concatenate([frame.reshape(-1, 3) for frame in frames])
    codes, counts = np.unique((pixels // 4).astype(np.int32) @ [4096, 64, 1], return_counts=True)
    colours = np.stack([codes // 4096, codes // 64 % 64, codes % 64], axis=-1) * 4 + 2
    points, weights = _oklab(colours), counts**RARITY_EXPONENT
    first = Image.fromarray(colours.astype(np.uint8)[None]).quantize(COLOURS, Image.Quantize.MEDIANCUT).getpalette()
    centres = _oklab(np.array(first).reshape(-1, 3))
    for _ in range(KMEANS_STEPS):
        nearest = cKDTree(centres).query(points)[1]
        nearest = np.unique(nearest, return_inverse=True)[1]  # drops centres without points
        centres = _means(points, nearest, weights)
    return np.round(_means(colours, nearest, weights)).astype(np.uint8)


def _means(points: np.ndarray, group: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean of the points [n,3] of each group; no group is empty."""
    sums = np.stack([np.bincount(group, weights * axis) for axis in points.T], axis=-1)
    return sums / np.bincount(group, weights)[:, None]


def _dither(frames: Iterable[np.ndarray], palette: np.ndarray) -> Iterator[np.ndarray]:
    """Each frame as indices, uint8 [H,W]; the noise at a pixel chooses one colour of its mixture."""
    cells = 256 // CELL + 1
    mixtures, noise = _mixtures(palette, cells), None
    for frame in frames:
        if noise is None:
            noise = _blue_noise(*frame.shape[:2])
            rounding = np.floor(np.roll(noise, TILE // 2, axis=1) * CELL).astype(np.uint16)[..., None]
            part = (noise * PARTS).astype(np.int32)
        level = (frame + rounding) // CELL
        yield mixtures[level.astype(np.int32) @ [cells**2, cells, 1], part]


def _mixtures(palette: np.ndarray, cells: int) -> np.ndarray:
    """For every cell of the RGB cube, colours from dark to light whose mean approximates it: uint8 [cells**3,PARTS].

    Each is the nearest to the cell's colour plus the error of those before it (Knoll's pattern dithering).
    """
    from scipy.spatial import cKDTree  # as above

    axis = np.minimum(np.arange(cells) * CELL, 255)
    target = _oklab(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3))
    colours = _oklab(palette)
    tree, error, chosen = cKDTree(colours), np.zeros_like(target), []
    for _ in range(PARTS):
        chosen.append(tree.query(target + ERROR_FEEDBACK * error)[1])
        error += target - colours[chosen[-1]]
    parts = np.stack(chosen, axis=-1)
    order = colours[parts][..., 0].argsort(axis=-1, kind="stable")
    return np.take_along_axis(parts, order, axis=-1).astype(np.uint8)


def _blue_noise(height: int, width: int) -> np.ndarray:
    """Deterministic, uniform in [0,1], without low frequencies: float32 [H,W]."""
    noise = np.random.default_rng(0).random((TILE, TILE))
    for _ in range(40):
        noise -= gaussian_filter(noise, 1.5, mode="wrap")
        noise = noise.ravel().argsort().argsort().reshape(noise.shape) / noise.size
    return np.tile(noise.astype(np.float32), (-(-height // TILE), -(-width // TILE)))[:height, :width]


def _oklab(colours: np.ndarray) -> np.ndarray:
    """sRGB 0 to 255 [...,3] as OKLab (Ottosson 2020)."""
    encoded = np.asarray(colours) / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_LMS) @ _TO_LAB


_TO_LMS = np.array(
    [
        [0.4122214708, 0.2119034982, 0.0883024619],
        [0.5363325363, 0.6806995451, 0.2817188376],
        [0.0514459929, 0.1073969566, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 1.9779984951, 0.0259040371],
        [0.7936177850, -2.4285922050, 0.7827717662],
        [-0.0040720468, 0.4505937099, -0.8086757660],
    ]
)
