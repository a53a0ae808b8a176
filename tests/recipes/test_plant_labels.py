"""Labels of what sways: pieces of guessed plants, chosen and corrected by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "pretrained/recipes"))

from PIL import Image
from plant_labels import (
    DECISIONS,
    STILL,
    SWAYS,
    UNKNOWN,
    by_hand,
    by_rules,
    pieces_of,
    read_decisions,
    read_maps,
    swaying,
)

TREE, GRASS = 5, 10


@pytest.fixture
def park() -> tuple[np.ndarray, np.ndarray]:
    """Two trees before the sky, grass below: classes and moving classes [100,200]."""
    classes = np.zeros((100, 200), np.uint8)
    classes[20:60, 20:60] = classes[20:60, 120:160] = TREE
    classes[70:] = GRASS
    label = np.zeros_like(classes)
    label[:40] = 1
    label[30:60, 20:60] = label[30:60, 120:160] = 0  # the sky was drawn across the tops of the crowns
    return classes, label


def test_pieces_are_numbered_by_kind(park: tuple[np.ndarray, np.ndarray]) -> None:
    pieces = pieces_of(*park)
    assert [pieces[50, 40], pieces[50, 140], pieces[80, 100], pieces[65, 100]] == [1, 2, 3, 0]


def test_chosen_pieces_sway_and_others_stand_still(park: tuple[np.ndarray, np.ndarray]) -> None:
    sways = by_hand(["2", "?3"], *park)
    assert [sways[50, 40], sways[50, 140], sways[80, 100], sways[65, 100]] == [STILL, SWAYS, UNKNOWN, STILL]


def test_polygons_correct_what_comes_before_them(park: tuple[np.ndarray, np.ndarray]) -> None:
    line = "park: a -0,60 50,60 50,100 0,100 *60,0 100,0 100,80 60,80 +0,85 20,85 20,100 0,100"
    sways = by_hand(line.split()[1:], *park)
    assert [sways[75, 50], sways[95, 20], sways[75, 150], sways[65, 150]] == [STILL, SWAYS, SWAYS, STILL]


def test_borders_and_twigs_before_the_sky_are_not_counted(park: tuple[np.ndarray, np.ndarray]) -> None:
    sways = by_hand(["a"], *park)
    assert sways[25, 40] == UNKNOWN and sways[10, 40] == STILL
    assert (sways[68:73, 100] == UNKNOWN).sum() == 4


def test_plants_that_nobody_has_looked_at_are_unknown(park: tuple[np.ndarray, np.ndarray]) -> None:
    sways = by_rules(*park)
    assert [sways[50, 40], sways[80, 100], sways[65, 100], sways[5, 5]] == [UNKNOWN, UNKNOWN, STILL, STILL]


def test_words_that_mean_nothing_are_refused(park: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(SystemExit, match="'tree'"):
        by_hand(["tree"], *park)


def test_photos_are_read_at_the_size_of_their_classes(tmp_path: Path, park: tuple[np.ndarray, np.ndarray]) -> None:
    for folder, pixels, size in (("classes", park[0], (200, 100)), ("labels", park[1], (400, 200))):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(tmp_path / folder / "park.png")
    assert all(np.array_equal(a, b) for a, b in zip(read_maps(tmp_path, "park"), park, strict=True))
    assert np.array_equal(swaying(tmp_path, "park", {"park": ["2"]}), by_hand(["2"], *park))
    assert np.array_equal(swaying(tmp_path, "park", {}), by_rules(*park))


def test_every_decision_can_be_applied(park: tuple[np.ndarray, np.ndarray]) -> None:
    files = sorted(path.name for path in DECISIONS.glob("*.txt"))
    assert files == ["stills.txt", "train.txt", "val.txt"]
    for name in files:
        for words in read_decisions(name).values():
            assert set(np.unique(by_hand(words, *park))) <= {STILL, SWAYS, UNKNOWN}
