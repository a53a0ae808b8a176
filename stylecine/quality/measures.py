"""Quality measures of a loop and an inversion; GOALS has the ranges they should be in.

`frames` is anything with len() and [t] -> uint8 [H,W,3]: a Cinemagraph, a list, a decoded video [N,H,W,3]. Frames are
requested one at a time, each once by `measure_loop`, and few are kept, so a loop may render them on demand.

Of up to 40 frames all are used, of longer loops a sample of at most 44 (`sample_times`): five runs of five consecutive
frames, five pairs a third of a second apart, every eighth of the loop, and both sides of the seam. A figure that cannot
be computed is NaN, and NaN fails.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops.image import LUMA, fit_short_side, resize
from stylecine.ops.regions import connected
from stylecine.options import CLASSES
from stylecine.quality.blockmatch import Blocks, blur, track
from stylecine.quality.opticalflow import optical_flow

GOALS: dict[str, tuple[float, float]] = {
    "moved_error": (0.0, 0.25),
    "travel": (0.02, math.inf),
    "vividness_moving": (0.85, 1.0),
    "seam": (0.95, 1.05),
    "seam_encoded": (0.0, 1.3),
    "pulse_encoded": (0.0, 0.03),
    "pulse_excess": (0.0, 0.10),
    "pulse_global": (0.0, 0.03),
    "static_drift": (0.0, 0.0),
    "static_kept": (0.95, 1.0),
    "first_frame_error": (0.0, 1 / 255),
    "returns_sky": (0.0, 0.15),
    "returns_water": (0.0, 0.35),
    "foreign_edges": (0.0, 0.02),
}
"""Lowest and highest figure that passes."""

MATCHED_FRAMES = 4  # frames between the two that are matched for `moved`
PULSE_TILE = 64  # pixels: side of the tiles of `pulse`
PULSE_TRAVEL = 0.04  # of the short side: how far texture has moved on for `pulse_excess`, half of a usual sub-cycle
FINE_SIGMA = 4.0  # pixels: fine contrast is what a Gaussian of this sigma removes
SMALL_SIDE = 256  # pixels: short side to which frames are shrunk for vividness and MALF
MIN_RETURNING = 0.02  # of the photo: smaller regions may return unseen
MIN_CHANGE = 1.0  # grey levels, mean over a region: less is no change to return from
EDGES_SIDE = 128  # pixels: short side to which frames are shrunk for foreign edges, which are soft
STRONG_EDGE = 5.0  # grey levels a pixel of these: the gradient of a strong edge
OWN_SHARE = 0.7  # of an edge's gradient: a copy that has as much there, in its direction, has that edge
FEW_EDGES = 0.005  # of what moves: fewer strong edges count as so many
GOLDEN = (math.sqrt(5) - 1) / 2  # the golden ratio, whose multiples spread evenly over a loop
VIVID = 0.003  # of the short side, in a third of a second: faster motion is vivid

Array = np.ndarray | Tensor


class Frames(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, t: int, /) -> np.ndarray: ...


class _Meter(Protocol):
    """Gets frames in the order of time, frame 0 first, and returns its figures at the end."""

    def add(self, t: int, frame: np.ndarray) -> None: ...

    def figures(self) -> dict[str, float]: ...


def passes(figures: Mapping[str, float], goals: Mapping[str, tuple[float, float]] = GOALS) -> dict[str, bool]:
    """Which of the figures that have a goal reach it. NaN never does."""
    return {name: low <= figures[name] <= high for name, (low, high) in goals.items() if name in figures}


def measure_loop(
    frames: Frames,
    photo: np.ndarray,
    mask: Array,
    flow: Array,
    fps: float,
    label: np.ndarray | None = None,
    flowing: Array | None = None,
    copies: Callable[[int], Sequence[np.ndarray]] | None = None,
) -> dict[str, float]:
    """All figures of a loop in one pass: seam, pulse_*, moved_error, travel, vividness*, malf, returns*, static_drift,
    first_frame_error, and foreign_edges with `copies`.

    photo: uint8 [H,W,3]. mask: [H,W] in [0,1], how much each pixel moves. flow: [2,h,w], pixels of its
    own grid per 1/30 s. label: [H,W] hand-labelled classes, 0 static; restricts static_drift to what is labelled
    static, and adds vividness_labelled, and vividness and returns of each class in it. flowing: [H,W], how much
    each pixel follows the flow; None: as the mask. Where nothing does, as in cloth and in water that rocks in place,
    moved_error, travel and returns are NaN.
    copies: of a frame's number, the frames uint8 [H,W,3] of which that frame is a mix.
    """
    moving = _floats(mask)
    steady = moving if flowing is None else _floats(flowing)
    meters: list[_Meter] = [
        _Seam(len(frames)),
        _Pulse(moving, _floats(flow)),
        _Moved(len(frames), steady, fps, _floats(flow)),
        _Liveliness(len(frames), fps, _regions(moving, label), closed=True),
        _Returns(_classes("returns", label), steady),
        _Drift(photo, _static(moving, label)),
        _FirstFrame(photo),
    ]
    if copies is not None:
        meters.append(_ForeignEdges(len(frames), fps, moving, copies))
    return _run(frames, meters, fps)


def measure_video(
    frames: Frames, fps: float, progress: Callable[[int, int], object] | None = None
) -> dict[str, float]:
    """The measures that need nothing but a finished video: seam, pulse_*, travel, vividness*, malf and returns; what
    moves is where its pixels change. progress: called with the number of frames that are done, and of all."""
    moving = changing(frames)
    meters: list[_Meter] = [
        _Seam(len(frames)),
        _Pulse(moving),
        _Moved(len(frames), moving, fps),
        _Liveliness(len(frames), fps, _regions(moving), closed=False),
        _Returns({}, moving),
    ]
    return _run(frames, meters, fps, progress)


def measure_encoded(frames: Frames, mask: Array, fps: float) -> dict[str, float]:
    """What an encoder has left of a loop: seam_encoded, pulse_encoded and vividness_encoded, of one period of its file,
    decoded; as seam, pulse_global and vividness_moving.

    mask: [H,W] in [0,1] of the loop; the file may lack its last row or column.
    """
    height, width = np.asarray(frames[0]).shape[:2]
    moving = _floats(mask)[:height, :width]
    meters: list[_Meter] = [
        _Seam(len(frames)),
        _Pulse(moving),
        _Liveliness(len(frames), fps, _regions(moving), closed=True),
    ]
    found = _run(frames, meters, fps)
    names = {"seam": "seam", "pulse": "pulse_global", "vividness": "vividness_moving"}
    return {f"{name}_encoded": found[figure] for name, figure in names.items()}


def seam(frames: Frames) -> float:
    """Mean absolute step from the last frame to the first over the median step; NaN where nothing moves."""
    return _run(frames, [_Seam(len(frames))])["seam"]


def vivid_share(frames: Frames, fps: float) -> Tensor:
    """[h,w] in [0,1], short side at most 256: the share of five pairs of frames in which each place is vivid, as
    `_Liveliness` says it. All 0 for a loop of less than a third of a second."""
    height, width = np.asarray(frames[0]).shape[:2]
    meter = _Liveliness(len(frames), fps, _regions(torch.ones(height, width)), closed=True)
    with torch.inference_mode():
        for t in sorted({0, *(t for pair in meter.pairs for t in pair)}):
            meter.add(t, np.asarray(frames[t]))
        return meter.fast() / max(1, len(meter.pairs))


def psnr(picture: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures in dB; inf where they are equal."""
    error = np.square(picture.astype(np.float32) - truth.astype(np.float32)).mean(dtype=np.float64)
    return 10 * math.log10(255**2 / error) if error > 0 else math.inf


