"""Frames of the loop: two displaced copies of every level, mixed, summed and composited into the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops import mixing, native, recolour
from stylecine.ops.displacement import Displacement, Moment, swap
from stylecine.ops.image import dither
from stylecine.ops.pyramid import merge
from stylecine.ops.recolour import Recolouring
from stylecine.ops.spline import sample

Region = tuple[int, int, int, int]  # y0, x0, y1, x1 in canvas pixels; y0 and x0 lie on the coarsest grid
MAX_LEVELS = 8
MAX_SUB_CYCLES = 8
MAX_CLOCKS = 4
FINE = 257  # steps of 16 bits in one of 8


def render(*tensors: Any, **options: Any) -> Tensor:
    """The frames of `Rendering(*tensors, **options)`, [n,H,W,3] uint8.

    Several frames take less time than as many calls, as their inputs are read once for a few of them. Raises ValueError
    if the arguments do not fit together.
    """
    rendering = Rendering(*tensors, **options)
    rendering.check()
    return rendering.run() if native.available(rendering.photo.device) else rendering.reference()


def reference(*tensors: Any, **options: Any) -> Tensor:
    """render() in plain PyTorch."""
    return Rendering(*tensors, **options).reference()


def render_fine(*tensors: Any, **options: Any) -> Tensor:
    """The same frames without a recolouring, of 16 bits, [n,H,W,3] int32 from 0 to 65535: `FINE` times the photo where
    it stands still, else rounded instead of dithered. In plain PyTorch, which takes many times as long."""
    rendering = Rendering(*tensors, **options)
    rendering.check()
    return rendering.reference(FINE)


@dataclass(frozen=True, eq=False)
class Rendering:
    """Frames that are `photo` where `moving` is 0, and the mixed copies where it is 1.

    Grids [gh,gw] are those of the displacement, whose canvas they cover; its cell is a power of two.

    photo          [H,W,3] uint8
    moving         [H,W] in [0,1]; clamped to that, NaN is 0
    levels         [2h,2w,4], float32, float16 or bfloat16: spline coefficients of red, green, blue and an unused
                   channel; finest first, a pixel of level i is 2^i canvas pixels wide, so its h is the canvas's over
                   2^i, rounded up
    angle          [levels,3,gh,gw], contrast_gain [levels,2,3,gh,gw], crossfade [2,gh,gw]: see ops.mixing
    displacement   with a swell of 4 clocks at most; `moments` are those of the frames
    standing_shares  of each level, in [0,1]: how much of its displacement it lacks where the displacement is standing
    light          [h,w,4] of the coarsest level, an unused channel last: a part of it that stands, added to what moves
    generated      [n,3,Hc,Wc] over the canvas, in [-1,1]: the generator's image of warped features, added to the levels
    recolouring    as `recolour_` does it of the finished frames: quicker here, while they are in the cache

    A NaN coordinate reads the first column or row (and a coordinate within a cell of it may do so, too); a NaN colour
    is black.
    """

    photo: Tensor
    moving: Tensor
    levels: Sequence[Tensor]
    displacement: Displacement
    moments: Sequence[Moment]
    angle: Tensor
    contrast_gain: Tensor
    crossfade: Tensor
    standing_shares: Sequence[float] = ()
    light: Tensor | None = None
    generated: Tensor | None = None
    recolouring: Recolouring | None = None

    def check(self) -> None:
        """ValueError if something does not fit the rest."""
        moved, cell, margin = self.displacement, self.displacement.cell, self.displacement.margin
        if cell < 1 or cell & (cell - 1) or margin < 0:
            raise ValueError(f"render: cell {cell} is not a power of two, or margin {margin} is negative.")
        h, w = self.moving.shape
        height, width = h + 2 * margin, w + 2 * margin
        gh, gw = moved.sub_cycle.shape
        count, kinds, frames = len(self.levels), len(moved.lengths), len(self.moments)
        clocks = 0 if moved.swell is None else len(moved.swell) // 2
        shapes = {
            "photo": (self.photo, (h, w, 3)),
            "moving": (self.moving, (h, w)),
            "sub_cycle": (moved.sub_cycle, (max(gh, -(-height // cell)), max(gw, -(-width // cell)))),
            "positions": (moved.positions, (max(len(moved.positions), 2), 2, 2, gh, gw)),
            "rates": (moved.rates, moved.positions.shape),
            "angle": (self.angle, (count, 3, gh, gw)),
            "contrast_gain": (self.contrast_gain, (count, 2, 3, gh, gw)),
            "crossfade": (self.crossfade, (2, gh, gw)),
            "stagger": (moved.stagger, (gh, gw)),
            "standing": (moved.standing, (gh, gw)),
            "light": (self.light, (-(-height // 2 ** (count - 1)), -(-width // 2 ** (count - 1)), 4)),
            "swell": (moved.swell, (2 * max(clocks, 1), 2, gh, gw)),
            "generated": (self.generated, (frames, 3, height, width)),
        }
        for name, (tensor, shape) in shapes.items():
            dtype = torch.uint8 if name in ("photo", "sub_cycle") else torch.float32
            if tensor is not None:
                native.check_tensor(f"render: {name}", tensor, shape, dtype, self.photo.device)
        for i, level in enumerate(self.levels):
            dtype = level.dtype if level.dtype in native.DTYPES else torch.float32
            shape = 2 * -(-height // 2**i), 2 * -(-width // 2**i), 4
            native.check_tensor(f"render: level {i}", level, shape, dtype, self.photo.device)
        if not (1 <= count <= MAX_LEVELS and 1 <= kinds <= MAX_SUB_CYCLES and clocks <= MAX_CLOCKS and frames):
            raise ValueError(f"render: {count} levels, {kinds} lengths, {clocks} clocks, {frames} frames do not fit.")
        for moment in self.moments:
            if not _are_shares(moment.phases, kinds):
                raise ValueError(f"render: phases are in [0,1], one for each length, not {moment.phases}.")
            if moved.stagger is not None and not _are_shares(moment.shifts, kinds):
                raise ValueError(f"render: a stagger takes a shift in [0,1] for each length, not {moment.shifts}.")
            if clocks and len(moment.swell) != 2 * clocks:
                raise ValueError(f"render: a swell takes two weights for each clock, not {moment.swell}.")
        if moved.standing is not None and not _are_shares(self.standing_shares, count):
            raise ValueError(f"render: what stands has a share in [0,1] of each level, not {self.standing_shares}.")
        longest = (len(moved.positions) - 1) * moved.stride
        if not all(0 < length <= longest * 1.0001 for length in moved.lengths):
            raise ValueError(f"render: sub-cycles of {moved.lengths} frames are longer than the knots, {longest:g}.")
        if self.recolouring is not None:
            self.recolouring.check((frames, h, w, 3), self.photo.device)

    def run(self) -> Tensor:
        """The kernel's frames."""
        moved, frames = self.displacement, len(self.moments)
        shares = [0.0] * len(self.levels) if moved.standing is None else self.standing_shares
        levels = [
            _Level(x, x.shape[0] // 2, x.shape[1] // 2, native.DTYPES[x.dtype], 2**i, share)
            for i, (x, share) in enumerate(zip(self.levels, shares, strict=True))
        ]
        phases, shifts, weights = ([getattr(x, name) for x in self.moments] for name in ("phases", "shifts", "swell"))
        out = self.photo.new_empty(frames, *self.photo.shape)
        args = _Args(
            self.photo, self.moving, *self.moving.shape, moved.margin, moved.cell, *moved.sub_cycle.shape,
            (_Level * len(levels))(*levels), len(levels), len(moved.positions), moved.positions, moved.rates,
            moved.stride, len(moved.lengths), moved.sub_cycle, moved.lengths, frames, phases,
            self.angle, self.contrast_gain, self.crossfade,
            0 if moved.swell is None else len(moved.swell) // 2, moved.swell, weights, self.generated,
            moved.stagger, shifts, moved.standing, self.light,
            None if self.recolouring is None else recolour.arguments(out, self.recolouring), out,
        )  # fmt: skip
        native.run("render", args, self.photo.device)
        return out

    def reference(self, steps: int = 1) -> Tensor:
        """The frames in plain PyTorch, over the moving part of the canvas. steps: as `composite` takes them."""
        count, moving = len(self.moments), self.moving.nan_to_num(0.0).clamp(0, 1)
        if not bool((moving > 0).any()):
            still = self.photo if steps == 1 else self.photo.int() * steps
            plain = still.expand(count, *self.photo.shape).clone()
        else:
            margin, cell = self.displacement.margin, self.displacement.cell
            region = moving_region(moving, margin, max(cell, 2 ** (len(self.levels) - 1)))
            moved = (self._moved(i, region) for i in range(count))
            drawn: dict[str, Any] = {"margin": margin, "region": region, "steps": steps}
            plain = torch.stack([composite(self.photo, moving, x, **drawn) for x in moved])
        return plain if self.recolouring is None else recolour.reference(plain, self.recolouring)

    def _moved(self, i: int, region: Region) -> Tensor:
        """What moves in frame i, [3,a,b] over the region."""
        displacement, moment = self.displacement, self.moments[i]
        phase, swapped = places = displacement.phase_map(moment)
        sources = displacement.sources(moment, places)
        share = mixing.copy_b_share(phase, self.crossfade)
        weights = swap(mixing.weights(self.angle, self.contrast_gain, phase, share), swapped)
        bands = []
        for k, level in enumerate(self.levels):
            pixels = level[..., :3].permute(2, 0, 1).float()
            moved = sources
            if displacement.standing is not None:
                moved = sources * (1 - self.standing_shares[k] * displacement.standing.nan_to_num(0.0).clamp(0, 1))
            bands.append(_mix(pixels, moved, weights[k], cell=displacement.cell, scale=2**k, region=region))
        if self.light is not None:
            y0, x0 = (first >> (len(bands) - 1) for first in region[:2])
            h, w = bands[-1].shape[1:]
            bands[-1] += self.light[y0 : y0 + h, x0 : x0 + w, :3].permute(2, 0, 1)
        image = merge(bands)
        if self.generated is not None:
            image = image + self.generated[i, :, region[0] : region[2], region[1] : region[3]]
        return image


def _are_shares(numbers: Sequence[float], count: int) -> bool:
    return len(numbers) == count and all(0 <= x <= 1 for x in numbers)


_Level = native.structure("void *spline; int64_t h, w; int32_t dtype, scale; float standing")
_Args = native.structure(
    """uint8_t *photo; float *moving; int64_t height, width; int32_t margin, cell; int64_t gh, gw;
    stylecine_level *level; int32_t levels, knots; float *positions, *rates; float stride; int32_t sub_cycles;
    uint8_t *sub_cycle; float *length; int64_t frames; float *phase, *angle, *contrast_gain, *crossfade; int32_t clocks;
    float *swell, *swell_weights, *generated, *stagger, *shift, *standing, *light;
    stylecine_recolour_args *recolouring; uint8_t *out"""
)


def _mix(level: Tensor, sources: Tensor, weights: Tensor, *, cell: int, scale: int, region: Region) -> Tensor:
    """Both displaced copies of a level (coefficients), weighted and added: [3,a,b] over the region at its scale."""
    fields = on_level(torch.cat((sources / scale, weights)), cell=cell, scale=scale, region=region)
    origin = region[0] // scale, region[1] // scale
    copy_a, copy_b = sample(level, fields[0:2], origin), sample(level, fields[2:4], origin)
    return copy_a.mul_(fields[4]).addcmul_(copy_b, fields[5])


def moving_region(moving: Tensor, margin: int, unit: int) -> Region:
    """The canvas region around everything that moves, on multiples of `unit`, plus one more for upsampling."""
    rows, columns = (moving.amax(1) > 0).nonzero(), (moving.amax(0) > 0).nonzero()
    h, w = moving.shape[0] + 2 * margin, moving.shape[1] + 2 * margin
    y0, x0 = ((int(line[0]) + margin) // unit * unit - unit for line in (rows, columns))
    y1, x1 = (-(-(int(line[-1]) + margin + 1) // unit) * unit + unit for line in (rows, columns))
    return max(y0, 0), max(x0, 0), min(y1, h), min(x1, w)


def on_level(fields: Tensor, *, cell: int, scale: int, region: Region) -> Tensor:
    """Fields [C,gh,gw], with a point every cell*cell pixels, at the pixel centres of a level over the region."""
    gh, gw = fields.shape[1:]
    y0, x0, y1, x1 = region
    top, left = max(y0 // cell - 1, 0), max(x0 // cell - 1, 0)  # one more point for the interpolation
    fields = fields[None, :, top : min(-(-y1 // cell) + 1, gh), left : min(-(-x1 // cell) + 1, gw)]
    if scale < cell:
        fields = F.interpolate(fields, scale_factor=cell // scale, mode="bilinear", align_corners=False)
    elif scale > cell:
        fields = fields[..., y0 // cell - top :, x0 // cell - left :]
        fields = F.avg_pool2d(fields, scale // cell, ceil_mode=True)
        top, left = y0 // cell, x0 // cell
    fields = fields[..., (y0 - top * cell) // scale :, (x0 - left * cell) // scale :]
    return fields[0, :, : -(-(y1 - y0) // scale), : -(-(x1 - x0) // scale)]


def composite(photo: Tensor, moving: Tensor, moved: Tensor, *, margin: int, region: Region, steps: int = 1) -> Tensor:
    """The photo [H,W,3] uint8 with `moved` [3,a,b] (-1..1, over the region) blended in: [H,W,3] uint8; or int32, with
    several steps instead of each of a photo's, and then not dithered."""
    h, w = moving.shape
    y0, x0 = max(region[0] - margin, 0), max(region[1] - margin, 0)
    y1, x1 = min(region[2] - margin, h), min(region[3] - margin, w)
    moved = moved[:, y0 + margin - region[0] :, x0 + margin - region[1] :][:, : y1 - y0, : x1 - x0]
    moved = moved.nan_to_num(-1.0, 1.0, -1.0).clamp(-1, 1).add(1).mul(127.5)
    static = photo[y0:y1, x0:x1].permute(2, 0, 1).float()
    inside = torch.lerp(static, moved, moving[y0:y1, x0:x1])
    if steps > 1:
        frame = photo.int() * steps
        frame[y0:y1, x0:x1] = inside.mul_(steps).round_().int().permute(1, 2, 0)
        return frame
    frame = photo.clone()
    frame[y0:y1, x0:x1] = inside.add_(dither(h, w, photo.device)[y0:y1, x0:x1]).to(torch.uint8).permute(1, 2, 0)
    return frame
