import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from stylecine.movement.displacement import Canvas, count_sub_cycles, integrate, margin_for
from stylecine.movement.waves import Swell
from stylecine.ops.displacement import Displacement, hermite
from stylecine.ops.integrate import look_up


def constant(x: float, y: float, h: int = 32, w: int = 32) -> torch.Tensor:
    return torch.tensor([x, y])[:, None, None].expand(2, h, w)


def whirl(n: int, speed: float) -> torch.Tensor:
    """A smooth flow that is not linear, with still corners."""
    c = (torch.arange(n) + 0.5) / n * math.pi
    y, x = torch.meshgrid(c, c, indexing="ij")
    return speed * torch.stack((x.sin() * y.cos(), -x.cos() * y.sin()))


def forward(moved: Displacement, age: float) -> torch.Tensor:
    """How far matter gets in `age` frames."""
    return hermite(moved.positions[:, 0], moved.rates[:, 0], moved.stride, age) * moved.cell


def backward(moved: Displacement, age: float) -> torch.Tensor:
    """The way back to where matter was `age` frames ago."""
    return hermite(moved.positions[:, 1], moved.rates[:, 1], moved.stride, age) * moved.cell


def test_travel_is_flow_times_time_at_any_grid_size_and_frame_rate():
    moving = torch.ones(64, 128)
    # 0.5 and 0.25 px of a 32*32 grid are 2 and 0.5 px of the photo; 6 frames at 15 fps are 12/30 s.
    moved = integrate(constant(0.5, 0.25), moving, period=20, fps=15, margin=16)
    torch.testing.assert_close(forward(moved, 6)[:, 20, 20], torch.tensor([24.0, 6.0]))
    torch.testing.assert_close(backward(moved, 6)[:, 20, 20], torch.tensor([-24.0, -6.0]))


