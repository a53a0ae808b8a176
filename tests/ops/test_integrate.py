import math

import torch

from stylecine.ops.integrate import integrate, look_up


def rotation(n: int, angle: float) -> torch.Tensor:
    """A turn about the middle of an n*n grid by `angle` per time unit."""
    c = torch.arange(n) + 0.5 - n / 2
    y, x = torch.meshgrid(c, c, indexing="ij")
    return torch.stack((-y, x))[None] * angle


def test_look_up_reads_at_pixel_centres_and_replicates_the_border():
    field = torch.arange(12.0).view(1, 1, 3, 4)
    offset = torch.zeros(1, 2, 3, 4)
    torch.testing.assert_close(look_up(field, offset), field)
    offset[:, 0] = 1
    torch.testing.assert_close(look_up(field, offset)[0, 0, 0], torch.tensor([1.0, 2.0, 3.0, 3.0]))
    torch.testing.assert_close(look_up(field, torch.zeros(1, 2, 2, 2), origin=(1, 2)), field[:, :, 1:, 2:])


def test_a_constant_flow_moves_in_a_straight_line():
    flow = torch.tensor([0.5, -0.25])[None, :, None, None].expand(1, 2, 16, 16)
    displacement, rate = integrate(flow, knots=5, stride=4)
    torch.testing.assert_close(displacement[:, 0, :, 8, 8], torch.arange(5)[:, None] * torch.tensor([2.0, -1.0]))
    torch.testing.assert_close(rate[3], flow)


def test_a_rotation_stays_on_its_circle():
    n, angle = 64, math.pi / 240
    displacement, _ = integrate(rotation(n, angle), knots=31, stride=4)
    turned = displacement[-1, 0, :, 32, 32 + 9] + torch.tensor([9.5, 0.5])
    torch.testing.assert_close(turned.norm(), torch.tensor([9.5, 0.5]).norm(), atol=0.01, rtol=0)
    quarter = torch.tensor([-0.5, 9.5])  # 120 units of pi / 240
    torch.testing.assert_close(turned, quarter, atol=0.01, rtol=0)
