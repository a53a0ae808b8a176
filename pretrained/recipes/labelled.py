"""Labelled photos, shrunk, and random views of them: crops, mirror images, other light, worse cameras, mixtures."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from data import Sample, decode, folder_entries, packed_entries
from PIL import Image
from torch import Tensor


def read_small(path: Path, split: str, long_side: int = 768) -> list[Sample]:
    """As `data.load`, but shrunk one by one, so that memory holds only the small ones."""
    entries = packed_entries(path) if path.suffix == ".npz" else folder_entries(path, split)
    return [shrunk(decode(*entry), long_side) for entry in entries]


def shrunk(sample: Sample, long_side: int) -> Sample:
    h, w = sample.label.shape
    scale = min(1.0, long_side / max(h, w))
    size = (round(h * scale), round(w * scale))
    photo = F.interpolate(sample.photo[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
    label = F.interpolate(sample.label[None, None], size, mode="nearest-exact")[0, 0]
    return replace(sample, photo=photo, label=label)


@dataclass(frozen=True)
class View:
    """A random affine look at a photo: where each pixel of the view reads it."""

    grid: Tensor  # [1,h,w,2] for grid_sample
    matrix: np.ndarray  # [2,3]: view coordinates in [-1,1] -> photo coordinates in [-1,1]


def random_view(
    rng: np.random.Generator,
    size: tuple[int, int],
    smallest: float = 0.45,
    tilt: float = 4.0,
    whole: float = 0.3,
    around: tuple[float, float] | None = None,
) -> View:
    """The whole photo at this probability, else a crop of `smallest`..1 of each side; mirrored half the time and
    turned by up to `tilt` degrees. `size` is (H, W) of what the view shows. around: x and y in [-1,1], a place that it
    is to show, if not any."""
    side = 1.0 if rng.random() < whole else math.exp(rng.uniform(math.log(smallest), 0))
    stretch = math.exp(rng.uniform(-0.25, 0.25))
    sx, sy = min(1.0, side * stretch), min(1.0, side / stretch)
    cx, cy = rng.uniform(-1 + sx, 1 - sx), rng.uniform(-1 + sy, 1 - sy)
    if around is not None:  # as far from the middle as half way to the border
        x, y = around[0] + sx * rng.uniform(-0.5, 0.5), around[1] + sy * rng.uniform(-0.5, 0.5)
        cx, cy = min(max(x, -1 + sx), 1 - sx), min(max(y, -1 + sy), 1 - sy)
    angle = math.radians(rng.normal() * tilt / 2) if rng.random() < 0.5 else 0.0
    flip = -1.0 if rng.random() < 0.5 else 1.0
    c, s = math.cos(angle), math.sin(angle)
    matrix = np.array([[sx * c * flip, -sx * s, cx], [sy * s * flip, sy * c, cy]], np.float32)
    grid = F.affine_grid(torch.from_numpy(matrix)[None], [1, 1, *size], align_corners=False)
    return View(grid, matrix)


def look(view: View, image: Tensor, mode: str = "bilinear") -> Tensor:
    """image [C,H,W] as the view shows it, [C,h,w]; past its border it is mirrored."""
    return F.grid_sample(image[None], view.grid, mode=mode, padding_mode="reflection", align_corners=False)[0]


def photometric(rng: np.random.Generator, photo: Tensor) -> Tensor:
    """photo [3,H,W] in [0,1] under other light and from worse cameras, [3,H,W] in [0,1]."""
    h = photo.shape[-2]
    photo = photo * torch.tensor(np.exp(rng.normal(0, 0.07, (3, 1, 1))), dtype=torch.float32)
    photo = photo.clamp_min(0) ** math.exp(rng.normal(0, 0.25))
    grey = photo.mean(0, keepdim=True)
    photo = grey + (photo - grey) * (0.0 if rng.random() < 0.08 else math.exp(rng.normal(0, 0.3)))
    photo = (photo - 0.5) * math.exp(rng.normal(0, 0.15)) + 0.5 + rng.normal(0, 0.05)
    if rng.random() < 0.15:  # haze, thicker in the distance
        veil = torch.linspace(rng.uniform(0.1, 0.6), rng.uniform(0, 0.3), h)[None, :, None]
        photo = photo + (rng.uniform(0.6, 0.95) - photo) * veil
    if rng.random() < 0.2:
        photo = _blur(photo, rng.uniform(0.4, 1.6))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(0.005, 0.04), photo.shape)
        photo = photo + torch.from_numpy(noise.astype(np.float32))
    photo = photo.clamp(0, 1)
    return _jpeg(photo, int(rng.integers(30, 90))) if rng.random() < 0.3 else photo


def relit(rng: np.random.Generator, photo: Tensor, label: Tensor) -> Tensor:
    """photo [3,H,W] in [0,1] with one of its classes (label [H,W]) in a light of its own: pale, dark or tinted."""
    place = (label == int(rng.choice(label.unique().numpy()))).float()[None]
    place = _blur(place, rng.uniform(0.7, 3))
    tint = torch.tensor(np.exp(rng.normal(0, 0.18, (3, 1, 1)) + rng.normal(0, 0.25)), dtype=torch.float32)
    other = (photo * tint).clamp(0, 1) ** math.exp(rng.normal(0, 0.45))
    grey = other.mean(0, keepdim=True)
    other = grey + (other - grey) * rng.uniform(0.1, 1.4)
    return (photo + place * (other - photo)).clamp(0, 1)


def unfocused(rng: np.random.Generator, photo: Tensor, label: Tensor) -> Tensor:
    """photo [3,H,W] in [0,1] as a lens of little depth of field shows it: one of its classes (label [H,W]), or all
    that is far from a place, strongly blurred."""
    h, w = label.shape
    if rng.random() < 0.5:
        blurred = (label == int(rng.choice(label.unique().numpy()))).float()
    else:
        y, x = torch.meshgrid(torch.linspace(0, 1, h), torch.linspace(0, 1, w), indexing="ij")
        distance = torch.hypot(y - rng.random(), x - rng.random())
        blurred = ((distance - rng.uniform(0.05, 0.4)) / 0.15).clamp(0, 1)
    soft = _defocused(photo, float(rng.uniform(4, 16)))
    return photo + _blur(blurred[None], 2.0) * (soft - photo)


def tinted(rng: np.random.Generator, photo: Tensor) -> Tensor:
    """photo [3,H,W] in [0,1] in coloured and often dim light: dusk, dawn, blue hour, sepia, a designer's filter."""
    tint = torch.tensor(np.exp(rng.normal(0, 0.35, (3, 1, 1))), dtype=torch.float32)
    grey = photo.mean(0, keepdim=True)
    faded = grey + (photo - grey) * rng.uniform(0.0, 1.0)
    return (faded * tint / tint.mean()).clamp(0, 1) ** math.exp(max(0.0, rng.normal(0.1, 0.4)))


