"""Clips in memory: views of them are whole, or windows that may be mirrored, or have things in front."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cloth.clips import Batches, Clips, Views, cut, load, misjudged, window


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "pretrained/recipes"))
    from smoke import make_clips

    folder = tmp_path_factory.mktemp("cloth") / "clips"
    make_clips(folder, clips=10, side=32, phases=8)
    return folder


@pytest.fixture(scope="module")
def clips(folder: Path) -> Clips:
    return load(folder, "train")


@pytest.fixture()
def views(clips: Clips) -> Views:
    return clips.whole([0, 1], torch.tensor([2, 4, 6]))


def test_splits_are_read_apart(folder: Path, clips: Clips) -> None:
    assert (len(clips), len(load(folder, "held out"))) == (9, 1)
    with pytest.raises(ValueError, match="no clips of the split nothing"):
        load(folder, "nothing")


def test_parts_make_up_the_whole(clips: Clips) -> None:
    most, some = clips.parted(4)
    assert (len(most), len(some)) == (7, 2)
    assert torch.equal(some.wind, clips.wind[[3, 7]])


def test_cycles_are_told_from_what_does_not_close(clips: Clips) -> None:
    assert len(clips.closed(0.1)) == len(clips)
    assert len(replace(clips, closure=torch.arange(9) / 10).closed(0.35)) == 4


def test_whole_views_are_the_clip(views: Views, clips: Clips) -> None:
    assert views.phases.tolist() == [0.25, 0.5, 0.75]
    assert views.displacement.equal(clips.displacement[:2][:, [2, 4, 6]].float())
    inside = views.mask[:, None] > 0
    assert torch.allclose(views.normals.norm(dim=2, keepdim=True)[inside.expand(-1, 3, -1, -1, -1)], torch.tensor(1.0))
    assert torch.all(views.still * (1 - views.mask) == 0)


def test_a_mirrored_window_mirrors_the_wind_and_all_that_points(views: Views) -> None:
    seen = window(views, torch.ones(2), torch.zeros(2, 2), torch.tensor([True, False]))
    flip = torch.tensor([-1.0, 1.0])
    assert torch.allclose(seen.wind, views.wind * torch.stack([flip, torch.ones(2)]))
    assert torch.allclose(seen.displacement[0], views.displacement[0].flip(3) * flip[:, None, None], atol=1e-5)
    assert torch.allclose(seen.still[0, 0], -views.still[0, 0].flip(1), atol=1e-5)
    assert torch.allclose(seen.normals[1], views.normals[1], atol=1e-5)


def test_displacement_is_in_fractions_of_the_windows_side(views: Views) -> None:
    seen = window(views, torch.tensor([0.5, 0.5]), torch.zeros(2, 2), torch.tensor([False, False]))
    middle = views.displacement[..., 8:24, 8:24].mean((3, 4))
    assert torch.allclose(seen.displacement.mean((3, 4)), 2 * middle, rtol=0.05, atol=1e-4)


def test_what_is_behind_other_things_is_not_seen(views: Views) -> None:
    visible = torch.ones(2, 1, 32, 32)
    visible[:, :, :, :16] = 0
    seen = cut(views, visible)
    assert seen.mask[..., :16].max() == 0 and seen.weight[..., :16].max() == 0 and seen.still[..., :16].abs().max() == 0
    assert seen.mask[..., 16:].equal(views.mask[..., 16:])
    assert cut(views, torch.zeros_like(visible)).mask.equal(views.mask)  # nothing would be left


def test_smaller_clips_are_means_over_the_cloth(folder: Path, clips: Clips) -> None:
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


def test_misjudged_normals_are_unit_and_not_far_off(clips: Clips, views: Views) -> None:
    found = misjudged(views, Batches(clips, 0).rng)
    inside = views.mask[:, 0] > 0
    assert torch.allclose(found.norm(dim=1)[inside], torch.tensor(1.0), atol=1e-5)
    cosine = (found * views.still).sum(1)[inside].mean()
    assert 0.8 < cosine < 0.9999
