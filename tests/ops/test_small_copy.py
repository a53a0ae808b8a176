import numpy as np
import torch

from stylecine.ops.small_copy import SHORT_SIDE, find_in_small_copy

SKY = np.arange(90)[:, None] < np.full(120, 30)


def test_the_photo_is_shrunk_and_the_answer_has_the_size_of_the_places() -> None:
    seen = []

    def find(photo: np.ndarray, places: np.ndarray) -> np.ndarray:
        seen.append((photo.shape, float(photo.min()), float(photo.max())))
        return places.astype(np.float32)

    photo = torch.linspace(-1, 1, 800).expand(3, 600, 800)
    for _ in range(2):
        found = find_in_small_copy(find, photo, SKY)
        assert found.shape == SKY.shape and np.abs(found - SKY).mean() < 0.02
    assert len(seen) == 1, "asked again, the answer is that of before"
    shape, least, most = seen[0]
    assert shape == (3, SHORT_SIDE, 256) and 0 <= least < 0.01 and 0.99 < most <= 1


def test_without_places_nothing_is_looked_for() -> None:
    def find(photo: np.ndarray, places: np.ndarray) -> np.ndarray:
        raise AssertionError

    assert find_in_small_copy(find, torch.zeros(3, 90, 120), np.zeros_like(SKY)).max() == 0
