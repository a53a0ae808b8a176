"""The web pack: a loop in a few megabytes for stylecine/player in browsers. docs/player.md lists the content.

The largest data is recomputed by the browser, which is faster than sending it: the displacement at every knot from the
velocity, the pyramid levels and their splines from the plate.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save
from torch import Tensor

from stylecine.ops.drape import TILE
from stylecine.ops.image import cell_means, mirrored, to_uint8
from stylecine.ops.pyramid import merge
from stylecine.ops.spline import decoded
from stylecine.options import CLASSES, PAINTS, check_int, check_live
from stylecine.output.embed import webp
from stylecine.output.encoders import check_pillow
from stylecine.output.gif import changed_box
from stylecine.picture.crossfade import BEGIN_STEPS
from stylecine.picture.loop import BANDS, Loop, light_planes
from stylecine.picture.overlay import Overlay
from stylecine.picture.photo import encode_png
from stylecine.picture.style import Appearance
from stylecine.picture.transparency import UNDER
from stylecine.picture.weather import Weather

FORMAT = 9  # a player reads its own only
BLOCK = 8  # canvas pixels between two values of the statistics
INT16_STEPS = 32767
SUPPORT = 2  # grid points on either side that a cubic B-spline needs
POSITION_STEP, GAIN_STEP = 1 / 128, 1 / 1024  # of overlays' fields: pixels, and log2 of the gain
STYLE_STEP = 1 / 4096  # of a style's transforms: about that of half floats, which the player reads


def pack(
    loop: Loop | None,
    period: int,
    fps: float,
    *,
    overlays: Sequence[Overlay] = (),
    appearance: Appearance | None = None,
    weather: Weather | None = None,
    still: np.ndarray | None = None,
    alpha: np.ndarray | None = None,
    layers: Tensor | None = None,
    quality: int | None = None,
    photo: bool = True,
) -> bytes:
    """The bytes of a safetensors file with everything that the player needs.

    loop: with sampling "gather" and without resynthesis; None if only overlays or weather move. period: frames.
    overlays: over it, in the order in which they are drawn. appearance: in which all are shown; weather: before them;
        images are stored without either.
    still: the photo, uint8 [H,W,3], needed if only weather moves. alpha: of it, uint8 [H,W]; UNDER is shown where it is
        transparent.
    layers: [K,H,W] in [0,1], for display over the photo; stored on the displacement's grid, and of overlays that of
        cloth, which one paints as well. Without a landscape it is the only one, on its own grid.
    quality: None stores images losslessly, as PNG; 0 to 100 (best) as WebP, which changes frames by a few levels.
    photo: False omits it, to be sent separately.

    Raises OptionError for a loop that shaders cannot play or an invalid quality, WriterUnavailable without WebP.
    """
    pixels = _photo(loop, overlays, still)
    encoded = encode_image(pixels, quality)
    tensors: dict[str, np.ndarray] = {"photo": _raw(encoded)} if photo else {}
    painted = [overlay for overlay in overlays if overlay.kind in PAINTS]
    if loop is None:
        cell = painted[0].cell if painted else max(pixels.shape[:2])
        maps = [cell_means(overlay.matte.float().cpu(), cell) for overlay in painted]
        plate_of, grid = encoded, list(maps[0].shape) if maps else [1, 1]
        facts: dict[str, Any] = {"margin": 0, "cell": cell, "grid": grid, "scales": {}}
        if layers is not None and maps:
            tensors["layers"] = torch.stack(maps).round().to(torch.uint8).numpy()
    else:
        check_live("msdfw" if loop.feature is None else "dfw", loop.sampling)
        inpainted = encode_image(_inpainted(loop, pixels), quality)
        fields, scales = _fields(loop)
        plate_of = encoded + inpainted + (fields["light"].tobytes() if "light" in fields else b"")
        tensors |= {**fields, "plate": _raw(inpainted)}
        facts = _landscape_facts(loop, period) | {"scales": scales}
        if layers is not None:
            mattes = [overlay.matte[None].to(layers) / 255 for overlay in painted]
            tensors["layers"] = _layers(torch.cat((layers, *mattes)), loop)
    moving, facts["overlays"] = _overlay_motion(overlays)
    facts = {
        "format": FORMAT,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "period": period,
        "fps": float(fps),
        "classes": [*(CLASSES if loop else ()), *(overlay.kind for overlay in painted)],
        **facts,
        "picture": "image/png" if quality is None else "image/webp",
        "plate_digest": hashlib.sha256(plate_of).hexdigest(),
    }
    tensors |= moving | _overlay_images(overlays, quality)
    if appearance is not None:
        tensors["style"], facts["style"] = _style(appearance)
    if weather is not None:
        fallen, facts["weather"] = _weather(weather)
        tensors |= fallen
    if alpha is not None:
        tensors["cover"], facts["cover"] = _raw(encode_png(255 - alpha)), [*UNDER]
    return save(tensors, {"stylecine": json.dumps(facts)})


def pack_wind(velocity: Tensor | None = None, swell: Tensor | None = None, overlays: Sequence[Overlay] = ()) -> bytes:
    """The bytes of a safetensors file with the arrays that another wind changes in a pack of the same loop: fields of
    its `Displacement`, the first of `rates` and the swell, and the motion of all of its overlays, or of none."""
    tensors, scales = _signed_fields({"velocity": velocity, "swell": swell})
    moving, facts = _overlay_motion(overlays)
    return save(tensors | moving, {"stylecine": json.dumps({"format": FORMAT, "scales": scales, "overlays": facts})})


def encode_image(pixels: np.ndarray, quality: int | None) -> bytes:
    """Pixels, uint8 [H,W,3] or [H,W,4], as PNG, or as WebP of that quality."""
    if quality is None:
        return encode_png(pixels)
    check_int("quality of a loop's images", quality, 0, 100)
    check_pillow(".webp")
    return webp(pixels, quality)


def plate(loop: Loop) -> Tensor:
    """The plate that the loop gathers from, uint8 [Hc,Wc,3], merged from the splines of its levels."""
    levels = [decoded(spline[..., :3].permute(2, 0, 1).float()) for spline in loop.splines]
    if loop.light is not None:
        levels[-1] = levels[-1] + light_planes(loop.light)
    return to_uint8(merge(levels))


def _photo(loop: Loop | None, overlays: Sequence[Overlay], still: np.ndarray | None) -> np.ndarray:
    """Frame 0 without style, weather and cover, uint8 [H,W,3]."""
    if loop is None and not overlays:
        assert still is not None, "nothing moves"
        return still
    frame = overlays[0].photo if loop is None else loop.photo
    for overlay in overlays:
        frame = overlay.draw_over(frame, 0)
    return frame.cpu().numpy()


def _landscape_facts(loop: Loop, period: int) -> dict[str, Any]:
    """What the player needs for a landscape besides its fields."""
    displacement = loop.displacement
    return {
        "margin": displacement.margin,
        "cell": displacement.cell,
        "block": max(BLOCK, displacement.cell),
        "grid": list(displacement.sub_cycle.shape),
        "stride": displacement.stride,
        "sub_cycles": [round(period / length) for length in displacement.lengths],
        "ramps": displacement.ramps,
        "swell_cycles": displacement.swell_cycles,
        "standing_shares": loop.standing_shares,
        "bands": BANDS,
    }


def _inpainted(loop: Loop, photo: np.ndarray) -> np.ndarray:
    """The plate where it differs from the photo mirrored at its borders, else transparent: uint8 [Hc,Wc,4]."""
    margin = loop.displacement.margin
    expected = torch.from_numpy(photo)
    for axis in (0, 1):
        expected = mirrored(expected, margin, margin, axis)
    return _where_different(plate(loop).cpu(), expected)


def _fields(loop: Loop) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The fields on the displacement's grid and the photo, channels last, and the step of each."""
    displacement = loop.displacement
    moving = torch.where(loop.moving > 0, (loop.moving * 255).round().clamp(min=1), 0).to(torch.uint8)
    begin, pace = loop.crossfade
    schedule = (x.round().to(torch.uint8) for x in (begin * BEGIN_STEPS, pace))
    crossfade = torch.stack((displacement.sub_cycle, *schedule), -1)
    tensors = {"moving": moving.cpu().numpy(), "crossfade": crossfade.cpu().numpy()}
    if displacement.standing is not None and any(loop.standing_shares):
        tensors["standing"] = (displacement.standing * 255).round().to(torch.uint8).cpu().numpy()
    scales = {"crossfade": 1 / BEGIN_STEPS}
    stagger = None if displacement.stagger is None else displacement.stagger[None]
    light = None if loop.light is None else loop.light.permute(2, 0, 1)
    signed = _signed_fields(
        {"velocity": displacement.rates[0, 0], "swell": displacement.swell, "stagger": stagger, "light": light}
    )
    tensors, scales = tensors | signed[0], scales | signed[1]
    contrast_gain, angle = loop.contrast_gain[:BANDS], loop.angle[:BANDS]
    scales["angle"] = math.pi / 255
    scales["contrast_gain"] = float(contrast_gain.max()) / 255
    steps = torch.cat((angle[:, None] / scales["angle"], contrast_gain / scales["contrast_gain"]), 1).flatten(1, 2)
    blocks = F.avg_pool2d(steps, max(1, BLOCK // displacement.cell), ceil_mode=True).permute(1, 2, 3, 0)  # bands last
    tensors["statistics"] = blocks.contiguous().round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return tensors, scales


def _signed_fields(fields: Mapping[str, Tensor | None]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Those that there are, [...,gh,gw], channels last, and the step of each."""
    tensors, scales = {}, {}
    for name, field in fields.items():
        if field is not None:
            tensors[name], scales[name] = _quantised(field.flatten(0, -3).permute(1, 2, 0))
    return tensors, scales


def _quantised(field: Tensor, finest: float = 0.0) -> tuple[np.ndarray, float]:
    """A field of positive and negative values as int16, and the step, at least `finest`."""
    field = field.nan_to_num(0.0, 0.0, 0.0).contiguous().cpu()
    step = max(finest, float(field.abs().max()) / INT16_STEPS)
    return (field / (step or 1.0)).round().to(torch.int16).numpy(), step


def _layers(layers: Tensor, loop: Loop) -> np.ndarray:
    """The layers on the grid, replicated beyond the photo's border: uint8 [K,gh,gw]."""
    displacement = loop.displacement
    (gh, gw), cell, margin = displacement.sub_cycle.shape, displacement.cell, displacement.margin
    height, width = layers.shape[1:]
    around = (margin, gw * cell - margin - width, margin, gh * cell - margin - height)
    wide = F.pad(layers[None].float(), around, mode="replicate")
    return (F.avg_pool2d(wide, cell)[0] * 255).round().to(torch.uint8).cpu().numpy()


def _overlay_images(overlays: Sequence[Overlay], quality: int | None) -> dict[str, np.ndarray]:
    """What is behind each and its matte, which is lossless, or pixels beside it would become a little of it, too."""
    images = {}
    for number, overlay in enumerate(overlays):
        behind = _where_different(overlay.background, overlay.photo)
        images[f"overlays.{number}.background"] = _raw(encode_image(behind, quality))
        images[f"overlays.{number}.matte"] = _raw(encode_png(overlay.matte.cpu().numpy()))
    return images


def _overlay_motion(overlays: Sequence[Overlay]) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """The keyframes of each and where they change anything, and the facts about them.

    They are cropped to where they are needed and stored without the first, which is 0, as differences along rows,
    which compress well.
    """
    tensors, facts = {}, []
    for number, overlay in enumerate(overlays):
        keyframes = (overlay.keyframes[1:] * _needed(overlay)).cpu()
        rows, columns = changed_box(keyframes.ne(0).flatten(0, 1).any(0).numpy())
        steps = [max(POSITION_STEP, float(keyframes[:, :2].abs().max()) / INT16_STEPS), GAIN_STEP]
        scale = torch.tensor([steps[0], steps[0], steps[1]])[:, None, None]
        quantised = (keyframes[:, :, rows, columns] / scale).round().to(torch.int16).numpy()
        tensors[f"overlays.{number}.keyframes"] = np.diff(quantised, axis=3, prepend=np.int16(0))
        tensors[f"overlays.{number}.active"] = overlay.active.cpu().numpy()
        place = {"grid": list(overlay.keyframes.shape[2:]), "at": [rows.start, columns.start], "steps": steps}
        gusts = {"cycles": overlay.cycles, "gustiness": overlay.gustiness, "fine": overlay.fine}
        facts.append({"kind": overlay.kind, "cell": overlay.cell, **place, **gusts})
    return tensors, facts


def _needed(overlay: Overlay) -> Tensor:
    """The points of its grid that pixels of active tiles depend on, [gh,gw] of 0 and 1."""
    (gh, gw), cell = overlay.keyframes.shape[2:], overlay.cell
    wide = F.max_pool2d(overlay.active.float()[None], max(1, cell // TILE), ceil_mode=True)
    for axis in (1, 2):
        wide = wide.repeat_interleave(max(1, TILE // cell), axis)
    wide = F.pad(wide, (0, gw, 0, gh))[:, :gh, :gw]
    return F.max_pool2d(wide, 2 * SUPPORT + 1, 1, SUPPORT)[0]


def _where_different(image: Tensor, expected: Tensor) -> np.ndarray:
    """The image uint8 [H,W,3] where it differs from the expected one, else transparent: uint8 [H,W,4]."""
    differs = (image != expected).any(-1, keepdim=True)
    return torch.cat((image * differs, differs * torch.tensor(255, dtype=torch.uint8)), -1).cpu().numpy()


def _style(appearance: Appearance) -> tuple[np.ndarray, dict[str, Any]]:
    """The grid, the four numbers for red, for green and for blue last, and the facts about it: int16 [D,3,gh,gw,4]."""
    depth, *grid = appearance.grid.shape[:3]
    transforms, step = _quantised(appearance.grid[..., :3].permute(0, 4, 1, 2, 3), STYLE_STEP)
    shown = {"strength": float(appearance.strength), "drift": appearance.drift}
    return transforms, {"depth": depth, "grid": grid, "step": step, **shown}


def _weather(weather: Weather) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Paths float32 [P,12], waves int16, the distance as PNG, and the facts about them."""
    waves, step = _quantised(weather.waves)
    tensors = {
        "paths": weather.paths.numpy(),
        "waves": waves,
        "distance": _raw(encode_png(weather.distance.cpu().numpy())),
    }
    own, styled = weather.lights
    colours = {"veil": [own.veil, styled.veil], "falling": [own.falling, styled.falling]}
    facts = {"grid": list(waves.shape[1:]), "step": step, "cycles": weather.cycles, "exposure": weather.exposure}
    return tensors, facts | {"colours": colours}


def _raw(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)
