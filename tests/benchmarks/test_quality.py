"""What only photos with labels have of quality."""

import numpy as np
import pytest
import torch

from benchmarks.quality import by_class
from tests.quality.test_measures import SIZE, texture, travelling


class Loop(list[np.ndarray]):
    """Frames of which everything flows."""

    fps = 30.0
    flowing = torch.ones(SIZE, SIZE)


def test_labels_divide_vividness_and_returns_by_class() -> None:
    slow = travelling(texture(0), (0.5, 0.0))
    slow[:, :48] = slow[0, :48]
    label = np.zeros((SIZE, SIZE), np.uint8)
    label[:40], label[56:] = 1, 3
    figures = by_class(Loop(slow), label)
    assert figures["vividness_sky"] < 0.02 and figures["vividness_falls"] > 0.95
    expected = (40 * figures["vividness_sky"] + 72 * figures["vividness_falls"]) / 112
    assert figures["vividness_labelled"] == pytest.approx(expected, abs=1e-4)
    assert "vividness_water" not in figures
    assert 0 <= figures["returns_falls"] < 0.2 and "returns_sky" not in figures, "which stands"
