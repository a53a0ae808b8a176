"""Distances along ways that stay inside a region."""

import math

import numpy as np
import pytest

from stylecine.ops.geodesic import geodesic_distance

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def test_the_way_leads_around_a_wall() -> None:
    inside = np.ones((5, 7), bool)
    inside[:4, 3] = False
    start = np.zeros((5, 7), bool)
    start[0, 2] = True
    distance = geodesic_distance(inside, start, NEIGHBOURS)
    assert distance[0, 2] == 0 and np.isinf(distance[0, 3])
    assert distance[0, 4] == pytest.approx(6 + 2 * math.sqrt(2))


def test_the_nearest_source_counts_though_it_lies_outside() -> None:
    inside = np.pad(np.ones((1, 6), bool), ((0, 0), (1, 1)))
    assert geodesic_distance(inside, ~inside, NEIGHBOURS)[0].tolist() == [0, 1, 2, 3, 3, 2, 1, 0]


def test_a_way_costs_the_mean_of_both_places() -> None:
    line, start = np.ones((1, 3), bool), np.array([[True, False, False]])
    assert geodesic_distance(line, start, NEIGHBOURS, cost=np.array([[1, 3, 3]]))[0].tolist() == [0, 2, 5]


def test_without_sources_no_way_leads_anywhere() -> None:
    assert np.isinf(geodesic_distance(np.ones((3, 3), bool), np.zeros((3, 3), bool), NEIGHBOURS)).all()
