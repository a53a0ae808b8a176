import torch

from stylecine.ops.mixing import PHASES, slerp, weights


def test_copies_are_mixed_on_the_arc_between_them():
    share = torch.linspace(0, 1, 9).view(1, 1, 9)
    for alike in (-0.5, 0.0, 0.5, 0.9, 1.0):
        a, b = slerp(torch.full((1, 1, 9), alike).acos(), share)[0]
        torch.testing.assert_close(a * a + b * b + 2 * a * b * alike, torch.ones(1, 9))
        torch.testing.assert_close(a, b.flip(-1))
    torch.testing.assert_close(b, share[0])  # the same copy twice: the plain mix


def test_angle_and_lift_are_those_of_the_time_and_neither_end_is_lifted():
    angle, lift = torch.tensor([0.4, 0.8, 1.2]).view(1, 3, 1, 1), torch.tensor([1.1, 1.2, 0.9]).view(1, 3, 1, 1)
    for i, phase in enumerate(PHASES):
        share = torch.full((1, 1, 1), phase)
        torch.testing.assert_close(weights(angle, lift, share), slerp(angle[:, i], share) * lift[:, i])
    for share, expected in ((0.0, [1.0, 0.0]), (1.0, [0.0, 1.0])):
        torch.testing.assert_close(weights(angle, lift, torch.full((1, 1, 1), share)).flatten(), torch.tensor(expected))
