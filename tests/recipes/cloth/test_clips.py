"""Clips in memory, and their views: unchanged, cropped and mirrored, or with occluders."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cloth.clips import Batches, Clips, Views, at_phases, crop, load, occlude, phase_weights, with_errors
from smoke import make_clips


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cloth") / "clips"
    make_clips(folder, clips=10, side=32, phases=8)
    return folder


@pytest.fixture(scope="module")
def clips(folder: Path) -> Clips:
    return load(folder, "train")


@pytest.fixture()
def views(clips: Clips) -> Views:
    return clips.views([0, 1], torch.tensor([2, 4, 6]))


def test_the_first_and_the_last_phase_of_a_cycle_are_the_still() -> None:
    first, middle, last = at_phases(torch.rand(1, 8, 5, 4, 4), torch.tensor([0.0, 0.4, 1.0]))[0]
    assert first.abs().max() == 0
    assert last.abs().max() < 1e-5 * middle.abs().max()


def test_phases_are_turns_of_each_harmonic() -> None:
    weights = phase_weights(torch.tensor([0.0, 0.25, 0.5]), harmonics=2)
    expected = [[0, 0, 0, 0], [-1, -2, 1, 0], [-2, 0, 0, 0]]
    assert torch.allclose(weights, torch.tensor(expected).float(), atol=1e-6)
    cycle = torch.zeros(1, 2, 1, 1, 1)
    cycle[0, 1] = 3  # 3 sin 2πφ
    assert at_phases(cycle, torch.tensor([1 / 12])).item() == pytest.approx(3 * math.sin(math.pi / 6))


def test_splits_are_loaded_separately(folder: Path, clips: Clips) -> None:
    assert (len(clips), len(load(folder, "held out"))) == (9, 1)
    with pytest.raises(ValueError, match="no clips of the split nothing"):
        load(folder, "nothing")


def test_every_nth_clip_is_split_off(clips: Clips) -> None:
    others, every = clips.split_off(4)
    assert (len(others), len(every)) == (7, 2)
    assert torch.equal(every.wind, clips.wind[[3, 7]])


def test_clips_that_do_not_close_can_be_left_out(clips: Clips) -> None:
    assert len(clips.closed(0.1)) == len(clips)
    assert len(replace(clips, closure=torch.arange(9) / 10).closed(0.35)) == 4


def test_unchanged_views_equal_the_clip(views: Views, clips: Clips) -> None:
    assert views.phases.tolist() == [0.25, 0.5, 0.75]
    assert views.displacement.equal(clips.displacement[:2][:, [2, 4, 6]].float())
    inside = views.mask[:, None] > 0
    assert torch.allclose(views.normals.norm(dim=2, keepdim=True)[inside.expand(-1, 3, -1, -1, -1)], torch.tensor(1.0))
    assert torch.all(views.still * (1 - views.mask) == 0)


def test_mirroring_also_mirrors_wind_displacement_and_normals(views: Views) -> None:
    seen = crop(views, torch.ones(2), torch.zeros(2, 2), torch.tensor([True, False]))
    flip = torch.tensor([-1.0, 1.0])
    assert torch.allclose(seen.wind, views.wind * torch.stack([flip, torch.ones(2)]))
    assert torch.allclose(seen.displacement[0], views.displacement[0].flip(3) * flip[:, None, None], atol=1e-5)
    assert torch.allclose(seen.still[0, 0], -views.still[0, 0].flip(1), atol=1e-5)
    assert torch.allclose(seen.normals[1], views.normals[1], atol=1e-5)


def test_displacement_is_in_fractions_of_the_crops_side(views: Views) -> None:
    seen = crop(views, torch.tensor([0.5, 0.5]), torch.zeros(2, 2), torch.tensor([False, False]))
    middle = views.displacement[..., 8:24, 8:24].mean((3, 4))
    assert torch.allclose(seen.displacement.mean((3, 4)), 2 * middle, rtol=0.05, atol=1e-4)


def test_occluded_cloth_is_masked(views: Views) -> None:
    visible = torch.ones(2, 1, 32, 32)
    visible[:, :, :, :16] = 0
    seen = occlude(views, visible)
    assert seen.mask[..., :16].max() == 0 and seen.weight[..., :16].max() == 0 and seen.still[..., :16].abs().max() == 0
    assert seen.mask[..., 16:].equal(views.mask[..., 16:])
    assert occlude(views, torch.zeros_like(visible)).mask.equal(views.mask)  # nothing would be left


def test_reduced_clips_are_means_over_the_cloth(folder: Path, clips: Clips) -> None:
    small = load(folder, "train", 16)
    assert small.normals.shape == (9, 8, 3, 16, 16)
    middle = clips.displacement[..., 16:18, 16:18].float().mean((3, 4))
    assert torch.allclose(small.displacement[..., 8, 8].float(), middle, atol=1e-3)
    inside = clips.visible[:, :1].float().mean((2, 3)), small.visible[:, :1].float().mean((2, 3))
    assert torch.allclose(*inside, atol=0.1)
    edge = small.visible[0, 0].any(0).nonzero()[0, 0]
    assert small.displacement[0, 4, 0, 8, edge] == pytest.approx(small.displacement[0, 4, 0, 8, 8].item(), rel=0.05)


def test_random_views_are_repeatable_and_show_cloth(clips: Clips) -> None:
    first, second = Batches(clips, 3)(6, 2), Batches(clips, 3)(6, 2)
    assert first.displacement.equal(second.displacement)
    assert first.mask.mean((1, 2, 3)).min() > 0.05
    assert (first.weight <= first.mask[:, None]).all()


def test_normals_with_errors_are_unit_vectors_near_the_true_ones(clips: Clips, views: Views) -> None:
    found = with_errors(views, Batches(clips, 0).rng)
    inside = views.mask[:, 0] > 0
    assert torch.allclose(found.norm(dim=1)[inside], torch.tensor(1.0), atol=1e-5)
    cosine = (found * views.still).sum(1)[inside].mean()
    assert 0.8 < cosine < 0.9999
