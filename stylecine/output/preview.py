"""Images for judging a loop, written by `stylecine animate --preview DIR`."""

import math
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from stylecine.errors import OutputError
from stylecine.machine.atomic import atomic_write
from stylecine.output.embed import shrunk
from stylecine.output.formats import PREVIEWS
from stylecine.output.palette import SHOWN
from stylecine.quality.measures import Array, Frames

FRAME_SIZE = 480, 10_000  # pixels at most of one frame on the contact sheet
SLICE_TIMES = 40  # frames in the x-t slice


def write_previews(
    folder: str | os.PathLike[str], photo: np.ndarray, layers: Array, flow: Array, frames: Frames
) -> list[Path]:
    """Writes PREVIEWS; the folder is created if missing.

    photo: uint8 [H,W,3]. layers: [K,H,W] in [0,1]. flow: [2,h,w], pixels of its own grid per 1/30 s. Each file appears
    complete or not at all. Raises OutputError.
    """
    pictures = (
        mask_overlay(photo, layers),
        flow_picture(photo, flow, 1 - (1 - torch.as_tensor(layers).float()).prod(0)),
        contact_sheet(frames),
        difference_sheet(frames),
        time_slice(frames),
    )
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for picture, name in zip(pictures, PREVIEWS, strict=True):
            with atomic_write(target / name) as part:
                Image.fromarray(picture).save(part, format="PNG")
    except OSError as error:
        raise OutputError(f"Cannot write pictures into {target}: {error.strerror or error}.") from error
    return [target / name for name in PREVIEWS]


