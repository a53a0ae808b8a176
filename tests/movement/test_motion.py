"""How it moves: what each class does, what arrows change, what of a given field is accepted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stylecine.errors import MotionError
from stylecine.movement.motion import predict_motion, read_motion
from stylecine.movement.speed import STILL_DRIFT
from stylecine.options import PACES
from tests.seen import Everywhere, Habit, seen

SKY, WATER, FALLS, SMOKE = range(4)
H, W = 128, 192


class Bending(Everywhere):
    """Runs right on the left, down on the right."""

    def field(self, h: int, w: int) -> Tensor:
        angle = (torch.arange(w) + 0.5) / w * math.pi / 2
        return torch.stack([angle.cos(), angle.sin()])[:, None].expand(2, h, w)


class Converging(Everywhere):
    """Runs to the middle from both sides, a little more from the left, and towards the viewer."""

    def field(self, h: int, w: int) -> Tensor:
        x = torch.where(torch.arange(w) < w // 2, 0.8, -0.6)
        return torch.stack([x, torch.full((w,), 0.2)])[:, None].expand(2, h, w)


def layer(kind: int, where: Tensor) -> Tensor:
    layers = torch.zeros(4, H, W)
    layers[kind] = where.float()
    return layers


def rows() -> Tensor:
    return torch.arange(H)[:, None].expand(H, W)


def columns() -> Tensor:
    return torch.arange(W)[None].expand(H, W)


def travel(flow: Tensor, where: Tensor) -> float:
    """Median way in 4 s, in short sides."""
    return float(flow.norm(dim=0)[where].median()) * 120 / min(flow.shape[1:])


def flow_of(
    photo: Tensor, layers: Tensor, network: Everywhere, arrows: Sequence[Sequence[float]] = (), pace: str = "natural"
) -> Tensor:
    return predict_motion(seen(photo, layers, network, arrows), pace)


GREY = (columns() / W * 1e-3).expand(3, H, W)


def test_the_grid_is_at_most_256_on_its_short_side() -> None:
    everywhere = torch.ones(4, 320, 480) * torch.tensor([1.0, 0, 0, 0])[:, None, None]
    assert flow_of(torch.zeros(3, 320, 480), everywhere, Everywhere(1, 0)).shape == (2, 256, 384)
    assert flow_of(GREY, layer(SKY, rows() >= 0), Everywhere(1, 0)).shape == (2, H, W)


def test_one_wind_blows_through_the_whole_sky_and_slower_at_the_horizon() -> None:
    sky = rows() < 80
    flow = flow_of(GREY, layer(SKY, sky), Everywhere(-1, 0.1))
    assert (flow[0][sky] < 0).all()
    assert 1.3 < flow[:, 2].norm(dim=0).mean() / flow[:, 70].norm(dim=0).mean() < 4
    assert flow[:, 110:].abs().max() == 0


def test_a_wind_is_level_unless_it_clearly_is_not() -> None:
    sky = layer(SKY, rows() < 80)
    assert flow_of(GREY, sky, Everywhere(1, 0.1))[1].abs().max() == 0
    rising = flow_of(GREY, sky, Everywhere(1, -0.3))[:, 20, 50]
    assert 0.1 < -rising[1] / rising[0] < 0.25


def test_water_does_not_pull_the_horizon_along() -> None:
    layers = layer(SKY, rows() < 60) + layer(WATER, (rows() >= 60) & ((columns() - 90).abs() > 4))  # beside a post
    flow = flow_of(GREY, layers, Everywhere(0.5, 0.5))
    assert flow[1, 61, :80].abs().max() < 0.1 * flow[0, 61, :80].max() and (flow[0, 61, :60] > 0).all()
    assert flow[1, 110, 20] > 0.5 * flow[0, 110, 20]


def test_falls_are_faster_at_their_foot() -> None:
    falls = (rows() > 20) & (rows() < 110) & ((columns() - 90).abs() < 20)
    down = flow_of(GREY, layer(FALLS, falls), Everywhere(0, 1))[1, :, 90]
    assert (down[26:100].diff() > -1e-6).all() and 1.4 < down[100] / down[30] < 2


def test_the_usual_direction_yields_to_the_picture() -> None:
    """The network is asked a second time in the mirror: what it answers to both alike it has seen."""
    where = rows() >= 0
    lake = flow_of(GREY, layer(WATER, where), Habit(1, 0.1))[:, 64, 96]
    river = flow_of(GREY, layer(WATER, where), Habit(0.5, 0.8))[:, 64, 96]
    assert lake[0] > 4 * lake[1].abs()
    assert river[1] > 50 * river[0].abs()


@pytest.mark.parametrize(("network", "degrees"), [(Everywhere(0.6, 0.8), 0), (Habit(1, 0), 180), (Habit(1, 1), 90)])
def test_what_contradicts_its_mirror_image_is_a_guess(network: Everywhere, degrees: float) -> None:
    scenery = seen(GREY, layer(WATER, rows() >= 0), network)
    assert scenery.disagreement == pytest.approx(degrees, abs=0.5)


def test_clouds_without_a_visible_direction_drift_to_the_open_side() -> None:
    """And calm water with them."""
    hill = (columns() > 120) & (rows() > 30)
    layers = layer(SKY, (rows() < 70) & ~hill) + layer(WATER, rows() >= 80)
    flow = flow_of(GREY, layers, Habit(1, 0.1))
    assert flow[0, 20, 60] < 0 and flow[0, 110, 60] < 0
    assert flow_of(GREY.flip(2), layers.flip(2), Habit(1, 0.1))[0, 20, 130] > 0


@pytest.mark.parametrize(("kind", "least", "most"), [(SKY, 0.08, 0.15), (WATER, 0.07, 0.11), (FALLS, 0.8, 1.2)])
def test_motion_is_fast_enough_to_be_visible(kind: int, least: float, most: float) -> None:
    where = (rows() > 20) & (rows() < 110)
    assert least < travel(flow_of(GREY, layer(kind, where), Everywhere(0.3, 0.7)), where) < most


@pytest.mark.parametrize(("kind", "calm"), [(SKY, 0.048), (WATER, 0.036), (FALLS, 0.43), (SMOKE, 0.042)])
def test_the_pace_changes_speeds_and_no_directions(kind: int, calm: float) -> None:
    where = (rows() > 20) & (rows() < 110)
    flows = [flow_of(GREY, layer(kind, where), Everywhere(0.3, 0.7), pace=pace) for pace in PACES]
    slow, usual, fast = (travel(flow, where) for flow in flows)
    assert slow == pytest.approx(calm, rel=0.2) and usual > 1.9 * slow and fast > 1.45 * usual
    directions = [flow / flow.norm(dim=0).clamp_min(1e-9) for flow in flows]
    assert torch.allclose(directions[0][:, where], directions[2][:, where], atol=1e-3)


def test_falls_run_as_the_eye_sees_them() -> None:
    """Rapids that it takes for falls, too: they do not drop straight down."""
    where = (columns() > 60) & (columns() < 130)
    flow = flow_of(GREY, layer(FALLS, where), Everywhere(0.8, 0.6))[:, 40:90, 85:105].mean((1, 2))
    assert math.degrees(math.atan2(flow[1], flow[0])) == pytest.approx(math.degrees(math.atan2(0.6, 0.8)), abs=3)


def test_water_runs_past_rocks_and_out_of_the_frame() -> None:
    rock = (rows() - 64) ** 2 + (columns() - 96) ** 2 < 20**2
    flow = flow_of(GREY, layer(WATER, ~rock), Everywhere(1, 0))
    free = float(flow[0, 64, 20])
    assert abs(flow[0, 64, 76]) < 0.2 * free  # into the rock
    assert flow[0, 42, 96] > 0.8 * free  # past it
    assert flow[0, 64, 191] > 0.9 * free  # out of the frame


@pytest.mark.parametrize(("network", "stone"), [(Everywhere(1, 0), 84), (Everywhere(0.5, 1), 96)])
def test_waves_run_past_a_stone_in_a_lake_as_if_it_was_not_there(network: Everywhere, stone: int) -> None:
    lake = rows() >= 40
    alone = flow_of(GREY, layer(WATER, lake), network)
    held = (rows() - 90).abs().maximum((columns() - stone).abs()) < 6
    around = flow_of(GREY, layer(WATER, lake & ~held), network)
    beside = lake & ~held & ((rows() - 90).abs().maximum((columns() - stone).abs()) < 12)
    assert (around - alone).norm(dim=0)[beside].max() < 0.2 * alone.norm(dim=0)[beside].median()


def test_clouds_pass_behind_ridges() -> None:
    tower = (columns() > 80) & (columns() < 110) & (rows() > 30)
    flow = flow_of(GREY, layer(SKY, ~tower & (rows() < 90)), Everywhere(1, 0))
    assert flow[0, 40, 78] == pytest.approx(float(flow[0, 40, 20]), rel=1e-4)


def test_water_that_could_drift_either_way_drifts_with_the_clouds() -> None:
    class Clouds(Habit):
        """Sees clouds drift to the left, and nothing else; its habit is to the right."""

        def directions(self, h: int, w: int) -> tuple[Tensor, Tensor]:
            high = torch.arange(h)[:, None] < h // 2
            clouds = torch.tensor([-1.0, 0.0])[:, None, None].expand(2, h, w)
            straight, mirrored = (torch.where(high, clouds, field) for field in super().directions(h, w))
            return straight, mirrored

    layers = layer(SKY, rows() < 60) + layer(WATER, rows() > 66)
    flow = flow_of(GREY, layers, Clouds(1, 0))
    assert flow[0, 30, 96] < 0 and flow[0, 110, 96] < 0


def test_a_lake_that_mirrors_its_shore_does_not_drift_unless_an_arrow_says_so() -> None:
    layers = layer(WATER, rows() >= 64)
    waves, mirror = Everywhere(1, 0), Everywhere(1, 0, "mirrors")
    drifting, held = (flow_of(GREY, layers, eye)[0, 80:].median() for eye in (waves, mirror))
    assert held == pytest.approx(STILL_DRIFT * drifting, rel=0.05)
    steered = flow_of(GREY, layers, mirror, [(0.5, 0.8, 0.55, 0.8)])
    assert steered[0, 102, 96] == pytest.approx(0.05 * W / 30, rel=0.05)


def test_clouds_pass_the_glow_of_the_sun_which_stands() -> None:
    away = ((rows() - 50) ** 2 + (columns() - 60) ** 2).sqrt() / H
    glow = torch.exp(-(away - 0.03).clamp(min=0) / 0.1)
    photo = torch.tensor([0.4, -0.1, -0.5])[:, None, None] * (1 - glow) + glow
    layers = layer(SKY, rows() < 100)
    flow = flow_of(photo, layers, Everywhere(1, 0))[0].abs()
    assert flow[50, 60:66].max() < 0.05 * flow[50, 170]
    steered = flow_of(photo, layers, Everywhere(1, 0), [(60 / W, 50 / H, 70 / W, 50 / H)])[0]
    assert steered[50, 60] == pytest.approx(10 / 30, rel=0.05) and 0 < steered[50, 170] < 1


def test_a_lake_is_almost_level_and_a_surf_comes_in() -> None:
    where = rows() >= 40
    for slope in (-0.3, 0.15):
        lake = flow_of(GREY, layer(WATER, where), Everywhere(1, slope))[:, 80, 96]
        assert lake[1].abs() < 0.3 * lake[0]
    surf = flow_of(GREY, layer(WATER, where), Everywhere(1, 1))[:, 100, 96]
    assert surf[1] > 0.6 * surf[0] > 0


RIVER = (rows() > 30) & ((columns() - 96).abs() < 3 + 0.12 * (rows() - 30))  # from far away
CHANNEL = (columns() - 96).abs() < 10


def test_a_river_from_far_away_runs_towards_the_viewer() -> None:
    """Though the network thinks that it runs away."""
    flow = flow_of(GREY, layer(WATER, RIVER), Everywhere(0.2, -1, "runs"))
    assert (flow[1][RIVER] > 0).float().mean() > 0.95


def test_one_stream_has_one_sense() -> None:
    class Torn(Everywhere):
        """Uphill in the distance, downhill nearby."""

        def field(self, h: int, w: int) -> Tensor:
            return torch.where(torch.arange(h)[:, None] < h // 2, -1.0, 1.0) * super().field(h, w)

    flow = flow_of(GREY, layer(WATER, CHANNEL), Torn(0.3, 1, "runs"))
    assert (flow[1][CHANNEL] > 0.3 * flow[1].max()).float().mean() > 0.95


def test_a_fall_drops_into_its_pool_behind_a_rock() -> None:
    fall = (rows() < 70) & ((columns() - 96).abs() < 20)
    flow = flow_of(GREY, layer(FALLS, fall), Everywhere(0, 1))
    assert flow[1, 68, 96] > 0.8 * flow[1, 50, 96], "what is static below does not stop it"


@pytest.mark.parametrize("arrow", [(0.5, 0.8, 0.5, 0.7), (0.5, 0.8, 0.5, 0.9)])
def test_an_arrow_decides_the_sense_of_its_stream(arrow: tuple[float, ...]) -> None:
    for network in (Everywhere(0, 1, "runs"), Everywhere(0.2, -1, "runs"), Everywhere(0.97, -0.26, "runs")):
        flow = flow_of(GREY, layer(WATER, CHANNEL), network, [arrow])
        assert flow[1, int(0.8 * H), 96] == pytest.approx((arrow[3] - arrow[1]) * H / 30, rel=1e-3)
        assert (flow[1][CHANNEL] * (arrow[3] - arrow[1]) > 0).all()


def test_a_stream_that_could_run_either_way_is_slower() -> None:
    """A network that sees it run across and a little uphill says as much as the stream's shape, and the opposite."""
    across = Everywhere(0.97, -0.26, "runs")
    layers = layer(WATER, CHANNEL)
    assert seen(GREY, layers, across).ambiguous.tolist() == CHANNEL.tolist()
    for pace, calmer in (("lively", "natural"), ("natural", "calm")):
        doubtful, sure = (flow_of(GREY, layers, net, pace=pace) for net in (across, Everywhere(0.3, 1, "runs")))
        slower = flow_of(GREY, layers, Everywhere(0.3, 1, "runs"), pace=calmer)
        assert travel(doubtful, CHANNEL) == pytest.approx(travel(slower, CHANNEL), rel=0.2)
        assert travel(doubtful, CHANNEL) < 0.7 * travel(sure, CHANNEL)


