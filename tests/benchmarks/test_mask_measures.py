"""What the measures of a mask say of masks and labels whose agreement is known."""

import math

import numpy as np
import pytest
import torch

from benchmarks.mask_measures import boundary_f, false_positive_area, ghosts, mask_iou, static_kept, stretch_recalls


def test_mask_figures() -> None:
    label = np.zeros((100, 100), np.uint8)
    label[:50] = 2
    mask = torch.zeros(100, 100)
    mask[:40] = 0.9
    mask[40:60] = 0.3
    assert mask_iou(mask, label) == pytest.approx(0.8)
    assert static_kept(mask, label) == pytest.approx(40 / 49)  # rows 51..99 lie beyond the margin
    assert false_positive_area(mask, label) == 0
    assert false_positive_area(mask, np.zeros_like(label)) == pytest.approx(0.4)
    assert math.isnan(mask_iou(torch.zeros(100, 100), np.zeros_like(label)))


def test_borders_match_within_four_pixels_of_1024() -> None:
    label = np.zeros((256, 512), np.uint8)
    label[:100] = 1
    mask = torch.zeros(256, 512)
    mask[:102] = 1  # 4 px at twice the size
    assert boundary_f(mask, label) == 1
    assert boundary_f(mask, np.roll(label, -1, 0)) == 0  # 6 px
    mask[:, 256:] = 0  # half the border is where it should be, and there is one down the middle
    right, found = 256 / (256 + 102), 0.5
    assert boundary_f(mask, label) == pytest.approx(2 * right * found / (right + found), abs=0.01)


def test_no_border_against_none_is_no_figure_and_against_one_is_0() -> None:
    label = np.zeros((64, 64), np.uint8)
    assert math.isnan(boundary_f(torch.ones(64, 64), label))
    label[:32] = 1
    assert boundary_f(torch.ones(64, 64), label) == 0


def test_each_stretch_of_water_counts_alike_and_none_that_is_sky() -> None:
    label = np.zeros((100, 100), np.uint8)
    label[:30] = 1
    label[40:60] = 2  # a lake, and a fall into it
    label[60:70, 50:52] = 3
    label[90:, :40] = 2  # a brook, and a puddle that is too small
    label[95:97, 98:] = 2
    moves = np.zeros((100, 100), bool)
    moves[:60], moves[90:, :10] = True, True
    lake, brook = stretch_recalls(moves, label)
    assert lake == pytest.approx(2000 / 2020) and brook == pytest.approx(0.25)
    label[30:40] = 2  # water that reaches the sky is still water; that which reaches the upper edge is not counted
    assert len(stretch_recalls(moves, label)) == 2
    label[:30, :50] = 2
    assert len(stretch_recalls(moves, label)) == 1


def test_a_twig_that_moves_with_the_sky_is_a_ghost_and_a_soft_cloud_is_none() -> None:
    label = np.ones((400, 400), np.uint8)
    label[300:] = 0
    photo, moves = torch.full((3, 400, 400), 0.8), torch.from_numpy(label == 1)
    photo[:, 300:] = -0.8
    assert ghosts(moves, photo, label) == 0
    photo[:, 290:300, 100:102] = -0.8  # the tip of a twig, 2 of 400 columns
    assert ghosts(moves, photo, label) == pytest.approx(2 / 400, rel=0.3)
    moves[290:300, 99:103] = False
    assert ghosts(moves, photo, label) == 0, "it stands"
    photo[:, 280:300, 200:260] -= 0.4 * torch.hann_window(60)
    assert ghosts(moves, photo, label) == 0
    assert math.isnan(ghosts(moves, photo, np.ones_like(label)))
