import torch

from stylecine.ops.splat import splat


def test_a_source_is_shared_among_the_four_pixels_around_its_target():
    image, weight = torch.zeros(1, 5, 5), torch.zeros(5, 5)
    image[0, 1, 1], weight[1, 1] = 10, 2
    displacement = torch.tensor([1.25, 0.5])[:, None, None].expand(2, 5, 5)
    total, weights = splat(image, displacement, weight)
    share = torch.tensor([[0.75, 0.25], [0.75, 0.25]]) / 2
    torch.testing.assert_close(weights[1:3, 2:4], 2 * share)
    torch.testing.assert_close(total[0, 1:3, 2:4], 20 * share)
    assert weights.sum() == 2 and total.sum() == 20


def test_nothing_moved_is_the_image_and_what_leaves_it_is_lost():
    image, still = torch.randn(3, 6, 7), torch.zeros(2, 6, 7)
    total, weight = splat(image, still, torch.ones(6, 7))
    torch.testing.assert_close(total, image)
    torch.testing.assert_close(weight, torch.ones(6, 7))
    total, weight = splat(image, still + 100, torch.ones(6, 7))
    assert weight.abs().max() == 0 and total.abs().max() == 0


def test_sources_on_one_target_are_averaged_by_weight():
    image = torch.tensor([[[2.0, 8.0]]])
    displacement = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]])
    total, weight = splat(image, displacement, torch.tensor([[1.0, 3.0]]))
    torch.testing.assert_close(total[0, 0, 1] / weight[0, 1], torch.tensor(6.5))
    assert weight[0, 0] == 0
