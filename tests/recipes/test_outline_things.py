"""Outlines of small things: what is drawn, and where it is in its photo."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.studies.things import at_size


@pytest.fixture
def outlines(recipe):  # type: ignore[no-untyped-def]
    return recipe("outline_things")


def test_what_is_darker_within_a_polygon_a_stroke_and_what_is_neither(outlines) -> None:  # type: ignore[no-untyped-def]
    pixels = np.full((256, 256), 200, np.uint8)
    pixels[:, 40:43] = 60  # a mast, before the sky down to row 150
    around = [[0, 0], [256, 0], [256, 150], [0, 150]]
    found = outlines.outlined(Image.fromarray(pixels).convert("RGB"), [
        {"within": around, "darker": 120},
        {"stroke": [[100, 20], [200, 20]], "width": 2},
        {"not": [[0, 0], [60, 0], [60, 30], [0, 30]]},
    ])
    assert found[30:150, 40:43].all() and not found[:30, :60].any() and not found[151:].any()
    assert found[19:21, 101:200].all() and found.sum() == 3 * 120 + found[:30].sum() and found[:30].sum() <= 3 * 101


def test_an_outline_lies_where_its_crop_was_cut(outlines, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for folder in ("images", "things"):
        (tmp_path / folder).mkdir()
    photo = np.full((512, 768, 3), 200, np.uint8)
    photo[100:300, 600:606] = 30
    Image.fromarray(photo).save(tmp_path / "images/a.jpg", quality=95)
    everywhere = [[0, 0], [256, 0], [256, 256], [0, 256]]
    said = {"photo": "a", "at": [78.5, 40], "things": [{"within": everywhere, "darker": 110}]}
    (tmp_path / "things/a-1.json").write_text(json.dumps(said))
    crop = outlines.cut(tmp_path, "a", said["at"])
    mask = outlines.outlined(crop, said["things"])
    Image.fromarray(mask).save(tmp_path / "things/a-1.png")
    things, there = at_size(tmp_path / "things/a-1.json", (512, 768))
    assert there.sum() == 128 * 128 and there[things].all()
    columns = np.flatnonzero(things.any(0))
    assert abs(columns[0] - 600) <= 1 and abs(columns[-1] - 605) <= 1
