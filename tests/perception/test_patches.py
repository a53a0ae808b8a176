"""Small patches that seem to stand in sky or water: which may move, and which do."""

import numpy as np
import pytest

from stylecine.perception.patches import that_move

SKY, WATER = np.zeros((2, 512, 768), bool)
SKY[:256], WATER[256:] = True, True


def moving(stands: np.ndarray, within: float = 3.0, beside: float = -1.0) -> np.ndarray:
    """What moves of it, if the eye says this of what stands, and that of everything else."""
    return that_move(stands, np.stack([SKY, WATER]), np.where([stands, stands], [[[within]], [[within]]], beside))


def place(rows: slice, columns: slice) -> np.ndarray:
    stands = np.zeros(SKY.shape, bool)
    stands[rows, columns] = True
    return stands


@pytest.mark.parametrize("rows", [slice(100, 120), slice(400, 420)])
def test_a_patch_in_sky_or_water_moves_with_its_halo_if_the_eye_says_so(rows: slice) -> None:
    patch = place(rows, slice(300, 330))
    moves = moving(patch)
    assert moves[patch].all() and patch.sum() < moves.sum() < 1.3 * patch.sum()
    assert not moving(patch, within=1.5).any(), "what is around it counts as well"


@pytest.mark.parametrize(
    "patch",
    [
        place(slice(0, 20), slice(300, 330)),  # at the frame: most of it may be outside
        place(slice(245, 265), slice(300, 330)),  # on the horizon
        place(slice(100, 102), slice(300, 302)),  # too small to be judged
        place(slice(40, 200), slice(300, 500)),  # large: the refiner knows what that is
    ],
)
def test_what_is_no_patch_stands(patch: np.ndarray) -> None:
    assert not moving(patch).any()


def test_each_patch_is_judged_by_itself() -> None:
    cloud, bird = place(slice(100, 120), slice(300, 330)), place(slice(130, 140), slice(340, 355))
    logits = np.where(cloud, 2.0, 0.5)
    moves = that_move(cloud | bird, np.stack([SKY, WATER]), np.stack([logits, np.zeros_like(logits)]))
    assert moves[cloud].all() and not moves[bird].any()
