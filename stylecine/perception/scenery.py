"""What a photo shows, looked at once: what moves, what stands and why, what kind of water it is and where it flows.

`perception.look` fills it; `movement` and the weather read it, and not the photo.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops.image import fit_short_side, resize
from stylecine.options import MIN_LAYER_ALPHA, WATER
from stylecine.perception.beach import Beach
from stylecine.perception.depth import Depth
from stylecine.perception.directions import PlacedArrow
from stylecine.perception.edges import Eroded
from stylecine.perception.see import Seen
from stylecine.perception.stream import Streams

UNDECIDED = 0.5  # log-odds of a stream's sense, below which its direction is ambiguous


@dataclass(frozen=True, eq=False)
class Still:
    """What stands although its class moves, and why: each [h,w] in [0,1]. Where something stands in part, it moves the
    less. `mirror`: open water that mirrors its shore, one value a stretch; `glow`: of the sun. What is thin, the sun
    itself and stars are cut out of `Scenery.eroded`."""

    mirror: np.ndarray
    glow: np.ndarray

    @property
    def any(self) -> np.ndarray:
        """[h,w]: the larger of them."""
        return np.maximum(self.mirror, self.glow)


@dataclass(frozen=True, eq=False)
class Scenery:
    """Everything that movement and weather know of a photo. Immutable.

    Maps [h,w] are NumPy arrays on a grid whose short side is 256, or the photo's if that is less.

    layers: soft maps of sky, water, falls and smoke, [4,H,W] in [0,1], along the photo's own edges.
    eroded: what of them moves for sure, at pixels.
    seen: what the eye says of the photo; None of a photo of one colour.
    owner: int, the class of each place, -1 where nothing moves.
    directions: [2,h,w], where matter flows, x right, y down, shorter than 1 where that is uncertain; disagreement:
        degrees by which the prediction for the mirror image differs.
    streams: connected water and falls: which lie open, and where the rest runs; odds: log-odds that a stream runs as
        `directions` say, and not the other way.
    still: what stands. foam: in [0,1], white water. surf: bool, where waves break. beach: where they run up, if at all.
    cloud_reach: columns by which clouds may move and look the same; 0 without a sky.
    slope: [2,h,w], change of smooth brightness, in [0,1], per cell; None without falls.
    depth: how far away everything is.
    arrows: where a user says how matter travels; steered: bool, the streams that they are in, and the sky if one is.
        Nothing stands in them.
    """

    layers: Tensor
    eroded: Eroded
    seen: Seen | None
    owner: np.ndarray
    directions: np.ndarray
    disagreement: np.ndarray
    streams: Streams
    odds: np.ndarray
    still: Still
    foam: np.ndarray
    surf: np.ndarray
    beach: Beach | None
    cloud_reach: int
    slope: np.ndarray | None
    depth: Depth
    arrows: tuple[PlacedArrow, ...]
    steered: np.ndarray

    @property
    def grid(self) -> tuple[int, int]:
        return self.owner.shape[0], self.owner.shape[1]

    @property
    def short(self) -> int:
        return min(self.grid)

    @property
    def ambiguous(self) -> np.ndarray:
        """Bool [h,w]: streams whose direction is ambiguous. Open water is none: it has no right direction."""
        unsure = np.abs(self.odds) < UNDECIDED
        return (self.owner == WATER) & unsure & ~self.streams.open & ~self.steered


def moving_in(scenery: Scenery, share: Tensor) -> Scenery:
    """The same, of which only a share [H,W] in [0,1] of each place moves."""
    share, eroded = share.to(scenery.layers), scenery.eroded
    return replace(scenery, layers=scenery.layers * share, eroded=replace(eroded, moves=eroded.moves * share))


def shrunk(scenery: Scenery, short: int) -> Scenery:
    """The same at a `short` side in pixels: what is known on the grid stays as it is."""
    size = fit_short_side(scenery.layers.shape[1:], short)
    (sky,), layers = shrink_maps(scenery.depth.sky[None], size), shrink_maps(scenery.layers, size)
    thin = F.adaptive_max_pool2d(scenery.eroded.thin[None].float(), size)[0] > 0  # it stays, however thin it becomes
    eroded = Eroded(shrink_maps(scenery.eroded.moves[None], size)[0], thin)
    return replace(scenery, layers=layers, eroded=eroded, depth=replace(scenery.depth, sky=sky))


def coarsened(scenery: Scenery, short: int) -> Scenery:
    """The same on a grid with a `short` side, for what has to be quick; without arrows."""
    grid = fit_short_side(scenery.grid, short)
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(grid, scenery.grid, strict=True))

    def nearest(values: np.ndarray) -> np.ndarray:
        return values[..., rows[:, None], columns]

    def smooth(values: np.ndarray) -> np.ndarray:
        made: np.ndarray = resize(torch.from_numpy(values.astype(np.float32)).reshape(-1, *scenery.grid), grid).numpy()
        return made.reshape(*values.shape[:-2], *grid)

    beach, slope, streams, still = scenery.beach, scenery.slope, scenery.streams, scenery.still
    share = min(grid) / scenery.short
    return replace(
        scenery,
        owner=nearest(scenery.owner),
        directions=smooth(scenery.directions),
        disagreement=smooth(scenery.disagreement),
        streams=Streams(*map(nearest, (streams.number, streams.open, streams.course, streams.channel))),
        odds=nearest(scenery.odds),
        still=Still(smooth(still.mirror), smooth(still.glow)),
        foam=smooth(scenery.foam),
        surf=nearest(scenery.surf),
        beach=None if beach is None else Beach(smooth(beach.level), smooth(beach.surely), nearest(beach.free)),
        cloud_reach=round(scenery.cloud_reach * share),
        slope=None if slope is None else smooth(slope) / share,
        arrows=(),
        steered=nearest(scenery.steered),
    )


def shrink_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Soft maps [K,H,W] at a smaller size [K,h,w]; what is less than MIN_LAYER_ALPHA is 0."""
    made = F.interpolate(maps[None].float(), size, mode="bilinear", align_corners=False, antialias=True)[0]
    return torch.where(made < MIN_LAYER_ALPHA, 0, made).clamp(max=1)
