"""The published way, as benchmarks/baseline.py has it: what it computes is what it says."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.baseline import PARTS, Published, displacements, euler, measure, padding
from benchmarks.baseline import splat as splat_published
from stylecine.networks.generator import Generator, merge
from stylecine.ops import splat

FRAMES = 10


@pytest.fixture
def published() -> Published:
    torch.manual_seed(0)
    generator = Generator({4: 8, 8: 8, 16: 8, 32: 4}, "b16.conv1").eval().requires_grad_(False)
    return Published(
        generator=generator,
        feature=torch.randn(1, 8, 16, 16),
        w_plus=torch.randn(1, generator.num_ws, 512),
        flow=torch.tensor([0.2, -0.1])[:, None, None].expand(2, 8, 8),
        photo=torch.rand(3, 32, 32) * 2 - 1,
        moving=torch.ones(32, 32),
        frames=FRAMES,
    )


def uniform(x: float, y: float, h: int, w: int) -> Tensor:
    return torch.tensor([x, y]).float()[:, None, None].expand(2, h, w)


def test_euler_steps_add_up() -> None:
    assert torch.allclose(euler(uniform(0.25, -0.5, 20, 30), 4)[:, 5:, :20], uniform(1, -2, 15, 20))


def test_pixels_that_leave_the_frame_return() -> None:
    assert torch.equal(euler(uniform(1, 0, 4, 6), 3)[0], torch.tensor([3.0, 3, 3, 0, 0, 0]).expand(4, 6))


def test_a_flow_is_read_at_the_nearest_pixel() -> None:
    flow = torch.zeros(2, 1, 4)
    flow[0, 0] = torch.tensor([0.6, 1.0, 0.0, 0.0])
    assert torch.allclose(euler(flow, 2)[0, 0], torch.tensor([1.6, 1.0, 0.0, 0.0]))


def test_displacements_are_scaled_to_the_level() -> None:
    there, back = displacements(uniform(0.1, 0, 8, 8), (16, 16), 5, FRAMES)
    assert there.shape == (2, 28, 28)
    assert torch.allclose(there[0, :, 6:-6], torch.tensor(1.0))  # 5 steps of 0.1, twice as many pixels
    assert torch.allclose(back[0, :, 6:-6], torch.tensor(-0.8))


def test_two_copies_are_splatted_like_the_splat_kernel() -> None:
    x, pad = torch.randn(1, 3, 16, 24), (padding(16), padding(24))
    ways = 2 * torch.randn(2, 2, 16 + 2 * pad[0], 24 + 2 * pad[1])
    padded = F.pad(x, (pad[1], pad[1], pad[0], pad[0]), mode="reflect")[0]
    weight = torch.tensor([0.3, 0.7])[:, None, None].expand(2, *padded.shape[1:])
    expected, shares = (
        y[:, pad[0] : -pad[0], pad[1] : -pad[1]] for y in splat.reference(padded, ways, weight, plate=1e-9)
    )
    filled = (shares.sum(0) > 0.999).expand(3, -1, -1)
    assert filled.float().mean() > 0.9
    assert torch.allclose(splat_published(x, tuple(ways), (0.3, 0.7))[0][filled], expected[filled], atol=1e-4)


def test_holes_are_filled_from_their_surroundings() -> None:
    x = torch.ones(1, 2, 16, 16)
    ways = torch.zeros(2, 2, 28, 28)
    ways[:, 0, 10, 10] = 1000.0  # what was at (4, 4) goes far away
    assert torch.allclose(splat_published(x, tuple(ways), (0.5, 0.5))[0, :, 4, 4], torch.tensor(48 / 49))


def test_the_first_and_the_last_frame_are_the_generators(published: Published) -> None:
    way = published.generator
    image = merge(way.from_feature(published.feature, published.w_plus))[0].clamp(-1, 1)
    expected = ((image + 1) * 127.5).round().permute(1, 2, 0)
    for t in (0, FRAMES - 1):
        assert (published.frame(t).float() - expected).abs().max() <= 1
    assert (published.frame(FRAMES // 2).float() - expected).abs().max() > 1


def test_its_time_is_the_sum_of_its_parts(published: Published) -> None:
    figures = measure(published, [3, 6], count=1)
    assert figures["seconds"] == pytest.approx(sum(figures[part] for part in PARTS))
    assert 0 < figures["without_integration"] < figures["seconds"]
