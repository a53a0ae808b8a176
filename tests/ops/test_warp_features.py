import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.spline import coefficients
from stylecine.ops.warp_features import _Args, channels_last, warp_features
from tests.ops.kernels import agreement, apart, smooth

CLOSE = {torch.float32: 2e-4, torch.float16: 4e-3, torch.bfloat16: 3e-2}  # of values up to about 4


@dataclass(frozen=True)
class Sample:
    name: str
    channels: int = 19
    h: int = 12
    w: int = 17
    made: tuple[int, int] | None = None  # a, b; None: h, w
    dtype: torch.dtype = torch.float32
    travel: float = 4.0  # pixels
    layout: str = "channels last"  # or "channels first", "strided", "askew"
    lost: bool = False  # some displacements are not finite

    def arguments(self, device: str = "cpu") -> tuple[tuple[Tensor, Tensor, Tensor], dict[str, Any]]:
        noise = torch.Generator().manual_seed(3)
        size = self.made or (self.h, self.w)
        spline = coefficients(torch.randn(self.channels, self.h, self.w, generator=noise)).to(self.dtype)
        sources, weights = smooth(4, *size) * self.travel, torch.rand(2, *size, generator=noise)
        if self.lost:
            for i, value in enumerate((math.nan, math.inf, -math.inf)):
                sources.flatten()[i * 7 :: 83] = value
        if self.layout in ("channels last", "askew"):
            spline = channels_last(spline)
        if self.layout == "askew":  # a GPU could not read four channels at once
            dense = spline.permute(1, 2, 0)
            spline = torch.cat((spline.new_zeros(1), dense.flatten()))[1:].view(dense.shape).permute(2, 0, 1)
        if self.layout == "strided":
            spline, sources, weights = apart(spline), apart(sources), apart(weights)
        return (spline.to(device), sources.to(device), weights.to(device)), {}


SAMPLES = [
    Sample("a usual one"),
    Sample("one pixel", h=1, w=1),
    Sample("one row", h=1, w=70),
    Sample("several tiles", h=35, w=66, channels=3),
    *(Sample(f"{channels} channels", channels=channels) for channels in (1, 16, 64, 100)),
    *(Sample(f"float16, {channels}", dtype=torch.float16, channels=channels) for channels in (67, 68)),
    *(Sample(f"bfloat16, {channels}", dtype=torch.bfloat16, channels=channels) for channels in (67, 68)),
    Sample("a part", made=(5, 9)),
    Sample("more than there is", made=(20, 30)),
    Sample("channels first", layout="channels first"),
    Sample("strided", layout="strided"),
    Sample("askew", layout="askew", channels=64),
    Sample("far outside", travel=1e9),
    Sample("lost places", lost=True),
]


def assert_alike(made: list[Tensor], expected: list[Tensor], sample: Sample) -> None:
    assert made[0].permute(1, 2, 0).is_contiguous() and made[0].isfinite().all()
    torch.testing.assert_close(made, expected, rtol=0, atol=CLOSE[sample.dtype])


test_the_kernel_agrees_with_the_reference_and_with_itself_on_any_number_of_threads, test_the_gpu_agrees_with_the_cpu = (
    agreement(warp_features, SAMPLES, assert_alike)
)


def test_two_shifted_copies_are_mixed_in_every_channel():
    features = torch.randn(7, 12, 12)
    shift = torch.tensor([2.0, 0.0, 0.0, -1.0])[:, None, None].expand(4, 12, 12)
    weights = torch.tensor([0.25, 0.75])[:, None, None].expand(2, 12, 12)
    mixed = warp_features(coefficients(features), shift, weights)
    expected = 0.25 * features[:, 1:-2, 2:] + 0.75 * features[:, :-3, :-2]
    torch.testing.assert_close(mixed[:, 1:-2, :-2], expected, atol=1e-4, rtol=0)


def test_between_pixels_a_wave_is_a_wave():
    x = torch.arange(64.0)
    features = (0.6 * x).cos().expand(2, 8, 64)
    sources, weights = torch.zeros(4, 8, 64), torch.zeros(2, 8, 64)
    sources[0], weights[0] = 0.37, 1
    warped = warp_features(coefficients(features), sources, weights)
    torch.testing.assert_close(warped[0, 4, 16:-16], (0.6 * (x + 0.37)).cos()[16:-16], atol=2e-3, rtol=0)


@pytest.mark.parametrize(("away", "column"), [(-1e3, 0), (-1e30, 0), (math.nan, 0), (1e3, -1), (math.inf, -1)])
def test_past_the_border_it_is_replicated(away, column):
    spline = coefficients(torch.randn(3, 8, 8))
    sources, weights = torch.zeros(4, 8, 8), torch.ones(2, 8, 8) / 2
    sources[0], sources[2] = away, away
    border = spline.clone()
    border[:] = spline[:, :, column, None]
    sources[0], sources[2] = away, away
    expected = warp_features(border, torch.zeros(4, 8, 8), weights)
    torch.testing.assert_close(warp_features(spline, sources, weights), expected)


def test_arguments_that_do_not_fit_are_named():
    (spline, sources, weights), _ = Sample("bad").arguments()
    for bad in (spline[0], spline[:, 1:], spline[:0]):
        with pytest.raises(ValueError, match=r"warp_features: the spline is \[C,2h,2w\]"):
            warp_features(bad, sources, weights)
    with pytest.raises(ValueError, match="not torch"):
        warp_features(spline.double(), sources, weights)
    for bad in (sources[:3], sources[0], sources.half()):
        with pytest.raises(ValueError, match="warp_features: sources is float32"):
            warp_features(spline, bad, weights)
    for bad in (weights[:1], weights[:, 1:], weights.double()):
        with pytest.raises(ValueError, match="warp_features: weights is float32"):
            warp_features(spline, sources, bad)
    place = spline.data_ptr()
    for words, args in {
        "NULL": _Args(place, 0, 3, 4, 4, 4, 4, None, place, place),
        "dtype": _Args(place, -1, 3, 4, 4, 4, 4, place, place, place),
        "channels": _Args(place, 0, 0, 4, 4, 4, 4, place, place, place),
        "2\\^22": _Args(place, 0, 3, 4, 1 << 23, 4, 4, place, place, place),
        "below 2\\^31": _Args(place, 0, 3, 4, 4, 1 << 16, 1 << 15, place, place, place),
        "too large": _Args(place, 0, 1 << 60, 4, 4, 4, 4, place, place, place),
    }.items():
        with pytest.raises(ValueError, match=words):
            native.run("warp_features", args, spline.device)
