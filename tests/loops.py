"""Small loops of any photo, with known drift, and another appearance of them."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from stylecine.movement.displacement import integrate
from stylecine.movement.waves import Swell
from stylecine.ops.image import to_tensor
from stylecine.options import Wind
from stylecine.output.web_pack import pack
from stylecine.perception.depth import judge_depth
from stylecine.picture.loop import Loop, frames, laplacian_levels, make_loop
from stylecine.picture.plate import canvas, plain_plate
from stylecine.picture.style import Appearance
from stylecine.picture.weather import Weather, make_weather

FPS = 30


def loop_of(
    photo: np.ndarray,
    moving: np.ndarray,
    speed: float,
    *,
    period: int = 60,
    margin: int = 32,
    swells: Sequence[float] = (),
    standing: bool = False,
    lit: bool = False,
) -> Loop:
    """A loop whose moving pixels drift at `speed` (pixels per 1/30 s) at the right border, and not at the left. swells:
    seconds of each."""
    height, width = moving.shape
    image, moves = to_tensor(photo), torch.from_numpy(moving.astype(np.float32))
    across = torch.linspace(0, speed / 2, width // 2).expand(height // 2, -1)
    flow = torch.stack((across, -0.3 * across)).contiguous()
    noise = torch.Generator().manual_seed(1)
    waves = [Swell(0.4 * torch.randn(2, 2, *flow.shape[1:], generator=noise), seconds) for seconds in swells]
    stands = across / across.max() if standing else None
    wide, visible = canvas(image, moves, margin)
    displacement = integrate(flow, moves, period=period, fps=FPS, margin=margin, swells=waves, standing=stands)
    levels = laplacian_levels(plain_plate(wide, visible).image)
    return make_loop(photo, moves, levels, displacement, fps=FPS, lit=lit)


def frame(loop: Loop, t: float) -> torch.Tensor:
    """Frame t, any real number taken modulo the period: uint8 [H,W,3]."""
    return frames(loop, [t])[0]


def appearance_of(
    photo: torch.Tensor, moving: torch.Tensor, *, strength: float = 1.0, drift: bool = False
) -> Appearance:
    """One that differs by place and luma, and clips the darkest and brightest colours. photo: uint8 [H,W,3]."""
    noise = torch.randn(1, 16, 3, 2, 3, generator=torch.Generator().manual_seed(4))
    grid = F.interpolate(0.15 * noise, (8, 5, 7), mode="trilinear", align_corners=True)
    grid[:, [0, 5, 10]] += 0.7  # more contrast
    grid[:, 12:15] -= 0.4
    return Appearance(grid[0].permute(1, 2, 3, 0).unflatten(-1, (4, 4)).contiguous(), strength, drift, photo, moving)


def weather_of(kind: str, photo: torch.Tensor, *, period: int = 60, strength: float = 1.0) -> Weather:
    """The weather before a photo uint8 [H,W,3] whose upper third is sky; in its style all of it is blue."""
    sky = torch.zeros(photo.shape[:2])
    sky[: len(sky) // 3] = 1
    blue = photo * torch.tensor([0.4, 0.6, 1.0])
    depth, length = judge_depth(photo, sky), {"period": period, "fps": FPS}
    return make_weather(kind, strength, Wind(0, 0.8), photo, blue.to(torch.uint8), depth, **length)


def textured(photo: np.ndarray) -> np.ndarray:
    """The photo with a texture that makes motion visible."""
    noise = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=photo.shape[:2]), 1)
    return np.clip(photo + 120.0 * noise[..., None], 0, 255).astype(np.uint8)


def packed(loop: Loop, appearance: Appearance | None = None, weather: Weather | None = None) -> bytes:
    return pack(loop, loop.displacement.period, FPS, appearance=appearance, weather=weather)