def test_a_stream_with_an_arrow_and_open_water_are_no_ambiguous_streams() -> None:
    across, layers = Everywhere(0.97, -0.26, "runs"), layer(WATER, CHANNEL)
    assert not seen(GREY, layers, across, [(0.5, 0.5, 0.5, 0.6)]).ambiguous.any()
    assert not seen(GREY, layer(WATER, rows() > 40), Everywhere(0.97, -0.26)).ambiguous.any()


def test_neighbours_do_not_tear_apart() -> None:
    where = (rows() > 30) & ((rows() - 80) ** 2 + (columns() - 96) ** 2 > 15**2)
    flow = flow_of(GREY, layer(WATER, where), Everywhere(0.8, 0.6), pace="calm")
    steps = torch.cat(
        [
            (flow[:, 1:] - flow[:, :-1]).norm(dim=0)[(where[1:] & where[:-1])],
            (flow[:, :, 1:] - flow[:, :, :-1]).norm(dim=0)[(where[:, 1:] & where[:, :-1])],
        ]
    )
    assert steps.quantile(0.99) * 120 < 0.9  # pixels of stretch a pixel in 4 s


def test_an_arrow_is_met_where_it_starts_and_turns_its_region() -> None:
    left, right = (columns() < 80), (columns() > 110)
    layers = layer(WATER, left | right)
    calm = flow_of(GREY, layers, Everywhere(1, 0))
    bent = flow_of(GREY, layers, Everywhere(1, 0), [(0.2, 0.5, 0.2, 0.56)])
    tail = bent[:, int(0.5 * H), int(0.2 * W)]
    assert tail.tolist() == pytest.approx([0, 0.06 * H / 30], abs=1e-5)
    assert (bent[1][20:108, 20:60] > 0.5 * bent[1].max()).float().mean() > 0.9
    assert torch.allclose(bent[:, :, 115:], calm[:, :, 115:])


