"""What is smooth over much of the photo stands: a vignette does, a cloud passes."""

import numpy as np
import torch
from torch import Tensor

from stylecine.movement.displacement import integrate
from stylecine.ops.image import to_tensor, to_uint8
from stylecine.picture.light import standing_light
from stylecine.picture.loop import Loop, laplacian_levels, make_loop
from stylecine.picture.plate import canvas, plain_plate
from tests.loops import frame

HEIGHT, WIDTH, MARGIN, SCALE = 192, 256, 32, 16


def places() -> tuple[Tensor, Tensor]:
    """From the middle of the photo, in short sides."""
    rows, columns = (torch.arange(n) + 0.5 - n / 2 for n in (HEIGHT, WIDTH))
    return torch.meshgrid(rows / HEIGHT, columns / HEIGHT, indexing="ij")


def vignette() -> Tensor:
    y, x = places()
    return (0.3 - 0.9 * (x.square() + y.square())).expand(3, -1, -1)


def cloud() -> Tensor:
    """As wide as two fifths of the short side."""
    y, x = places()
    return 0.5 * torch.exp(-(x.square() + y.square()) / (2 * 0.08**2))


def loop_of(photo: Tensor, *, lit: bool, speed: float = 0.4, sampling: str = "gather") -> Loop:
    """All of it drifts to the right."""
    moving = torch.ones(HEIGHT, WIDTH)
    flow = torch.tensor([speed, 0.0])[:, None, None].expand(2, HEIGHT // 4, WIDTH // 4) / 4
    displacement = integrate(flow.contiguous(), moving, period=60, fps=30, margin=MARGIN)
    pixels = to_uint8(photo).numpy()
    levels = laplacian_levels(plain_plate(*canvas(to_tensor(pixels), moving, MARGIN)).image)
    return make_loop(pixels, moving, levels, displacement, lit=lit, sampling=sampling)


def change(loop: Loop, t: float = 30) -> np.ndarray:
    return np.abs(frame(loop, t).numpy().astype(int) - loop.photo.numpy()).mean(-1)


def test_a_vignette_stands_where_it_drifted_before():
    for sampling in ("gather", "splat"):
        changes = [change(loop_of(vignette(), lit=lit, speed=3, sampling=sampling)).mean() for lit in (False, True)]
        assert changes[0] > 1.5 and changes[1] < 0.35 * changes[0]


def test_a_cloud_passes_through_a_vignette():
    """Its brightness half way through the loop is that of a cloud alone, as far as it is not light."""
    alone = change(loop_of(cloud().expand(3, -1, -1), lit=False))
    both = change(loop_of(vignette() + cloud(), lit=True))
    assert both.max() > 0.8 * alone.max()


def test_frame_0_is_the_photo():
    loop = loop_of(vignette() + cloud(), lit=True)
    assert np.array_equal(frame(loop, 0).numpy(), loop.photo.numpy())
    assert change(loop, 1e-6).max() <= 1, "and what follows goes on from there"


def test_light_is_smooth_mirrored_past_the_border_and_vanishes_far_from_what_is_seen_in_it():
    size, high, wide = (HEIGHT, WIDTH), 256 // SCALE, 320 // SCALE
    low_pass = torch.linspace(-1, 1, wide).expand(3, high, wide) ** 3
    left = (torch.arange(wide) < 6).float().expand(high, wide)
    light = standing_light(low_pass, left, scale=SCALE, margin=MARGIN, size=size)
    assert light.shape == (high, wide, 4) and light[..., 3].abs().max() == 0
    assert light[:, 12:].abs().max() < 0.05 * light.abs().max()
    assert torch.allclose(light[:, 1], light[:, 2]) and torch.allclose(light[:, 0], light[:, 3])
    assert standing_light(low_pass, torch.zeros_like(left), scale=SCALE, margin=MARGIN, size=size).abs().max() == 0
