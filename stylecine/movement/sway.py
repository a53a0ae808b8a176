"""How plants sway in the wind: a displacement of a few harmonics of the loop, zero at its first frame.

Follows Chuang et al., "Animating Pictures with Stochastic Motion Textures" (SIGGRAPH 2005), in which the spectrum of a
wind drives damped oscillators: slow ones for large crowns, quick ones for small plants (Habel et al., "Physically
Guided Animation of Trees", 2009; Diener et al., "Wind Projection Basis for Real-Time Animation of Trees", 2009). Most
power lies between 0.2 and 1 Hz and falls with the frequency, as measured in films by Li et al., "Generative Image
Dynamics" (CVPR 2024).

A plant is held where it meets what stands still, and at the photo's rim: from there amplitude and phase lag grow with
the geodesic distance. Random phases are smooth along branches and differ between them. Over ground that plants cover,
gusts travel downwind as waves ("honami"; Finnigan, "Turbulence in Plant Canopies", 2000).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.ops.image import LUMA, cell_means
from stylecine.ops.maps import geodesic_distance, nearness
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import Wind

if TYPE_CHECKING:
    from scipy.sparse import csr_array

GRID = 256  # largest short side of the grid
SEED = 33  # of everything that is drawn by lot: the same photo sways in the same way
MIN_PLANTS = 0.002  # of the photo: fewer do not sway
PATTERN_SECONDS = 8.0  # longer loops repeat a pattern of at most this length, or they would need too many harmonics
START_PHASES = 96  # of a pattern, at which a loop may begin
# How quickly: frequencies in Hz
MIN_HERTZ, MAX_HERTZ = 0.2, 1.6  # of the harmonics: slower is no sway, and quicker a flicker
GUST_HERTZ = 0.4  # up to here the wind's spectrum is level, from here on it falls
GUST_EXPONENT = 5 / 6  # of that fall in amplitude: Kolmogorov's -5/3 of power
BANDWIDTH = 0.8  # of what sways: as wide as a level spectrum with the same power and the same sum of amplitudes
LARGE_CROWN = 0.2  # of the short side: size of a large crown
CROWN_HERTZ, MAX_BOUGH_HERTZ = 0.45, 1.0  # of its boughs; and, at most, of those of smaller plants
BRANCH_PITCH = 1.8  # frequency of a branch over that of its bough
DAMPING = 0.3  # of the oscillators, as a share of the critical one
TIP_LAG = 0.35  # seconds by which the tips of a large crown are later than its trunk
# How far
TIP_AMPLITUDE = 0.004  # of the short side: what the tips of a large crown move by at strength 0.5, at a peak
PEAK = 2.4  # standard deviations that such a sum of harmonics reaches
MIN_TIP_SHARE = 0.35  # of that amplitude: the tips of the smallest plants
GROWTH_OF_SIZE = 0.7  # of a plant's size: over this distance from the hold the amplitude grows to its full,
MIN_GROWTH, MAX_GROWTH = 0.02, 0.1  # of the short side: but at least and at most over these,
GROWTH_EXPONENT = 1.2  # by this power of the distance
RIM_CELLS = 2.0  # cells beside what stands still that stay still, too, as far as a cubic B-spline reaches
OUTLINE_REACH = 0.05  # of the short side: so far before sky or water the field continues past the plant's outline
MAX_GRADIENT = 0.35  # of the displacement, pixel to pixel: at 1 leaves would fold over each other
# Which way, and how much by lot
BOUGH_SIGMA, BRANCH_SIGMA = 0.06, 0.015  # of the short side: standard deviations of what makes random phases smooth
BRANCH_LENGTH = 0.05  # of the short side: over which those of branches are alike, to either side
WHOLE_SHARE, BOUGH_SHARE, BRANCH_SHARE = 0.4, 0.72, 0.57  # of what moves alike in a crown; squares add up to 1
CROSSWIND_SHARE = 0.45  # of the motion across the wind, relative to that along it
STRETCH_LOSS = 0.65  # of the motion along a branch is taken away: branches turn and do not grow
DEPTH_SEEN = 0.35  # of the motion towards the viewer or away, as up or down
GUST_LEAN = 1.2  # of the amplitude at strength 1: how far plants lean downwind in the middle of a gust
MAX_LEAN_PHASE = 1.2  # radians by which parts of a crown lean earlier or later than others
MEAN_LEAN = 0.5  # standard deviations of the motion: how far plants lean downwind, in the mean over the loop
# Meadows: ground that plants cover
GUST_SPEED = 0.35  # short sides in a second: of gusts at strength 0.5, where the ground is nearest
GUSTS = ((0.3, 0.0, 1.0), (0.55, 0.3, 0.6), (0.8, -0.35, 0.4))  # Hz, direction (radians), share
FAR_MEADOW = 0.2  # factor on amplitudes and wavelengths at the horizon
MEADOW_LEAN_LOSS = 0.75  # of the lean is taken away
MEADOW_RANDOM_SHARE = 0.35  # of the random motion is left
GLOSS = 0.09  # binary logarithm of how much lighter bent grass is, at strength 0.5


@dataclass(frozen=True, eq=False)
class Sway:
    """modes: [n,2,3,gh,gw], of harmonics 1 to n of a pattern: weights of the cosine less 1 and of the sine of its
    angle; each is the x and y (pixels) of an offset at which the picture is read, and the binary logarithm of a gain;
    coefficients of cubic B-splines, one in the middle of every cell*cell pixels. extent: [gh,gw], standard deviation of
    the offset in pixels, 0 where nothing moves. cycles: patterns in the loop."""

    modes: Tensor
    extent: Tensor
    cell: int
    cycles: int

    @property
    def keyframes(self) -> Tensor:
        """[K,3,gh,gw] at phases j/K of a pattern, K even; trigonometric interpolation between them is exact."""
        count, harmonics = 2 * len(self.modes) + 2, range(1, len(self.modes) + 1)
        turns = [2 * math.pi * j / count for j in range(count)]
        weights = [[[math.cos(k * turn) - 1, math.sin(k * turn)] for k in harmonics] for turn in turns]
        return torch.tensordot(self.modes.new_tensor(weights), self.modes, 2)


@torch.inference_mode()
def predict_sway(
    photo: Tensor, plants: Tensor, free: Tensor, seconds: float, *, close: bool = False
) -> PlantMotion | None:
    """How plants would sway in any wind, in a loop that lasts `seconds`; None where no plant can move.

    photo: [3,H,W] in [-1,1], in whose texture motion is seen. plants: [H,W] in [0,1], how much each place sways. free:
    bool [H,W]: sky and water beside them, and smooth backdrops, which hold nothing. Everything else stands still, and
    so does what is next to it. close: whether it is a close-up, hence no meadow.
    """
    cell = int(2 ** max(0, math.ceil(math.log2(min(plants.shape) / GRID))))
    places = _places(photo, plants, free, cell, close)
    if places.plant.mean() < MIN_PLANTS:
        return None
    cycles = max(1, math.ceil(seconds / PATTERN_SECONDS))
    pattern = seconds / cycles
    rng, streamlines = np.random.default_rng(SEED), _streamlines(places.branch, BRANCH_LENGTH * places.short)
    harmonics = [
        _harmonic(places, frequency, pattern, streamlines, rng) if frequency >= MIN_HERTZ else None
        for frequency in np.arange(1, max(1, int(MAX_HERTZ * pattern)) + 1) / pattern
    ]
    return PlantMotion(places, tuple(harmonics), cell, cycles)


@dataclass(frozen=True, eq=False)
class PlantMotion:
    """Everything about the sway but its wind. harmonics: of a pattern, from the first; None for what is too slow."""

    places: _Places
    harmonics: tuple[_Harmonic | None, ...]
    cell: int
    cycles: int

    @torch.inference_mode()
    def in_wind(self, wind: Wind) -> Sway:
        """The sway in a wind of a strength above 0."""
        places, cell = self.places, self.cell
        still = np.zeros((3, *places.plant.shape))
        modes = np.stack([still if each is None else _mode(places, each, wind) for each in self.harmonics])
        modes = _begin_upright(modes, places.texture, wind)
        modes[:, :2] *= TIP_AMPLITUDE * places.short * cell * 2 * wind.strength / PEAK
        modes *= _unfolded(modes[:, :2] / cell)
        extent = np.sqrt((np.abs(modes[:, :2]) ** 2).sum((0, 1)) / 2)
        # D = Re(mode*(exp(iwt) - 1)); what moves by D is read at -D
        offset = np.stack((-modes[:, :2].real, modes[:, :2].imag), 1)
        gain = np.stack((modes[:, 2:].real, -modes[:, 2:].imag), 1)
        joined = torch.from_numpy(np.concatenate((offset, gain), 2).astype(np.float32))
        return Sway(joined, torch.from_numpy(extent.astype(np.float32)), cell, self.cycles)

    @cached_property
    def coarse(self) -> PlantMotion:
        """The same on a grid of half the resolution, for winds that are only tried."""
        places, harmonics = self.places, self.harmonics
        return PlantMotion(places.halved(), tuple(x and x.halved() for x in harmonics), 2 * self.cell, self.cycles)


@dataclass(frozen=True, eq=False)
class _Places:
    """On the grid [h,w]. Lengths are short sides.

    plant: bool. distance: geodesic, from where plants are held. size: of the plant, the largest such distance around.
    amplitude: 0 where it is held, 1 at the tips of large crowns, continued past outlines. branch: [2,h,w], unit vectors
    away from where it is held. meadow: in [0,1], ground that plants cover. near: 1 at the bottom, less in the distance.
    texture: [2,h,w], of the photo, to the right and downwards.
    """

    plant: np.ndarray
    distance: np.ndarray
    size: np.ndarray
    amplitude: np.ndarray
    branch: np.ndarray
    meadow: np.ndarray
    near: np.ndarray
    texture: np.ndarray

    @property
    def short(self) -> int:
        return min(self.plant.shape)

    def halved(self) -> _Places:
        """On a grid of half the resolution."""
        return _Places(**{name: _halved(field) for name, field in vars(self).items()})


@dataclass(frozen=True, eq=False)
class _Harmonic:
    """One frequency (Hz) of a pattern. Complex [h,w]: what gusts do to a crown as a whole, what boughs and branches do
    by themselves along the wind and across, how far they lean, and the strength and phase of waves over meadows, each
    with its direction relative to the wind's."""

    frequency: float
    whole: np.ndarray
    along: np.ndarray
    across: np.ndarray
    lean: np.ndarray
    waves: tuple[tuple[float, np.ndarray], ...]

    def halved(self) -> _Harmonic:
        """On a grid of half the resolution."""
        whole, along, across, lean = map(_halved, (self.whole, self.along, self.across, self.lean))
        waves = tuple((direction, _halved(patches)) for direction, patches in self.waves)
        return _Harmonic(self.frequency, whole, along, across, lean, waves)


