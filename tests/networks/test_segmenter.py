"""The segmenter: sizes from shapes, four-bit kernels, unusable weights."""

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.segmenter import Segmenter


@pytest.fixture(scope="module")
def small() -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(trunk=(8, 8, 16, 16), widths=(8, 16, 8, 24)).eval().requires_grad_(False)


def in_codes(weight: torch.Tensor, levels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same kernel rounded to `levels` [O,16]: as two codes a byte, and as floats."""
    codes = (weight.flatten(1)[:, :, None] - levels[:, None]).abs().argmin(2)
    return (codes[:, 0::2] + 16 * codes[:, 1::2]).byte(), levels.gather(1, codes).view_as(weight)


def test_logits_of_five_classes_at_half_the_size(small: Segmenter) -> None:
    assert small(torch.zeros(2, 3, 64, 96)).shape == (2, 5, 32, 48)


def test_sizes_come_from_the_tensors(small: Segmenter) -> None:
    photo = torch.rand(1, 3, 32, 48) * 2 - 1
    assert torch.equal(Segmenter.from_tensors(small.state_dict())(photo), small(photo))


def test_kernels_may_be_stored_in_four_bits(small: Segmenter) -> None:
    name = "trunk.convs.3.weight"
    plain = dict(small.state_dict())
    levels = torch.randn(8, 16).sort(1).values * 0.1
    codes, plain[name] = in_codes(plain[name], levels)
    stored = {n: t for n, t in plain.items() if n != name} | {
        f"{name}.codes": codes,
        f"{name}.levels": levels,
    }
    assert torch.equal(Segmenter.from_tensors(stored).state_dict()[name], plain[name])


@pytest.mark.parametrize("spoil", ["missing", "wrong shape", "too few codes", "nothing"])
def test_weights_that_do_not_fit_are_refused(small: Segmenter, spoil: str) -> None:
    tensors = dict(small.state_dict())
    if spoil == "missing":
        del tensors["decoder.overall.weight"]
    elif spoil == "wrong shape":
        tensors["trunk.convs.4.weight"] = torch.zeros(16, 8, 5, 5)
    elif spoil == "too few codes":
        del tensors["trunk.convs.3.weight"]
        tensors["trunk.convs.3.weight.codes"] = torch.zeros(8, 7, dtype=torch.uint8)
        tensors["trunk.convs.3.weight.levels"] = torch.zeros(8, 16)
    else:
        tensors = {}
    with pytest.raises(WeightsMalformed):
        Segmenter.from_tensors(tensors)
