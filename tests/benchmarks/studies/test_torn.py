"""How masks are spoilt, and how finds are counted."""

import numpy as np

from benchmarks.studies.torn import PIECES, read_pieces, spoil, summary
from stylecine.options import CLASSES

SKY, WATER = CLASSES.index("sky") + 1, CLASSES.index("water") + 1


def test_what_is_static_in_an_ellipse_moves_as_the_nearest_that_moves() -> None:
    label = np.zeros((60, 60), np.uint8)
    label[:20], label[50:] = SKY, WATER
    spoilt, (part,) = spoil(label, [(0.25, 0.2, 0.75, 0.5)])
    assert part[25, 30] and not part[15, 30] and not part[25, 5]
    assert (spoilt[part] == SKY).all() and np.array_equal(spoilt[~part], label[~part])


def test_nothing_moves_where_nothing_is_labelled() -> None:
    still = np.zeros((20, 20), np.uint8)
    assert not spoil(still, [(0.0, 0.0, 1.0, 1.0)])[0].any()


def test_pieces_are_counted_by_kind_and_by_what_they_drift_with() -> None:
    pieces = [
        {"kind": "ridge", "torn": "sky", "found": True},
        {"kind": "ridge", "torn": "sky", "found": False},
        {"kind": "ridge", "torn": "", "found": False},
        {"kind": "boat", "torn": "water", "found": False},
    ]
    found = summary([{"pieces": pieces, "right": 3, "false": 1, "false_under_right_mask": 0}])
    assert found["precision"] == 0.75 and found["recall_sky"] == 0.5
    ridge = {"kind": "ridge", "pieces": 3, "still": 1, "torn_sky": 2, "found_sky": 1, "torn_other": 0}
    assert found["kinds"][2] == ridge and found["kinds"][0]["pieces"] == 4


def test_the_pieces_are_inside_of_their_photos() -> None:
    for _, (left, top, right, bottom) in (piece for pieces in read_pieces(PIECES).values() for piece in pieces):
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
