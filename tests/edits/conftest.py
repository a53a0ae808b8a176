"""A scene of sky and water."""

import numpy as np
import pytest

from stylecine.edits.scene_file import Cine

SKY, WATER = 0, 1


@pytest.fixture
def scene(photo: np.ndarray, water: np.ndarray) -> Cine:
    """Sky above the shore, water below it."""
    layers = np.zeros((4, *water.shape), np.float32)
    layers[SKY, ~water] = layers[WATER, water] = 1
    flow = np.zeros((2, *water.shape), np.float32)
    flow[0] = 1
    no = np.zeros(0, np.float32)
    return Cine(photo, photo, layers, flow, no, no, {}, None, {})
