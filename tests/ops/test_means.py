"""Gaussian means and deviations."""

import numpy as np
import pytest

from stylecine.ops.means import local_deviation, mean_within

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
