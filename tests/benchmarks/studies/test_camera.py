"""Orders of points by distance, what is fitted to them, and a camera that comes back to where it began."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.studies.camera import ORDER, Ordered, accuracy, fit_order, moved, read_order, solve


def test_only_pairs_that_both_readers_order_alike_are_for_the_test(tmp_path: Path) -> None:
    orders = ("lake", "first", "1; 2; 3"), ("lake", "second", "1; 2 3"), ("sea", "", "3; 1")
    rows = [f'{photo},{reader},"0.1,0.9 0.5,0.5 0.9,0.1",{order}' for photo, reader, order in orders]
    (tmp_path / "order.csv").write_text("\n".join(["photo,reader,points,order", *rows]))
    test, training = read_order(tmp_path / "order.csv")
    assert test["lake"].pairs == [(0, 1), (0, 2)]
    assert training["sea"].pairs == [(2, 0)]


def test_no_photo_is_both_for_the_test_and_to_fit() -> None:
    test, training = read_order(ORDER)
    assert len(test) == 40
    assert not test.keys() & training.keys()


def test_rows_alone_are_wrong_about_what_stands_up() -> None:
    points = torch.tensor([[0.5, 0.9], [0.5, 0.3], [0.5, 0.6]])  # the ground, a tree's crown before what is far away
    found = accuracy(lambda _, points: points[:, 1], {"tree": Ordered(points, [(0, 1), (0, 2), (1, 2)])})
    assert (found["pairs"], found["right"]) == (3, pytest.approx(2 / 3))
    assert (found["hard_pairs"], found["hard_right"]) == (1, 0)


def test_the_fitted_function_orders_what_it_was_fitted_to() -> None:
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(6, 12, generator=draw)
    near = features[0] - 2 * features[3]
    order = near.argsort(descending=True).tolist()
    score = fit_order({"photo": (features, list(pairwise(order)))})(features)
    assert score.argsort(descending=True).tolist() == order


def test_a_place_without_a_wish_of_its_own_is_like_its_neighbours() -> None:
    weight, wanted = np.zeros((3, 3)), np.zeros((3, 3))
    weight[2], wanted[2] = 1, (0.2, 0.5, 0.8)
    found = solve(weight, wanted, down=np.full((2, 3), 100.0), across=np.full((3, 2), 1e-6))
    np.testing.assert_allclose(found, np.tile(wanted[2], (3, 1)), atol=1e-3)


def test_near_things_move_and_far_ones_stay_and_the_camera_begins_at_the_frame() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    near = torch.zeros(96, 128)
    near[48:] = 1
    assert moved(frame, near, 0.0) is frame
    shown = moved(frame, near, 0.25)
    assert (shown[:40] == frame[:40]).all()
    assert (shown[60:80, 40:90] != frame[60:80, 40:90]).mean() > 0.8
