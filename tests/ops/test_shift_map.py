"""Colours of a hidden strip, from visible places a shift away."""

import torch

from stylecine.ops.shift_map import copy_shifted


def wall(height: int = 128, width: int = 160) -> torch.Tensor:
    """Dark windows in a bright wall, above a meadow."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    wall = torch.where((y % 24 < 12) & (x % 16 < 8), 0.2, 0.8)
    return torch.where(y < 96, wall, 0.4 + 0.2 * (x % 6 < 3)).expand(3, -1, -1)


def test_windows_go_on_behind_a_strip() -> None:
    image, visible = wall(), torch.ones(128, 160, dtype=torch.bool)
    visible[10:70, 60:72] = False
    restored = copy_shifted(torch.where(visible, image, 0.5), visible)
    assert (restored - image).abs()[:, ~visible].mean() < 0.05


def test_visible_places_and_those_far_from_any_keep_their_colours() -> None:
    image, visible = wall(), torch.ones(128, 160, dtype=torch.bool)
    visible[20:, 20:130] = False
    restored = copy_shifted(torch.where(visible, image, 0.5), visible)
    assert torch.equal(restored[:, visible], image[:, visible])
    assert (restored[:, 80:100, 70:80] == 0.5).all()