def _halved(field: np.ndarray) -> np.ndarray:
    """Means of two by two points of the last two axes, or of two points of a line; of an odd number the last counts
    twice."""
    for axis in range(max(0, field.ndim - 2), field.ndim):
        n = field.shape[axis]
        first, second = (field.take(np.minimum(np.arange(start, n + start, 2), n - 1), axis) for start in (0, 1))
        field = first | second if field.dtype == bool else (first + second) / 2
    return field


def _places(photo: Tensor, plants: Tensor, free: Tensor, cell: int, close: bool) -> _Places:
    share, open_ = (_cells(x.float(), cell) for x in (plants, free))
    plant = share > 0.5
    beside = ~plant & (share + open_ > 0.5)
    short = min(plant.shape)
    held = ~(plant | beside)
    distance = _geodesic(plant, beside) / short
    reach = 0.12 * short
    largest = ndimage.maximum_filter(np.where(plant, distance, 0), 2 * max(1, round(reach)) + 1, mode="nearest")
    size = np.maximum(ndimage.gaussian_filter(largest, 0.3 * reach, mode="nearest"), 1e-3)
    full = np.clip(GROWTH_OF_SIZE * size, MIN_GROWTH, MAX_GROWTH)
    grown = np.clip((distance - RIM_CELLS / short) / full, 0, 1) ** GROWTH_EXPONENT
    grown = grown * np.clip(np.sqrt(size / MAX_GROWTH), MIN_TIP_SHARE, 1)
    away = ndimage.distance_transform_edt(plant | beside) if held.any() else np.full(plant.shape, np.inf)
    rest = smoothstep(0, 3, away - RIM_CELLS)
    outline = ndimage.distance_transform_edt(~plant) if plant.any() else np.full(plant.shape, np.inf)
    weight = plant.astype(np.float64)
    smooth = _mean_among(grown, weight, 1.0)
    continued = _mean_among(grown, weight, 0.012 * short)
    amplitude = np.where(plant, smooth, continued) * (1 - smoothstep(0.5, 1, outline / (OUTLINE_REACH * short)))
    rows, columns = (np.minimum(i := np.arange(n) + 0.5, n - i) for n in plant.shape)
    inside = np.minimum(rows[:, None], columns) - 1  # the photo's rim holds what it cuts
    amplitude *= rest * smoothstep(0, 0.02 * short + 2, inside)
    around = _mean_among(distance, weight, 0.02 * short)
    smoothed = ndimage.gaussian_filter(np.where(plant, distance, around), 0.02 * short)
    branch = np.stack(np.gradient(smoothed)[::-1])
    branch /= np.hypot(*branch) + 1e-6 * (1 + np.abs(smoothed).max())
    meadow, near = _ground(plant, open_)
    return _Places(plant, distance, size, amplitude, branch, meadow * (not close), near, _texture(photo, cell))