def spattered(rng: np.random.Generator, photo: Tensor, place: Tensor) -> Tensor:
    """photo [3,H,W] in [0,1] with what lies in `place` [H,W] as a short exposure shows white water: drops, foam and
    gaps of all sizes, instead of the veils of a long one."""
    veil = _blur(_blur(photo, 4.0), 4.0)
    grey = veil.mean(0, keepdim=True)
    veil = grey + (veil - grey) * rng.uniform(0.2, 0.9)
    drops = torch.zeros_like(grey)
    for size in (0.5, 0.9, 1.6, 3.0):
        noise = _blur(torch.from_numpy(rng.normal(0, 1, grey.shape).astype(np.float32)), size)
        drops += rng.uniform(0, 1) * noise / noise.std()
    drops = (drops / drops.std() * rng.uniform(0.2, 0.6)).exp()
    shown = veil * (drops / drops.mean()) ** rng.uniform(0.5, 1.2)
    share = rng.uniform(0.4, 1.0) * _blur(place[None].float(), rng.uniform(0.7, 2.0))
    return (photo + share * (shown - photo)).clamp(0, 1)


def transplanted(
    rng: np.random.Generator, photo: Tensor, label: Tensor, other: Tensor, other_label: Tensor
) -> tuple[Tensor, Tensor]:
    """Half of the other photo's classes pasted over this one (ClassMix, Olsson et al. 2021): what a place is
    has to be seen in the place itself, not only guessed from where it lies."""
    present = other_label.unique().numpy()
    chosen = rng.choice(present, max(1, len(present) // 2), replace=False)
    place = torch.isin(other_label, torch.from_numpy(chosen))
    share = _blur(place[None].float(), rng.uniform(0.5, 1.5))
    return photo + share * (other - photo), torch.where(place, other_label, label)


def pasted(rng: np.random.Generator, photo: Tensor, other: Tensor, place: Tensor) -> tuple[Tensor, float]:
    """What lies in `place`, bool [H,W], of another photo pasted over this one, both [3,H,W] in [0,1] (copy-paste,
    Ghiasi et al. 2021), half the time in more of its light; and over how many pixels this one is blurred behind it: 1
    half the time, else up to 20."""
    wide = 1.0 if rng.random() < 0.5 else math.exp(rng.uniform(math.log(2), math.log(20)))
    if wide > 1:
        photo = _defocused(photo, wide)
    if rng.random() < 0.5:
        gain = (photo.mean((1, 2)) / other.mean((1, 2)).clamp_min(0.02)).clamp(0.5, 2)[:, None, None]
        other = (other * gain ** float(rng.uniform(0, 1))).clamp(0, 1)
    share = _blur(place[None].float(), rng.uniform(0.6, 1.5))
    return photo + share * (other - photo), wide


def _defocused(photo: Tensor, wide: float) -> Tensor:
    """photo [3,H,W] in [0,1], blurred over so many pixels."""
    h, w = photo.shape[-2:]
    small = F.interpolate(photo[None], (max(2, int(h / wide)), max(2, int(w / wide))), mode="area")[0]
    return F.interpolate(_blur(small, 0.8)[None], (h, w), mode="bicubic", align_corners=False)[0].clamp(0, 1)


def _blur(image: Tensor, sigma: float) -> Tensor:
    x = torch.arange(-4, 5, dtype=torch.float32)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(image.shape[0], 1, 1, 9)
    image = F.conv2d(F.pad(image[None], (4, 4, 4, 4), mode="reflect"), kernel, groups=image.shape[0])
    return F.conv2d(image, kernel.transpose(2, 3), groups=image.shape[1])[0]


def _jpeg(image: Tensor, quality: int) -> Tensor:
    buffer = io.BytesIO()
    Image.fromarray((image * 255).byte().permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float() / 255