def test_two_arrows_of_one_region_are_both_met() -> None:
    arrows = [(0.2, 0.5, 0.3, 0.5), (0.8, 0.5, 0.8, 0.4)]
    flow = flow_of(GREY, layer(WATER, rows() >= 0), Everywhere(1, 0), arrows)
    for x0, y0, x1, y1 in arrows:
        wanted = [(x1 - x0) * W / 30, (y1 - y0) * H / 30]
        assert flow[:, int(y0 * H), int(x0 * W)].tolist() == pytest.approx(wanted, abs=1e-3)


def test_an_arrow_may_be_a_way_along_which_matter_keeps_its_speed() -> None:
    way = (0.2, 0.3, 0.5, 0.3, 0.5, 0.7, 0.2, 0.7)  # right, down, left
    flow = flow_of(GREY, layer(WATER, rows() >= 0), Everywhere(1, 0), [way])
    speed = (0.6 * W + 0.4 * H) / 30
    for x, y, dx, dy in [(0.2, 0.3, 1, 0), (0.5, 0.5, 0, 1), (0.35, 0.7, -1, 0)]:
        wanted = [speed * dx, speed * dy]
        assert flow[:, int(y * H), int(x * W)].tolist() == pytest.approx(wanted, abs=0.02 * speed)


def test_a_way_may_leave_what_moves_but_not_start_outside() -> None:
    layers, onto_land = layer(WATER, columns() < 96), (0.2, 0.5, 0.4, 0.5, 0.9, 0.5, 0.9, 0.9)
    assert flow_of(GREY, layers, Everywhere(0, 1), [onto_land])[0, int(0.5 * H), int(0.2 * W)] > 0
    with pytest.raises(MotionError, match="starts where nothing moves"):
        flow_of(GREY, layers, Everywhere(0, 1), [(0.9, 0.9, 0.9, 0.5, 0.2, 0.5)])


