"""Small patches that seem to stand in water: which may move, and which do."""

import numpy as np
import pytest

from stylecine.perception.patches import that_move

WATER = np.zeros((512, 768), bool)
WATER[256:] = True


def moving(stands: np.ndarray, within: float = 3.0, beside: float = -1.0) -> np.ndarray:
    """What moves of it, if the eye says this of what stands, and that of everything else."""
    return that_move(stands, WATER, np.where([stands, stands], [[[within]], [[within]]], beside))


def place(rows: slice, columns: slice) -> np.ndarray:
    stands = np.zeros(WATER.shape, bool)
    stands[rows, columns] = True
    return stands


def test_a_patch_moves_with_its_halo_if_the_eye_says_so() -> None:
    patch = place(slice(400, 420), slice(300, 330))
    moves = moving(patch)
    assert moves[patch].all() and patch.sum() < moves.sum() < 1.3 * patch.sum()
    assert not moving(patch, within=1.5).any(), "what is around it counts as well"


@pytest.mark.parametrize(
    "patch",
    [
        place(slice(492, 512), slice(300, 330)),  # at the frame: most of it may be outside
        place(slice(245, 265), slice(300, 330)),  # on the horizon
        place(slice(100, 120), slice(300, 330)),  # in the sky: the sun, or a bird
        place(slice(400, 401), slice(300, 301)),  # too small to be judged
        place(slice(300, 460), slice(300, 500)),  # large: the refiner knows what that is
    ],
)
def test_what_is_no_patch_stands(patch: np.ndarray) -> None:
    assert not moving(patch, within=3.0, beside=3.0).any()


@pytest.mark.parametrize("side", [6, 12])
def test_what_is_as_large_on_a_larger_photo_is_judged_alike(side: int) -> None:
    """A patch of a share of the photo is one at any size."""
    for times in (1, 2):
        stands = np.zeros((512 * times, 768 * times), bool)
        stands[400 * times : (400 + side) * times, 300 * times : (300 + side) * times] = True
        logits = np.full((2, *stands.shape), 1.0)
        assert that_move(stands, np.ones_like(stands), logits)[stands].all()


def test_things_beside_a_patch_are_no_part_of_its_surroundings() -> None:
    patch, rock = place(slice(400, 420), slice(300, 330)), place(slice(380, 440), slice(338, 500))
    beside = np.where(rock, 50.0, -1.0)
    assert not that_move(patch | rock, WATER, np.stack([np.full_like(beside, 2.0), beside]))[patch].any()


def test_each_patch_is_judged_by_itself() -> None:
    foam, duck = place(slice(400, 420), slice(300, 330)), place(slice(430, 440), slice(340, 355))
    logits = np.where(foam, 2.0, 0.5)
    moves = that_move(foam | duck, WATER, np.stack([logits, np.zeros_like(logits)]))
    assert moves[foam].all() and not moves[duck].any()
