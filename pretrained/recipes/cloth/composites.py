"""Simulated cloth pasted over landscapes, with poles, and with things that are no cloth pasted in the same way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cloth.rendered import add_slopes, add_wrinkles, albedo, blur, shading, smooth_noise
from labelled import look, photometric, random_view
from torch import Tensor

SIZE = (448, 672)  # of a composite
PHASES = (0, 5, 11)  # of each clip
MAX_FIXED_TRAVEL = 0.004  # of the view's side: cloth that never moves further is fixed
MAX_RENDERED = 384  # pixels; larger pieces are enlarged
CLOTHES_SHARE = 0.4  # of the simulated dresses and capes are used
WIDE_SHARE = 0.5  # of the banners are stretched to up to three times their width, as banners between posts are
FILLING_SHARE = 0.2  # of the composites have one banner that fills most of the view
GAMMA = 2.2
# linear: reds, blues, whites, greens, yellow, orange, black, sky blue, purple
FLAG_COLOURS = np.array([
    (0.7, 0.02, 0.03), (0.75, 0.03, 0.05), (0.02, 0.05, 0.4), (0.01, 0.02, 0.15), (0.85, 0.85, 0.85), (0.9, 0.9, 0.88),
    (0.01, 0.2, 0.05), (0.02, 0.35, 0.1), (0.85, 0.6, 0.02), (0.8, 0.3, 0.02), (0.02, 0.02, 0.02), (0.05, 0.35, 0.7),
    (0.3, 0.02, 0.3)])  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """One simulated clip at some phases: normals int8 [P,3,R,R], visible bool [P,R,R], held bool [R,R] in the first."""

    kind: str
    normals: Tensor
    visible: Tensor
    held: Tensor


@dataclass(frozen=True)
class Piece:
    """A square with cloth: linear colours [3,S,S], opacity [1,S,S], and the ends of the line that holds it, if any."""

    kind: str
    colours: Tensor
    opacity: Tensor
    line: tuple[Tensor, Tensor] | None


def load_clips(folder: Path, split: str) -> list[Clip]:
    """The clips of one split. ValueError if there are none."""
    clips = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as shard:
            phases = [phase % shard["visible"].shape[1] for phase in PHASES]
            normals, visible = (torch.from_numpy(shard[name][:, phases]) for name in ("normals", "visible"))
            travel = np.square(shard["displacement"].astype(np.float32)).sum(2).max(1)
            held = torch.from_numpy(travel < MAX_FIXED_TRAVEL**2) & visible.all(1)
            parts = zip(shard["kind"], shard["split"], normals, visible, held, strict=True)
            clips += [Clip(str(kind), *maps) for kind, own, *maps in parts if own == split]
    if not clips:
        raise ValueError(f"{folder} has no clips of the split {split}")
    return clips


class Composites:
    """Random composites of landscapes, uint8 [3,H,W] each, and clips."""

    def __init__(self, photos: list[Tensor], clips: list[Clip], seed: int) -> None:
        self.photos, self.clips, self.rng = photos, clips, np.random.default_rng(seed)

    def __call__(self) -> tuple[Tensor, Tensor]:
        """A picture uint8 [3,448,672] and how much of each pixel is cloth, float32 [448,672]."""
        rng = self.rng
        photo = self.photos[rng.integers(len(self.photos))].float() / 255
        picture = look(random_view(rng, SIZE, 0.35, whole=0.45), photo).clamp(0, 1) ** GAMMA
        bright = float(torch.quantile(picture.mean(0).flatten()[::7], 0.95))
        self.light = float(np.clip(bright / 0.8, 0.12, 1)) * rng.uniform(0.7, 1.15)
        mean = picture.mean((1, 2))
        self.tint = ((mean / mean.mean().clamp_min(1e-3)) ** rng.uniform(0, 0.4))[:, None, None]
        self.picture, self.cloth = picture, torch.zeros(1, *SIZE)
        for _ in range(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1])):
            self._paste_something_else() if rng.random() < 0.8 else self._draw_bare_pole()
        if rng.random() < FILLING_SHARE:
            self._paste_banner()
            return self._finished()
        count = rng.choice([0, 1, 2, 3, 5], p=[0.3, 0.4, 0.15, 0.1, 0.05])
        size = math.exp(rng.uniform(math.log(36), math.log(800)))
        for _ in range(count):
            own = size * math.exp(rng.normal(0, 0.25)) if count > 1 else size
            self._paste_cloth(int(np.clip(own, 28, 900)))
            if rng.random() < 0.12:
                self._paste_something_else()
        return self._finished()

    def _finished(self) -> tuple[Tensor, Tensor]:
        picture = photometric(self.rng, self.picture.clamp(0, 1) ** (1 / GAMMA))
        return (255 * picture.clamp(0, 1)).byte(), self.cloth[0]

    def _paste_banner(self) -> None:
        """One banner or curtain, 0.4 to 1.1 of the view wide, with posts, a beam or ropes."""
        rng, (height, width) = self.rng, SIZE
        hung = [clip for clip in self.clips if clip.kind in ("banner", "curtain")] or self.clips
        piece = cloth_piece(hung, int(rng.uniform(0.4, 1.0) * height / 0.7), rng)
        columns = torch.nonzero(piece.opacity[0] > 0.5, as_tuple=True)[1]
        across = rng.uniform(0.4, 1.1) * width / (int(columns.max() - columns.min()) + 1)
        piece = stretched(piece, max(0.6, across))
        spare = [n - m for n, m in zip(SIZE, piece.opacity.shape[1:], strict=True)]
        y, x = (int(rng.uniform(0.2, 0.8) * n) for n in spare)
        if rng.random() < 0.8:
            self._draw_supports(piece.opacity, x, y, piece.opacity.shape[2])
        self._paste_lit(piece, x, y)

    def _paste_cloth(self, size: int) -> None:
        rng, (height, width) = self.rng, SIZE
        piece = cloth_piece(self.clips, size, rng)
        if piece.kind == "banner" and rng.random() < WIDE_SHARE:
            piece = stretched(piece, rng.uniform(1.2, 3))
        least, most = ((-0.5, -0.5), (-0.4, -0.5)) if size > 500 else ((-0.15, -0.85), (-0.1, -0.9))
        x = int(rng.uniform(least[0] * size, width + least[1] * size))
        y = int(rng.uniform(most[0] * size, height + most[1] * size))
        if piece.kind == "flag" and piece.line is not None and rng.random() < 0.85:
            self._draw_flagpole(piece.line, torch.tensor([float(x), float(y)]), size)
        elif piece.kind == "banner" and rng.random() < 0.6:
            self._draw_supports(piece.opacity, x, y, size)
        self._paste_lit(piece, x, y)

    def _paste_lit(self, piece: Piece, x: int, y: int) -> None:
        opacity = blur(piece.opacity, self.rng.uniform(0.4, 0.9))
        self.cloth = torch.maximum(self.cloth, self._paste(piece.colours * self.light * self.tint, opacity, x, y))

    def _draw_flagpole(self, line: tuple[Tensor, Tensor], corner: Tensor, size: int) -> None:
        top, bottom = sorted((end + corner for end in line), key=lambda end: float(end[1]))
        along = F.normalize(bottom - top, dim=0)
        if abs(float(along[1])) > 0.5 or self.rng.random() < 0.5:
            above, below = size * self.rng.uniform(0.01, 0.12), size * self.rng.uniform(0.3, 4)
            self._draw_pole(top - along * above, bottom + along * below, size * self.rng.uniform(0.012, 0.05))

    def _draw_supports(self, opacity: Tensor, x: int, y: int, size: int) -> None:
        """Two posts, a beam along the top, or ropes at the corners."""
        rows, columns = torch.nonzero(opacity[0] > 0.5, as_tuple=True)
        if not len(rows):
            return
        left, right = float(columns.min()) + x, float(columns.max()) + x
        top, bottom = float(rows.min()) + y, float(rows.max()) + y
        thickness = size * self.rng.uniform(0.01, 0.05)
        kind = self.rng.random()
        if kind < 0.2:
            for corner, away in ((left, -1), (right, 1)):
                for edge in (top, bottom):
                    far = torch.tensor([corner + away * size * self.rng.uniform(0.1, 0.5),
                                        edge + size * self.rng.normal(0, 0.1)])
                    self._draw_pole(torch.tensor([corner - 3 * away, edge]), far, 2.0)
        elif kind < 0.6:
            away = size * self.rng.choice([0.0, 0.03, 0.08])
            for post in (left - away, right + away):
                end = bottom + size * self.rng.uniform(0, 2)
                self._draw_pole(torch.tensor([post, top - 0.1 * size]), torch.tensor([post, end]), thickness)
        else:
            ends = left - size * self.rng.uniform(0, 0.5), right + size * self.rng.uniform(0, 0.5)
            self._draw_pole(torch.tensor([ends[0], top]), torch.tensor([ends[1], top]), thickness)

    def _draw_bare_pole(self) -> None:
        rng, (height, width) = self.rng, SIZE
        x, y = rng.uniform(0, width), rng.uniform(0, 0.7 * height)
        foot = torch.tensor([x + rng.normal(0, 10), rng.uniform(y, 1.3 * height)])
        self._draw_pole(torch.tensor([x, y]), foot, rng.uniform(1.5, 10))

    def _draw_pole(self, start: Tensor, end: Tensor, thickness: float) -> None:
        """Something round from one point to another, x and y in pixels."""
        rng, thickness = self.rng, max(1.2, thickness)
        y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in SIZE), indexing="ij")
        length = (end - start).norm().clamp_min(1e-3)
        dx, dy = (end - start) / length
        along, across = (x - start[0]) * dx + (y - start[1]) * dy, (y - start[1]) * dx - (x - start[0]) * dy
        opacity = (thickness / 2 - across.abs() + 0.5).clamp(0, 1) * ((along > 0) & (along < length))
        side = (across / (thickness / 2)).clamp(-1, 1)
        colour = torch.from_numpy(rng.choice([0.02, 0.1, 0.3, 0.7]) * np.exp(rng.normal(0, 0.1, (3, 1, 1)))).float()
        lit = 0.4 + 0.6 * (1 - (side - rng.uniform(-0.7, 0.7)) ** 2).clamp_min(0)
        self.picture = self.picture * (1 - opacity) + opacity * colour * lit * self.light

    def _paste_something_else(self) -> None:
        rng, (height, width) = self.rng, SIZE
        size = int(math.exp(rng.uniform(math.log(24), math.log(420))))
        other = self.photos[rng.integers(len(self.photos))].float() / 255
        colours, opacity = no_cloth(size, other, rng)
        tint = self.tint if rng.random() < 0.5 else 1.0
        x, y = (int(rng.uniform(-0.3 * size, n - 0.7 * size)) for n in (width, height))
        covered = self._paste(colours * self.light * tint, opacity, x, y)
        self.cloth = self.cloth * (1 - covered)

    def _paste(self, colours: Tensor, opacity: Tensor, x: int, y: int) -> Tensor:
        """Over the picture, its top left corner at x, y. Returns how much each pixel is covered, [1,H,W]."""
        covered, layer = torch.zeros_like(self.cloth), torch.zeros_like(self.picture)
        height, width = SIZE
        top, bottom = max(0, y), min(height, y + opacity.shape[1])
        left, right = max(0, x), min(width, x + opacity.shape[2])
        if top < bottom and left < right:
            inside = (slice(None), slice(top - y, bottom - y), slice(left - x, right - x))
            covered[:, top:bottom, left:right], layer[:, top:bottom, left:right] = opacity[inside], colours[inside]
        self.picture = self.picture * (1 - covered) + covered * layer
        return covered


def cloth_piece(clips: list[Clip], size: int, rng: np.random.Generator) -> Piece:
    """A random clip at one phase, printed and lit at random, in a square of that many pixels."""
    while True:
        clip, phase = clips[rng.integers(len(clips))], int(rng.integers(len(PHASES)))
        rare = clip.kind in ("dress", "cape", "skirt") and rng.random() > CLOTHES_SHARE
        if not rare and clip.visible[phase].float().mean() > 0.03:
            break
    side = min(MAX_RENDERED, max(128, size))
    seen = clip.visible[phase].float()
    opacity = F.interpolate(seen[None, None], (side, side), mode="bilinear", align_corners=False)[0].clamp(0, 1)
    normals = (clip.normals[phase].float() * seen)[None]
    normals = F.normalize(F.interpolate(normals, (side, side), mode="bilinear", align_corners=False)[0], dim=0)
    held = clip.held
    if rng.random() < 0.5:
        normals = normals.flip(2) * torch.tensor([-1.0, 1, 1])[:, None, None]
        opacity, held = opacity.flip(2), held.flip(1)
    mask = (opacity > 0.5).float()
    normals = normals * mask
    if rng.random() < 0.7:
        normals = add_wrinkles(normals, mask, rng)
    light = shading(normals, rng)
    fabric = flag(*_on_cloth(mask, normals, rng), rng) if rng.random() < 0.85 else albedo(normals, rng)
    bright = torch.quantile(light.mean(0)[mask[0] > 0.5], 0.97).clamp_min(1e-3)
    colours = (fabric * light).clamp_min(0) / bright * rng.uniform(0.6, 1.25)
    if size != side:
        colours, opacity = (
            F.interpolate(x[None], (size, size), mode="bilinear", antialias=size < side, align_corners=False)[0]
            for x in (colours, opacity)
        )
    if size > 128:  # sharp outlines again
        opacity = ((opacity - 0.5) * size / 64 + 0.5).clamp(0, 1)
    return Piece(clip.kind, colours, opacity, _line_through(held, size))


def stretched(piece: Piece, across: float) -> Piece:
    """The piece, wider by that factor."""
    height, width = piece.opacity.shape[1], max(8, round(piece.opacity.shape[2] * across))
    colours, opacity = (
        F.interpolate(x[None], (height, width), mode="bilinear", antialias=across < 1, align_corners=False)[0]
        for x in (piece.colours, piece.opacity)
    )
    opacity = ((opacity - 0.5) * max(1.0, across) + 0.5).clamp(0, 1)
    line = piece.line and tuple(end * torch.tensor([across, 1.0]) for end in piece.line)
    return Piece(piece.kind, colours, opacity, line)  # type: ignore[arg-type]


def _line_through(held: Tensor, size: int) -> tuple[Tensor, Tensor] | None:
    """The ends of the line along which cloth is held; None if it is not held along a line."""
    rows, columns = torch.nonzero(held, as_tuple=True)
    if len(rows) < 6:
        return None
    points = torch.stack([columns, rows], 1).float() * size / held.shape[0]
    centre = points.mean(0)
    _, spread, axes = torch.linalg.svd(points - centre, full_matrices=False)
    if spread[1] > 0.2 * spread[0]:
        return None
    along = (points - centre) @ axes[0]
    return centre + axes[0] * along.min(), centre + axes[0] * along.max()


def _on_cloth(mask: Tensor, normals: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Coordinates [S,S] in [0,1] across and down the cloth, so that a print sags and bends with it."""
    inside, size = mask[0] > 0.5, mask.shape[-1]
    rows, columns = torch.nonzero(inside, as_tuple=True)
    y, x = torch.meshgrid(torch.arange(size).float(), torch.arange(size).float(), indexing="ij")
    u = (x - columns.min()) / (columns.max() - columns.min() + 1)
    v = (y - rows.min()) / (rows.max() - rows.min() + 1)
    there = inside.any(0)
    top = torch.where(there, inside.float().argmax(0), rows.min()).float()
    bottom = torch.where(there, size - 1 - inside.flip(0).float().argmax(0), rows.max()).float()
    window = max(3, size // 12) | 1
    padded = F.pad(torch.stack([top, bottom]), (window // 2,) * 2, mode="replicate")
    top, bottom = F.avg_pool1d(padded, window, 1)
    sag, bend = rng.uniform(0.2, 1), rng.uniform(0, 0.12)
    v = sag * (y - top) / (bottom - top + 1) + (1 - sag) * v
    return (u + bend * normals[0]).clamp(0, 1), (v + bend * normals[1]).clamp(0, 1)


def flag(u: Tensor, v: Tensor, rng: np.random.Generator) -> Tensor:
    """A random design [3,S,S] at coordinates [S,S] in [0,1]: bars, stripes, crosses, emblems, rows of marks."""
    colours = _field(u, v, rng)
    if rng.random() < 0.5:
        x, y = (0.5, 0.5) if rng.random() < 0.5 else rng.uniform(0.2, 0.8, 2)
        radius, shape = rng.uniform(0.07, 0.33), rng.random()
        distance, angle = ((u - x) ** 2 + (v - y) ** 2).sqrt(), torch.atan2(v - y, u - x)
        star = 0.55 + 0.45 * torch.cos(angle * int(rng.integers(3, 9)) + rng.uniform(0, 6))
        emblem = (
            distance < radius if shape < 0.35
            else distance < radius * star if shape < 0.6
            else (distance < radius) & (distance > 0.7 * radius) if shape < 0.8
            else ((u - x).abs() < 1.4 * radius) & ((v - y).abs() < 0.6 * radius)
        )  # fmt: skip
        colours = torch.where(emblem, _colour(rng), colours)
        if rng.random() < 0.4:
            colours = torch.where(distance < 0.45 * radius, _colour(rng), colours)
    if rng.random() < 0.2:
        colours = _blotted(colours, u, v, rng)
    return _marked(colours, u, v, rng) if rng.random() < 0.35 else colours


def _blotted(colours: Tensor, u: Tensor, v: Tensor, rng: np.random.Generator) -> Tensor:
    """Blots of many colours or one all over the cloth, like painted hands, flowers or signatures."""
    count, one = int(rng.integers(10, 110)), _colour(rng) if rng.random() < 0.3 else None
    radius = rng.uniform(0.25, 0.6) / math.sqrt(count)
    for x, y in rng.uniform(0.02, 0.98, (count, 2)):
        distance, angle = ((u - x) ** 2 + (v - y) ** 2).sqrt(), torch.atan2(v - y, u - x)
        lobes = 0.6 + 0.4 * torch.cos(angle * int(rng.integers(2, 9)) + rng.uniform(0, 6))
        blot = distance < radius * rng.uniform(0.5, 1.2) * lobes
        colours = torch.where(blot, _colour(rng) if one is None else one, colours)
    return colours


def _field(u: Tensor, v: Tensor, rng: np.random.Generator) -> Tensor:
    colours = _colour(rng).expand(3, *u.shape)

    def fill(place: Tensor) -> None:
        nonlocal colours
        colours = torch.where(place, _colour(rng), colours)

    kinds = ("plain", "bars", "stripes", "cross", "diagonal", "canton", "triangle", "border", "quarters")
    kind = rng.choice(kinds, p=[0.2, 0.28, 0.12, 0.1, 0.05, 0.1, 0.05, 0.05, 0.05])
    along = v if rng.random() < 0.5 else u
    if kind == "bars":
        count = int(rng.integers(2, 4))
        edges = np.sort(rng.uniform(0.2, 0.8, count - 1)) if rng.random() < 0.3 else np.arange(1, count) / count
        for edge in edges:
            fill(along > edge)
    elif kind == "stripes":
        fill((along * int(rng.integers(5, 15))).floor() % 2 == 1)
        if rng.random() < 0.6:
            fill((u < 0.4) & (v < 0.53))
    elif kind == "cross":
        centre, width = rng.choice([0.36, 0.5]), rng.uniform(0.05, 0.14)
        for arm in (1.6 * width, 0.8 * width):
            fill(((u - centre).abs() < arm) | ((v - 0.5).abs() < 1.3 * arm))
        if rng.random() < 0.3:
            fill(((u - v).abs() < 0.6 * width) | ((u + v - 1).abs() < 0.6 * width))
    elif kind == "diagonal":
        fill(u * rng.choice([-1, 1]) + v > rng.uniform(-0.2, 0.9))
    elif kind == "canton":
        fill((u < 0.5) & (v < 0.5))
    elif kind == "triangle":
        fill(u < 0.5 - (v - 0.5).abs())
    elif kind == "border":
        fill(torch.minimum(torch.minimum(u, 1 - u), torch.minimum(v, 1 - v)) < rng.uniform(0.04, 0.15))
    elif kind == "quarters":
        fill(v > 0.5)
        fill(u < 0.35)
    return colours


def _marked(colours: Tensor, u: Tensor, v: Tensor, rng: np.random.Generator) -> Tensor:
    """Rows of marks, like letters, stars or hands, in a rectangle of the cloth."""
    shape = rows, columns = int(rng.integers(1, 8)), int(rng.integers(3, 12))
    (left, right), (top, bottom) = np.sort(rng.uniform(0, 1, (2, 2)), 1)
    if right - left < 0.15 or bottom - top < 0.08:
        return colours
    x, y = (u - left) / (right - left) * columns, (v - top) / (bottom - top) * rows
    inside = (x > 0) & (x < columns) & (y > 0) & (y < rows)
    cell = y.clamp(0, rows - 0.01).long(), x.clamp(0, columns - 0.01).long()
    width = torch.from_numpy(np.float32(rng.uniform(0.15, 0.45, shape) * (rng.random(shape) < 0.8)))[cell]
    mark = inside & ((x - x.floor() - 0.5).abs() < width) & ((y - y.floor() - 0.5).abs() < 0.35)
    many = torch.from_numpy(np.float32(rng.random((3, *shape))))[:, *cell]
    return torch.where(mark, many if rng.random() < 0.3 else _colour(rng), colours)


def no_cloth(size: int, other: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Linear colours [3,S,S] and opacity [1,S,S] of a board, a smooth body, a rock, or a part of another photo."""
    y, x = torch.meshgrid(*[(torch.arange(size) + 0.5) / size] * 2, indexing="ij")
    blob = smooth_noise(size, 4, rng)[0] * 0.5 - 6 * ((x - 0.5) ** 2 + (y - 0.5) ** 2) + 0.8 > 0
    kind = rng.random()
    if kind < 0.3:
        proportion, turn, skew = math.exp(rng.uniform(-0.8, 0.8)), rng.normal(0, 0.06), rng.normal(0, 0.15)
        half = 0.48 * min(1, proportion), 0.48 * min(1, 1 / proportion)
        u = (x - 0.5) * math.cos(turn) + (y - 0.5) * math.sin(turn)
        v = (y - 0.5) * math.cos(turn) - (x - 0.5) * math.sin(turn) + skew * u
        inside = (u.abs() < half[0]) & (v.abs() < half[1])
        light = (1 + rng.normal(0, 0.2) * u + rng.normal(0, 0.2) * v).clamp(0.3, 1.6)
        print_ = flag((u / half[0] / 2 + 0.5).clamp(0, 1), (v / half[1] / 2 + 0.5).clamp(0, 1), rng)
        colours = print_ * light * rng.uniform(0.4, 1.1)
    elif kind < 0.5:
        radii = rng.uniform(0.25, 0.49, 2)
        u, v = (x - 0.5) / radii[0], (y - 0.5) / radii[1]
        inside = (u**2 + v**2 < 1) & ((y < 0.55) | (rng.random() > 0.3))
        normals = F.normalize(torch.stack([u, v, (1 - u**2 - v**2).clamp_min(0).sqrt() + 1e-3]), dim=0)
        print_ = flag(x, y, rng) if rng.random() < 0.5 else _colour(rng)
        colours = print_ * shading(normals, rng) * rng.uniform(0.3, 1)
    elif kind < 0.75:
        scales = [cells for cells in (3, 6, 12, 24) if cells < size]
        height = sum((smooth_noise(size, n, rng)[0] / n * rng.uniform(0.3, 1) for n in scales), torch.zeros(size, size))
        normals = add_slopes(torch.tensor([0.0, 0.0, 1.0])[:, None, None].expand(3, size, size), 0.12 * size * height)
        grain = 1 + 0.2 * smooth_noise(size, min(size, 40), rng)
        inside, colours = blob, _colour(rng) * shading(normals, rng) * grain * rng.uniform(0.3, 1)
    else:
        board = ((x - 0.5).abs() < 0.45) & ((y - 0.5).abs() < rng.uniform(0.1, 0.45))
        top, left = (int(rng.integers(0, max(1, n - size + 1))) for n in other.shape[1:])
        part = other[None, :, top : top + size, left : left + size]
        inside = blob if rng.random() < 0.6 else board
        colours = F.interpolate(part, (size, size), mode="bilinear")[0] ** GAMMA * math.exp(rng.normal(0, 0.3))
    return colours.clamp(0, 1.5), blur(inside[None].float(), 0.6)


def _colour(rng: np.random.Generator) -> Tensor:
    """A linear colour [3,1,1], mostly one of flags."""
    usual = FLAG_COLOURS[rng.integers(len(FLAG_COLOURS))] * np.exp(rng.normal(0, 0.15, 3))
    colour = usual if rng.random() < 0.8 else rng.random(3) ** 1.5
    return torch.from_numpy(np.float32(colour.clip(0.005, 0.95)))[:, None, None]
