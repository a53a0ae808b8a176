"""Rain, snow and fog over finished frames: a veil by distance, then streaks and flakes before it.

A streak is a segment with a soft edge; flakes are short ones. All have the colour of the light around them, so what a
pixel shows of the frame is the product of what each lets through, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.image import dither

_Streak = native.structure("float x, y, dx, dy, inverse, radius, shrink, opacity")
STREAK = len(_Streak._fields_)  # numbers of one


class Precipitation(NamedTuple):
    """What is in the air before frames uint8 [n,H,W,3], frame by frame.

    streaks         of each frame, float32 [S,8]: start x and y, in pixels, with the middle of the first pixel at 0;
                    the way to the end, x and y; 1 / its squared length, 0 for a point; the radius, above 0; 1 / its
                    square; the opacity in the middle, 0 to 1. All are finite.
    streak_colours  of each frame: red, green, blue, 0 to 255.
    veil            float32 [n,gh,gw]: opacity of the fog in the distance, 0 to 1; equal cells that cover the frame.
    veil_colours    of each frame: red, green, blue, 0 to 255.
    distance        uint8 [H,W]: 255 is the distance, 0 is here.
    """

    streaks: Sequence[Tensor]
    streak_colours: Sequence[tuple[float, float, float]]
    veil: Tensor
    veil_colours: Sequence[tuple[float, float, float]]
    distance: Tensor

    def check(self, shape: Sequence[int], device: torch.device) -> None:
        """Raises ValueError if shapes, types or devices do not fit frames of this shape on this device."""
        frames, height, width, _ = shape
        for name, each in self._asdict().items():
            if name != "distance" and len(each) != frames:
                raise ValueError(f"weather: there are {frames} frames, and {len(each)} of {name}.")
        for streaks in self.streaks:
            if streaks.numel():
                native.check_tensor("weather: streaks", streaks, (len(streaks), STREAK), torch.float32, device)
        if self.veil.ndim != 3:
            raise ValueError(f"weather: the veil is [n,gh,gw], not {list(self.veil.shape)}.")
        native.check_tensor("weather: veil", self.veil, self.veil.shape, torch.float32, device)
        native.check_tensor("weather: distance", self.distance, (height, width), torch.uint8, device)


def weather_(frames: Tensor, precipitation: Precipitation) -> Tensor:
    """Frames, uint8 [n,H,W,3] and contiguous, with the weather drawn into them.

    Pixels without any keep their bytes. Raises ValueError if shapes, types or devices do not fit.
    """
    native.check_frames("weather", frames)
    precipitation.check(frames.shape, frames.device)
    if not native.available(frames.device):
        return frames.copy_(reference(frames, precipitation))
    native.run("weather", arguments(frames, precipitation), frames.device)
    return frames


_Args = native.structure(
    """uint8_t *frame; int64_t frames, height, width; float *streaks; int64_t *first; float *veil; int64_t gh, gw;
    uint8_t *distance; float *streak_colours, *veil_colours; uint8_t *out"""
)


def arguments(frames: Tensor, precipitation: Precipitation) -> native.Arguments:
    """For the kernel, which changes the frames in place."""
    streaks, streak_colours, veil, veil_colours, distance = precipitation
    first = np.cumsum([0, *(len(each) for each in streaks)], dtype=np.int64)
    air = torch.cat([*streaks]), first, veil, *veil.shape[1:], distance
    return _Args(frames, *frames.shape[:3], *air, streak_colours, veil_colours, frames)


def reference(frames: Tensor, precipitation: Precipitation) -> Tensor:
    """weather_() of copies, in plain PyTorch."""
    height, width = precipitation.distance.shape
    noise, made = dither(height, width, frames.device)[..., None], []
    for frame, streaks, streak_colour, veil, veil_colour in zip(frames, *precipitation[:4], strict=True):
        opacity = F.interpolate(veil[None, None], (height, width), mode="bilinear")[0, 0].clamp(0, 1)
        fog = (opacity * precipitation.distance / 255)[..., None]
        through = transparency(streaks, height, width)[..., None]
        behind = torch.lerp(frame.float(), frame.new_tensor(veil_colour, dtype=torch.float32), fog)
        drawn = torch.lerp(frame.new_tensor(streak_colour, dtype=torch.float32), behind, through)
        made.append((drawn + noise).floor().clamp(0, 255).to(torch.uint8))
    return torch.stack(made)


def transparency(streaks: Tensor, height: int, width: int) -> Tensor:
    """The share of the frame that is seen through streaks [S,8]: [H,W]."""
    through = torch.ones(height, width, device=streaks.device)
    for x, y, dx, dy, inverse, radius, shrink, opacity in streaks.tolist():
        left, right = max(0, int(min(x, x + dx) - radius)), min(width, int(max(x, x + dx) + radius) + 2)
        top, bottom = max(0, int(min(y, y + dy) - radius)), min(height, int(max(y, y + dy) + radius) + 2)
        if left >= right or top >= bottom:
            continue
        across = torch.arange(left, right, device=streaks.device) - x
        down = (torch.arange(top, bottom, device=streaks.device) - y)[:, None]
        along = ((across * dx + down * dy) * inverse).clamp(0, 1)
        squared = (across - along * dx).square() + (down - along * dy).square()
        inside = (1 - squared * shrink).clamp(0, 1)
        through[top:bottom, left:right] *= 1 - opacity * inside.square()
    return through
