"""Pictures of cloth with known normals, in random textures, light and cameras.

Valleys are darker, since they see less of the sky: in real photos that distinguishes them from ridges where the
direction of the light does not. Finer folds than the simulated ones are reliefs of warped waves.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from labelled import photometric
from torch import Tensor


def render(normals: Tensor, mask: Tensor, rng: np.random.Generator) -> Tensor:
    """Photos [N,3,S,S] in [-1,1] of cloth with unit normals [N,3,S,S], which are 0 outside of the mask [N,1,S,S]."""
    return torch.stack([_photo(n, m, rng) for n, m in zip(normals, mask, strict=True)])


def _photo(normals: Tensor, mask: Tensor, rng: np.random.Generator) -> Tensor:
    size = mask.shape[-1]
    light = shading(normals, rng)
    photo = (albedo(normals, rng) * light).clamp_min(0)
    bright = photo.mean(0)[mask[0] > 0.5].sort().values if mask.any() else torch.ones(1)
    photo = photo / bright[int(0.97 * len(bright))].clamp_min(1e-3) * rng.uniform(0.35, 1.1)
    behind = _colour(rng) * (1 + 0.5 * smooth_noise(size, int(rng.integers(2, 12)), rng))
    photo = torch.where(mask > 0.5, photo, behind).clamp(0, 1) ** (1 / 2.2)
    return photometric(rng, photo) * 2 - 1


def shading(normals: Tensor, rng: np.random.Generator) -> Tensor:
    """Reflected light [3,S,S] from sun, sky and a second lamp, with gloss and soft shadows."""
    sun = _direction(rng)
    wrap = rng.uniform(0, 0.5)
    facing = _dot(normals, sun)
    direct = ((facing + wrap) / (1 + wrap)).clamp_min(0)
    if rng.random() < 0.2:  # translucent cloth
        direct = torch.maximum(direct, 0.7 * (-facing).clamp_min(0))
    sky = 0.5 + 0.5 * _dot(normals, torch.tensor([0.0, -1.0, 0.0]))
    second = _dot(normals, _direction(rng)).clamp_min(0)
    ambient, glow = rng.uniform(0.1, 0.8), rng.uniform(0, 0.4)
    height = relief(normals)
    size = height.shape[-1]
    valley = (blur(height, size * rng.uniform(0.02, 0.08)) - height).clamp_min(0) / (0.012 * size)
    open_sky = 1 - rng.uniform(0, 0.85) * valley.clamp(max=1)
    warm, cool = _tint(rng, 0.08), _tint(rng, 0.08)
    light = warm * rng.uniform(0.3, 1) * direct + cool * open_sky * (ambient * sky + ambient / 2 + glow * second)
    if rng.random() < 0.3:
        middle = F.normalize(sun + torch.tensor([0.0, 0.0, 1.0]), dim=0)
        light = light + rng.uniform(0.1, 0.8) * _dot(normals, middle).clamp_min(0) ** rng.uniform(8, 60)
    if rng.random() < 0.25:  # another object's shadow
        field = smooth_noise(size, int(rng.integers(2, 5)), rng) - rng.uniform(-0.3, 1)
        edge = torch.sigmoid(rng.uniform(3, 25) * field)
        light = light * (1 - rng.uniform(0.2, 0.7) * edge)
    return light


def albedo(normals: Tensor, rng: np.random.Generator) -> Tensor:
    """Colours of the fabric [3,S,S] in [0,1]: plain, stripes, checks, prints or patches, bent a little by the folds."""
    size = normals.shape[-1]
    y, x = _coordinates(size)
    bend = 0.05 * rng.uniform(0, 1)
    x, y = x + bend * normals[0], y + bend * normals[1]
    fabric = _colour(rng).expand(3, size, size)
    kind = rng.choice(["plain", "stripes", "checks", "print", "patches"], p=[0.25, 0.1, 0.1, 0.2, 0.35])
    if kind in ("stripes", "checks"):
        angle = rng.choice([0, math.pi / 2]) + rng.normal(0, 0.2)
        u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        fabric = _striped(fabric, u, rng)
        if kind == "checks":
            fabric = 0.5 * fabric + 0.5 * _striped(fabric, v, rng)
    elif kind == "print":
        for _ in range(rng.integers(1, 4)):
            spots = smooth_noise(size, int(rng.integers(3, 24)), rng) > rng.uniform(0.2, 1.2)
            fabric = torch.where(spots, _colour(rng), fabric)
    elif kind == "patches":
        for _ in range(rng.integers(1, 9)):
            fabric = torch.where(_patch(x, y, rng), _colour(rng), fabric)
    if rng.random() < 0.3:
        fabric = blur(fabric, rng.uniform(0.4, 2))
    grain = rng.uniform(0, 0.15) * smooth_noise(size, int(rng.integers(8, size)), rng)
    return (fabric * (1 + grain)).clamp(0.01, 1)


def random_folds(size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Normals [3,S,S] of a procedural relief of folds and the mask [1,S,S] of the cloth; normals are 0 outside."""
    mask = _random_mask(size, rng)
    height = torch.zeros(size, size)
    for _ in range(rng.integers(1, 4)):
        height = height + folds(size, rng.uniform(1.5, 8), rng) * rng.uniform(0.4, 1.5)
    if rng.random() < 0.6:
        height = height + 0.4 * folds(size, rng.uniform(6, 14), rng)
    height = height + size * rng.uniform(0, 0.12) * smooth_noise(size, 2, rng)[0]
    return add_slopes(torch.tensor([0.0, 0.0, 1.0])[:, None, None].expand(3, size, size), height) * mask, mask