def _texture(photo: Tensor, cell: int) -> np.ndarray:
    """[2,h,w]: root mean squares of the differences of grey to the right and downwards."""
    grey = torch.tensordot(photo.new_tensor(LUMA), photo, 1)
    steps = grey.diff(dim=1, append=grey[:, -1:]), grey.diff(dim=0, append=grey[-1:])
    return np.sqrt(np.stack([_cells(step.square(), cell) for step in steps]))


def _cells(image: Tensor, cell: int) -> np.ndarray:
    return cell_means(image, cell).double().cpu().numpy()


def _geodesic(plant: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Cells along plants, and at twice the length across gaps, to where they are held: [h,w]; 0 elsewhere."""
    inside = np.pad(plant | beside, 1)
    cost = np.pad(np.where(plant, 1, 2), 1, constant_values=1)
    held = ndimage.binary_dilation(inside, np.ones((3, 3))) & ~inside
    distance = geodesic_distance(inside, held, ((0, 1), (1, 0), (1, 1), (1, -1)), cost)[1:-1, 1:-1]
    return np.where(np.isfinite(distance), distance, 0)


def _mean_among(values: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian means over the places that have weight, from afar where none is near."""
    total, mean = np.zeros(values.shape), np.zeros(values.shape)
    for wider, share in ((1, 1.0), (3, 1e-3), (9, 1e-6)):
        mean += share * ndimage.gaussian_filter(values * weight, wider * sigma, mode="nearest")
        total += share * ndimage.gaussian_filter(weight, wider * sigma, mode="nearest")
    return mean / np.maximum(total, 1e-12)


def _ground(plant: np.ndarray, open_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`_Places.meadow` and `_Places.near`: what lies below the horizon, which is that of the sky if there is one."""
    h, w = plant.shape
    rows = (np.arange(h) + 0.5) / h
    upper = (open_ > 0.5) & (rows[:, None] < 0.8)
    lowest = (upper * rows[:, None]).max(0)
    horizon = float(np.quantile(lowest[lowest > 0], 0.8)) if (lowest > 0).mean() > 0.3 else 0.3
    near = FAR_MEADOW + (1 - FAR_MEADOW) * nearness(rows, horizon, max(1 - horizon, 0.1))
    below = smoothstep(0.03, 0.15, rows - horizon)
    wide = ndimage.gaussian_filter(plant.astype(np.float64), 0.12 * min(h, w), mode="nearest")
    return np.broadcast_to(below[:, None], (h, w)) * smoothstep(0.5, 0.9, wide), near


def response(frequency: float | np.ndarray, natural: np.ndarray) -> np.ndarray:
    """Complex amplitude at a frequency (Hz) of damped oscillators of natural frequencies, driven by the wind."""
    ratio = frequency / natural
    driven = (1 + (frequency / GUST_HERTZ) ** 2) ** (-GUST_EXPONENT / 2)
    return driven / (1 - ratio**2 + 2j * DAMPING * ratio)


def natural_frequency(size: np.ndarray) -> np.ndarray:
    """Hz, of plants of a geodesic size in short sides."""
    return np.clip(CROWN_HERTZ * np.sqrt(LARGE_CROWN / size), CROWN_HERTZ, MAX_BOUGH_HERTZ)


def _oscillation(frequency: float, natural: np.ndarray, pattern: float) -> np.ndarray:
    """Complex amplitude [h,w] of one of the harmonics of a pattern, if the whole spectrum's standard deviation is 1."""
    band, some = np.geomspace(MIN_HERTZ, MAX_HERTZ, 24), np.geomspace(CROWN_HERTZ, MAX_BOUGH_HERTZ * BRANCH_PITCH, 32)
    whole = np.trapezoid(np.abs(response(band[:, None], some)) ** 2, band, axis=0)
    return math.sqrt(2) * response(frequency, natural) / np.sqrt(np.interp(natural, some, whole) * pattern)


def _harmonic(
    places: _Places, frequency: float, pattern: float, streamlines: csr_array, rng: np.random.Generator
) -> _Harmonic:
    short, shape, turn = places.short, places.plant.shape, 2 * math.pi * frequency
    natural = natural_frequency(places.size)
    boughs, branches = (_oscillation(frequency, pitch * natural, pattern) for pitch in (1, BRANCH_PITCH))
    later = np.exp(-1j * turn * TIP_LAG * np.clip(places.distance / LARGE_CROWN, 0, 1.5))
    weight = places.amplitude * places.plant
    weight /= max(float(weight.sum()), 1e-9)

    def drawn() -> np.ndarray:
        bough = _noise(shape, rng, BOUGH_SIGMA * short)
        branch = _along(_noise(shape, rng, BRANCH_SIGMA * short), streamlines)
        each = later * (BOUGH_SHARE * boughs * bough + BRANCH_SHARE * branches * branch)
        return each - (each * weight).sum()  # what all do alike is the whole's

    gust = 1j * rng.choice((-1, 1))
    along, across = drawn(), CROSSWIND_SHARE * drawn()
    begin = _noise(shape, rng, BOUGH_SIGMA * short).real
    begin *= MAX_LEAN_PHASE / max(float(np.abs(begin).max()), 1e-9)
    # over meadows the lean is less: there gusts bend what they pass
    gusty = np.abs(boughs) / math.sqrt(2 * BANDWIDTH * pattern)  # all harmonics add up to about 1
    lean = PEAK * GUST_LEAN / 2 * gusty * np.exp(-1j * begin) * (1 - MEADOW_LEAN_LOSS * places.meadow)
    waves = [
        (direction, share * _patches(places, rng))
        for hertz, direction, share in GUSTS
        if frequency == max(1, round(hertz * pattern)) / pattern  # the nearest harmonic
    ]
    return _Harmonic(frequency, WHOLE_SHARE * boughs * gust * later, along, across, lean, tuple(waves))


def _mode(places: _Places, harmonic: _Harmonic, wind: Wind) -> np.ndarray:
    """Complex [3,h,w]: x, y, of a standard deviation of 1 at the tips, and the binary logarithm of the gain."""
    downwind = np.array(_seen(wind))[:, None, None]
    crosswind = np.array([-1, 1])[:, None, None] * downwind[::-1]
    along = harmonic.whole * _travelling(places, harmonic.frequency, 0.0, wind) + harmonic.along
    vectors = downwind * along + crosswind * harmonic.across
    stretched = (vectors * places.branch).sum(0)
    vectors = vectors - STRETCH_LOSS * stretched * places.branch - wind.strength * harmonic.lean * downwind
    vectors = vectors * (1 - (1 - MEADOW_RANDOM_SHARE) * places.meadow)
    gain = np.zeros(places.plant.shape, complex)
    for direction, patches in harmonic.waves:
        wave = places.meadow * patches * _travelling(places, harmonic.frequency, direction, wind)
        vectors = vectors + wave * downwind
        gain += GLOSS * 2 * wind.strength * wave
    scale = places.amplitude * (1 - places.meadow * (1 - places.near[:, None]))
    return np.concatenate((vectors * scale, (gain * places.amplitude)[None]))


def _unfolded(offsets: np.ndarray) -> np.ndarray:
    """Factors [h,w] in (0,1] on complex offsets [n,2,h,w], in cells, that keep neighbours from folding over each other:
    beside what is held, and between branches that are close to each other."""
    factors = np.ones(offsets.shape[2:])
    for _ in range(3):
        steps = np.gradient(offsets * factors, axis=(2, 3))
        steepest = PEAK * np.sqrt(sum((np.abs(step) ** 2).sum(1) / 2 for step in steps).sum(0))
        smallest = ndimage.minimum_filter(np.minimum(1, MAX_GRADIENT / np.maximum(steepest, 1e-9)), 5)
        factors *= ndimage.gaussian_filter(smallest, 2.0, mode="nearest")
    return factors


def _begin_upright(modes: np.ndarray, texture: np.ndarray, wind: Wind) -> np.ndarray:
    """The modes, begun at another phase: one from which plants lean downwind for most of the time, and at which as much
    is seen to move as at most times, so that the step from the last frame to the first is like the others."""
    k = np.arange(1, len(modes) + 1)
    turns = 2 * math.pi * np.arange(START_PHASES) / START_PHASES
    phases = np.exp(1j * k * turns[:, None])
    rates = _halved(modes[:, :2]) * _halved(texture) * (1j * k)[:, None, None, None]
    rates /= np.sqrt(np.sqrt((np.abs(rates) ** 2).sum((0, 1))) + 1e-9)  # means of squares, but as of absolute values
    rates = rates.reshape(len(k), -1)
    squares, powers = (rates @ other.T for other in (rates, rates.conj()))  # whose real parts count, at each phase
    pace = np.sqrt(((phases @ squares) * phases + (phases @ powers) * phases.conj()).sum(1).real.clip(1e-12))
    pace /= np.median(pace)
    x, y = _seen(wind)
    downwind = x * modes[:, 0] + y * modes[:, 1]
    extent = math.sqrt(float((np.abs(downwind) ** 2).sum(0).mean()) / 2)
    lean = -(phases @ downwind.mean((1, 2))).real / max(extent, 1e-12)
    cost = 3 * np.abs(np.log(pace)) + 2 * np.maximum(0, MEAN_LEAN - lean)
    return modes * np.exp(1j * k * turns[int(cost.argmin())])[:, None, None, None]


def _seen(wind: Wind) -> tuple[float, float]:
    """The way of a wind in the picture, x right, y down."""
    x, y = math.cos(wind.angle), -DEPTH_SEEN * math.sin(wind.angle)
    length = math.hypot(x, y)
    return x / length, y / length


def gust_speed(wind: Wind) -> float:
    """Of gusts over the ground, in short sides a second, where it is nearest."""
    return GUST_SPEED * (0.5 + wind.strength)


def _travelling(places: _Places, frequency: float, direction: float, wind: Wind) -> np.ndarray:
    """Complex [h,w] of magnitude 1: phases of a gust that travels downwind, at an angle, over ground in perspective."""
    w = places.plant.shape[1]
    short, angle = places.short, wind.angle + direction
    per_length = 2 * math.pi * frequency / gust_speed(wind)
    x = (np.arange(w) + 0.5) / short
    y = np.cumsum(1 / (places.near * short))
    return np.exp(-1j * per_length * (x * math.cos(angle) - y[:, None] * math.sin(angle)))


def _patches(places: _Places, rng: np.random.Generator) -> np.ndarray:
    """[h,w], from 0.5 to 1.5: gusts are not as strong everywhere."""
    noise = _noise(places.plant.shape, rng, 0.08 * places.short).real
    return 1 + 0.5 * np.tanh(noise / max(float(noise.std()), 1e-9))


def _noise(size: tuple[int, ...], rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Complex [h,w], smooth, of a standard deviation of 1: white noise, of which a Gaussian is taken as a spectrum."""
    down, across = (np.exp(-2 * (math.pi * sigma * np.fft.fftfreq(n)) ** 2) for n in size)
    spectrum = rng.standard_normal((2, *size)) * down[:, None] * across
    noise = np.fft.ifft2(spectrum[0] + 1j * spectrum[1])
    scaled: np.ndarray = noise / max(float(np.sqrt((np.abs(noise) ** 2).mean())), 1e-12)
    return scaled


def _streamlines(way: np.ndarray, length: float) -> csr_array:
    """Sums over the places of a grid [h,w] along unit vectors [2,h,w], to so many steps on either side."""
    from scipy.sparse import csr_array  # takes time, and most photos do without

    h, w = way.shape[1:]
    rows, columns = np.mgrid[:h, :w].astype(np.float64)
    places = [np.arange(h * w)]
    for sign in (-1, 1):
        y, x = rows, columns
        for _ in range(max(1, round(length))):
            at = np.clip(y.round().astype(int), 0, h - 1), np.clip(x.round().astype(int), 0, w - 1)
            x, y = x + sign * way[0][at], y + sign * way[1][at]
            inside = np.clip(y.round().astype(int), 0, h - 1) * w + np.clip(x.round().astype(int), 0, w - 1)
            places.append(inside.ravel())
    ends = np.arange(0, h * w * len(places) + 1, len(places))
    return csr_array((np.ones(ends[-1]), np.stack(places, 1).ravel(), ends), (h * w, h * w))


def _along(noise: np.ndarray, streamlines: csr_array) -> np.ndarray:
    """Noise [h,w] averaged along the branches on which it lies (line integral convolution, Cabral and Leedom 1993)."""
    total = streamlines @ np.stack((noise.real.ravel(), noise.imag.ravel()), 1)
    smooth = ndimage.gaussian_filter(total.T.reshape(2, *noise.shape), (0, 1, 1))
    mixed = smooth[0] + 1j * smooth[1]
    along: np.ndarray = mixed / max(float(np.sqrt((np.abs(mixed) ** 2).mean())), 1e-12)
    return along
