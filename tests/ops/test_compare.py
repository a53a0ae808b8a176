import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.compare import _Args, compare
from stylecine.ops.spline import coefficients
from tests.ops.kernels import agreement, apart, smooth, within


def packed(image: Tensor, unused: float = 0.0) -> Tensor:
    """Coefficients of an image [3,h,w] as compare() wants them."""
    return F.pad(coefficients(image), (0, 0, 0, 0, 0, 1), value=unused).permute(1, 2, 0)


@dataclass(frozen=True)
class Sample:
    name: str
    h: int = 45
    w: int = 70
    ratio: int = 4
    per_pixel: float = 0.5
    side: int = 8
    dtype: torch.dtype = torch.float16
    weight: str = "some"  # or "all", "none"
    travel: float = 12.0  # of the sources' units
    more: int = 0  # points of the grid past the level
    lost: bool = False  # of one axis of copy A
    strided: bool = False

    def arguments(self, device: str = "cpu") -> tuple[list[Tensor], dict[str, Any]]:
        noise = torch.Generator().manual_seed(7)
        spline = packed(torch.randn(3, self.h, self.w, generator=noise), unused=math.nan).to(self.dtype)
        grid = (-(-n // self.ratio) + self.more for n in (self.h, self.w))
        sources = smooth(4, *grid) * self.travel
        if self.lost:
            sources[1] = math.nan
        weight = torch.rand(self.h, self.w, generator=noise)
        shares = {"some": weight * (smooth(1, self.h, self.w, seed=3)[0] > 0), "all": weight, "none": weight * 0}
        tensors = [spline.contiguous(), sources, shares[self.weight]]
        if self.strided:
            tensors = [apart(x) for x in tensors]
        keywords = {"ratio": self.ratio, "per_pixel": self.per_pixel, "side": self.side}
        return [x.to(device) for x in tensors], keywords


SAMPLES = [
    Sample("a usual one"),
    Sample("all counts", weight="all"),
    Sample("nothing counts", weight="none"),
    Sample("float32", dtype=torch.float32),
    Sample("bfloat16", dtype=torch.bfloat16),
    Sample("one pixel", h=1, w=1, ratio=1, weight="all"),
    Sample("one row", h=1, w=300, weight="all"),
    Sample("one column", h=300, w=1, weight="all"),
    Sample("whole blocks", h=64, w=128, weight="all"),
    Sample("wide", h=9, w=391, weight="all"),
    *(Sample(f"ratio {ratio}", ratio=ratio, weight="all") for ratio in (1, 2, 8, 16, 32, 128)),
    Sample("side 1", h=9, w=13, side=1),
    *(Sample(f"side {side}", side=side) for side in (3, 37, 64)),
    Sample("a larger grid", more=3, weight="all"),
    Sample("strided", strided=True),
    Sample("far outside", travel=1e9, weight="all"),
    Sample("lost places", lost=True),
]


assert_alike = within(1e-3, 1e-3)  # means of squares of values up to about 4: a rounded place changes them so much
test_the_kernel_agrees_with_the_reference_and_with_itself_on_any_number_of_threads, test_the_gpu_agrees_with_the_cpu = (
    agreement(compare, SAMPLES, assert_alike)
)


def test_an_even_image_shows_the_same_everywhere():
    spline = packed(torch.tensor([0.5, -1.0, 2.0])[:, None, None].expand(3, 20, 30))
    sources, weight = torch.randn(4, 5, 8) * 100, torch.full((20, 30), 0.25)
    products = compare(spline, sources, weight, ratio=4, per_pixel=1.0)
    assert products.shape == (3, 3, 4)
    torch.testing.assert_close(products, torch.full_like(products, 0.25 * 5.25), rtol=1e-4, atol=0)


def test_copies_moved_by_whole_pixels_are_the_image_moved():
    image, weight = torch.randn(3, 40, 48), torch.rand(40, 48)
    sources = torch.tensor([4.0, 0.0, 0.0, -2.0])[:, None, None].expand(4, 10, 12)  # half pixels
    products = compare(packed(image), sources, weight, ratio=4, per_pixel=0.5)
    a, b = image.roll(-2, dims=2), image.roll(1, dims=1)
    expected = [F.avg_pool2d(((x * y).sum(0) * weight)[None], 8)[0] for x, y in ((a, a), (b, b), (a, b))]
    inside = slice(1, -1), slice(1, -1)  # where no copy is read past the border
    for made, wanted in zip(products, expected, strict=True):
        torch.testing.assert_close(made[inside], wanted[inside], rtol=1e-4, atol=1e-4)


def test_a_block_at_the_border_is_the_mean_over_its_pixels():
    image = torch.randn(3, 9, 11)
    first, second, both = compare(packed(image), torch.zeros(4, 9, 11), torch.ones(9, 11), ratio=1, per_pixel=1.0)
    torch.testing.assert_close(
        first, F.avg_pool2d(image.square().sum(0)[None], 8, ceil_mode=True)[0], rtol=1e-4, atol=0
    )
    torch.testing.assert_close(first[1, 1], image[:, 8:, 8:].square().sum(0).mean(), rtol=1e-4, atol=0)
    assert torch.equal(first, second) and torch.equal(first, both)


@pytest.mark.parametrize(("away", "column"), [(-1e3, 0), (-math.inf, 0), (math.nan, 0), (1e3, -1), (1e30, -1)])
def test_past_the_border_it_is_replicated(away, column):
    spline, weight = packed(torch.randn(3, 8, 8)), torch.ones(8, 8)
    sources = torch.zeros(4, 8, 8)
    sources[0] = away
    border = spline.clone()
    border[:] = spline[:, column, None]
    expected = compare(border, torch.zeros(4, 8, 8), weight, ratio=1, per_pixel=1.0)[0]
    torch.testing.assert_close(compare(spline, sources, weight, ratio=1, per_pixel=1.0)[0], expected)


def test_pixels_without_weight_are_not_read():
    spline, weight = torch.full((40, 40, 4), math.nan), torch.zeros(20, 20)
    products = compare(spline, torch.zeros(4, 5, 5), weight, ratio=4, per_pixel=1.0)
    assert (products == 0).all()
    spline[:20, :20], weight[:6, :6] = 1, 0.5  # the rest is not a number still, and does not count
    assert torch.isfinite(compare(spline, torch.zeros(4, 5, 5), weight, ratio=4, per_pixel=1.0)).all()


def test_arguments_that_do_not_fit_are_named():
    (spline, sources, weight), keywords = Sample("bad").arguments()
    for bad in (spline[0], spline[1:], spline[..., :3], spline[:0]):
        with pytest.raises(ValueError, match=r"compare: the spline is \[2h,2w,4\]"):
            compare(bad, sources, weight, **keywords)
    with pytest.raises(ValueError, match="not torch"):
        compare(spline.double(), sources, weight, **keywords)
    for bad in (sources[:3], sources[0], sources[:, 1:], sources[:, :, 1:], sources.half()):
        with pytest.raises(ValueError, match="compare: sources is float32"):
            compare(spline, bad, weight, **keywords)
    for bad in (weight[1:], weight[0], weight.double()):
        with pytest.raises(ValueError, match="compare: weight is float32"):
            compare(spline, sources, bad, **keywords)
    for change in ({"ratio": 3}, {"ratio": 0}, {"side": 0}, {"side": 65}):
        with pytest.raises(ValueError, match="compare: ratio"):
            compare(spline, sources, weight, **(keywords | change))
    place = spline.data_ptr()
    for words, args in {
        "NULL": _Args(place, 4, 4, 0, 1, place, 4, 4, 1.0, 8, None, place),
        "dtype": _Args(place, 4, 4, 3, 1, place, 4, 4, 1.0, 8, place, place),
        "4\\*h\\*w": _Args(place, 4, 1 << 40, 0, 1, place, 4, 4, 1.0, 8, place, place),
        "power of two": _Args(place, 4, 4, 0, 3, place, 4, 4, 1.0, 8, place, place),
        "below 2\\^31": _Args(place, 4, 4, 0, 1, place, 1 << 16, 1 << 15, 1.0, 8, place, place),
        "cover": _Args(place, 4, 4, 0, 1, place, 4, 3, 1.0, 8, place, place),
        "side": _Args(place, 4, 4, 0, 1, place, 4, 4, 1.0, 65, place, place),
    }.items():
        with pytest.raises(ValueError, match=words):
            native.run("compare", args, spline.device)