@pytest.mark.parametrize(("size", "cell"), [((64, 90), 1), ((256, 300), 1), ((257, 300), 2), ((1024, 1025), 4)])
def test_the_grid_has_a_short_side_of_at_most_256(size, cell):
    moved = integrate(constant(0.1, 0), torch.ones(size), period=4, fps=30, margin=32)
    assert moved.cell == cell
    assert moved.sub_cycle.shape == (-(-(size[0] + 64) // cell), -(-(size[1] + 64) // cell))


def test_between_knots_time_is_real_and_the_path_smooth():
    moved = integrate(whirl(64, 0.4), torch.ones(64, 64), period=24, fps=30, margin=16)
    fine = [forward(moved, t)[:, 40, 50] for t in np.arange(0, 24.01, 0.25)]
    path = torch.stack(fine)
    steps = path.diff(dim=0).norm(dim=1)
    assert steps.min() > 0 and (steps.diff().abs() < 0.1 * steps[1:]).all()
    assert forward(moved, 0).abs().max() == 0


def test_hermite_agrees_with_steps_of_a_quarter_frame():
    flow, moving = whirl(64, 0.1), torch.ones(64, 64)
    moved = integrate(flow, moving, period=36, fps=30, margin=0)
    quarter = integrate(flow / 4, moving, period=36 * 4, fps=30, margin=0)
    for t in (2, 5.5, 13, 22.75, 35):
        assert (forward(moved, t) - forward(quarter, t * 4)).abs().max() < 1e-3


def test_backward_integration_undoes_forward_integration():
    moved = integrate(whirl(64, 0.4), torch.ones(64, 64), period=24, fps=30, margin=0)
    there = forward(moved, 20)
    back = look_up(backward(moved, 20)[None], there[None])[0]
    assert (there + back)[:, 4:-4, 4:-4].abs().max() < 0.1


def test_flow_is_replicated_past_the_border():
    flow = constant(0, 0).clone()
    flow[0, :, -1] = 1
    moved = integrate(flow, torch.ones(32, 32), period=8, fps=30, margin=32)
    torch.testing.assert_close(forward(moved, 4)[:, 40, 90], torch.tensor([4.0, 0.0]))


def test_sub_cycles_are_constant_in_a_region_and_grow_with_speed():
    moving = torch.zeros(128, 128)
    moving[:40], moving[60:] = 1, 1
    flow = constant(0.02, 0, 64, 64).clone()
    flow[0, 40:] = 0.5
    count = count_sub_cycles(flow, moving, period=120, fps=30)
    assert (count[:20] == 1).all()
    assert (count[30:] == 6).all(), "also where that region's flow is slow"


def test_a_sub_cycle_is_never_shorter_than_two_thirds_of_a_second():
    for frames, most in ((30, 1), (39, 1), (40, 2), (119, 5), (120, 6), (600, 8)):
        assert (count_sub_cycles(constant(9, 0), torch.ones(64, 64), period=frames, fps=30) == most).all()


@pytest.mark.parametrize("fps", [5, 12, 15, 24, 60])
@pytest.mark.parametrize("seconds", [1, 2, 4])
def test_a_preview_and_its_export_have_the_same_sub_cycles_at_any_frame_rate(fps, seconds):
    exported = count_sub_cycles(constant(9, 0), torch.ones(64, 64), period=30 * seconds, fps=30)
    assert torch.equal(count_sub_cycles(constant(9, 0), torch.ones(64, 64), period=fps * seconds, fps=fps), exported)


def test_each_place_has_its_own_number_of_sub_cycles():
    moving = torch.zeros(64, 64)
    moving[:20], moving[40:] = 1, 1
    flow = constant(0.005, 0, 64, 64).clone()
    flow[0, 32:] = 0.08
    moved = integrate(flow, moving, period=120, fps=30, margin=16)
    assert moved.counts == (1, 2)
    moved = replace(moved, stagger=None)
    moment = moved.moment(75)
    torch.testing.assert_close(torch.tensor(moment.phases), torch.tensor([0.625, 0.25]))
    passed, sources = moved.phase_map(moment)[0][0], moved.sources(moment)
    assert passed[20, 40] == 0.625 and passed[70, 40] == 0.25
    torch.testing.assert_close(sources[[0, 2], 70, 40], torch.tensor([-0.08 * 15, 0.08 * 45]), atol=1e-4, rtol=0)
    torch.testing.assert_close(moved.targets(moment)[[0, 2], 70, 40], -sources[[0, 2], 70, 40])


def test_a_region_travels_farther_in_a_sub_cycle_the_longer_it_is_in_the_direction_of_its_flow():
    moving = torch.zeros(128, 128)
    moving[:, :30] = 1
    down, across = constant(0, 0.2), constant(0.2, 0)  # 0.75 of the short side in 120 frames
    assert int(count_sub_cycles(down, moving, period=120, fps=30).max()) == 6
    assert int(count_sub_cycles(across / 2, moving, period=120, fps=30).max()) == 6
    assert int(count_sub_cycles(down / 2, moving, period=120, fps=30).max()) == 5


@pytest.mark.parametrize(("seconds", "count"), [(4, 1), (6, 1), (8, 2), (12, 2), (30, 5)])
def test_a_sky_goes_on_for_up_to_six_seconds(seconds: int, count: int) -> None:
    moving, sky = torch.zeros(128, 128), torch.zeros(128, 128, dtype=torch.bool)
    moving[:40], moving[80:], sky[:60] = 1, 1, True
    flow = constant(0.03 * 32 / 30, 0)  # 3% of the short side a second
    counts = count_sub_cycles(flow, moving, period=30 * seconds, fps=30, sky=sky)
    assert (counts[:10] == count).all()
    if seconds > 4:
        assert (counts[-10:] > count).all(), "of water different things are seen meanwhile"
    assert int(count_sub_cycles(8 * flow, moving, 30 * seconds, 30, sky)[0, 0]) > count, "nor does a storm"


def test_places_that_repeat_often_are_out_of_step_except_where_the_loop_begins_and_ends():
    moved = integrate(constant(0.2, 0), torch.ones(128, 128), period=120, fps=30, margin=32)
    assert moved.stagger is not None and moved.ramps == (36.0,), "1.2 s, as a sub-cycle is shorter"
    counts = moved.stagger.histc(5, -0.45, 0.45)
    assert counts.sum() == moved.stagger.numel() and counts.min() > 0.4 * counts.max(), "each phase is as frequent"
    begin, middle, end = (moved.phase_map(moved.moment(t))[0] for t in (0.0, 60.0, 119.999))
    assert begin.std() == 0 and end.std() < 1e-4
    assert middle.max() - middle.min() > 0.8
    slow = integrate(constant(0.02, 0), torch.ones(128, 128), period=120, fps=30, margin=32)
    assert slow.stagger is None


def stagger_of(open_water: Tensor, margin: int = 32) -> Tensor:
    """Within a photo of 128 pixels, all of which moves downwards."""
    flow, moving = constant(0, 0.2), torch.ones(128, 128)
    moved = integrate(flow, moving, period=120, fps=30, margin=margin, open_water=open_water)
    assert moved.stagger is not None
    return moved.stagger[margin:-margin, margin:-margin]


def test_crests_of_waves_on_open_water_stay_straight():
    sea = torch.zeros(32, 32, dtype=torch.bool)
    sea[8:] = True
    stagger = stagger_of(sea)
    assert stagger[40:].std(dim=1).max() < 1e-6 < 0.05 < stagger[:20].std(dim=1).min()
    phases = stagger[36:].histc(4, -0.45, 0.45)
    assert phases.min() > 0.6 * phases.max(), "each phase is as frequent, in the photo alone"


def test_phases_are_as_frequent_on_each_stretch_of_open_water():
    lakes = torch.zeros(32, 32, dtype=torch.bool)
    lakes[0:12, :10] = lakes[14:, 14:] = True
    stagger = stagger_of(lakes)
    for lake in (stagger[2:46, :38], stagger[58:, 58:]):
        assert lake.std(dim=1).max() < 1e-6 and lake.max() - lake.min() > 0.6 and abs(lake.mean()) < 0.1


def test_crests_on_a_low_stretch_of_water_do_not_move_much_nearer_to_each_other():
    strip = torch.zeros(32, 32, dtype=torch.bool)
    strip[12:16] = True
    low = stagger_of(strip)[48:64]
    assert 0.1 < low.max() - low.min() < 0.6
    assert low.diff(dim=0).max() < 0.45 * 8.5 / 128


def test_sources_are_continuous_where_a_place_enters_its_next_sub_cycle():
    """Fields are interpolated, so copy A has to be the same copy on both sides of that border."""
    moved = integrate(constant(0.2, 0), torch.ones(128, 128), period=120, fps=30, margin=32)
    for t in (55, 60, 65):
        phase, swapped = moved.phase_map(moved.moment(t))
        assert swapped.any() and not swapped.all()
        jumps = moved.sources(moved.moment(t))[[0, 2]].diff(dim=2).abs()
        share = torch.where(swapped, 1 - phase[0], phase[0])  # of copy B in a linear crossfade
        weights = torch.stack((1 - share, share))
        assert jumps.max() > 31 > 8 > (jumps * torch.maximum(weights[:, :, 1:], weights[:, :, :-1])).max()


def test_the_swell_displaces_both_copies_equally_and_is_zero_at_either_end():
    flow, moving = constant(0.05, 0), torch.ones(128, 128)
    swell = torch.zeros(2, 2, 32, 32)
    swell[0, 1], swell[1, 0] = 0.25, 0.5  # pixels of a grid of 4 photo pixels
    moved = integrate(flow, moving, period=120, fps=30, margin=32, swells=[Swell(swell, 2.0)])
    assert moved.swell_cycles == (2,) and all(moved.moment(t).swell == (0, 0) for t in (0, 60, 120))
    calm = moved.uniform(0.25)
    wavy = replace(calm, swell=moved.moment(15).swell)
    swayed = moved.sources(wavy) - moved.sources(calm)
    torch.testing.assert_close(swayed[:2], swayed[2:])
    torch.testing.assert_close(swayed[:2, 60, 60], torch.tensor([2.0, -1.0]), atol=1e-4, rtol=0)  # a quarter cycle
    torch.testing.assert_close(moved.targets(wavy) - moved.targets(calm), -swayed)


def swelling(seconds: Sequence[float], *, frames: int = 120, fps: float = 30, speed: float = 1.0) -> Displacement:
    """A loop of as many swells, of which number k is as high as k + 1 pixels of a grid of 4 photo pixels."""
    swells = [Swell(torch.full((2, 2, 32, 32), k + 1.0), s) for k, s in enumerate(seconds)]
    size = torch.ones(128, 128)
    return integrate(constant(0.05, 0), size, period=frames, fps=fps, margin=32, swells=swells, speed=speed)


@pytest.mark.parametrize(
    ("frames", "speed", "cycles"),
    [(30, 1, 1), (60, 1, 1), (90, 1, 2), (120, 1, 2), (300, 1, 5), (120, 2, 4), (120, 0.25, 1), (120, 0.5, 1)],
)
def test_a_swell_has_whole_cycles_and_twice_as_many_at_twice_the_speed(frames: int, speed: float, cycles: int) -> None:
    assert swelling([2.0], frames=frames, speed=speed).swell_cycles == (cycles,)


@pytest.mark.parametrize(
    ("frames", "speed", "swells"), [(29, 1, False), (30, 1, True), (30, 0.1, True), (14, 2, False), (15, 2, True)]
)
def test_loops_in_which_one_cycle_would_be_hectic_have_no_swell(frames: int, speed: float, swells: bool) -> None:
    moved = swelling([2.0], frames=frames, speed=speed)
    assert (moved.swell is not None) is swells and len(moved.swell_cycles) == swells
    assert moved.swell_offset(moved.moment(frames / 3)).any() == swells


def test_each_swell_keeps_its_own_clock() -> None:
    moved = swelling([4.0, 1.3])
    assert moved.swell_cycles == (1, 3)
    for t in (0, 11, 50, 120):
        slow, fast = (2 * math.pi * t * cycles / 120 for cycles in (1, 3))
        expected = 4 * (math.cos(slow) - 1 + math.sin(slow)) + 8 * (math.cos(fast) - 1 + math.sin(fast))
        torch.testing.assert_close(moved.swell_offset(moved.moment(t))[:, 60, 60], torch.full((2,), expected))
    assert not moved.swell_offset(moved.uniform(0.3)).any()


def test_swells_of_equal_cycles_are_added() -> None:
    moved = swelling([2.0, 1.3, 2.2])
    assert moved.swell is not None and moved.swell_cycles == (2, 3)
    assert moved.swell[:, 0, 60, 60].tolist() == [16, 16, 8, 8]


def test_a_swell_that_has_no_clock_in_the_loop_goes_by_the_nearest() -> None:
    swells = [Swell(torch.ones(2, 2, 32, 32), 1.0)]  # four cycles in four seconds
    canvas = Canvas((32, 32), (32, 32), cell=1, margin=0)
    on = canvas.swell(swells, (1, 3), 4.0)
    assert on is not None and on.amax((1, 2, 3)).tolist() == [0, 0, 1, 1]
    assert canvas.swell([], (1, 3), 4.0) is None


def test_no_cycle_of_a_swell_is_shorter_than_four_frames() -> None:
    assert swelling([2.0, 1.3], frames=12, fps=3, speed=100).swell_cycles == (3,)


def test_matter_rocks_where_the_waves_of_a_clock_are_quicker_than_its_drift() -> None:
    moved = swelling([4.0, 1.0])  # it drifts by 0.2 pixels a frame
    for waves, rocks in (((1.0, 1.0, 0.0, 0.0), False), ((0.0, 0.0, 1.0, 1.0), True)):
        swell = torch.tensor(waves)[:, None, None, None].expand_as(moved.swell)
        assert bool(replace(moved, swell=swell).rocks(128, 128).all()) is rocks


def test_the_margin_holds_the_longest_travel():
    moving = torch.ones(128, 128)
    assert margin_for(constant(0, 0), moving, 120, 30) == 32
    assert margin_for(constant(0.05, 0), moving, 120, 30) == 32  # 24 px in 3 sub-cycles
