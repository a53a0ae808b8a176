"""Rain, snow and fog over finished frames, which repeat only with the loop.

Each drop and flake falls a whole number of times in a loop, through a path of its own; where it falls less than the
height of the frame in that time, it is followed by others on the same path, and ends where the next one began. The
fog's wisps are waves, each of a whole number of cycles. Fog veils what is behind it by Koschmieder's law, with a
distance that is judged by the place in the picture, the sky, and the haze that the photo has itself (the dark channel
of He, Sun and Tang, "Single Image Haze Removal Using Dark Channel Prior", CVPR 2009). A raindrop shows nearly the
whole surroundings, upside down, so that streaks are about as bright as these (Garg and Nayar, "Vision and Rain", IJCV
2007): lighter than what is dark, darker than the sky.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from stylecine.ops.image import LUMA, fit_short_side, resize
from stylecine.ops.readback import enqueued
from stylecine.ops.smoothstep import smoothstep
from stylecine.ops.weather import Precipitation, weather_
from stylecine.options import Wind
from stylecine.perception.depth import Depth

SEED = 20  # of everything that is drawn by lot: the same weather for the same photo
MAX_FALL = 12.0  # short sides that a drop falls in one cycle
DISTANCES = 8  # at which drops and flakes are drawn by lot, from near to far

Colour: TypeAlias = tuple[float, float, float]  # red, green and blue, 0 to 255


@dataclass(frozen=True)
class Falling:
    """Drops or flakes. Lengths are short sides at distance 1, seconds are of the loop."""

    count: float  # in a square picture at full strength
    farthest: float  # distance; the nearest is at 1
    radius: float
    thinnest: float  # pixels
    speed: float  # downwards, in a second
    slower: float  # exponent: speed falls with the distance to this power
    blown: float  # speed in the wind's direction at strength 1, over that downwards
    sway: float  # to either side
    exposure: float  # seconds
    opacity: float
    whiteness: float  # from the air's light, 0, to the brightest in the picture, 1
    brightness: float  # of that


@dataclass(frozen=True)
class Kind:
    """A weather."""

    density: float  # optical depth of the farthest, at full strength: of fog, or of what falls too far away to be seen
    falling: Falling | None = None
    shade_loss: float = 0.0  # of the air's light where all of the picture lies in the shade: it would glow


KINDS = {  # the names are those of `options.WEATHERS`
    "snow": Kind(1.2, Falling(4500, 9, 0.011, 0.9, 0.5, 0.8, 1.2, 0.035, 1 / 60, 1.0, 0.5, 1.0)),
    "rain": Kind(1.3, Falling(3500, 6, 0.0021, 0.8, 2.4, 0.6, 0.55, 0.0, 1 / 40, 0.75, 0.0, 0.9)),
    "fog": Kind(3.2, shade_loss=0.2),
}
# The veil is computed on a grid, of as many cells as the first across the short side, of so many pixels at least:
VEIL_CELLS, MIN_VEIL_CELL = 42, 24
FOG_WAVES = 96  # that the fog consists of
MIN_WAVELENGTH, MAX_WAVELENGTH = 0.12, 1.4  # short sides
WISP_ASPECT = 2.5  # wisps are so much longer than high
CREEP = 0.035  # short sides in a second that fog moves without a wind
FOG_WIND = 0.16  # the same, more, in a wind of strength 1
CYCLES = 6  # of a wave in a loop, at most
PATCHY = 0.3  # of the fog's opacity, that its waves change
FOG_MIN_BRIGHTNESS = 0.8  # of the brightest in the picture
SHADE = 0.16  # of the brightest in the picture: what is darker lies in the shade


@dataclass(frozen=True, eq=False)
class Light:
    """The colours of the air's light and of drops or flakes in a picture, if any fall."""

    veil: Colour
    falling: Colour


