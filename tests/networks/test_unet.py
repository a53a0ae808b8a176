"""The U-Net: sizes, what it is told."""

import pytest
import torch

from stylecine.networks.unet import Conv2d, UNet, coordinates, widths_of

WIDTHS = (8, 16, 24)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1},
        {"kernel_size": 3, "padding": 1, "bias": False},
        {"kernel_size": 5, "stride": 2, "padding": 2, "groups": 8},
        {"kernel_size": 3, "padding": 4, "dilation": 4},
    ],
)
def test_a_convolution_without_plans_is_the_same(options: dict[str, int]) -> None:
    torch.manual_seed(0)
    convolution, x = Conv2d(8, 16, **options), torch.randn(2, 8, 20, 31)
    assert torch.equal(convolution.unplanned(x), convolution(x))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_the_gpu_convolves_as_the_cpu_does() -> None:
    torch.manual_seed(0)
    convolution, x = Conv2d(8, 16, 5, stride=2, padding=2, groups=8), torch.randn(2, 8, 20, 31)
    with torch.inference_mode():
        expected = convolution(x)
        assert torch.allclose(convolution.cuda()(x.cuda()).cpu(), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (50, 34)])
def test_the_stride_is_that_of_its_entrance(size: tuple[int, int]) -> None:
    maps = torch.rand(2, 3, *size)
    assert UNet(3, WIDTHS)(maps).shape == (2, WIDTHS[0], *size)
    assert UNet(3, WIDTHS, stride=2)(maps).shape == (2, WIDTHS[0], size[0] // 2, size[1] // 2)


def test_conditioning_changes_every_block() -> None:
    torch.manual_seed(0)
    network = UNet(2, WIDTHS, condition=4).eval()
    maps = torch.rand(2, 2, 32, 32)
    same, other = torch.ones(1, 4).expand(2, -1), torch.tensor([[1.0, 1, 1, 1], [0, 0, 0, 1]])
    first, second = network(maps, same), network(maps, other)
    assert torch.allclose(first[0], second[0], atol=1e-5)
    assert (first[1] - second[1]).abs().max() > 1e-3
    network(maps, other).square().sum().backward()
    assert all(block.film.weight.grad.abs().max() > 0 for block in [*network.down, *network.up])


def test_widths_are_read_from_the_tensors() -> None:
    tensors = {f"net.{name}": tensor for name, tensor in UNet(2, WIDTHS).state_dict().items()}
    assert widths_of(tensors, "net.") == WIDTHS


def test_coordinates_are_those_of_pixel_centres() -> None:
    rows, columns = coordinates(torch.zeros(1, 1, 2, 4))[0]
    assert rows[:, 0].tolist() == [-0.5, 0.5]
    assert columns[0].tolist() == [-0.75, -0.25, 0.25, 0.75]
