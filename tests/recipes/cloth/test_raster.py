"""Drawn sheets of known normals, displacements and hidden parts."""

import math

import torch
from cloth.garments import sheet
from cloth.raster import render, spline

SIDE = 64


def tilted(degrees: float) -> torch.Tensor:
    """A square metre whose right side is turned away from the viewer."""
    x = sheet(1.0, 1.0, (12, 14))
    angle = math.radians(degrees)
    x[2], x[0] = -x[0] * math.sin(angle), x[0] * math.cos(angle)
    return x


def test_a_tilted_plane_has_its_normal() -> None:
    views = render(tilted(35)[None], SIDE, (8, 8), False)
    normals = views.normals[0, :, views.visible[0]]
    expected = torch.tensor([math.sin(math.radians(35)), 0, math.cos(math.radians(35))])
    assert (normals - expected[:, None]).abs().max() < 1e-3


def test_the_still_fills_the_crop_up_to_its_margin() -> None:
    mask = render(sheet(1.0, 0.5, (12, 14))[None], 100, (12, 12), False, 0.1).visible[0]
    rows, columns = torch.nonzero(mask.any(1))[:, 0], torch.nonzero(mask.any(0))[:, 0]
    assert (rows[0].item(), rows[-1].item(), columns[0].item(), columns[-1].item()) == (10, 89, 30, 69)
    assert mask[10:90, 30:70].all()


def test_a_moved_sheet_has_that_displacement_everywhere_without_steps() -> None:
    still = tilted(20)
    moved = still * 1.1 + torch.tensor([0.05, -0.1, 0.3])[:, None, None]
    views = render(torch.stack([still, moved]), SIDE, (8, 8), False)
    mask = views.visible[0]
    metre = SIDE * (1 - 0.16) / 1.0     # pixels: the sheet is a metre high
    corner = torch.tensor([(SIDE - metre * math.cos(math.radians(20))) / 2, 0.08 * SIDE])
    y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    place = (torch.stack([x, y]) - corner[:, None, None]) / metre
    expected = (0.1 * place + torch.tensor([0.05, -0.1])[:, None, None]) * metre / SIDE
    error = (views.displacement[1, :2] - expected)[:, mask].abs()
    assert error.max() < 2e-3 and error.mean() < 1e-4
    assert views.displacement[0].abs().max() < 1e-3


def test_cloth_behind_cloth_is_not_visible() -> None:
    still = sheet(1.0, 1.0, (12, 16))
    folded = still.clone()
    right = still[0] > 0.5
    folded[0][right] = 1 - still[0][right]  # the right half folds behind the left one
    folded[2][right] = -0.3
    views = render(torch.stack([still, folded]), SIDE, (8, 8), False)
    seen = views.visible[1].float()
    assert seen[10:-10, 10:26].mean() > 0.95
    assert seen[10:-10, 38:54].mean() < 0.05


def test_a_tube_is_drawn_without_a_seam() -> None:
    turn = torch.arange(24) / 24 * 2 * math.pi
    tube = torch.stack([turn.sin().expand(10, 24), torch.linspace(0, 2, 10)[:, None].expand(10, 24),
                        turn.cos().expand(10, 24)])
    views = render(tube[None], SIDE, (8, 16), True)
    x = (torch.arange(SIDE) + 0.5 - SIDE / 2) / (SIDE * 0.42)
    row = views.normals[0, 0, SIDE // 2]
    inside = x.abs() < 0.9
    assert (row - x)[inside].abs().max() < 0.03
    assert views.visible[0, 8:-8, inside].all()


def test_a_spline_reproduces_straight_lines_and_passes_through_the_ends() -> None:
    values, slopes = spline(7, 5, False)
    line = torch.arange(7.0)
    assert (values @ line - torch.arange(31) / 5).abs().max() < 1e-5
    assert (slopes @ line - 1).abs().max() < 1e-5
    around, _ = spline(8, 4, True)
    assert around.shape == (33, 8) and around[0].equal(around[-1])
