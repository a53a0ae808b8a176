import torch
from torch import Tensor

from stylecine.perception.depth import judge_depth

HEIGHT, WIDTH = 96, 144


def scenery() -> tuple[Tensor, Tensor]:
    """Dark land below a bright sky: uint8 [H,W,3], and the sky [H,W]."""
    sky = torch.zeros(HEIGHT, WIDTH)
    sky[: HEIGHT // 2] = 1
    return torch.where(sky[..., None] > 0, torch.tensor([120, 160, 220]), torch.tensor([30, 50, 20])).byte(), sky


def test_distance_grows_towards_the_horizon_and_what_stands_before_the_sky_is_nearer() -> None:
    photo, sky = scenery()
    sky[30:48, 60:70], photo[30:48, 60:70] = 0, torch.tensor([10, 20, 5], dtype=torch.uint8)  # a tree
    far = judge_depth(photo, sky).at((HEIGHT, WIDTH))
    column = far[48:, 10]
    assert (column[3:].diff() <= 1e-3).all() and column[0] > 0.7 and column[-1] < 0.15
    assert far[35, 65] < 0.5 < far[35, 20]


def test_what_reaches_up_from_the_horizon_hides_the_ground_behind_it() -> None:
    photo, sky = scenery()
    sky[20:48, :60], photo[20:48, :60] = 0, torch.tensor([10, 20, 5], dtype=torch.uint8)  # a dark hedge
    far = judge_depth(photo, sky).at((HEIGHT, WIDTH))
    assert far[49, 10] < 0.5 < 0.7 < far[49, 120]
    assert far[30:, 10].diff().abs().max() < 0.05, "no band of fog at its foot"


def test_distance_without_a_sky_goes_from_top_to_bottom() -> None:
    photo, _ = scenery()
    far = judge_depth(photo, torch.zeros(HEIGHT, WIDTH)).at((HEIGHT, WIDTH))
    assert far[0].mean() > 0.8 and far[-1].mean() < 0.1
