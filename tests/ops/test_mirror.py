import numpy as np
import pytest
import torch

from stylecine.ops.mirror import mirrored


@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 3), (4, 4), (9, 6), (0, 21)])
@pytest.mark.parametrize("axis", [1, 2])
def test_it_is_numpys_symmetric_padding(before, after, axis):
    image = torch.randn(2, 4, 5)
    width = [(0, 0)] * 3
    width[axis] = before, after
    expected = np.pad(image.numpy(), width, mode="symmetric")
    np.testing.assert_array_equal(mirrored(image, before, after, axis).numpy(), expected)
