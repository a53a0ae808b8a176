"""What benchmarks/fps.py makes of its timings."""

import numpy as np
import pytest

from benchmarks.fps import cases, fit, ratios
from benchmarks.tables import table
from benchmarks.warm import difference, digest, spread


def test_a_straight_line_is_fitted_exactly() -> None:
    line = fit([(30, 5.0), (120, 8.0), (600, 24.0)])
    assert line["fixed_seconds"] == pytest.approx(4)
    assert line["seconds_each"] == pytest.approx(1 / 30)
    assert line["worst_deviation"] == pytest.approx(0, abs=1e-9)


def test_every_size_and_every_length_once() -> None:
    assert cases([256, 1024], [30, 120]) == [(256, 120), (1024, 30), (1024, 120)]


def test_times_are_spread_over_the_loop() -> None:
    assert spread(120, 4) == [0, 30, 60, 90]
    assert spread(3, 10) == [0, 1, 2]


def test_ratios_compare_equal_threads_and_sizes() -> None:
    common = {"size": 1024, "frames": 120, "into": "memory"}
    warm = [
        common | {"threads": 1, "kernels": "native", "milliseconds": 10.0, "frames_per_second": 100.0},
        common | {"threads": 1, "kernels": "PyTorch", "milliseconds": 150.0, "frames_per_second": 6.7},
        common | {"threads": 2, "kernels": "PyTorch", "milliseconds": 90.0, "frames_per_second": 11.0},
        common | {"threads": 1, "kernels": "native", "milliseconds": 1.0, "frames_per_second": 1000.0, "size": 256},
    ]
    published = [
        {"size": 1024, "threads": 1, "generator": "default", "seconds": 4.0, "without_integration": 2.0},
        {"size": 1024, "threads": 2, "generator": "default", "seconds": 3.0, "without_integration": 1.0},
    ]
    (row,) = ratios(warm, published)
    assert row == {
        "threads": 1,
        "frames_per_second": 100.0,
        "PyTorch references": pytest.approx(15),
        "published, default": pytest.approx(400),
        "published, default, no integration": pytest.approx(200),
    }


def test_difference_and_digest() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    other = picture.copy()
    other[0, 0, 0] = 255
    assert difference([picture], [other]) == {"largest_difference": 255, "differing_share": pytest.approx(1 / 48)}
    assert digest(picture) == digest(picture.copy()) != digest(other)


def test_tables_omit_missing_values() -> None:
    assert (
        table([{"a": 1, "b": 0.12345}, {"a": 2}], ("a", "b")) == "| a | b |\n| --- | --- |\n| 1 | 0.123 |\n| 2 |  |\n"
    )
