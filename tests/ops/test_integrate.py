import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.integrate import _Args, integrate, look_up
from tests.ops.kernels import agreement, apart, smooth, within


@dataclass(frozen=True)
class Sample:
    name: str
    fields: int = 2
    h: int = 24
    w: int = 33
    knots: int = 7
    substeps: int = 2
    stride: float = 4.0
    speed: float = 0.3  # pixels per time unit
    drift: float = 0.0  # speeds, to the right and down
    strided: bool = False
    damaged: bool = False  # some of it is not finite

    def arguments(self, device: str = "cpu") -> tuple[tuple[Tensor, int, float, int], dict[str, Any]]:
        flow = (smooth(self.fields, 2, self.h, self.w) + self.drift) * self.speed
        if self.damaged:
            for i, value in enumerate((math.nan, math.inf, -math.inf)):
                flow.flatten()[i * 5 :: 97] = value
        return ((apart(flow) if self.strided else flow).to(device), self.knots, self.stride, self.substeps), {}


SAMPLES = [
    Sample("a usual one"),
    Sample("one point", fields=1, h=1, w=1),
    Sample("one row", h=1, w=300),
    Sample("one column", h=70, w=1),
    Sample("wider than what is carried together", h=3, w=521),
    Sample("one knot", knots=1),
    Sample("three fields, one step between knots", fields=3, substeps=1),
    Sample("backwards, five steps", stride=-2.5, substeps=5),
    Sample("strided", strided=True),
    Sample("far outside", speed=1e4, drift=3),
    Sample("not finite here and there", damaged=True),
]


assert_alike = within(1e-5, 1e-4)
test_the_kernel_agrees_with_the_reference_and_with_itself_on_any_number_of_threads, test_the_gpu_agrees_with_the_cpu = (
    agreement(integrate, SAMPLES, assert_alike)
)


def rotation(n: int, angle: float) -> Tensor:
    """A turn about the middle of an n*n grid by `angle` per time unit."""
    c = torch.arange(n) + 0.5 - n / 2
    y, x = torch.meshgrid(c, c, indexing="ij")
    return torch.stack((-y, x))[None] * angle


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


def test_the_first_knot_is_the_flow_itself_and_outside_it_is_replicated():
    flow = torch.zeros(1, 2, 4, 8)
    flow[0, 0] = torch.arange(1.0, 9)
    displacement, rate = integrate(flow, knots=3, stride=4)
    assert displacement[0].abs().max() == 0 and torch.equal(rate[0], flow)
    assert (rate[1:, 0, 0, :, 4:] == 8).all()
    torch.testing.assert_close(displacement[2, 0, 0, :, 7], torch.full((4,), 64.0))


def test_non_finite_flow_counts_as_zero():
    flow = smooth(1, 2, 12, 12)
    still, damaged = flow.clone(), flow.clone()
    still[0, 0, 3:5], damaged[0, 0, 3:5] = 0, torch.nan
    still[0, 1, 7], damaged[0, 1, 7] = 0, torch.inf
    torch.testing.assert_close(integrate(damaged, 4, 2.0), integrate(still, 4, 2.0), rtol=0, atol=0)


def test_arguments_that_do_not_fit_are_named():
    flow = smooth(1, 2, 4, 4)
    for bad in (flow[0], flow[:, :1], flow.double(), flow[:, :, :0]):
        with pytest.raises(ValueError, match=r"integrate: the flow is float32 \[N,2,h,w\]"):
            integrate(bad, 2, 1.0)
    for knots, substeps in ((0, 1), (1, 0), (1, 65537), (1, 2**63 - 1)):
        with pytest.raises(ValueError, match="at least 1 knot"):
            integrate(flow, knots, 1.0, substeps)
    place = flow.data_ptr()
    for words, args in {
        "NULL": _Args(None, 1, 4, 4, 2, 1, 1.0, place, place),
        "fields": _Args(place, 0, 4, 4, 2, 1, 1.0, place, place),
        "2\\^24": _Args(place, 1, 1, 1 << 25, 2, 1, 1.0, place, place),
        "knots": _Args(place, 1, 4, 4, 0, 1, 1.0, place, place),
        "substeps is at most 65536": _Args(place, 1, 1, 1, 1, 65537, 1.0, place, place),
        "below 2\\^31": _Args(place, 1 << 27, 4, 4, 2, 1, 1.0, place, place),
        "too large": _Args(place, 1 << 26, 4, 4, 1 << 40, 1, 1.0, place, place),
    }.items():
        with pytest.raises(ValueError, match=words):
            native.run("integrate", args, flow.device)


def test_look_up_reads_at_pixel_centres_and_replicates_the_border():
    field = torch.arange(12.0).view(1, 1, 3, 4)
    offset = torch.zeros(1, 2, 3, 4)
    torch.testing.assert_close(look_up(field, offset), field)
    offset[:, 0] = 1
    torch.testing.assert_close(look_up(field, offset)[0, 0, 0], torch.tensor([1.0, 2.0, 3.0, 3.0]))
