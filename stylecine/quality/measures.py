"""Quality measures of a loop; GOALS has the ranges they should be in.

`frames` is anything with len() and [t] -> uint8 [H,W,3]: a Cinemagraph, a list, a decoded video [N,H,W,3]. Frames are
requested one at a time, each once by `measure_loop`, and few are kept, so a loop may render them on demand.

Of up to 40 frames all are used, of longer loops a sample of at most 44 (`sample_times`): five runs of five consecutive
frames, five pairs a third of a second apart, every eighth of the loop, and both sides of the seam. A figure that cannot
be computed is NaN, and NaN fails.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops.image import LUMA, fit_short_side, resize
from stylecine.ops.regions import connected
from stylecine.quality.blockmatch import Blocks, blur, pixel_centres, read, track
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
    "first_frame_error": (0.0, 1 / 255),
}
"""Lowest and highest figure that passes."""

MATCHED_FRAMES = 4  # frames between the two that are matched for `moved`
PULSE_TILE = 64  # pixels: side of the tiles of `pulse`
PULSE_TRAVEL = 0.04  # of the short side: how far texture has moved on for `pulse_excess`, half of a usual sub-cycle
FINE_SIGMA = 4.0  # pixels: fine contrast is what a Gaussian of this sigma removes
SMALL_SIDE = 256  # pixels: short side to which frames are shrunk for vividness and MALF
MIN_RETURNING = 0.02  # of the photo: smaller regions may return unseen
MIN_CHANGE = 1.0  # grey levels, mean over a region: less is no change to return from
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
    frames: Frames, photo: np.ndarray, mask: Array, flow: Array, fps: float, flowing: Array | None = None
) -> dict[str, float]:
    """All figures of a loop in one pass: seam, pulse_*, moved_error, travel, static_drift, first_frame_error,
    vividness*, malf and returns.

    photo: uint8 [H,W,3]. mask: [H,W] in [0,1], how much each pixel moves. flow: [2,h,w], pixels of its
    own grid per 1/30 s. flowing: [H,W], how much each pixel follows the flow; None: as the mask. Where nothing does, as
    in cloth and in water that rocks in place, moved_error, travel and returns are NaN.
    """
    count, moving, field = len(frames), _floats(mask), _floats(flow)
    steady = moving if flowing is None else _floats(flowing)
    small, matched = _ShrunkFrames(count, fps), _Moved(count, steady, fps, field)
    meters: list[_Meter] = [_Seam(), _Pulse(moving, field), matched, _Unchanged(photo, moving == 0), small]
    figures = _run(frames, meters, fps) | small.vividness(moving)
    return figures | {"malf": small.malf(closed=True), "returns": small.returns(steady)}


def measure_video(frames: Frames, fps: float, progress: Callable[[int, int], object] | None = None) -> dict[str, float]:
    """The measures that need nothing but a finished video: seam, pulse_*, travel, vividness*, malf and returns; what
    moves is where its pixels change. progress: called with the number of frames that are done, and of all."""
    count, moving = len(frames), changing(frames)
    small = _ShrunkFrames(count, fps)
    figures = _run(frames, [_Seam(), _Pulse(moving), _Moved(count, moving, fps), small], fps, progress)
    figures |= small.vividness(moving)
    return figures | {"malf": small.malf(closed=False), "returns": small.returns(moving)}


def measure_encoded(frames: Frames, mask: Array, fps: float) -> dict[str, float]:
    """What an encoder has left of a loop: seam_encoded, pulse_encoded and vividness_encoded, of one period of its file,
    decoded; as seam, pulse_global and vividness_moving.

    mask: [H,W] in [0,1] of the loop; the file may lack its last row or column.
    """
    height, width = np.asarray(frames[0]).shape[:2]
    moving, small = _floats(mask)[:height, :width], _ShrunkFrames(len(frames), fps)
    found = _run(frames, [_Seam(), _Pulse(moving), small], fps) | small.vividness(moving)
    names = {"seam": "seam", "pulse": "pulse_global", "vividness": "vividness_moving"}
    return {f"{name}_encoded": found[figure] for name, figure in names.items()}


def seam(frames: Frames) -> float:
    """Mean absolute step from the last frame to the first over the median step; NaN where nothing moves."""
    return _run(frames, [_Seam()])["seam"]


def vivid_share(frames: Frames, fps: float) -> Tensor:
    """[h,w] in [0,1], short side at most 256: the share of five pairs of frames in which each place is vivid, as
    `_ShrunkFrames.vividness` says it. All 0 for a loop of less than a third of a second."""
    small = _ShrunkFrames(len(frames), fps)
    for t in sorted({0, *(t for pair in small.pairs for t in pair)}):
        small.add(t, np.asarray(frames[t]))
    return small.vivid()


def returns(frames: Frames, fps: float, moving: Array) -> float:
    """How far the worst region of `moving`, [H,W] in [0,1], comes back too early: `_ShrunkFrames.returns`."""
    small = _ShrunkFrames(len(frames), fps)
    _run(frames, [small], fps)
    return small.returns(_floats(moving))


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
    least = most = np.asarray(frames[0])
    for t in _eighths(len(frames)):
        least, most = np.minimum(least, frames[t]), np.maximum(most, frames[t])
    spread = torch.from_numpy((most - least).max(-1).astype(np.float32))
    return (blur(spread, 2.0) > levels).float()


def sample_times(count: int, fps: float) -> list[int]:
    """The frames that are measured: all of up to 40, at most 44 of more."""
    if count <= 40:
        return list(range(count))
    runs = {start + k for start in _starts(count) for k in range(MATCHED_FRAMES + 1)}
    later = {t for pair in distant_pairs(count, fps) for t in pair}
    return sorted({0, 1, count - 1} | runs | later | _eighths(count))


def _eighths(count: int) -> set[int]:
    return {round(count * i / 8) % count for i in range(8)}  # least contrast, for 1 to 4 sub-cycles


def distant_pairs(count: int, fps: float) -> list[tuple[int, int]]:
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
    frames: Frames, meters: Sequence[_Meter], fps: float = 30.0, progress: Callable[[int, int], object] | None = None
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
    def __init__(self) -> None:
        self.shown: list[tuple[int, np.ndarray]] = []  # the first frame, and the last so far
        self.steps: list[float] = []

    def add(self, t: int, frame: np.ndarray) -> None:
        if self.shown and t == self.shown[-1][0] + 1:
            self.steps.append(float(_difference(self.shown[-1][1], frame).mean(dtype=np.float64)))
        self.shown = [*self.shown[:1], (t, frame)]

    def figures(self) -> dict[str, float]:
        over = float(_difference(self.shown[-1][1], self.shown[0][1]).mean(dtype=np.float64))
        middle = float(np.median([*self.steps, over]))
        return {"seam": over / middle if middle > 0 else math.nan}


class _Pulse:
    """How much fine contrast varies, worst over time.

    Fine contrast is the standard deviation of frame − Gaussian (sigma 4 px) in grey, over pixels with
    mask ≥ 0.5, with the Gaussian over those only. Its change since frame 0 relative to frame 0's, or to one grey level
    where that is more: over all of them ("global"), and the 95th percentile over the 64 px tiles that move in at least
    half of their pixels and have a fine contrast of at least one grey level ("tiles"). As uneven texture pulses merely
    by passing through tiles, with a flow there is pulse_excess: "tiles" less the same for the photo, moved along the
    flow by 4% of its short side.
    """

    def __init__(self, moving: Tensor, flow: Tensor | None = None) -> None:
        self.weight, self.flow = (moving >= 0.5).float()[None, None], flow
        self.contrasts: list[tuple[Tensor, float]] = []  # see `_contrast`
        self.floor = math.nan

    def add(self, t: int, frame: np.ndarray) -> None:
        grey = grey_of(frame)
        if t == 0 and self.flow is not None:
            self.floor = self._floor(grey, self.flow)
        self.contrasts.append(_contrast(grey, self.weight))

    def figures(self) -> dict[str, float]:
        (first_tiles, first), share = self.contrasts[0], _tiles(self.weight)
        tiles = _worst(_change(first_tiles, tiles, share) for tiles, _ in self.contrasts)
        worst = {
            "pulse_tiles": tiles,
            "pulse_global": _worst(abs(overall - first) / max(first, 1.0) for _, overall in self.contrasts),
        }
        if self.flow is None:
            return worst
        excess = tiles - self.floor
        return worst | {"pulse_excess": excess if math.isnan(excess) else max(0.0, excess)}

    def _floor(self, grey: Tensor, flow: Tensor) -> float:
        """ "tiles" of the photo whose texture has moved on, where it still is what moves."""
        h, w = grey.shape[2:]
        along = resize(flow / flow.norm(dim=0).clamp_min(1e-6), (h, w)) * (PULSE_TRAVEL * min(h, w))
        at = pixel_centres(h, w) - along.movedim(0, -1)
        weight = self.weight * (read(self.weight, at, "zeros") > 0.99)
        moved = read(grey, at)[None]
        return _change(_contrast(grey, weight)[0], _contrast(moved, weight)[0], _tiles(weight))


def _contrast(grey: Tensor, weight: Tensor) -> tuple[Tensor, float]:
    """Fine contrast of each tile, and of everything that has weight, NaN if nothing has."""
    fine = (grey - blur(grey * weight, FINE_SIGMA) / blur(weight, FINE_SIGMA).clamp_min(1e-6)) * weight
    mean, square, share = _tiles(fine), _tiles(fine * fine), _tiles(weight).clamp_min(1e-6)
    tiles = (square / share - (mean / share) ** 2).clamp_min(0).sqrt()
    count = weight.sum()
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
        self.starts, self.lag = _starts(count), min(MATCHED_FRAMES, count - 1)
        self.weight = torch.where(moving >= 0.5, moving, 0.0)
        self.recent: deque[Tensor] = deque(maxlen=self.lag + 1)
        self.found: list[Blocks] = []

    def add(self, t: int, frame: np.ndarray) -> None:
        self.recent.append(grey_of(frame)[0, 0])
        if self.lag and t - self.lag in self.starts:
            self.found.append(track([*self.recent], self.weight))

    def figures(self) -> dict[str, float]:
        if not self.found:
            return {"moved_error": math.nan, "travel": math.nan}
        blocks = Blocks(*map(torch.cat, zip(*self.found, strict=True)))  # of all runs, field by field
        matched, loops = blocks.correlation >= 0.5, self.count / self.lag / min(self.weight.shape)
        if self.flow is None:
            return {"travel": _median(blocks.shift[blocks.both & matched].norm(dim=1)) * loops}
        duration = self.lag * 30 / self.fps  # in 1/30 s
        halfway = blocks.centre + self._velocity(self.flow, blocks.centre) * duration / 2
        truth = self._velocity(self.flow, halfway) * duration
        shift = torch.where(matched[:, None], blocks.shift, 0.0)
        error, size, distance = (a.norm(dim=1) for a in (shift - truth, truth, shift))
        along, truth_along = (shift * blocks.normal).sum(1), (truth * blocks.normal).sum(1)
        informative = blocks.one & (truth_along.abs() >= size / 2) & (size > 0)

        def median(everywhere: Tensor, across: Tensor) -> float:
            return _median(torch.cat((everywhere[blocks.both], across.abs()[informative])))

        length = median(size, truth_along)
        moved_error = median(error, along - truth_along) / length if length > 0 else math.nan
        return {"moved_error": moved_error, "travel": median(distance, along) * loops}

    def _velocity(self, flow: Tensor, at: Tensor) -> Tensor:
        """[n,2] at positions [n,2], pixels of the frame per 1/30 s."""
        height, width = self.weight.shape
        scale = at.new_tensor([width / flow.shape[2], height / flow.shape[1]])
        return read(flow[None], (at / scale)[None])[:, 0].T * scale


class _ShrunkFrames:
    """Keeps all frames in grey, shrunk, for what is measured of them together; it has no figures of its own."""

    def __init__(self, count: int, fps: float) -> None:
        self.count, self.fps = count, fps
        self.pairs = distant_pairs(count, fps)
        self.frames: dict[int, Tensor] = {}  # by their times, [h,w]

    def add(self, t: int, frame: np.ndarray) -> None:
        self.frames[t] = shrunk(grey_of(frame)[0, 0])

    def figures(self) -> dict[str, float]:
        return {}

    def vividness(self, moving: Tensor) -> dict[str, float]:
        """The share of the picture, and of what moves, whose optical flow between frames a third of a second apart
        exceeds 0.3% of the short side, mean over five pairs. NaN for loops of less than that time. After "OuroWorld"
        (2026)."""
        vivid, moves = self.vivid(), shrunk((moving >= 0.5).float())
        figures = {"vividness": vivid.mean(), "vividness_moving": (vivid * moves).sum() / moves.sum()}
        return {name: float(figure) if self.pairs else math.nan for name, figure in figures.items()}

    def vivid(self) -> Tensor:
        """[h,w]: in which share of the pairs each place is vivid; 0 without any."""
        vivid = torch.zeros_like(self.frames[0])
        threshold = VIVID * min(vivid.shape) * _gap(self.fps) / (self.fps / 3)
        for first, second in self.pairs:
            vivid += optical_flow(self.frames[first], self.frames[second]).norm(dim=0) > threshold
        return vivid / max(1, len(self.pairs))

    def malf(self, *, closed: bool) -> float:
        """How regularly it returns: SSIM of frames one period apart less the mean SSIM of frame 0 and the frames at the
        other eighths of the loop; 0 for a still. After "OuroWorld" (2026).

        closed: the frame after the last is frame 0, so one period apart the SSIM is 1. A video may not close, and has
        no such frame: its last frame is compared with its first, and what an ordinary step between frames changes is
        not held against it.
        """
        phases = sorted(_eighths(self.count) - {0})
        if not phases:
            return math.nan
        others = float(np.mean([ssim(self.frames[0], self.frames[t]) for t in phases]))
        if closed:
            return 1.0 - others
        step = float(np.median([ssim(self.frames[t], self.frames[t + 1]) for t in _starts(self.count)]))
        return 1.0 - max(0.0, step - ssim(self.frames[self.count - 1], self.frames[0])) - others

    def returns(self, moving: Tensor) -> float:
        """How far a region comes back to frame 0 before the loop ends: the deepest dip of its mean difference to
        frame 0 between two higher values, over the highest; the worst connected region that moves of at least 2% of the
        picture. 0: it changes until it returns once, at the end. 1: all of it shows frame 0 in between. NaN where
        nothing changes by a grey level.
        """
        differences = np.stack([(frame - self.frames[0]).abs().numpy() for frame in self.frames.values()])
        parts = connected((shrunk(moving) >= 0.5).numpy(), corners=False)
        regions = parts.masks(parts.size >= MIN_RETURNING * parts.numbers.size)
        return _worst(_dip(differences[:, region].mean(1)) for region in regions)


def _dip(values: np.ndarray) -> float:
    """The deepest dip between two higher values, over the highest of all."""
    before, after = np.maximum.accumulate(values), np.maximum.accumulate(values[::-1])[::-1]
    highest = float(values.max())
    return float((np.minimum(before, after) - values).max()) / highest if highest >= MIN_CHANGE else math.nan


class _Unchanged:
    """Largest difference to the photo, 0..1: of any frame where the photo is static, and of all of frame 0."""

    def __init__(self, photo: np.ndarray, static: Tensor) -> None:
        self.photo, self.static = photo, static.numpy()
        self.drift = self.first = 0

    def add(self, t: int, frame: np.ndarray) -> None:
        if t == 0:
            self.first = int(_difference(frame, self.photo).max())
        drift = _difference(frame[self.static], self.photo[self.static])
        self.drift = max(self.drift, int(drift.max(initial=0)))

    def figures(self) -> dict[str, float]:
        return {"static_drift": self.drift / 255, "first_frame_error": self.first / 255}


def shrunk(image: Tensor, short: int = SMALL_SIDE) -> Tensor:
    """[H,W] with a short side of at most `short`."""
    return resize(image[None], fit_short_side(image.shape, short))[0]


def _floats(array: Array) -> Tensor:
    return torch.as_tensor(array).detach().float().cpu()


def grey_of(frame: np.ndarray) -> Tensor:
    """uint8 [H,W,3] -> float32 [1,1,H,W], 0..255."""
    return torch.from_numpy(frame.astype(np.float32) @ np.array(LUMA, np.float32))[None, None]


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(a, b) - np.minimum(a, b)  # stays in uint8


def _tiles(image: Tensor) -> Tensor:
    """Mean of [1,1,H,W] over each tile, with zeros outside the frame."""
    down, across = (-n % PULSE_TILE for n in image.shape[2:])
    return F.avg_pool2d(F.pad(image, (0, across, 0, down)), PULSE_TILE)[0, 0]


def _worst(figures: Iterable[float]) -> float:
    """The highest of those that are not NaN; NaN without any."""
    return max((figure for figure in figures if not math.isnan(figure)), default=math.nan)


def _median(values: Tensor) -> float:
    return float(np.median(values.numpy())) if len(values) else math.nan
