"""The generator above F at one w+: as the generator, with everything that is constant made once."""

import pytest
import torch
from torch import Tensor

from stylecine.networks.generator import (
    Generator,
    combined_conv,
    merge,
    transposed_conv,
    upsampling_kernel,
)
from stylecine.networks.modulated import REACH, ModulatedSynthesis
from tests.networks import stylegan2_literal as literal

CHANNELS = {4: 8, 8: 8, 16: 6, 32: 4}
SIZE = 12, 17  # of F


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def generator(injection: str = "b8.conv1", *, noise: bool = False) -> Generator:
    made = Generator.from_tensors(literal.random_tensors(CHANNELS, noise=noise), injection)
    return made.seeded(4) if noise else made


@pytest.mark.parametrize("injection", ["b32.conv1", "b16.conv1", "b8.conv1", "b4.conv1"])
@pytest.mark.parametrize("noise", [False, True], ids=["no-noise", "noise"])
def test_it_makes_the_generators_images(injection: str, noise: bool) -> None:
    whole = generator(injection, noise=noise)
    feature, w_plus = random(whole.channels[whole.feature_resolution], *SIZE), random(whole.num_ws, 512)
    expected = merge(whole.from_feature(feature[None], w_plus[None]))[0]
    made = ModulatedSynthesis(whole, w_plus, SIZE, torch.float32)(feature)
    assert made.shape == expected.shape and made.is_contiguous()
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("injection", ["b16.conv1", "b8.conv1", "b4.conv1"])
def test_parts_are_those_of_the_whole_image(injection: str) -> None:
    """Exactly at borders that are F's own; elsewhere, but for the pixels that depend on more of F."""
    whole = generator(injection, noise=True)
    feature, w_plus = random(whole.channels[whole.feature_resolution], *SIZE), random(whole.num_ws, 512)
    synthesis, s = ModulatedSynthesis(whole, w_plus, SIZE, torch.float32), whole.stride
    image = synthesis(feature)
    part = synthesis(feature[:, :9, 4:], 0, 4)
    rows, inner = slice(0, s * (9 - REACH)), s * REACH
    torch.testing.assert_close(part[:, rows, inner:], image[:, rows, 4 * s + inner :], rtol=0, atol=1e-4)
    assert not torch.allclose(part[:, rows], image[:, rows, 4 * s :], rtol=0, atol=1e-2)


@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)], ids=str)
def test_half_precision_is_that_of_the_convolutions_only(dtype: torch.dtype, close: float) -> None:
    whole, feature, w_plus = generator(noise=True), random(8, *SIZE), random(8, 512)
    expected = ModulatedSynthesis(whole, w_plus, SIZE, torch.float32)(feature)
    made = ModulatedSynthesis(whole, w_plus, SIZE, dtype)(feature)
    assert made.dtype == torch.float32
    assert (made - expected).abs().max() < close * expected.abs().max()


@pytest.mark.parametrize("bias", [None, random(5)], ids=["no-bias", "bias"])
def test_upsampling_convolutions_for_cpus_and_gpus_are_the_same(bias: Tensor | None) -> None:
    x, weight = random(2, 4, 6, 7), random(5, 4, 3, 3, seed=1)
    of_phases = None if bias is None else bias.repeat(4)
    for_cpu, for_gpu = transposed_conv(x, weight, bias), combined_conv(x, upsampling_kernel(weight), of_phases)
    torch.testing.assert_close(for_cpu, for_gpu, rtol=0, atol=1e-4)
    for made in (for_cpu, for_gpu):
        assert made.is_contiguous(memory_format=torch.channels_last), "the next convolution would be slow"
    expected = torch.stack([literal.upsampling_convolution(one, weight) for one in x])
    torch.testing.assert_close(for_cpu, expected + (0 if bias is None else bias[:, None, None]), rtol=0, atol=1e-4)
