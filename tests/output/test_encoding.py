"""The options of a video."""

from fractions import Fraction

import pytest

from stylecine.options import parse_rate
from stylecine.output.encoding import check_encoding


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (119.88, Fraction(120000, 1001)),
        (parse_rate("30000/1001"), Fraction(30000, 1001)),
        (30, Fraction(30)),
        (24, Fraction(24)),
        (12.5, Fraction(25, 2)),
        (14.99, Fraction(1499, 100)),
        (24.98, Fraction(1249, 50)),
        (0.5, Fraction(1, 2)),
    ],
)
def test_rates_of_television_are_exact(fps: float, rate: Fraction) -> None:
    assert check_encoding("loop.mp4", fps, None, None).rate == rate
