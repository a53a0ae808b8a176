"""The horizon: where it is found, and that nothing drifts across it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from stylecine.movement.displacement import integrate, margin_for
from stylecine.movement.horizon import along_horizon, find_horizon
from stylecine.movement.motion import predict_motion
from stylecine.options import SKY, WATER
from tests.seen import Everywhere, seen

H, W = 256, 384
ROWS, COLUMNS = np.mgrid[:H, :W]


def sea(slope: float = 0.0, row: float = 100.0) -> np.ndarray:
    """Class of each place: sky above a horizon that sinks by `slope` rows a column, water below."""
    return np.where(row + slope * COLUMNS > ROWS, SKY, WATER)


@pytest.mark.parametrize("slope", [0.0, 0.02, -0.05])
def test_the_horizon_is_found_beside_islands_and_clouds_on_the_water(slope: float) -> None:
    owner = sea(slope)
    owner[80:130, 60:140] = -1  # an island
    owner[:130, 200:240] = SKY  # fog
    horizon = find_horizon(owner)
    assert horizon is not None
    found, row = horizon
    assert found == pytest.approx(slope, abs=0.003)
    assert row + found * 300 == pytest.approx(100 + slope * 300, abs=1)


@pytest.mark.parametrize("owner", [
    np.full((H, W), SKY),
    np.where(ROWS < 90, SKY, np.where(ROWS < 110, -1, WATER)),
    np.where(ROWS < 100 + 0.6 * COLUMNS, SKY, WATER),
], ids=["no water", "land between", "a slope"])
def test_no_horizon_without_a_level_line_between_sky_and_water(owner: np.ndarray) -> None:
    assert find_horizon(owner) is None


def test_what_is_far_from_it_and_what_runs_along_it_keeps_its_way() -> None:
    owner, slope = sea(0.02), 0.02
    flow = np.broadcast_to(np.array([0.4, 0.3])[:, None, None], (2, H, W))
    kept = along_horizon(flow, owner, reach=12)
    away = np.abs(ROWS - 100 - slope * COLUMNS) > 15
    assert np.array_equal(kept[:, away], flow[:, away])
    along = np.broadcast_to(np.array([1.0, slope])[:, None, None], (2, H, W))
    assert along_horizon(along, owner, reach=12) == pytest.approx(along, abs=1e-2)


@pytest.mark.parametrize("slope", [0.0, 0.013, -0.03])
def test_no_frame_bends_it(slope: float) -> None:
    """By no more than 0.3 pixels of 1024, although waves come in and clouds rise."""
    owner = sea(slope)
    layers = torch.zeros(4, H, W)
    for k in (SKY, WATER):
        layers[k] = torch.from_numpy(owner == k)
    flow = predict_motion(seen(torch.zeros(3, H, W), layers, Everywhere(0.7, 0.7)), "lively")
    assert across(flow, layers.amax(0), slope, owner) < 0.3 * H / 1024


def across(flow: Tensor, moving: Tensor, slope: float, owner: np.ndarray) -> float:
    """Pixels by which anything at the horizon ever leaves it, in four seconds."""
    period, fps = 60, 15.0
    margin = margin_for(flow, moving, period, fps)
    displacement = integrate(flow, moving, period=period, fps=fps, margin=margin)
    assert displacement.cell == 1
    line = (owner[:-1] == SKY) & (owner[1:] == WATER)
    farthest = 0.0
    for t in range(0, period, 5):
        moved = displacement.sources(displacement.moment(t))[:, margin : margin + H, margin : margin + W].numpy()
        for x, y in (moved[:2], moved[2:]):
            off = np.abs(y - slope * x)[:-1][line] / math.hypot(1, slope)
            farthest = max(farthest, float(off.max()))
    return farthest
