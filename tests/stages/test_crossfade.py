import torch

from stylecine.ops.mixing import copy_b_share
from stylecine.stages.crossfade import crossfade_schedule


def two_sides(left: float, right: float) -> torch.Tensor:
    """A number on either half of a grid."""
    return torch.cat((torch.full((64, 32), left), torch.full((64, 32), right)), dim=1)


ONE = torch.zeros(64, 64, dtype=torch.uint8)  # all sub-cycles have the same length


def test_a_place_changes_in_the_half_in_which_its_copies_differ_less():
    difference = torch.stack((two_sides(1, 4), two_sides(4, 1)))
    begin, pace = crossfade_schedule(difference, ONE, [60.0], fps=30)
    assert (pace == 2).all()
    assert begin[:, :24].max() < 1e-6 and begin[:, 40:].min() > 0.5 - 1e-6


def test_half_of_the_changes_happen_in_each_half():
    torch.manual_seed(0)
    early, late = torch.rand(64, 64), 1 + torch.rand(64, 64)  # all differ less in the first half
    crossfade = crossfade_schedule(torch.stack((early, late)), ONE, [120.0], fps=30)
    halfway = copy_b_share(torch.full((1, 64, 64), 0.5), crossfade)
    assert 0.35 < halfway.mean() < 0.75


def test_every_place_begins_with_copy_a_and_ends_with_copy_b():
    crossfade = crossfade_schedule(torch.rand(2, 64, 64), ONE, [120.0], fps=30)
    assert (copy_b_share(torch.zeros(1, 64, 64), crossfade) == 0).all()
    assert (copy_b_share(torch.ones(1, 64, 64), crossfade) == 1).all()


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
