import pytest
import torch

from stylecine.picture.crossfade import BEGIN_STEPS, crossfade_schedule


def two_sides(left: float, right: float) -> torch.Tensor:
    """A number on either half of a grid."""
    return torch.cat((torch.full((64, 32), left), torch.full((64, 32), right)), dim=1)


ONE = torch.zeros(64, 64, dtype=torch.uint8)  # all sub-cycles have the same length


def test_a_place_changes_in_the_half_in_which_its_copies_differ_less():
    difference = torch.stack((two_sides(1, 4), two_sides(4, 1)))
    begin, pace = crossfade_schedule(difference, ONE, [60.0], fps=30)
    assert (pace == 2).all()
    assert begin[:, :24].max() < 1e-6 and begin[:, 40:].min() > 0.5 - 1e-6


def test_as_much_changes_in_each_half_even_if_all_places_would_rather_change_early():
    torch.manual_seed(0)
    early, late = torch.rand(64, 64), 1 + torch.rand(64, 64)
    begin, _ = crossfade_schedule(torch.stack((early, late)), ONE, [60.0], fps=30)
    first = 1 - 2 * begin
    changes = (early.sqrt() * first).sum(), (late.sqrt() * (1 - first)).sum()
    assert changes[0] / changes[1] == pytest.approx(1, abs=0.15)


def test_every_change_is_over_when_the_sub_cycle_is():
    begin, pace = crossfade_schedule(torch.rand(2, 64, 64), ONE, [120.0], fps=30)
    assert begin.min() >= 0 and (begin + 1 / pace).max() <= 1
    assert begin.max() - begin.min() > 0.2, "some change early, others late"


def test_early_and_late_places_have_no_visible_border():
    begin = crossfade_schedule(torch.stack((two_sides(1, 4), two_sides(4, 1))), ONE, [120.0], fps=30)[0]
    assert begin.diff(dim=1).abs().max() < 0.3


def test_the_longer_a_sub_cycle_the_softer_the_border_between_early_and_late() -> None:
    x = torch.linspace(-1, 1, 64).expand(64, 64)
    difference = torch.stack((1 + 0.2 * x, 1 - 0.2 * x))
    steps = [
        crossfade_schedule(difference, ONE, [30 * seconds], fps=30)[0].diff(dim=1).abs().max() for seconds in (2, 4)
    ]
    assert steps[1] < 0.3 * steps[0]


def test_short_sub_cycles_crossfade_over_their_whole_length():
    sub_cycle = torch.zeros(64, 64, dtype=torch.uint8)
    sub_cycle[:, 32:] = 1
    difference = torch.stack((two_sides(1, 1), two_sides(4, 4)))
    begin, pace = crossfade_schedule(difference, sub_cycle, [120.0, 28.0], fps=30)
    assert (pace[:, :32] == 2).all()
    assert (pace[:, 32:] == 1).all() and (begin[:, 32:] == 0).all()
    begin, pace = crossfade_schedule(difference, sub_cycle, [20.0, 10.0], fps=30)  # all of them short
    assert (pace == 1).all() and (begin == 0).all()


def test_short_sub_cycles_do_not_count_in_the_balance_of_long_ones() -> None:
    """They crossfade all the time, whichever half they would prefer."""
    sub_cycle = two_sides(0, 1).byte()
    torch.manual_seed(0)
    difference = torch.rand(2, 64, 64)
    begins = []
    for early, late in ((9.0, 1.0), (1.0, 9.0)):
        difference[0, :, 48:], difference[1, :, 48:] = early, late
        begins.append(crossfade_schedule(difference, sub_cycle, [60.0, 20.0], fps=30)[0])
    assert torch.equal(*begins) and begins[0][:, :32].max() > 0.4


def test_a_pack_can_store_when_changes_begin_and_how_fast_they_are() -> None:
    """Else the player's frames would differ from these."""
    torch.manual_seed(0)
    clouds = 0.4 * torch.rand(2, 64, 64)
    begin, pace = crossfade_schedule(torch.rand(2, 64, 64), ONE, [120.0], 30, clouds)
    for stored in (begin * BEGIN_STEPS, pace):
        assert (stored - stored.round()).abs().max() < 1e-4 and 0 <= stored.min() < stored.max() <= 255


def test_faint_clouds_change_like_the_sky_around_them() -> None:
    """Steps between frames would be uneven if all of a soft sky changed as clouds that stand out do."""
    torch.manual_seed(0)
    difference, faint = torch.rand(2, 64, 64), torch.stack((two_sides(0.05, 0), two_sides(0, 0.05)))
    schedule = crossfade_schedule(difference, ONE, [120.0], 30, faint)
    assert torch.equal(schedule, crossfade_schedule(difference, ONE, [120.0], 30))


def test_a_cloud_dissolves_from_its_edge_and_forms_from_its_core() -> None:
    """Copy A has a cloud on the left, copy B another on the right, each thicker in its middle."""
    x = torch.arange(200.0).expand(100, -1)
    thick = [0.3 * (1 - (x - centre).abs() / 30).clamp(min=0) for centre in (50, 150)]
    alike = torch.ones(2, 100, 200)
    schedule = crossfade_schedule(alike, torch.zeros(100, 200), [120.0], 30, torch.stack(thick))
    begin, pace = schedule
    middle = (begin + 0.5 / pace)[50]
    edge, core = middle[[70, 130]].tolist(), middle[[50, 150]].tolist()
    assert edge[0] + 0.25 < core[0] and core[0] > 0.8, "copy A's cloud shrinks to its core"
    assert core[1] < edge[1] - 0.25 and core[1] < 0.2, "copy B's grows from its own"
    assert (begin >= 0).all() and (begin + 1 / pace <= 1 + 1e-6).all() and torch.equal(pace, pace.round())
    plain = crossfade_schedule(alike, torch.zeros(100, 200), [120.0], 30)
    assert torch.allclose(schedule[:, :, 95:105], plain[:, :, 95:105]), "where there is none, as before"
    short = [60.0], 30
    same = crossfade_schedule(alike, torch.zeros(100, 200), *short, torch.stack(thick))
    assert torch.equal(same, crossfade_schedule(alike, torch.zeros(100, 200), *short)), "in quick water, too"
