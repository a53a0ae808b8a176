import torch

from stylecine.ops.displacement import hermite


def test_between_knots_it_is_the_cubic_that_has_their_values_and_rates():
    t = torch.arange(4.0) * 5
    positions, rates = 2 * t + 0.1 * t**2 - 0.003 * t**3, 2 + 0.2 * t - 0.009 * t**2
    for age in (0.0, 1.3, 5.0, 12.5, 15.0):
        expected = torch.tensor(2 * age + 0.1 * age**2 - 0.003 * age**3)
        torch.testing.assert_close(hermite(positions, rates, 5, age), expected)
