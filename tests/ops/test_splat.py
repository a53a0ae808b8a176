import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.splat import _Args, splat
from tests.ops.kernels import agreement, apart, called, needs_gpu, smooth, within


@dataclass(frozen=True)
class Sample:
    name: str
    channels: int = 3
    h: int = 37
    w: int = 41
    copies: int = 2
    dtype: torch.dtype = torch.float32
    travel: float = 8.0  # pixels
    softmax: bool = False
    plate: float = 1e-3
    strided: bool = False
    weights: str = "some"  # "some", "none" or "wild": negative, infinite, not a number
    lost: bool = False  # some displacements are not finite

    def arguments(self, device: str = "cpu") -> tuple[list[Tensor], dict[str, Any]]:
        noise = torch.Generator().manual_seed(3)
        image = torch.randn(self.channels, self.h, self.w, generator=noise).to(self.dtype)
        displacement = smooth(self.copies, 2, self.h, self.w) * self.travel
        weight = torch.rand(self.copies, self.h, self.w, generator=noise)
        weight[:, : self.h // 3] = 0
        if self.softmax:
            weight = weight * 20 - 10
        if self.weights == "none":
            weight = weight * 0 - (math.inf if self.softmax else 0)
        if self.weights == "wild":
            for i, value in enumerate((-1.0, math.nan, math.inf, -math.inf)):
                weight.flatten()[i * 7 :: 41] = value
        if self.lost:
            for i, value in enumerate((math.nan, math.inf, -math.inf)):
                displacement.flatten()[i * 7 :: 83] = value
        tensors = [apart(x) if self.strided else x for x in (image, displacement, weight)]
        return [x.to(device) for x in tensors], {"softmax": self.softmax, "plate": self.plate}


SAMPLES = [
    Sample("a usual one"),
    Sample("one pixel", h=1, w=1, travel=0.3),
    Sample("one row", h=1, w=600),
    Sample("one column", h=300, w=1),
    Sample("several bands, far across", h=200, w=20, travel=120),
    *(Sample(f"{channels} channels", channels=channels) for channels in (1, 2, 4, 15, 16, 40)),
    Sample("one copy", copies=1),
    Sample("three copies", copies=3),
    Sample("float16", dtype=torch.float16),
    Sample("bfloat16, many channels", dtype=torch.bfloat16, channels=20),
    Sample("strided", strided=True),
    Sample("softmax", softmax=True),
    Sample("softmax, many channels", softmax=True, channels=17),
    Sample("nothing counts", weights="none"),
    Sample("nothing counts in softmax", weights="none", softmax=True),
    Sample("wild weights", weights="wild"),
    Sample("wild weights in softmax", weights="wild", softmax=True),
    Sample("lost sources", lost=True),
    Sample("far outside", travel=1e6),
]


assert_alike = within(1e-5, 1e-5)
test_the_kernel_agrees_with_the_reference_and_with_itself_on_any_number_of_threads, _ = agreement(
    splat, SAMPLES, assert_alike
)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
@pytest.mark.parametrize("deterministic", [False, True])
@needs_gpu
def test_the_gpu_agrees_with_the_cpu(sample, deterministic):
    made = [[x.cpu() for x in called(splat, sample, "cuda", deterministic=deterministic)] for _ in range(2)]
    torch.testing.assert_close(made[0], list(called(splat, sample)), rtol=1e-4, atol=1e-5)
    if deterministic:
        torch.testing.assert_close(made[1], made[0], rtol=0, atol=0)


def test_a_source_is_shared_among_the_four_pixels_around_its_target():
    image, weight = torch.zeros(1, 5, 5), torch.zeros(1, 5, 5)
    image[0, 1, 1], weight[0, 1, 1] = 10, 2
    displacement = torch.tensor([1.25, 0.5])[None, :, None, None].expand(1, 2, 5, 5)
    moved, shares = splat(image, displacement, weight, plate=1)
    part = torch.zeros(5, 5)
    part[1:3, 2:4] = 2 * torch.tensor([[0.75, 0.25], [0.75, 0.25]]) / 2
    torch.testing.assert_close(shares[0], part / (part + 1))
    torch.testing.assert_close(moved[0], (10 * part + image[0]) / (part + 1))


def test_zero_displacement_is_the_image_and_holes_show_it_too():
    image, still = torch.randn(3, 6, 7), torch.zeros(1, 2, 6, 7)
    moved, shares = splat(image, still, torch.ones(1, 6, 7))
    torch.testing.assert_close(moved, image)
    torch.testing.assert_close(shares, torch.ones(1, 6, 7))
    for away in (100.0, -100.0, 1e30, -math.inf):
        moved, shares = splat(image, still + away, torch.ones(1, 6, 7))
        torch.testing.assert_close(moved, image)
        assert shares.abs().max() == 0


def test_sources_on_one_target_are_averaged_by_weight_over_all_copies():
    image = torch.tensor([[[2.0, 8.0, 5.0]]])
    displacement = torch.zeros(2, 2, 1, 3)
    displacement[0, 0, 0, 0], displacement[1, 0, 0, 2] = 1, -1
    weight = torch.tensor([[[1.0, 3.0, 0.0]], [[0.0, 0.0, 4.0]]])
    moved, shares = splat(image, displacement, weight)
    torch.testing.assert_close(moved[0, 0, 1], torch.tensor((2 * 1 + 8 * 3 + 5 * 4) / 8))
    torch.testing.assert_close(shares[:, 0, 1], torch.tensor([0.5, 0.5]))
    assert shares[:, 0, 0].abs().max() == 0 and moved[0, 0, 0] == 2, "a hole shows the plate"


@pytest.mark.parametrize("native_or_not", ["native", "reference"])
def test_softmax_counts_exponentials_from_the_largest_on(native_or_not):
    tensors, _ = Sample("softmax").arguments()
    image, displacement, weight = tensors[0], tensors[1], tensors[2] + 0.1
    with native.disabled() if native_or_not == "reference" else native.using():
        plain = splat(image, displacement, weight / weight.max(), plate=0.01)
        torch.testing.assert_close(splat(image, displacement, weight.log(), plate=0.01, softmax=True), plain)
        large = splat(image, displacement, weight.log() + 1000, plate=0.01, softmax=True)
    torch.testing.assert_close(large, plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("softmax", [False, True])
def test_sources_without_a_place_or_a_weight_add_nothing(softmax):
    tensors, _ = Sample("some").arguments()
    image, displacement, weight = tensors
    gone = torch.rand(weight.shape, generator=torch.Generator().manual_seed(1)) < 0.3
    expected = splat(image, displacement, weight.masked_fill(gone, -math.inf if softmax else 0), softmax=softmax)
    for value in (math.nan, math.inf, -math.inf):
        made = splat(image, displacement, weight.masked_fill(gone, value), softmax=softmax)
        torch.testing.assert_close(made, expected, rtol=0, atol=0)
    nowhere = displacement.masked_fill(gone[:, None], math.nan)
    torch.testing.assert_close(splat(image, nowhere, weight, softmax=softmax), expected, rtol=1e-5, atol=1e-5)


def test_arguments_that_do_not_fit_are_named():
    (image, displacement, weight), _ = Sample("bad").arguments()
    with pytest.raises(ValueError, match=r"splat: the image is \[C,h,w\]"):
        splat(image[0], displacement, weight)
    with pytest.raises(ValueError, match="not torch"):
        splat(image.long(), displacement, weight)
    for bad in (displacement[0], displacement[:, :1], displacement[:, :, 1:], displacement.double(), displacement[:0]):
        with pytest.raises(ValueError, match="splat: displacement is float32"):
            splat(image, bad, weight)
    for bad in (weight[0], weight[:1], weight.half()):
        with pytest.raises(ValueError, match="splat: weight is float32"):
            splat(image, displacement, bad)
    for plate in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="splat: plate"):
            splat(image, displacement, weight, plate=plate)
    place = image.data_ptr()
    for words, args in {
        "NULL": _Args(None, 0, 0, 3, 37, 41, 2, place, place, 1e-3, 0, place, place),
        "dtype": _Args(place, 7, 0, 3, 37, 41, 2, place, place, 1e-3, 0, place, place),
        "copies": _Args(place, 0, 0, 3, 37, 41, 0, place, place, 1e-3, 0, place, place),
        "plate": _Args(place, 0, 0, 3, 37, 41, 2, place, place, 0.0, 0, place, place),
        "below 2\\^31": _Args(place, 0, 0, 3, 1 << 15, 1 << 15, 2, place, place, 1e-3, 0, place, place),
        "too large": _Args(place, 0, 0, 1 << 60, 37, 41, 2, place, place, 1e-3, 0, place, place),
    }.items():
        with pytest.raises(ValueError, match=words):
            native.run("splat", args, image.device)
