"""Means over some places only, distances along ways that stay inside a region, and perspective from rows."""

import math

import numpy as np
import pytest
import torch

from stylecine.ops.maps import geodesic_distance, local_deviation, mean_within, nearness, nearness_within

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


HERE = np.arange(40) * np.ones((30, 1)) < 20


def test_what_lies_outside_does_not_count() -> None:
    field = np.where(HERE, 2.0, 99.0)
    assert mean_within(field, HERE, 3.0)[HERE] == pytest.approx(2, rel=1e-3)


def test_several_fields_are_averaged_one_by_one() -> None:
    fields = np.random.default_rng(0).random((3, 30, 40)).astype(np.float32)
    together = mean_within(fields, HERE, 2.0)
    assert together.dtype == np.float32
    assert np.array_equal(together, np.stack([mean_within(field, HERE, 2.0) for field in fields]))


def test_far_from_all_places_the_mean_is_zero() -> None:
    assert mean_within(np.ones((30, 40)), HERE, 1.0)[:, -1].max() < 1e-6


def test_the_deviation_of_noise_is_its_own() -> None:
    noise = np.random.default_rng(0).normal(0.5, 0.1, (200, 200))
    assert local_deviation(noise, 8.0).mean() == pytest.approx(0.1, rel=0.02)
    assert local_deviation(np.full((20, 20), 0.3), 2.0).max() < 1e-6


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
