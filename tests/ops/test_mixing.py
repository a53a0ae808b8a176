import torch

from stylecine.ops.mixing import PHASES, copy_b_share, slerp, weights


def everywhere(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1), value)


def test_copies_are_mixed_on_the_arc_between_them():
    share = torch.linspace(0, 1, 9).view(1, 1, 9)
    for correlation in (-0.5, 0.0, 0.5, 0.9, 1.0):
        a, b = slerp(torch.full((1, 1, 9), correlation).acos(), share)[0]
        torch.testing.assert_close(a * a + b * b + 2 * a * b * correlation, torch.ones(1, 9))
        torch.testing.assert_close(a, b.flip(-1))
    torch.testing.assert_close(b, share[0])  # the same copy twice: a linear mix


def test_a_place_shows_a_single_copy_before_and_after_its_crossfade():
    crossfade = torch.tensor([0.25, 2.0]).view(2, 1, 1)  # from a quarter of the sub-cycle to three quarters
    shares = [float(copy_b_share(everywhere(phase), crossfade)) for phase in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert shares == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_the_gain_is_that_of_the_nearest_known_phases_and_1_where_a_copy_is_shown_unmoved():
    angle = torch.tensor([0.4, 0.8, 1.2]).view(1, 3, 1, 1)
    gain = torch.tensor([[1.1, 1.2, 0.9], [0.8, 1.0, 1.15]]).view(1, 2, 3, 1, 1)
    for i, phase in enumerate(PHASES):
        share = everywhere(0.3)
        expected = slerp(angle[:, i], share) * gain[:, :, i]
        torch.testing.assert_close(weights(angle, gain, everywhere(phase), share), expected)
    for phase, expected in ((0.0, [1.0, 0.0]), (1.0, [0.0, 1.0])):
        made = weights(angle, gain, everywhere(phase), everywhere(phase))
        torch.testing.assert_close(made.flatten(), torch.tensor(expected))


def test_a_copys_gain_is_constant_before_its_first_and_after_its_last_known_phase():
    gain = torch.tensor([[1.1, 1.2, 0.9], [0.8, 1.0, 1.15]]).view(1, 2, 3, 1, 1)
    a, b = weights(torch.zeros(1, 3, 1, 1), gain, everywhere(0.9), everywhere(0.5))[0].flatten()
    torch.testing.assert_close(a, torch.tensor(0.5 * 0.9))
    torch.testing.assert_close(b, torch.tensor(0.5 * (1 + 0.4 * 0.15)))
