"""Frames -> GIF: one palette for the whole loop, dithering that stays on the screen, and only what changes is stored.

A pixel that does not change keeps its index in every frame: what it gets depends on its colour and its place and on
nothing else. Error diffusion would make the noise of what stands still crawl wherever anything moves.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.GifImagePlugin import getdata
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

COLOURS = 255  # and one for what stays as it is
STAYS = 255
SAMPLES = 8  # frames that the palette is made from
ROUNDS = 10  # of k-means
RARE = 0.75  # a colour counts by its share to this power, so that the few pixels of a sun get colours of their own
CELL = 4  # levels of red, green or blue that share a mixture; what they round off is dithered too
PARTS = 8  # of a mixture
GRAIN = 0.7  # how far a mixture goes for its mean to be right: 1 is all the way, with a coarser grain
TILE = 64  # side of the blue noise
HOMEWARD = 0.25  # of the loop, its end, in which pixels go back to the first frame's colours


def encode_gif(frames: Sequence[np.ndarray], file: BinaryIO, delays: list[int], quality: int, comment: str) -> None:
    """Frames, uint8 [H,W,3] sRGB, into an open file; delays in 1/100 s.

    quality: 100 stores every change; below, a pixel stays until it is more than (100 − quality) / 5 levels off.
    """
    samples = min(SAMPLES, len(frames))
    palette = _palette([frames[len(frames) * i // samples] for i in range(samples)])
    height, width = frames[0].shape[:2]
    file.write(_header(width, height, palette, comment))
    indices = _dithered(_held(frames, (100 - quality) / 5), palette)
    for (picture, corner), delay in zip(_changes(indices), delays, strict=True):
        for block in getdata(Image.fromarray(picture), corner, transparency=STAYS, duration=10 * delay, disposal=1):
            file.write(block)
    file.write(b";")


def _header(width: int, height: int, palette: np.ndarray, comment: str) -> bytes:
    """Size, palette, "for ever", comment."""
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    text = comment.encode()
    blocks = [text[i : i + 255] for i in range(0, len(text), 255)]
    note = b"".join([b"!\xfe", *(bytes([len(block)]) + block for block in blocks), b"\0"]) if text else b""
    return b"GIF89a" + size + b"\xf7\0\0" + colours.tobytes() + b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0" + note


def _held(frames: Sequence[np.ndarray], tolerance: float) -> Iterator[np.ndarray]:
    """Frames in which a pixel keeps its earlier colour until it is more than `tolerance` levels off.

    Towards the end pixels go back to the first frame's colour, each at its own time, as soon as that is no further off:
    else all that was kept too long would change at once where the loop begins anew.
    """
    held = first = None
    for k, frame in enumerate(frames):
        if held is None or first is None:
            held, first = frame.copy(), frame.copy()
            noise = _blue_noise(*frame.shape[:2])
        changed = _off(frame, held, tolerance)
        held[changed] = frame[changed]
        back = (noise * HOMEWARD > 1 - k / len(frames)) & ~_off(frame, first, tolerance)
        held[back] = first[back]
        yield held


def _off(frame: np.ndarray, other: np.ndarray, tolerance: float) -> np.ndarray:
    return (np.maximum(frame, other) - np.minimum(frame, other) > tolerance).any(axis=-1)


def _changes(indices: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """The rectangle of each frame that changes, STAYS where a pixel does not, and its left upper corner."""
    shown = None
    for index in indices:
        if shown is None:
            yield index, (0, 0)
        else:
            changed = index != shown
            rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
            top, left = (int(line[0]) if len(line) else 0 for line in (rows, columns))
            bottom, right = (int(line[-1]) + 1 if len(line) else 1 for line in (rows, columns))
            part = slice(top, bottom), slice(left, right)
            yield np.where(changed[part], index[part], np.uint8(STAYS)), (left, top)
        shown = index


# --- colours


def _palette(frames: Iterable[np.ndarray]) -> np.ndarray:
    """At most COLOURS colours, uint8 [n,3]: k-means in OKLab, where distances are as large as they look."""
    together = np.concatenate([frame.reshape(-1, 3) for frame in frames])
    codes, counts = np.unique((together // 4).astype(np.int32) @ [4096, 64, 1], return_counts=True)
    colours = np.stack([codes // 4096, codes // 64 % 64, codes % 64], axis=-1) * 4 + 2
    points, weights = _oklab(colours), counts**RARE
    first = Image.fromarray(colours.astype(np.uint8)[None]).quantize(COLOURS, Image.Quantize.MEDIANCUT).getpalette()
    centres = _oklab(np.array(first).reshape(-1, 3))
    for _ in range(ROUNDS):
        nearest = cKDTree(centres).query(points)[1]
        nearest = np.unique(nearest, return_inverse=True)[1]  # leaves out colours that nothing is near
        centres = _means(points, nearest, weights)
    return np.round(_means(colours, nearest, weights)).astype(np.uint8)


def _means(points: np.ndarray, group: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean of the points [n,3] of each group, none of them empty."""
    sums = np.stack([np.bincount(group, weights * axis) for axis in points.T], axis=-1)
    return sums / np.bincount(group, weights)[:, None]


def _dithered(frames: Iterable[np.ndarray], palette: np.ndarray) -> Iterator[np.ndarray]:
    """Each frame as indices, uint8 [H,W]; the noise at a place says which colour of a mixture is seen there."""
    cells = 256 // CELL + 1
    mixtures, here = _mixtures(palette, cells), None
    for frame in frames:
        if here is None:
            here = _blue_noise(*frame.shape[:2])
            rounding = np.floor(np.roll(here, TILE // 2, axis=1) * CELL).astype(np.uint16)[..., None]
            part = (here * PARTS).astype(np.int32)
        level = (frame + rounding) // CELL
        yield mixtures[level.astype(np.int32) @ [cells**2, cells, 1], part]


def _mixtures(palette: np.ndarray, cells: int) -> np.ndarray:
    """For every cell of the RGB cube colours, from dark to light, whose mean comes near it: uint8 [cells**3,PARTS].

    Each is the one nearest to the cell's colour and to what those before it leave wanting (Knoll's way).
    """
    axis = np.minimum(np.arange(cells) * CELL, 255)
    wanted = _oklab(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3))
    colours = _oklab(palette)
    tree, wanting, chosen = cKDTree(colours), np.zeros_like(wanted), []
    for _ in range(PARTS):
        chosen.append(tree.query(wanted + GRAIN * wanting)[1])
        wanting += wanted - colours[chosen[-1]]
    parts = np.stack(chosen, axis=-1)
    order = colours[parts][..., 0].argsort(axis=-1, kind="stable")
    return np.take_along_axis(parts, order, axis=-1).astype(np.uint8)


def _blue_noise(height: int, width: int) -> np.ndarray:
    """Evenly distributed over 0 to 1, without low frequencies, the same everywhere: float32 [H,W]."""
    noise = np.random.default_rng(0).random((TILE, TILE))
    for _ in range(40):
        noise -= gaussian_filter(noise, 1.5, mode="wrap")
        noise = noise.ravel().argsort().argsort().reshape(noise.shape) / noise.size
    return np.tile(noise.astype(np.float32), (-(-height // TILE), -(-width // TILE)))[:height, :width]


def _oklab(colours: np.ndarray) -> np.ndarray:
    """sRGB 0 to 255 [...,3] as OKLab (Ottosson 2020)."""
    share = np.asarray(colours) / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
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
