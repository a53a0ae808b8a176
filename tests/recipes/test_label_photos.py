"""Labels by eye: what edits make of a prediction."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

W, H = 200, 100


@pytest.fixture
def labels(recipe):  # type: ignore[no-untyped-def]
    return recipe("label_photos")


def a_lake() -> tuple[np.ndarray, np.ndarray]:
    """A photo [H,W,3] of sky over land, and a prediction [5,H,W]: the sky, and a lake that is only half sure."""
    photo = np.zeros((H, W, 3), np.uint8)
    photo[:40], photo[40:] = (120, 170, 230), (60, 90, 40)
    maps = np.zeros((5, H, W))
    maps[1, :40], maps[2, 60:, :100] = 0.9, 0.3
    maps[0] = 1 - maps[1:].sum(0)
    return photo, maps


def test_a_prediction_that_is_right_stays(labels) -> None:  # type: ignore[no-untyped-def]
    photo, maps = a_lake()
    label = labels.labelled({"base": "prediction"}, photo, maps)
    assert (label[:40] == 1).all() and not label[40:].any()
    assert not labels.labelled({"base": "nothing"}, photo, maps).any()


def test_edits_go_in_order(labels) -> None:  # type: ignore[no-untyped-def]
    photo, maps = a_lake()
    island = {"class": "static", "polygon": [[10, 70], [20, 70], [20, 80], [10, 80]], "exact": True}
    label = labels.labelled(
        {"base": "prediction", "edits": [{"class": "water", "at": [25, 80], "above": 0.2}, island]}, photo, maps
    )
    assert (label[85:, :100] == 2).all() and not label[60:, 101:].any()
    assert not label[72:78, 22:38].any()
    gone = labels.labelled({"base": "prediction", "edits": [{"class": "static", "at": [50, 10]}]}, photo, maps)
    assert not gone.any()


def test_a_place_of_which_nothing_is_likely_is_named(labels, capsys) -> None:  # type: ignore[no-untyped-def]
    photo, maps = a_lake()
    said = {"base": "nothing", "edits": [{"class": "water", "at": [80, 80], "above": 0.2}]}
    label = labels.labelled(said, photo, maps)
    assert not label.any() and "nothing is that likely at [80, 80]" in capsys.readouterr().out


def test_labels_and_arrows_are_written_as_training_reads_them(labels, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    photo, maps = a_lake()
    for name in ("images", "predicted", "edits"):
        (tmp_path / name).mkdir()
    Image.fromarray(photo).save(tmp_path / "images/lake.jpg")
    np.savez(tmp_path / "predicted/lake.npz", classes=(maps * 255).round().astype(np.uint8))
    said = {"base": "prediction", "arrows": [{"class": "water", "at": [25, 80], "to": [30, 85]}]}
    (tmp_path / "edits/lake.json").write_text(json.dumps(said))
    labels.apply(tmp_path, ["lake"])
    with Image.open(tmp_path / "labels/lake.png") as image:
        assert image.mode == "P" and image.width == labels.LONG_SIDE and set(np.unique(np.array(image))) == {0, 1}
    (arrow,) = json.loads((tmp_path / "hints/lake.json").read_text())["arrows"]
    assert arrow == {"class": "water", "judged": True, "at": [0.25, 0.8], "to": [0.3, 0.85]}
    labels.sheet(tmp_path, tmp_path / "sheet.png", ["lake"])
    labels.check(tmp_path, tmp_path / "check.png", ["lake", "lake"])
    with Image.open(tmp_path / "sheet.png") as sheet, Image.open(tmp_path / "check.png") as check:
        assert sheet.width > labels.SHOWN and check.width > 2 * 620
