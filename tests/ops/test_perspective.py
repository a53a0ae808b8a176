"""How near a row of a picture is."""

import numpy as np
import torch

from stylecine.ops.perspective import nearness, nearness_within


def test_rows_come_nearer_from_the_horizon_down() -> None:
    assert nearness(np.arange(5), 1, 2).tolist() == [0, 0, 0.5, 1, 1]
    assert nearness(torch.arange(5), 1, 2).tolist() == [0, 0, 0.5, 1, 1]


def test_a_sky_comes_nearer_upwards() -> None:
    assert nearness(np.arange(5), 4, -4).tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_the_ends_of_what_is_covered_are_far_and_near() -> None:
    places = np.zeros((101, 50), bool)
    places[50:91] = True
    near = nearness_within(places, 0, 0.1)
    assert near[50] == 0 and near[70] == 0.5 and near[90] == 1 == near[100]


def test_a_narrow_strip_is_not_taken_for_all_of_the_distance() -> None:
    places = np.zeros((100, 100), bool)
    places[60:62] = True
    assert nearness_within(places, 0, 0.25)[61] == 1 / 25