def mask_overlay(photo: np.ndarray, layers: Array) -> np.ndarray:
    """The photo with static parts grey, moving ones in the colours of SHOWN, and the contour at 0.5: uint8 [H,W,3].

    layers: [K,H,W] in [0,1], of the first K of SHOWN.
    """
    maps = torch.as_tensor(layers).float().cpu().numpy()
    moving = 1 - np.prod(1 - maps, axis=0)
    colours = np.array([shown.rgb for shown in list(SHOWN.values())[: len(maps)]], np.float32)
    tint = np.einsum("khw,kc->hwc", maps, colours) / np.maximum(maps.sum(0), 1e-6)[..., None]
    grey = photo.mean(-1, keepdims=True) * 0.5 + photo * 0.1
    picture = grey + moving[..., None] * (0.6 * photo + 0.4 * tint - grey)
    inside = moving >= 0.5
    border = np.zeros_like(inside)
    border[1:] |= inside[1:] != inside[:-1]
    border[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    picture[border] = 255
    return _to_bytes(picture)


def flow_picture(photo: np.ndarray, flow: Array, moving: Array, *, per_second: bool = False) -> np.ndarray:
    """Direction as hue and speed as saturation over the photo, arrows on top, a colour wheel: uint8 [H,W,3].

    The longest arrow and full saturation stand for the 99th percentile of the speed, printed beside the wheel in the
    photo's pixels per 1/30 s, or `per_second`.
    """
    height, width = photo.shape[:2]
    field = torch.as_tensor(flow).float().cpu()
    ratio = torch.tensor([width / field.shape[2], height / field.shape[1]])
    field = F.interpolate(field[None], (height, width), mode="bilinear", align_corners=False)[0]
    velocity = (field * ratio[:, None, None]).numpy()
    moves = torch.as_tensor(moving).float().cpu().numpy()
    speed = np.hypot(*velocity)
    fastest = float(np.percentile(speed[moves > 0], 99)) if (moves > 0).any() else 0.0
    colours = _wheel(velocity / max(fastest, 1e-6))
    grey = photo.mean(-1, keepdims=True)
    picture = Image.fromarray(_to_bytes(grey * (1 - 0.6 * moves[..., None]) + 0.6 * moves[..., None] * colours))
    _draw_arrows(picture, velocity / max(fastest, 1e-6), moves)
    _draw_wheel(picture, f"{30 * fastest:.0f} px/s" if per_second else f"{fastest:.2f} px per 1/30 s")
    return np.asarray(picture)


def contact_sheet(frames: Frames) -> np.ndarray:
    """Eight frames evenly spaced over the loop, four to a row, labelled with their times: uint8."""
    times = _even_times(len(frames), 8)
    return _sheet([shrunk(np.asarray(frames[t]), FRAME_SIZE) for t in times], [f"{t} of {len(frames)}" for t in times])


def difference_sheet(frames: Frames) -> np.ndarray:
    """Eight differences of successive frames, four times as large, mid-grey for none; the last is the seam: uint8."""
    times = [*_even_times(len(frames), 8)[:7], len(frames) - 1]
    pictures, names = [], []
    for t in times:
        following = (t + 1) % len(frames)
        change = np.asarray(frames[following]).astype(np.float32) - np.asarray(frames[t])
        pictures.append(shrunk(_to_bytes(128 + 4 * change), FRAME_SIZE))
        names.append(f"{t} to {following}")
    return _sheet(pictures, names)


def time_slice(frames: Frames) -> np.ndarray:
    """The row that changes most, over time from top to bottom, for two periods: uint8 [T,W,3].

    Static parts are vertical lines, drift is slanted, a jump is a cut, a pulse a band; a cross-dissolve is vertical and
    fades. The seam is in the middle.
    """
    later = math.ceil(0.37 * len(frames))  # when no sub-cycle is back at its start
    change = np.asarray(frames[later]).astype(np.float32) - np.asarray(frames[0])
    row = int(np.abs(change).sum((1, 2)).argmax())
    times = _even_times(len(frames), SLICE_TIMES)
    once = np.stack([np.asarray(frames[t])[row] for t in times])
    thickness = max(1, round(once.shape[1] / 3 / (2 * len(times))))
    return np.concatenate([once, once]).repeat(thickness, axis=0)


def _even_times(period: int, count: int) -> list[int]:
    return [period * i // min(count, period) for i in range(min(count, period))]


def _sheet(pictures: list[np.ndarray], names: list[str], columns: int = 4, gap: int = 4) -> np.ndarray:
    height, width = pictures[0].shape[:2]
    rows = math.ceil(len(pictures) / columns)
    columns = min(columns, len(pictures))
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        x, y = i % columns * (width + gap), i // columns * (height + gap)
        sheet.paste(Image.fromarray(picture), (x, y))
        draw.text((x + 6, y + 4), name, fill="white", stroke_width=1, stroke_fill="black")
    return np.asarray(sheet)


def _wheel(velocity: np.ndarray) -> np.ndarray:
    """Colours [h,w,3] of velocities [2,h,w] of length 1 at most: hue for direction, white at rest."""
    angle = np.arctan2(velocity[1], velocity[0])[..., None]
    full = 0.5 + 0.5 * np.cos(angle - np.array([0.0, 2.0, 4.0]) * np.pi / 3)
    strength = np.minimum(np.hypot(*velocity), 1)[..., None]
    return 255 * (1 - strength * (1 - full))


def _draw_arrows(picture: Image.Image, velocity: np.ndarray, moves: np.ndarray) -> None:
    draw = ImageDraw.Draw(picture)
    step = max(12, min(picture.size) // 20)
    for y in range(step // 2, picture.height, step):
        for x in range(step // 2, picture.width, step):
            dx, dy = (velocity[:, y, x] * step * 0.9).tolist()
            if moves[y, x] >= 0.5 and math.hypot(dx, dy) < 1.5:
                draw.point((x, y), fill="black")
            elif moves[y, x] >= 0.5:
                tip = (x + dx, y + dy)
                barbs = [(tip[0] - 0.35 * (dx - side * dy), tip[1] - 0.35 * (dy + side * dx)) for side in (0.5, -0.5)]
                draw.line([(x, y), tip], fill="black", width=2)
                for barb in barbs:
                    draw.line([tip, barb], fill="black", width=2)


def _draw_wheel(picture: Image.Image, label: str) -> None:
    """The colour wheel in the lower right corner, labelled with the speed at its rim."""
    radius = max(8, min(picture.size) // 14)
    line = (np.arange(2 * radius) + 0.5) / radius - 1
    x, y = np.meshgrid(line, line)
    disc = Image.fromarray((255 * (np.hypot(x, y) <= 1)).astype(np.uint8))
    corner = (picture.width - 2 * radius - 4, picture.height - 2 * radius - 4)
    picture.paste(Image.fromarray(_to_bytes(_wheel(np.stack([x, y])))), corner, disc)
    place = (corner[0] - 6, picture.height - 6)
    ImageDraw.Draw(picture).text(place, label, fill="white", stroke_width=1, stroke_fill="black", anchor="rs")


def _to_bytes(picture: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
