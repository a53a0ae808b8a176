"""A finished loop as the few megabytes that a browser plays it from; stylecine/player reads them.

What a frame takes most room for is not in it, as the browser makes it quicker than it could be sent: the displacement
at every knot follows from the velocity, the levels and their splines from the plate. docs/player.md lists what is.
"""

from __future__ import annotations

import hashlib
import io
import json
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.numpy import save
from torch import Tensor

from stylecine.loop import BANDS, Loop
from stylecine.ops.mirror import mirrored
from stylecine.ops.pixels import to_uint8
from stylecine.ops.pyramid import merge
from stylecine.ops.spline import decoded
from stylecine.options import CLASSES, check_live
from stylecine.pictures import check_webp, png

FORMAT = 1  # counts up when a player can no longer read what an older one could
BLOCK = 8  # canvas pixels between two values of the statistics, which are means over more
FINE = 32767  # steps of what is kept as int16
BEGINS = 510  # steps of a turn, half of which is all that a beginning can be
WEBP_EFFORT = 4  # of 6


def pack(
    loop: Loop,
    period: int,
    fps: float,
    *,
    layers: Tensor | None = None,
    quality: int | None = None,
    photo: bool = True,
) -> bytes:
    """The loop as the bytes of a safetensors file with all that the player (stylecine/player) needs.

    loop: gathered, and without resynthesis. period, fps: its frames, and how many a second.
    layers: [K,H,W] in [0,1], to be shown over the photo; they go along on the displacement's grid.
    quality: None keeps the pictures without loss, as PNG; 0 to 100 (best) makes them WebP, which puts frames a few
        levels off.
    photo: False leaves it out, for who sends it apart: `picture(loop.photo.cpu().numpy(), quality)`.

    Raises OptionError for a loop that no shader plays or an impossible quality, WriterUnavailable without WebP.
    """
    check_live("msdfw" if loop.feature is None else "dfw", loop.sampling)
    shown = picture(loop.photo.cpu().numpy(), quality)
    made_up = picture(_made_up(loop), quality)
    tensors, scales = _fields(loop)
    tensors["made_up"] = _raw(made_up)
    if photo:
        tensors["photo"] = _raw(shown)
    if layers is not None:
        tensors["layers"] = _layers(layers, loop)
    displacement = loop.displacement
    facts = {
        "format": FORMAT,
        "width": loop.photo.shape[1],
        "height": loop.photo.shape[0],
        "margin": displacement.margin,
        "cell": displacement.cell,
        "block": max(BLOCK, displacement.cell),
        "grid": list(displacement.turn.shape),
        "period": period,
        "fps": float(fps),
        "stride": displacement.stride,
        "turns": [round(period / length) for length in displacement.lengths],
        "cycles": displacement.cycles,
        "bands": BANDS,
        "classes": list(CLASSES),
        "scales": scales,
        "picture": "image/png" if quality is None else "image/webp",
        "plate": hashlib.sha256(shown + made_up).hexdigest(),
    }
    return save(tensors, {"stylecine": json.dumps(facts)})


def picture(pixels: np.ndarray, quality: int | None) -> bytes:
    """Pixels, uint8 [H,W,3] or [H,W,4], as PNG, or as WebP of some quality."""
    if quality is None:
        return png(pixels)
    check_webp("a loop's pictures", quality)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=quality, method=WEBP_EFFORT)
    return file.getvalue()


def plate(loop: Loop) -> Tensor:
    """The plate that the loop gathers from: uint8 [Hc,Wc,3], made again from the splines of its levels."""
    splines = [spline[..., :3].permute(2, 0, 1).float() for spline in loop.splines]
    return to_uint8(merge([decoded(spline) for spline in splines]))


def _made_up(loop: Loop) -> np.ndarray:
    """The plate where it is not the photo, mirrored at its borders; else transparent: uint8 [Hc,Wc,4]."""
    margin, shown = loop.displacement.margin, plate(loop).cpu()
    expected = loop.photo.cpu()
    for axis in (0, 1):
        expected = mirrored(expected, margin, margin, axis)
    unlike = (shown != expected).any(-1, keepdim=True)
    return torch.cat((shown * unlike, unlike * torch.tensor(255, dtype=torch.uint8)), -1).numpy()


def _fields(loop: Loop) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """What there is on the displacement's grid and the photo, channels last, and what a step of each means."""
    displacement = loop.displacement
    moving = torch.where(loop.moving > 0, (loop.moving * 255).round().clamp(min=1), 0).to(torch.uint8)
    begin, pace = loop.change
    change = torch.stack((displacement.turn, *(x.round().to(torch.uint8) for x in (begin * BEGINS, pace))), -1)
    tensors, scales = {"moving": moving.cpu().numpy(), "change": change.cpu().numpy()}, {"change": 1 / BEGINS}
    signed = {"velocity": displacement.rates[0, 0]}
    if displacement.roll is not None:
        signed["roll"] = displacement.roll.flatten(0, 1)
    for name, field in signed.items():
        field = field.nan_to_num(0.0, 0.0, 0.0).permute(1, 2, 0).contiguous().cpu()
        scales[name] = float(field.abs().max()) / FINE
        tensors[name] = (field / (scales[name] or 1.0)).round().to(torch.int16).numpy()
    lift, angle = loop.lift[:BANDS], loop.angle[:BANDS]
    scales["angle"] = math.pi / 255
    scales["lift"] = float(lift.max()) / 255
    steps = torch.cat((angle[:, None] / scales["angle"], lift / scales["lift"]), 1).flatten(1, 2)
    tensors["statistics"] = _in_blocks(steps, displacement.cell).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return tensors, scales


def _in_blocks(fields: Tensor, cell: int) -> Tensor:
    """Fields of the bands, [bands,n,gh,gw], as means over blocks, bands last: [n,a,b,bands]."""
    side = max(1, BLOCK // cell)
    blocks = F.avg_pool2d(fields, side, ceil_mode=True)
    return blocks.permute(1, 2, 3, 0).contiguous()


def _layers(layers: Tensor, loop: Loop) -> np.ndarray:
    """How much of each class a place of the grid shows, past the photo's border what does at it: uint8 [K,gh,gw]."""
    displacement = loop.displacement
    (gh, gw), cell, margin = displacement.turn.shape, displacement.cell, displacement.margin
    height, width = layers.shape[1:]
    around = (margin, gw * cell - margin - width, margin, gh * cell - margin - height)
    wide = F.pad(layers[None].float(), around, mode="replicate")
    return (F.avg_pool2d(wide, cell)[0] * 255).round().to(torch.uint8).cpu().numpy()


def _raw(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)