def test_an_arrow_in_a_pool_does_not_turn_the_fall() -> None:
    pool, fall = rows() >= 64, (rows() < 64) & (columns() > 60) & (columns() < 130)
    layers = layer(WATER, pool) + layer(FALLS, fall)
    into_pool, into_fall = (0.2, 0.8, 0.1, 0.8), (0.5, 0.3, 0.52, 0.5)
    for arrows in ([into_pool], [into_pool, into_fall]):
        flow = flow_of(GREY, layers, Everywhere(0, 1), arrows)
        assert (flow[0][100:, 20:] < -flow[1][100:, 20:].abs()).float().mean() > 0.9
        assert (flow[1][10:50, 65:125] > 2 * flow[0][10:50, 65:125].abs()).all()
        for x0, y0, x1, y1 in arrows:
            wanted = [(x1 - x0) * W / 30, (y1 - y0) * H / 30]
            assert flow[:, int(y0 * H), int(x0 * W)].tolist() == pytest.approx(wanted, abs=1e-3)


def test_one_arrow_in_a_bending_river_leaves_it_bending() -> None:
    layers = layer(WATER, rows() >= 0)
    flow = flow_of(GREY, layers, Bending(1, 0, "runs"), [(0.1, 0.5, 0.2, 0.5)])
    start, end = flow[:, H // 2, int(0.1 * W)], flow[:, H // 2, int(0.9 * W)]
    assert abs(math.degrees(math.atan2(start[1], start[0]))) < 1
    assert 15 < math.degrees(math.atan2(end[1], end[0])) < 60


def test_a_sea_drifts_as_one_although_waves_seem_to_meet_in_its_middle() -> None:
    sea = rows() >= 40
    flow = flow_of(GREY, layer(WATER, sea), Converging(0, 0))[:, 50:].flatten(1)
    ways = flow / flow.norm(dim=0)
    assert ways.mean(1).norm() > 0.999


def test_an_arrow_next_to_the_water_steers_the_water() -> None:
    layers = layer(WATER, columns() < 80)
    flow = flow_of(GREY, layers, Everywhere(1, 0), [(83 / W, 0.5, 83 / W, 0.6)])
    assert flow[1, 64, 79] == pytest.approx(0.1 * H / 30, rel=1e-3)
    with pytest.raises(MotionError, match="nothing moves"):
        flow_of(GREY, layers, Everywhere(1, 0), [(0.7, 0.5, 0.8, 0.5)])


def test_nothing_moves_nowhere() -> None:
    assert flow_of(GREY, torch.zeros(4, H, W), Everywhere(1, 0)).abs().max() == 0


def test_a_given_field_is_used_unchanged(tmp_path: Path) -> None:
    field = np.random.default_rng(0).normal(size=(2, 6, 8))
    np.save(tmp_path / "motion.npy", field[None])
    for given in (
        field,
        field[None],
        torch.from_numpy(field),
        field.tolist(),
        tmp_path / "motion.npy",
        str(tmp_path / "motion.npy"),
    ):
        motion = read_motion(given)
        assert motion.dtype == torch.float32
        np.testing.assert_allclose(motion.numpy(), field, rtol=1e-6)


WRONG: dict[str, Any] = {
    "NaN": np.full((2, 4, 4), np.nan),
    "infinite": np.full((2, 4, 4), np.inf),
    "channels last": np.zeros((4, 4, 2)),
    "one component": np.zeros((1, 4, 4)),
    "two fields": np.zeros((2, 2, 4, 4)),
    "empty": np.zeros((2, 0, 4)),
    "complex": np.zeros((2, 4, 4), np.complex64),
    "words": np.full((2, 4, 4), "a"),
    "faster than the photo": np.full((2, 4, 4), 100.0),
    "huge": np.broadcast_to(np.float32(0), (2, 10_000, 10_000)),
    "ragged": [[1, 2], [3]],
    "no such file": "motion.npy",
    "object": object(),
}


@pytest.mark.parametrize("kind", WRONG)
def test_unusable_fields(kind: str) -> None:
    with pytest.raises(MotionError):
        read_motion(WRONG[kind])


def test_unusable_files(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.zeros((2, 4, 4)))
    (tmp_path / "empty.npy").touch()
    (tmp_path / "text.npy").write_text("no array")
    with (tmp_path / "declares terabytes.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (2, 10**6, 10**6)})
    for path in tmp_path.iterdir():
        with pytest.raises(MotionError):
            read_motion(path)