def ssim(picture: Tensor, truth: Tensor) -> float:
    """Mean structural similarity of two grey pictures [H,W], 0..255: at most 1.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004: Gaussian windows of
    11 x 11 pixels, sigma 1.5, where they lie inside the picture.
    """
    means = blur(torch.stack((picture, truth, picture * picture, truth * truth, picture * truth)), 1.5)
    margin = min(5, (min(picture.shape) - 1) // 2)
    a, b, aa, bb, ab = means[:, margin : picture.shape[0] - margin, margin : picture.shape[1] - margin]
    luminance = (0.01 * 255) ** 2
    contrast = (0.03 * 255) ** 2
    alike = (2 * a * b + luminance) * (2 * (ab - a * b) + contrast)
    total = (a * a + b * b + luminance) * ((aa - a * a) + (bb - b * b) + contrast)
    return float((alike / total).mean())


def changing(frames: Frames, levels: int = 8) -> Tensor:
    """1 where a pixel ranges over more than `levels` of 255 in eight frames of the video, else 0: [H,W]."""
    times = sorted({round(len(frames) * i / 8) % len(frames) for i in range(8)})
    low = high = np.asarray(frames[0])
    for t in times:
        low, high = np.minimum(low, frames[t]), np.maximum(high, frames[t])
    spread = torch.from_numpy((high - low).max(-1).astype(np.float32))
    return (blur(spread[None, None], 2.0)[0, 0] > levels).float()


def sample_times(count: int, fps: float) -> list[int]:
    """The frames that are measured: all of up to 40, at most 44 of more."""
    if count <= 40:
        return list(range(count))
    runs = {start + k for start in _starts(count) for k in range(MATCHED_FRAMES + 1)}
    later = {t for pair in _distant_pairs(count, fps) for t in pair}
    return sorted({0, 1, count - 1} | runs | later | _eighths(count))


def _eighths(count: int) -> set[int]:
    return {round(count * i / 8) % count for i in range(8)}  # least contrast, for 1 to 4 sub-cycles


def _distant_pairs(count: int, fps: float) -> list[tuple[int, int]]:
    """Five pairs of frames a third of a second apart, not across the seam; none in a shorter loop.

    They start at multiples of the golden ratio, so that no number of sub-cycles shows them in one phase only.
    """
    gap = _gap(fps)
    last = count - 1 - gap
    return [(t, t + gap) for t in sorted({round(last * (i * GOLDEN % 1)) for i in range(5)})] if last >= 0 else []


def _gap(fps: float) -> int:
    return max(1, round(fps / 3))


def _starts(count: int) -> list[int]:
    """First frames of the runs: five, centred at each sixth of the loop."""
    lag = min(MATCHED_FRAMES, count - 1)
    return sorted({min(max(round(count * i / 6) - lag // 2, 0), count - 1 - lag) for i in range(1, 6)})


def _run(
    frames: Frames,
    meters: Sequence[_Meter],
    fps: float = 30.0,
    progress: Callable[[int, int], object] | None = None,
) -> dict[str, float]:
    times = sample_times(len(frames), fps)
    with torch.inference_mode():
        for done, t in enumerate(times, 1):
            frame = np.asarray(frames[t])
            for meter in meters:
                meter.add(t, frame)
            if progress is not None:
                progress(done, len(times))
        return {name: figure for meter in meters for name, figure in meter.figures().items()}


class _Seam:
    def __init__(self, count: int) -> None:
        self.count = count
        self.first: np.ndarray | None = None
        self.last: tuple[int, np.ndarray] | None = None
        self.steps: list[float] = []

    def add(self, t: int, frame: np.ndarray) -> None:
        if self.first is None:
            self.first = frame
        if self.last is not None and t == self.last[0] + 1:
            self.steps.append(_step(self.last[1], frame))
        self.last = (t, frame)

    def figures(self) -> dict[str, float]:
        if self.first is None or self.last is None or self.last[0] != self.count - 1 or not self.steps:
            return {"seam": math.nan}
        over = _step(self.last[1], self.first)
        middle = float(np.median([*self.steps, over]))
        return {"seam": over / middle if middle > 0 else math.nan}


class _Pulse:
    """How much fine contrast varies, worst over time.

    Fine contrast is the standard deviation of frame − Gaussian (sigma 4 px) in grey, over pixels with
    mask ≥ 0.5, with the Gaussian over those only. Its change since frame 0 relative to frame 0's, or to one grey level
    where that is more: over all of them ("global"), and the 95th percentile over the 64 px tiles that move in at least
    half of their pixels and have a fine contrast of at least one grey level ("tiles"). Uneven texture changes a tile's
    contrast merely by passing through, so a perfect loop has pulsing tiles too. With a flow there is pulse_excess as
    well: "tiles" less the same for the photo, moved along the flow by 4% of its short side.
    """

    def __init__(self, moving: Tensor, flow: Tensor | None = None) -> None:
        self.weight, self.flow = (moving >= 0.5).float()[None, None], flow
        self.reference: tuple[Tensor, float] | None = None
        self.floor = math.nan
        self.worst = {"pulse_tiles": math.nan, "pulse_global": math.nan}

    def add(self, t: int, frame: np.ndarray) -> None:
        grey = _grey(frame)
        tiles, overall = _contrast(grey, self.weight)
        if self.reference is None:
            self.reference = tiles, overall
            if self.flow is not None:
                self.floor = self._floor(grey, self.flow)
        tiles_before, overall_before = self.reference
        self._keep("pulse_tiles", _change(tiles_before, tiles, _tiles(self.weight)))
        if self.weight.any():
            self._keep("pulse_global", abs(overall - overall_before) / max(overall_before, 1.0))

    def figures(self) -> dict[str, float]:
        if self.flow is None:
            return dict(self.worst)
        excess = self.worst["pulse_tiles"] - self.floor
        return self.worst | {"pulse_excess": excess if math.isnan(excess) else max(0.0, excess)}

    def _keep(self, name: str, value: float) -> None:
        if not math.isnan(value):
            self.worst[name] = value if math.isnan(self.worst[name]) else max(self.worst[name], value)

    def _floor(self, grey: Tensor, flow: Tensor) -> float:
        """ "tiles" of the photo whose texture has moved on, where it still is what moves."""
        h, w = grey.shape[2:]
        along = resize(flow / flow.norm(dim=0).clamp_min(1e-6), (h, w)) * (PULSE_TRAVEL * min(h, w))
        x, y = torch.arange(w) + 0.5 - along[0], (torch.arange(h) + 0.5)[:, None] - along[1]
        grid = torch.stack((x / w, y / h), -1)[None] * 2 - 1
        weight = self.weight * (F.grid_sample(self.weight, grid, align_corners=False) > 0.99)
        moved = F.grid_sample(grey, grid, padding_mode="border", align_corners=False)
        return _change(_contrast(grey, weight)[0], _contrast(moved, weight)[0], _tiles(weight))


def _contrast(grey: Tensor, weight: Tensor) -> tuple[Tensor, float]:
    """Fine contrast of each tile, and of everything that has weight."""
    fine = (grey - blur(grey * weight, FINE_SIGMA) / blur(weight, FINE_SIGMA).clamp_min(1e-6)) * weight
    mean, square, share = _tiles(fine), _tiles(fine * fine), _tiles(weight).clamp_min(1e-6)
    tiles = (square / share - (mean / share) ** 2).clamp_min(0).sqrt()
    count = weight.sum().clamp_min(1)
    overall = (fine.square().sum() / count - (fine.sum() / count) ** 2).clamp_min(0).sqrt()
    return tiles, float(overall)


def _change(before: Tensor, after: Tensor, share: Tensor) -> float:
    """95th percentile of the relative change in tiles with weight and contrast; NaN if there is none."""
    counted = (share >= 0.5) & (before >= 1.0)
    return float(torch.quantile((1 - after[counted] / before[counted]).abs(), 0.95)) if counted.any() else math.nan


class _Moved:
    """Whether pixels follow the motion field, by block matching over 4 frames.

    flow: [2,h,w], pixels of its own grid per 1/30 s. moved_error: median |measured − flow| over median |flow|
    of the blocks that have texture, about 1 for a frozen clip; blocks textured in one direction only are compared along
    it, if at least half of their flow has that direction; textured blocks without a match count as not moved. travel:
    median distance in one loop over the short side.
    """

    def __init__(self, count: int, moving: Tensor, fps: float, flow: Tensor | None = None) -> None:
        self.count, self.fps, self.flow = count, fps, flow
        self.starts = _starts(count)
        self.lag = min(MATCHED_FRAMES, count - 1)
        self.short = min(moving.shape)
        self.weight = torch.where(moving >= 0.5, moving, 0.0)
        self.open: dict[int, list[Tensor]] = {}
        self.errors: list[Tensor] = []
        self.sizes: list[Tensor] = []
        self.distances: list[Tensor] = []

    def add(self, t: int, frame: np.ndarray) -> None:
        if self.lag == 0:
            return
        if t in self.starts:
            self.open[t] = []
        for start in [s for s in self.open if t <= s + self.lag]:
            self.open[start].append(_grey(frame)[0, 0])
            if t == start + self.lag:
                self._compare(track(self.open.pop(start), self.weight))

    def figures(self) -> dict[str, float]:
        travel = _median(self.distances) * self.count / max(self.lag, 1) / self.short
        if self.flow is None:
            return {"travel": travel}
        size = _median(self.sizes)
        return {"moved_error": _median(self.errors) / size if size > 0 else math.nan, "travel": travel}

    def _compare(self, blocks: Blocks) -> None:
        matched = blocks.correlation >= 0.5
        if self.flow is None:
            both = blocks.both & matched
            self.distances.append(blocks.shift[both].norm(dim=1))
            return
        truth = self._expected(blocks.centre)
        shift = torch.where(matched[:, None], blocks.shift, 0.0)
        error, size, distance = ((a * a).sum(1).sqrt() for a in (shift - truth, truth, shift))
        along, truth_along = (shift * blocks.normal).sum(1), (truth * blocks.normal).sum(1)
        informative = blocks.one & (truth_along.abs() >= size / 2) & (size > 0)
        self.errors += [error[blocks.both], (along - truth_along).abs()[informative]]
        self.sizes += [size[blocks.both], truth_along.abs()[informative]]
        self.distances += [distance[blocks.both], along.abs()[informative]]

    def _expected(self, at: Tensor) -> Tensor:
        """Shift [n,2] by the motion field over the lag, by one midpoint step."""
        if self.flow is None or not len(at):
            return torch.zeros_like(at)
        frames = self.lag * 30 / self.fps
        halfway = at + self._velocity(at) * frames / 2
        return self._velocity(halfway) * frames

    def _velocity(self, at: Tensor) -> Tensor:
        assert self.flow is not None
        height, width = self.weight.shape
        grid = at / at.new_tensor([width, height]) * 2 - 1
        sampled = F.grid_sample(self.flow[None], grid[None, None], padding_mode="border", align_corners=False)
        return sampled[0, :, 0].T * at.new_tensor([width / self.flow.shape[2], height / self.flow.shape[1]])


class _Liveliness:
    """How much is seen to move, and how regularly it returns. After "OuroWorld" (2026).

    regions: weights [H,W] of what vividness is the share of, by the figure's name. vividness: share of the picture
    whose optical flow between frames a third of a second apart exceeds 0.3% of the short side, mean over five pairs;
    NaN for loops of less than a third of a second. malf: SSIM of frames one period apart less the mean SSIM of frame 0
    and the frames at the other eighths of the loop; 0 for a still. closed: the frame after the last is frame 0, so one
    period apart the SSIM is 1. A video may not close, and has no such frame: its last frame is compared with its first,
    and what an ordinary step between frames changes is not held against it.
    """

    def __init__(self, count: int, fps: float, regions: Mapping[str, Tensor], *, closed: bool) -> None:
        self.count, self.fps, self.regions, self.closed = count, fps, regions, closed
        self.pairs = _distant_pairs(count, fps)
        self.phases = sorted(_eighths(count) - {0})
        self.steps = [] if closed else [(start, (start + 1) % count) for start in _starts(count)]
        self.wanted = {0, count - 1, *self.phases, *(t for pair in [*self.pairs, *self.steps] for t in pair)}
        self.frames: dict[int, Tensor] = {}  # grey [h,w], shrunk

    def add(self, t: int, frame: np.ndarray) -> None:
        if t in self.wanted:
            self.frames[t] = _shrunk(_grey(frame)[0, 0])

    def figures(self) -> dict[str, float]:
        return self._vividness() | {"malf": self._malf()}

    def _vividness(self) -> dict[str, float]:
        if not self.pairs:
            return dict.fromkeys(self.regions, math.nan)
        fast = self.fast()
        weights = {name: _shrunk(region) for name, region in self.regions.items()}
        total = {name: float(weight.sum()) * len(self.pairs) for name, weight in weights.items()}
        return {n: float((fast * w).sum()) / total[n] if total[n] > 0 else math.nan for n, w in weights.items()}

    def fast(self) -> Tensor:
        """[h,w]: in how many pairs each place is vivid."""
        count = torch.zeros_like(self.frames[0])
        threshold = VIVID * min(count.shape) * _gap(self.fps) / (self.fps / 3)
        for first, second in self.pairs:
            count += optical_flow(self.frames[first], self.frames[second]).norm(dim=0) > threshold
        return count

    def _malf(self) -> float:
        if not self.phases:
            return math.nan
        first = self.frames[0]
        others = float(np.mean([ssim(first, self.frames[t]) for t in self.phases]))
        return (1.0 if self.closed else self._period_apart()) - others

    def _period_apart(self) -> float:
        step = float(np.median([ssim(self.frames[a], self.frames[b]) for a, b in self.steps]))
        return 1 - max(0.0, step - ssim(self.frames[self.count - 1], self.frames[0]))


class _Returns:
    """How far a region comes back to frame 0 before the loop ends: the deepest dip of its mean difference to
    frame 0 between two higher values, over the highest; the worst connected region that moves of at least 2% of the
    picture.

    places: weights [H,W] whose regions that move are looked at on their own, by the figure's name. 0: it changes until
    it returns once, at the end. 1: all of it shows frame 0 in between. NaN where nothing changes by a grey level.
    """

    def __init__(self, places: Mapping[str, Tensor], moving: Tensor) -> None:
        places = {"returns": torch.ones_like(moving), **places}
        self.regions = {name: _large_regions(_shrunk(place * moving) >= 0.5) for name, place in places.items()}
        self.first: Tensor | None = None
        self.differences: list[Tensor] = []  # to frame 0, [h,w]

    def add(self, t: int, frame: np.ndarray) -> None:
        grey = _shrunk(_grey(frame)[0, 0])
        self.first = grey if self.first is None else self.first
        self.differences.append((grey - self.first).abs())

    def figures(self) -> dict[str, float]:
        differences = torch.stack(self.differences)
        dips = {n: [_dip(differences[:, r].mean(1).numpy()) for r in regions] for n, regions in self.regions.items()}
        changing = {name: [dip for dip in found if not math.isnan(dip)] for name, found in dips.items()}
        return {name: max(found, default=math.nan) for name, found in changing.items() if found or name == "returns"}


def _large_regions(place: Tensor) -> list[Tensor]:
    parts = connected(place.numpy(), corners=False)
    return [torch.from_numpy(mask) for mask in parts.masks(parts.size >= MIN_RETURNING * place.numel())]


def _dip(values: np.ndarray) -> float:
    """The deepest dip between two higher values, over the highest of all."""
    before, after = np.maximum.accumulate(values), np.maximum.accumulate(values[::-1])[::-1]
    highest = float(values.max())
    return float((np.minimum(before, after) - values).max()) / highest if highest >= MIN_CHANGE else math.nan


class _ForeignEdges:
    """How much a crossfade invents: the share of strong edges where mask ≥ 0.5 that none of a frame's copies
    has there, in the worst of four frames. NaN where nothing moves.

    copies: of a frame's number, the frames uint8 [H,W,3] of which that frame is a mix. A strong edge changes by 5 grey
    levels a pixel, of 128 to the short side; a copy has it if it changes by 0.7 of that in the same direction within a
    pixel. Copies mixed in equal shares everywhere have all edges of their mix; where the shares change from place to
    place, clouds get straight sides.
    """

    def __init__(self, count: int, fps: float, moving: Tensor, copies: Callable[[int], Sequence[np.ndarray]]) -> None:
        self.moves, self.copies = _shrunk(moving, EDGES_SIDE) >= 0.5, copies
        self.times = {start for start, _ in _distant_pairs(count, fps)} - {0} or {count // 2}
        self.worst = math.nan

    def add(self, t: int, frame: np.ndarray) -> None:
        if t not in self.times or not self.moves.any():
            return
        edge = _gradient(_shrunk(_grey(frame)[0, 0], EDGES_SIDE))
        steepness = edge.norm(dim=0)
        strong = (steepness >= STRONG_EDGE) & self.moves
        copies = [_gradient(_shrunk(_grey(copy)[0, 0], EDGES_SIDE)) for copy in self.copies(t)]
        own = [_steepest_along(edge, copy, strong) for copy in copies]
        foreign = torch.stack(own).amax(0) < OWN_SHARE * steepness[strong]
        share = float(foreign.sum() / max(len(foreign), FEW_EDGES * float(self.moves.sum())))
        self.worst = share if math.isnan(self.worst) else max(self.worst, share)

    def figures(self) -> dict[str, float]:
        return {"foreign_edges": self.worst}


def _gradient(grey: Tensor) -> Tensor:
    """Of [h,w], by central differences: [2,h,w], down and to the right."""
    wide = F.pad(grey[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    return torch.stack((wide[2:, 1:-1] - wide[:-2, 1:-1], wide[1:-1, 2:] - wide[1:-1, :-2])) / 2


def _steepest_along(edge: Tensor, gradient: Tensor, where: Tensor) -> Tensor:
    """The largest component in the direction of `edge` [2,h,w] that a gradient [2,h,w] has within a pixel of each place
    in `where`, bool [h,w]: [n]."""
    h, w = where.shape
    direction = edge[:, where] / edge[:, where].norm(dim=0)
    wide = F.pad(gradient[None], (1, 1, 1, 1), mode="replicate")[0]
    around = [wide[:, y : y + h, x : x + w][:, where] for y in range(3) for x in range(3)]
    return torch.stack([(direction * near).sum(0) for near in around]).amax(0)


class _Drift:
    """Largest difference to the photo, 0..1, where it is static: mask exactly 0, and labelled so."""

    def __init__(self, photo: np.ndarray, static: Tensor) -> None:
        self.photo, self.static = photo, static.numpy()
        self.worst = 0

    def add(self, t: int, frame: np.ndarray) -> None:
        self.worst = max(self.worst, _largest(frame[self.static], self.photo[self.static]))

    def figures(self) -> dict[str, float]:
        return {"static_drift": self.worst / 255}


class _FirstFrame:
    """Largest difference of frame 0 to the photo, 0..1."""

    def __init__(self, photo: np.ndarray) -> None:
        self.photo, self.error = photo, math.nan

    def add(self, t: int, frame: np.ndarray) -> None:
        if t == 0:
            self.error = _largest(frame, self.photo) / 255

    def figures(self) -> dict[str, float]:
        return {"first_frame_error": self.error}


def _regions(moving: Tensor, label: np.ndarray | None = None) -> dict[str, Tensor]:
    """What vividness is measured of: weights [H,W] by the figure's name."""
    regions = {"vividness": torch.ones_like(moving), "vividness_moving": (moving >= 0.5).float()}
    if label is not None:
        regions["vividness_labelled"] = torch.as_tensor(np.asarray(label) > 0).float()
    return regions | _classes("vividness", label)


def _classes(figure: str, label: np.ndarray | None) -> dict[str, Tensor]:
    """Where each class is labelled, [H,W], by the name that a figure has there."""
    if label is None:
        return {}
    classes = torch.as_tensor(np.asarray(label))
    places = {f"{figure}_{name}": (classes == k).float() for k, name in enumerate(CLASSES, start=1)}
    return {name: place for name, place in places.items() if place.any()}


def _shrunk(image: Tensor, short: int = SMALL_SIDE) -> Tensor:
    """[H,W] with a short side of at most `short`."""
    return resize(image[None], fit_short_side(image.shape, short))[0]


def _floats(array: Array) -> Tensor:
    return torch.as_tensor(array).detach().float().cpu()


def _grey(frame: np.ndarray) -> Tensor:
    """uint8 [H,W,3] -> float32 [1,1,H,W], 0..255."""
    return torch.from_numpy(frame.astype(np.float32) @ np.array(LUMA, np.float32))[None, None]


def _step(a: np.ndarray, b: np.ndarray) -> float:
    return float(_difference(a, b).mean(dtype=np.float64))


def _largest(a: np.ndarray, b: np.ndarray) -> int:
    return int(_difference(a, b).max(initial=0))


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(a, b) - np.minimum(a, b)  # stays in uint8


def _tiles(image: Tensor) -> Tensor:
    """Mean of [1,1,H,W] over each tile, with zeros outside the frame."""
    down, across = (-n % PULSE_TILE for n in image.shape[2:])
    return F.avg_pool2d(F.pad(image, (0, across, 0, down)), PULSE_TILE)[0, 0]


def _static(moving: Tensor, label: np.ndarray | None) -> Tensor:
    static = moving == 0
    return static if label is None else static & without_margin(torch.as_tensor(np.asarray(label) == 0))


def without_margin(mask: Tensor) -> Tensor:
    """Bool [H,W] without a margin of 1% of the width, where labels are uncertain. The frame's border is no edge."""
    radius = max(1, round(mask.shape[1] / 100))
    return F.max_pool2d((~mask).float()[None, None], 2 * radius + 1, stride=1, padding=radius)[0, 0] == 0


def _median(parts: Sequence[Tensor]) -> float:
    values = torch.cat(list(parts)) if parts else torch.zeros(0)
    return float(np.median(values.numpy())) if len(values) else math.nan
