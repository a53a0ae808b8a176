"""A finished loop as the few megabytes that a browser plays it from; stylecine/player reads them.

What a frame takes most room for is not in it, as the browser makes it quicker than it could be sent: the displacement
at every knot follows from the velocity, the levels and their splines from the plate. docs/player.md lists what is.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.numpy import save
from torch import Tensor

from stylecine.cloth.layer import ClothLayer
from stylecine.cloth.matting import on_grid
from stylecine.ops.drape import TILE
from stylecine.ops.image import mirrored, to_uint8
from stylecine.ops.pyramid import merge
from stylecine.ops.spline import decoded
from stylecine.options import CLASSES, CLOTH, check_live
from stylecine.output.images import check_webp
from stylecine.stages.loop import BANDS, Loop
from stylecine.stages.photo import encode_png

FORMAT = 1  # counts up when a player can no longer read what an older one could
WITH_CLOTH = 2  # which players of format 1 alone would leave out
BLOCK = 8  # canvas pixels between two values of the statistics, which are means over more
FINE = 32767  # steps of what is kept as int16
BEGINS = 510  # steps of a turn, half of which is all that a beginning can be
SUPPORT = 2  # points of a grid on either side that a cubic B-spline needs
PLACE, GAIN = 1 / 128, 1 / 1024  # steps of what the cloth's fields hold: pixels, and the gain's binary logarithm
WEBP_EFFORT = 4  # of 6


def pack(
    loop: Loop | None,
    period: int,
    fps: float,
    *,
    cloth_layer: ClothLayer | None = None,
    layers: Tensor | None = None,
    quality: int | None = None,
    photo: bool = True,
) -> bytes:
    """The loop as the bytes of a safetensors file with all that the player (stylecine/player) needs.

    loop: gathered, and without resynthesis; None where nothing but cloth moves. period, fps: its frames, and how many
        a second.
    cloth_layer: the cloth over it.
    layers: [K,H,W] in [0,1], to be shown over the photo; they go along on the displacement's grid, and the cloth as
        one more.
    quality: None keeps the pictures without loss, as PNG; 0 to 100 (best) makes them WebP, which puts frames a few
        levels off.
    photo: False leaves it out, for who sends it apart: `picture(photo_of(loop, cloth_layer), quality)`.

    Raises OptionError for a loop that no shader plays or an impossible quality, WriterUnavailable without WebP.
    """
    pixels = photo_of(loop, cloth_layer)
    shown = picture(pixels, quality)
    tensors: dict[str, np.ndarray] = {"photo": _raw(shown)} if photo else {}
    if loop is None:
        plate_of, told = shown, {"period": period, "fps": float(fps), "classes": [CLOTH]}
    else:
        check_live("msdfw" if loop.feature is None else "dfw", loop.sampling)
        made_up = picture(_made_up(loop, pixels), quality)
        plate_of = shown + made_up
        fields, scales = _fields(loop)
        tensors |= {**fields, "made_up": _raw(made_up)}
        classes = [*CLASSES, CLOTH] if cloth_layer else list(CLASSES)
        told = _facts(loop, period, fps) | {"classes": classes, "scales": scales}
        if layers is not None:
            tensors["layers"] = _layers(_with_cloth(layers, cloth_layer), loop)
    facts = {
        "format": WITH_CLOTH if cloth_layer else FORMAT,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        **told,
        "picture": "image/png" if quality is None else "image/webp",
        "plate": hashlib.sha256(plate_of).hexdigest(),
    }
    if cloth_layer is not None:
        hung, facts["cloth"] = _cloth(cloth_layer, quality)
        tensors |= hung
        if loop is None and layers is not None:
            tensors["layers"] = _on_grid(cloth_layer)[None]
    return save(tensors, {"stylecine": json.dumps(facts)})


def photo_of(loop: Loop | None, cloth_layer: ClothLayer | None) -> np.ndarray:
    """Frame 0 of such a loop, uint8 [H,W,3]."""
    if cloth_layer is None:
        assert loop is not None, "nothing moves"
        return loop.photo.cpu().numpy()
    return cloth_layer.draw_over(cloth_layer.photo if loop is None else loop.photo, 0).cpu().numpy()


def picture(pixels: np.ndarray, quality: int | None) -> bytes:
    """Pixels, uint8 [H,W,3] or [H,W,4], as PNG, or as WebP of some quality."""
    if quality is None:
        return encode_png(pixels)
    check_webp("a loop's pictures", quality)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=quality, method=WEBP_EFFORT)
    return file.getvalue()


def plate(loop: Loop) -> Tensor:
    """The plate that the loop gathers from: uint8 [Hc,Wc,3], made again from the splines of its levels."""
    splines = [spline[..., :3].permute(2, 0, 1).float() for spline in loop.splines]
    return to_uint8(merge([decoded(spline) for spline in splines]))


def _facts(loop: Loop, period: int, fps: float) -> dict[str, Any]:
    """What the player has to know of a landscape in motion, beside what fields there are."""
    displacement = loop.displacement
    return {
        "margin": displacement.margin,
        "cell": displacement.cell,
        "block": max(BLOCK, displacement.cell),
        "grid": list(displacement.sub_cycle.shape),
        "period": period,
        "fps": float(fps),
        "stride": displacement.stride,
        "turns": [round(period / length) for length in displacement.lengths],
        "cycles": displacement.swell_cycles,
        "bands": BANDS,
    }


def _made_up(loop: Loop, photo: np.ndarray) -> np.ndarray:
    """The plate where it is not the photo, mirrored at its borders; else transparent: uint8 [Hc,Wc,4]."""
    margin, shown = loop.displacement.margin, plate(loop).cpu()
    expected = torch.from_numpy(photo)
    for axis in (0, 1):
        expected = mirrored(expected, margin, margin, axis)
    unlike = (shown != expected).any(-1, keepdim=True)
    return torch.cat((shown * unlike, unlike * torch.tensor(255, dtype=torch.uint8)), -1).numpy()


def _fields(loop: Loop) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """What there is on the displacement's grid and the photo, channels last, and what a step of each means."""
    displacement = loop.displacement
    moving = torch.where(loop.moving > 0, (loop.moving * 255).round().clamp(min=1), 0).to(torch.uint8)
    begin, pace = loop.crossfade
    change = torch.stack((displacement.sub_cycle, *(x.round().to(torch.uint8) for x in (begin * BEGINS, pace))), -1)
    tensors, scales = {"moving": moving.cpu().numpy(), "change": change.cpu().numpy()}, {"change": 1 / BEGINS}
    signed = {"velocity": displacement.rates[0, 0]}
    if displacement.swell is not None:
        signed["roll"] = displacement.swell.flatten(0, 1)
    for name, field in signed.items():
        field = field.nan_to_num(0.0, 0.0, 0.0).permute(1, 2, 0).contiguous().cpu()
        scales[name] = float(field.abs().max()) / FINE
        tensors[name] = (field / (scales[name] or 1.0)).round().to(torch.int16).numpy()
    lift, angle = loop.contrast_gain[:BANDS], loop.angle[:BANDS]
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
    (gh, gw), cell, margin = displacement.sub_cycle.shape, displacement.cell, displacement.margin
    height, width = layers.shape[1:]
    around = (margin, gw * cell - margin - width, margin, gh * cell - margin - height)
    wide = F.pad(layers[None].float(), around, mode="replicate")
    return (F.avg_pool2d(wide, cell)[0] * 255).round().to(torch.uint8).cpu().numpy()