def add_wrinkles(normals: Tensor, mask: Tensor, rng: np.random.Generator) -> Tensor:
    """The normals [3,S,S] with small folds, which a simulation of few particles lacks."""
    return add_slopes(normals, folds(normals.shape[-1], rng.uniform(5, 16), rng) * rng.uniform(0.1, 0.5)) * mask


def folds(size: int, waves: float, rng: np.random.Generator) -> Tensor:
    """A height in pixels [S,S]: folds along a line or out of a point, about `waves` per side, bent, in some places."""
    y, x = _coordinates(size)
    if rng.random() < 0.65:
        angle = rng.normal(0, 0.35) + (math.pi / 2 if rng.random() < 0.3 else 0)
        phase = x * math.cos(angle) + y * math.sin(angle)
    else:
        cx, cy = rng.uniform(-0.3, 1.3, 2)
        phase = torch.atan2(y - cy, x - cx) / 2
    bend = rng.uniform(0.03, 0.25) / waves**0.5 * smooth_noise(size, int(rng.integers(2, 6)), rng)[0]
    wave = torch.cos(2 * math.pi * (waves * (phase + bend) + rng.random()))
    sharpness = rng.uniform(0, 1)
    wave = (1 - sharpness) * wave + sharpness * (1 - 2 * (1 - wave.abs()).clamp_min(0) ** 0.8)
    place = torch.sigmoid(3 * (smooth_noise(size, int(rng.integers(2, 6)), rng)[0] + rng.uniform(-0.5, 1.5)))
    return blur(wave[None], 0.8)[0] * place * size / (2 * math.pi * waves) * rng.uniform(0.2, 1.0)