@dataclass(frozen=True, eq=False)
class Weather:
    """What falls and drifts through a loop.

    paths: [P,12], see `_paths`. waves: [1+2n,gh,gw], the veil's mean, and cosine and sine of `cycles`, n numbers. Both
    are on the CPU, which knows without waiting for a GPU how many streaks a frame has. distance: uint8 [H,W], 255 where
    the veil counts wholly. period, exposure: frames. lights: in the photo's own colours, and in those of its style.
    """

    paths: Tensor
    waves: Tensor
    cycles: tuple[int, ...]
    distance: Tensor
    period: int
    exposure: float
    lights: tuple[Light, Light]

    def draw_over_(self, frames: Tensor, times: Sequence[float], styled: Sequence[float]) -> Tensor:
        """Frames uint8 [n,H,W,3], in place, with what is in the air at these times. styled: of each frame, 0 to 1."""
        own, other = self.lights
        return weather_(
            frames,
            Precipitation(
                [enqueued(each, frames.device) for each in self.streaks(times, *frames.shape[1:3])],
                [_mixed(own.falling, other.falling, share) for share in styled],
                enqueued(torch.stack([self.veil(t) for t in times]), frames.device),
                [_mixed(own.veil, other.veil, share) for share in styled],
                self.distance,
            ),
        )

    def veil(self, t: float) -> Tensor:
        """[gh,gw] in [0,1]."""
        angle = 2 * math.pi * t / self.period
        weights = [1.0, *(f(n * angle) for n in self.cycles for f in (math.cos, math.sin))]
        return torch.tensordot(self.waves.new_tensor(weights), self.waves, 1).clamp(0, 1)

    def streaks(self, times: Sequence[float], height: int, width: int) -> list[Tensor]:
        """Those that are in the frame at each of some times: [S,8], as `ops.weather` wants them.

        By NumPy: PyTorch would share these few numbers out among its threads, which takes longer than to compute them.
        """
        link, cycles, phase, _, _, top, fall, _, _, _, radius, _ = self._columns
        turned = np.array(times, np.float32)[:, None] / self.period * cycles + phase
        at = turned - np.floor(turned) + link
        y = top + fall * at
        dy = fall * cycles * (-self.exposure / self.period)
        seen = (y > -1 - radius - np.maximum(dy, 0)) & (y < height + radius - np.minimum(dy, 0))
        place = np.flatnonzero(seen)
        found = place % len(self.paths)
        at, y, dy = at.ravel()[place], y.ravel()[place], dy[found]
        _, cycles, _, x, way, top, _, sway, turns, lag, radius, opacity = self._columns.take(found, 1)
        turn = 2 * math.pi * (turns * at + lag)
        around = width - 2 * top  # paths leave the frame on one side and return on the other
        x = x + way * at + sway * np.sin(turn) - top
        x += top - around * np.floor(x / around)
        dx = (way + 2 * math.pi * turns * sway * np.cos(turn)) * cycles * (-self.exposure / self.period)
        squared = dx * dx + dy * dy
        inverse = np.divide(1, squared, out=np.zeros_like(squared), where=squared > 0)
        streaks = np.stack((x, y, dx, dy, inverse, radius, 1 / (radius * radius), opacity), 1)
        return [*torch.from_numpy(streaks).split(np.count_nonzero(seen, 1).tolist())]

    @cached_property
    def _columns(self) -> np.ndarray:
        """The paths, one number of all paths after the other: [12,P]."""
        return np.ascontiguousarray(self.paths.numpy().T)


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def make_weather(
    kind: str,
    strength: float,
    wind: Wind | None,
    photo: Tensor,
    styled: Tensor,
    depth: Depth,
    *,
    period: int,
    fps: float,
    speed: float = 1.0,
) -> Weather:
    """The weather of a loop.

    kind: one of KINDS. photo, and how it looks in its style: uint8 [H,W,3].
    """
    made, falling = KINDS[kind], KINDS[kind].falling
    height, width = photo.shape[:2]
    rng = torch.Generator().manual_seed(SEED)
    blown = wind or Wind()
    across = math.cos(blown.angle) * blown.strength
    seconds = period / fps * speed
    paths = torch.zeros(0, 12)
    if falling is not None:
        paths = _paths(falling, strength, across, (height, width), seconds, rng)
    far = 1 - torch.exp(-made.density * strength * depth.at((height, width)))
    waves, cycles = _waves(across, (height, width), seconds, rng)
    return Weather(
        paths,
        waves,
        cycles,
        (far * 255).round().to(torch.uint8),
        period,
        (falling.exposure if falling else 0.0) * fps,
        (light(photo, depth.sky, made), light(styled, depth.sky, made)),
    )