def _cloth(cloth_layer: ClothLayer, quality: int | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The cloth: the pictures, what moves it, and what the player has to know of that.

    Knots are cut to where they are needed, without the first, which is 0 all over; along a row they are kept as
    differences, which compress well. The matte is never lossy: what is no cloth would become a little of it.
    """
    knots = (cloth_layer.keyframes[1:] * _needed(cloth_layer)).cpu()
    rows, columns = (knots.abs().amax((0, 1, axis)).nonzero().flatten() for axis in (3, 2))
    top, left = (int(places[0]) if len(places) else 0 for places in (rows, columns))
    bottom, right = (int(places[-1]) + 1 if len(places) else 1 for places in (rows, columns))
    steps = [max(PLACE, float(knots[:, :2].abs().max()) / FINE), GAIN]
    counted = knots[:, :, top:bottom, left:right] / torch.tensor([steps[0], steps[0], steps[1]])[:, None, None]
    whole = counted.round().to(torch.int16).numpy()
    tensors = {
        "background": _raw(picture(_behind(cloth_layer), quality)),
        "matte": _raw(encode_png(cloth_layer.matte.cpu().numpy())),
        "active": cloth_layer.active.cpu().numpy(),
        "knots": np.diff(whole, axis=3, prepend=np.int16(0)),
    }
    grid = list(cloth_layer.keyframes.shape[2:])
    facts = {"cell": cloth_layer.cell, "grid": grid, "at": [top, left], "steps": steps, "cycles": cloth_layer.cycles}
    return tensors, facts


def _needed(cloth_layer: ClothLayer) -> Tensor:
    """Which points of the cloth's grid a pixel of an active tile is near enough to, [gh,gw] of 0 and 1."""
    gh, gw = cloth_layer.keyframes.shape[2:]
    wide = cloth_layer.active.float()
    for axis in (0, 1):
        wide = wide.repeat_interleave(max(1, TILE // cloth_layer.cell), axis)
    wide = F.pad(wide, (0, gw, 0, gh))[:gh, :gw]
    return F.max_pool2d(wide[None], 2 * SUPPORT + 1, 1, SUPPORT)[0]


def _behind(cloth_layer: ClothLayer) -> np.ndarray:
    """The background where it is not the photo; else transparent: uint8 [H,W,4]."""
    unlike = (cloth_layer.background != cloth_layer.photo).any(-1, keepdim=True)
    return torch.cat((cloth_layer.background * unlike, unlike * torch.tensor(255, dtype=torch.uint8)), -1).cpu().numpy()


def _with_cloth(layers: Tensor, cloth_layer: ClothLayer | None) -> Tensor:
    return layers if cloth_layer is None else torch.cat((layers, cloth_layer.matte[None].to(layers) / 255))


def _on_grid(cloth_layer: ClothLayer) -> np.ndarray:
    """The matte on the grid of the cloth's own fields: uint8 [gh,gw]."""
    means = on_grid(cloth_layer.matte.float().cpu(), cloth_layer.cell)
    return means.round().to(torch.uint8).numpy()


def _raw(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)