def add_slopes(normals: Tensor, height: Tensor) -> Tensor:
    """The unit normals [3,S,S] with the slopes of a height [S,S] in pixels added."""
    padded = F.pad(height[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    dx, dy = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2, (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
    front = normals[2].clamp_min(0.05)
    return F.normalize(torch.stack([normals[0] - dx * front, normals[1] - dy * front, front]), dim=0)


def relief(normals: Tensor) -> Tensor:
    """The height [1,S,S] in pixels whose slopes fit the normals best (Frankot and Chellappa 1988)."""
    size = normals.shape[-1]
    front = normals[2].clamp_min(0.15)
    dx, dy = (torch.fft.rfft2(-normals[i] / front) for i in range(2))
    fy = 2 * math.pi * torch.fft.fftfreq(size)[:, None]
    fx = 2 * math.pi * torch.fft.rfftfreq(size)[None]
    spectrum = -1j * (fx * dx + fy * dy) / (fx**2 + fy**2).clamp_min(1e-6)
    return torch.fft.irfft2(spectrum, s=(size, size))[None]


def smooth_noise(size: int, cells: int, rng: np.random.Generator) -> Tensor:
    """Gaussian noise [1,S,S] of standard deviation about 1, interpolated between `cells` values per side."""
    coarse = torch.from_numpy(rng.normal(0, 1.3, (1, 1, cells, cells)).astype(np.float32))
    return F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False)[0]


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [C,S,S], the border repeated."""
    radius = math.ceil(2.5 * sigma)
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    image = F.pad(image[:, None], (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(image, kernel), kernel.transpose(2, 3))[:, 0]


def _coordinates(size: int) -> tuple[Tensor, Tensor]:
    """y, x [S,S] of the pixel centres, in fractions of the side."""
    y, x = torch.meshgrid(*[(torch.arange(size) + 0.5) / size] * 2, indexing="ij")
    return y, x


def _dot(normals: Tensor, direction: Tensor) -> Tensor:
    return (normals * direction[:, None, None]).sum(0, keepdim=True)


def _direction(rng: np.random.Generator) -> Tensor:
    """Unit vector towards a light, mostly above and on the viewer's side."""
    direction = np.array([rng.normal(0, 0.8), -abs(rng.normal(0.5, 0.5)), abs(rng.normal(0.6, 0.5))])
    return F.normalize(torch.from_numpy(direction.astype(np.float32)), dim=0)


def _tint(rng: np.random.Generator, deviation: float) -> Tensor:
    return torch.from_numpy(np.exp(rng.normal(0, deviation, (3, 1, 1))).astype(np.float32))


def _colour(rng: np.random.Generator) -> Tensor:
    """A linear colour [3,1,1]; white and pale ones are frequent."""
    grey = rng.uniform(0.02, 0.9) ** 1.5
    saturation = rng.uniform(0, 1) ** 1.5
    colour = grey * (1 - saturation) + saturation * rng.random((3, 1, 1)) ** 1.5
    return torch.from_numpy(colour.astype(np.float32))


def _striped(fabric: Tensor, along: Tensor, rng: np.random.Generator) -> Tensor:
    position = (along * rng.uniform(2, 16) + rng.random()) % 1
    for _ in range(rng.integers(1, 4)):
        at, width = rng.random(), rng.uniform(0.05, 0.5)
        fabric = torch.where(((position - at) % 1 < width)[None], _colour(rng), fabric)
    return fabric


def _patch(x: Tensor, y: Tensor, rng: np.random.Generator) -> Tensor:
    """An ellipse, a ring, a bar, a cross or a half plane, bool [1,S,S]."""
    cx, cy = rng.random(2)
    angle = rng.uniform(0, math.pi)
    u = (x - cx) * math.cos(angle) + (y - cy) * math.sin(angle)
    v = (y - cy) * math.cos(angle) - (x - cx) * math.sin(angle)
    a, b = rng.uniform(0.02, 0.3, 2)
    radius = (u / a) ** 2 + (v / b) ** 2
    inside = [radius < 1, (radius < 1) & (radius > 0.6), (u.abs() < a) & (v.abs() < b),
              (u.abs() < a) & (v.abs() < 0.03) | (v.abs() < b) & (u.abs() < 0.03), u > 0]
    return inside[rng.integers(len(inside))][None]


def _random_mask(size: int, rng: np.random.Generator) -> Tensor:
    """The mask [1,S,S] of a piece of cloth: a bent quadrilateral, the whole view, or a blob."""
    y, x = _coordinates(size)
    kind = rng.random()
    if kind < 0.25:
        return torch.ones(1, size, size)
    if kind < 0.5:
        blob = smooth_noise(size, 4, rng)[0] - 6 * ((x - 0.5) ** 2 + (y - 0.5) ** 2) + 0.8
        return (blob > 0)[None].float() if (blob > 0).float().mean() > 0.1 else torch.ones(1, size, size)
    wave = 0.03 * smooth_noise(size, 4, rng)[0]
    inside = torch.ones(size, size, dtype=torch.bool)
    for turn in (0, 0.5, 1, 1.5):
        angle = math.pi * turn + rng.normal(0, 0.15)
        inside &= (x - 0.5) * math.cos(angle) + (y - 0.5) * math.sin(angle) + wave < rng.uniform(0.25, 0.44)
    return inside[None].float()
