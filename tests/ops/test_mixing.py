import torch

from stylecine.ops.mixing import PHASES, share_of, slerp, weights


def everywhere(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1), value)


def test_copies_are_mixed_on_the_arc_between_them():
    share = torch.linspace(0, 1, 9).view(1, 1, 9)
    for alike in (-0.5, 0.0, 0.5, 0.9, 1.0):
        a, b = slerp(torch.full((1, 1, 9), alike).acos(), share)[0]
        torch.testing.assert_close(a * a + b * b + 2 * a * b * alike, torch.ones(1, 9))
        torch.testing.assert_close(a, b.flip(-1))
    torch.testing.assert_close(b, share[0])  # the same copy twice: the plain mix


def test_a_place_shows_one_copy_alone_before_and_after_its_change():
    change = torch.tensor([0.25, 2.0]).view(2, 1, 1)  # from a quarter of the turn to three quarters
    shares = [float(share_of(everywhere(phase), change)) for phase in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert shares == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_each_copy_is_lifted_as_is_known_of_the_time_and_not_where_it_is_alone_and_unmoved():
    angle = torch.tensor([0.4, 0.8, 1.2]).view(1, 3, 1, 1)
    lift = torch.tensor([[1.1, 1.2, 0.9], [0.8, 1.0, 1.15]]).view(1, 2, 3, 1, 1)
    for i, phase in enumerate(PHASES):
        share = everywhere(0.3)
        expected = slerp(angle[:, i], share) * lift[:, :, i]
        torch.testing.assert_close(weights(angle, lift, everywhere(phase), share), expected)
    for phase, expected in ((0.0, [1.0, 0.0]), (1.0, [0.0, 1.0])):
        made = weights(angle, lift, everywhere(phase), everywhere(phase))
        torch.testing.assert_close(made.flatten(), torch.tensor(expected))


def test_a_copy_keeps_its_last_lift_when_it_is_no_more_or_not_yet_compared():
    angle, lift = torch.zeros(1, 3, 1, 1), torch.tensor([[1.1, 1.2, 0.9], [0.8, 1.0, 1.15]]).view(1, 2, 3, 1, 1)
    a, b = weights(angle, lift, everywhere(0.9), everywhere(0.5))[0].flatten()
    torch.testing.assert_close(a, torch.tensor(0.5 * 0.9))
    torch.testing.assert_close(b, torch.tensor(0.5 * (1 + 0.4 * 0.15)))
