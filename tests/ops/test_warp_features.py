import torch

from stylecine.ops.spline import coefficients
from stylecine.ops.warp_features import warp_features


def test_two_shifted_copies_are_mixed_in_every_channel():
    features = torch.randn(7, 12, 12)
    left = torch.tensor([2.0, 0.0])[:, None, None].expand(2, 12, 12)
    up = torch.tensor([0.0, -1.0])[:, None, None].expand(2, 12, 12)
    mixed = warp_features(coefficients(features), left, up, torch.tensor(0.25), torch.tensor(0.75))
    expected = 0.25 * features[:, 1:-2, 2:] + 0.75 * features[:, :-3, :-2]
    torch.testing.assert_close(mixed[:, 1:-2, :-2], expected, atol=1e-4, rtol=0)
