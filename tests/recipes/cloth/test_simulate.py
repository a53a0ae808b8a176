"""Simulated clips: cycles that close, equal for equal seeds, in shards that a second run continues."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cloth import simulate
from cloth.fabrics import Random
from cloth.garments import KINDS
from cloth.xpbd import Air


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse cloth, few frames, small pictures."""
    monkeypatch.setattr(simulate, "FRAMES", 16)
    monkeypatch.setattr(simulate, "SUBSTEPS", 10)
    monkeypatch.setattr(simulate, "SIDE", 32)
    for kind in KINDS:
        monkeypatch.setitem(KINDS, kind, replace(KINDS[kind], shape=(12, 16)))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_garment_is_pinned_and_has_folds_at_first(kind: str) -> None:
    batch = simulate.make_batch(kind, [Random(seed) for seed in range(8)])
    assert batch.cloth.pinned.any(0).any(0).all() and not batch.cloth.pinned.all(0).all(0).any()
    assert batch.cloth.x.isfinite().all() and (batch.cloth.mass > 0).all()
    first = batch.cloth.x[:, 0, 0]
    assert (first[..., None] - first[:, None]).norm(dim=0).triu(1).count_nonzero() > 0 or kind in ("flag", "banner")


def test_cloth_stays_at_rest_in_the_steady_wind_and_moves_in_a_gust() -> None:
    """A flag waves for ever in a wind that follows its waves; predictable motion comes from the gust only."""
    batch = simulate.make_batch("flag", [Random(seed) for seed in range(6)])
    cloth, wind = batch.cloth, batch.wind
    simulate.rest(batch)

    def travel(air: Air) -> torch.Tensor:
        start = cloth.x.clone()
        for frame in range(simulate.FRAMES // 2):
            cloth.step(simulate.SUBSTEPS, air, frame / simulate.FRAMES, 0.0, batch.damping, wind.steady)
        return (cloth.x - start).norm(dim=0).mean((0, 1)) / wind.size

    assert travel(wind.steady).median() < 0.01
    assert travel(wind).median() > 0.03


@pytest.mark.slow
def test_a_shard_has_what_training_reads_and_depends_on_its_number_only(tmp_path: Path) -> None:
    for name in ("a", "b"):
        simulate.fill(tmp_path / name, 5, 1, 0, 3, ["banner"])
    with np.load(tmp_path / "a/banner-00000.npz") as one, np.load(tmp_path / "b/banner-00000.npz") as other:
        clips = dict(one)
        assert all(np.array_equal(clips[name], other[name]) for name in clips)
    count = len(clips["kind"])
    assert count and count % simulate.VIEWS == 0
    shapes = [clips[name].shape[1:] for name in ("normals", "displacement", "visible", "wind")]
    assert shapes == [(16, 3, 32, 32), (16, 2, 32, 32), (16, 32, 32), (2,)]
    assert (clips["normals"].dtype, clips["displacement"].dtype, clips["visible"].dtype) == (np.int8, np.float16, bool)
    assert (clips["closure"] < simulate.MAX_CLOSURE).all()
    assert set(clips["split"]) <= {"train", "held out"} and (clips["split"] == "held out").sum() <= simulate.VIEWS
    assert not clips["displacement"][:, 0].any() and clips["displacement"][:, 8].any()
    length = np.linalg.norm(clips["normals"].transpose(0, 1, 3, 4, 2)[:, 0][clips["visible"][:, 0]] / 127, axis=-1)
    assert np.abs(length - 1).max() < 0.02
    assert (clips["normals"][:, :, 2] >= 0).all()


def test_a_second_run_continues_with_the_next_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(kind: str, number: int, clips: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        made.append((kind, number, clips))
        return {"kind": np.array([kind])}, {}

    monkeypatch.setattr(simulate, "make_shard", make)
    for _ in range(2):
        simulate.fill(tmp_path, 5, 2, 0, 4, ["flag", "cape"])
    assert made == [("flag", 0, 4), ("cape", 1, 4), ("flag", 2, 4), ("cape", 3, 4)]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jsonl", *[".npz"] * 4]


def test_closure_is_the_remaining_distance_over_the_path() -> None:
    positions = torch.zeros(2, 3, 4, 5, 1)
    positions[1, 0] = 0.2
    after = torch.zeros(3, 4, 5, 1)
    after[0] = 0.02
    assert simulate.closure(positions, after).item() == pytest.approx(0.02 / (0.2 / 2**0.5))


def test_cloth_that_passes_through_itself_is_creased() -> None:
    flat = simulate.KINDS["flag"].make(Random(0), (12, 16)).pattern[..., None]
    crossed = flat.clone()
    crossed[:, :, 8:] = flat[:, :, 7:8] + flat[:, :, 8:9] - flat[:, :, 8:]
    assert simulate.creased(flat, False) == 0
    assert simulate.creased(crossed, False) > 0.03
