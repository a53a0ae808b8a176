import numpy as np

from stylecine.engine.loop_warnings import changing_share


def test_what_changes_at_any_time_is_seen_to_move() -> None:
    photo = np.full((20, 20, 3), 100, np.uint8)
    first, second, faint = photo.copy(), photo.copy(), photo + np.uint8(8)
    first[:2, :10, 1] += 9
    second[:2, 8:16, 2] -= 9
    assert changing_share([first, second, faint], photo) == 0.08