def _paths(
    falling: Falling, strength: float, across: float, size: tuple[int, int], seconds: float, rng: torch.Generator
) -> Tensor:
    """[P,12]: of each flake its number on its path, cycles in the loop, phase, the path's start x and way across in one
    cycle, its top and fall in one cycle, sway, its turns in one cycle and their phase, radius, opacity."""
    height, width = size
    short = min(size)
    pad = 4 * falling.radius * short + 2
    length = height + 2 * pad + falling.speed * falling.exposure * short
    visible = falling.count * strength * (height * width / short**2) / DISTANCES

    def layer(near: float, far: float) -> Tensor:
        """Those between two distances; each path has so many flakes that it is full from end to end."""
        middle = (near + far) / 2
        way = falling.speed * short / middle**falling.slower * seconds
        cycles = max(1, math.ceil(way / (MAX_FALL * short)))
        paths = max(1, round(visible * way / cycles / length))

        def between(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(paths, generator=rng)

        z = between(near, far)
        fall = way / cycles * (middle / z) ** falling.slower * between(0.85, 1.15)
        x, phase = between(0, width + 2 * pad), between(0, 1)
        blown = falling.blown * across * fall * between(0.85, 1.15)
        sway = falling.sway * short / z * between(0.3, 1)
        turns, lag = seconds / cycles / between(1.6, 3.4), between(0, 1)
        wanted = falling.radius * short / z * between(0.7, 1.3)
        radius = wanted.clamp_min(falling.thinnest)
        focus = 0.35 + 0.65 * ((z - 1) / 1.5).clamp(0, 1)  # the nearest are out of it
        opacity = falling.opacity * (wanted / radius) ** 1.5 * focus * between(0.6, 1)
        links = (length / fall).ceil().long()
        same = torch.full((paths, 1), float(cycles)), torch.full((paths, 1), -pad)
        columns = torch.stack((phase, x, blown, fall, sway, turns, lag, radius, opacity), 1)
        rows = torch.cat((same[0], columns[:, :3], same[1], columns[:, 3:]), 1).repeat_interleave(links, 0)
        link = torch.arange(len(rows)) - (links.cumsum(0) - links).repeat_interleave(links)
        return torch.cat((link[:, None], rows), 1)

    edges = torch.linspace(1, falling.farthest**2, DISTANCES + 1).sqrt().tolist()
    return torch.cat([layer(near, far) for near, far in pairwise(edges)])


def _waves(
    across: float, size: tuple[int, int], seconds: float, rng: torch.Generator
) -> tuple[Tensor, tuple[int, ...]]:
    """`Weather.waves` and `Weather.cycles`."""
    short = min(size)
    cell = max(MIN_VEIL_CELL, short / VEIL_CELLS)
    gh, gw = (max(2, math.ceil(side / cell)) for side in size)
    y = (torch.arange(gh) + 0.5)[:, None] * (size[0] / gh / short)
    x = (torch.arange(gw) + 0.5) * (size[1] / gw / short)
    speed = math.copysign(CREEP, across) + FOG_WIND * across
    u = torch.rand(4, FOG_WAVES, generator=rng)
    wavelength = MIN_WAVELENGTH * (MAX_WAVELENGTH / MIN_WAVELENGTH) ** u[0]
    angle = (u[1] - 0.5) * math.pi * 0.8
    kx, ky = angle.cos() / wavelength, WISP_ASPECT * angle.sin() / wavelength
    count = (speed * seconds * kx).round().clamp(-CYCLES, CYCLES).long()
    amplitude = wavelength**0.7
    amplitude = amplitude * (PATCHY * math.sqrt(2) / amplitude.square().sum().sqrt())
    phase = 2 * math.pi * (kx[:, None, None] * x + ky[:, None, None] * y + u[2][:, None, None])
    cosine = amplitude[:, None, None] * phase.cos()
    sine = amplitude[:, None, None] * phase.sin()
    cycles = tuple(sorted({abs(int(n)) for n in count} - {0}))
    planes = [1 - PATCHY + cosine[count == 0].sum(0)]
    for n in cycles:
        here, back = count == n, count == -n
        planes += [cosine[here | back].sum(0), sine[here].sum(0) - sine[back].sum(0)]
    return torch.stack(planes), cycles


def light(picture: Tensor, sky: Tensor, kind: Kind) -> Light:
    """The light in a picture uint8 [H,W,3] with a sky [H,W] in [0,1]: that of the brighter half of its sky."""
    size = fit_short_side(sky.shape, 128)
    small, above = resize(picture.permute(2, 0, 1).float(), size), resize(sky[None].float(), size)[0]
    luma = (small * small.new_tensor(LUMA).view(3, 1, 1)).sum(0)
    white = float(luma.flatten().quantile(0.97))
    bright = above > 0.5
    if float(bright.float().mean()) < 0.02:
        bright = luma >= luma.flatten().quantile(0.85)
    bright &= luma >= luma[bright].median()
    sky_colour, grey = small[:, bright].mean(1), float(luma[bright].mean())
    veil = torch.lerp(sky_colour, sky_colour.new_full((3,), grey), 0.6)
    veil = veil * (max(grey, FOG_MIN_BRIGHTNESS * white) / max(grey, 1.0))  # under a blue sky too fog is bright
    shade = float((luma < SHADE * white).float().mean())
    veil = veil * (1 - kind.shade_loss * smoothstep(0.25, 0.65, shade))
    if (falling := kind.falling) is None:
        return Light(_colour(veil), _colour(veil))
    drops = torch.lerp(veil, veil.new_full((3,), white), falling.whiteness) * falling.brightness
    return Light(_colour(veil), _colour(drops))


def _colour(channels: Tensor) -> Colour:
    red, green, blue = channels.clamp(0, 250).tolist()
    return red, green, blue
