"""Push-pull filling keeps what is known and is smooth elsewhere."""

import torch

from stylecine.ops.push_pull import push_pull


def test_what_is_visible_is_kept_and_the_rest_lies_within_its_range() -> None:
    y, x = torch.meshgrid(torch.arange(41.0), torch.arange(60.0), indexing="ij")
    image = (torch.sin(x / 9) * torch.cos(y / 7))[None, None]
    visible = torch.ones(1, 1, 41, 60)
    visible[..., 10:30, 20:40] = 0
    filled = push_pull(image, visible)
    assert torch.equal(filled * visible, image * visible)
    assert filled.abs().max() <= image.abs().max() + 1e-6
    step = (filled[..., 15:25, 26:35] - filled[..., 15:25, 25:34]).abs().max()
    assert step < 0.2


def test_one_visible_pixel_colours_everything() -> None:
    visible = torch.zeros(1, 1, 33, 70)
    visible[..., 3, 4] = 1
    torch.testing.assert_close(push_pull(torch.full((1, 3, 33, 70), 0.3), visible), torch.full((1, 3, 33, 70), 0.3))


def test_nothing_visible_gives_nothing_infinite() -> None:
    assert torch.isfinite(push_pull(torch.ones(1, 3, 40, 60), torch.zeros(1, 1, 40, 60))).all()
