"""What photo to MP4 costs, against a release and other checkouts."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import cost as program
from benchmarks.cost import ROOT, compare, cost, rows


def test_trees_take_turns_and_an_outlier_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {"a": iter([2.0, 9.0, 2.0]), "b": iter([1.0, 1.0, 1.0])}
    turns = []
    trees = [tmp_path / name for name in taken]
    for tree in trees:
        tree.mkdir()

    def measured(tree: Path, photo: Path) -> dict[str, Any]:
        turns.append(tree.name)
        return {"units": next(taken[tree.name]), "peak_mb": 500.0}

    monkeypatch.setattr(program, "cost", measured)
    first, second = rows(trees, Path("sea.jpg"), runs=3)
    assert turns == ["a", "b"] * 3
    assert (first["units"], first["ratio"], second["ratio"], second["memory_ratio"]) == (2, 1, 0.5, 1)


def test_ratios_are_to_the_same_photo_of_the_release() -> None:
    now = [{"picture": "sea", "units": 6.0, "peak_mb": 900.0}, {"picture": "new", "units": 1.0, "peak_mb": 1.0}]
    compare(now, [{"picture": "sea", "units": 8.0, "peak_mb": 600.0}])
    assert [(row["ratio"], row["memory_ratio"]) for row in now] == [(0.75, 1.5), (None, None)]


@pytest.mark.slow
def test_stages_add_up_to_the_whole_process() -> None:
    found = cost(ROOT, ROOT / "examples" / "lake.jpg")
    assert sum(found[stage] for stage in program.STAGES if stage in found) == pytest.approx(found["cpu"])
    assert 0 < found["video"] < found["cpu"] and found["import"] > 0 and found["peak_mb"] > 100
