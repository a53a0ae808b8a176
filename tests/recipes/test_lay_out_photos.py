"""Photos that are only labelled here come from clones of the repositories that have them."""

import csv
import io
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RECIPES = Path(__file__).resolve().parents[2] / "pretrained/recipes"


@pytest.fixture
def layout(recipe):  # type: ignore[no-untyped-def]
    return recipe("lay_out_photos")


def make_clone(folder: Path) -> str:
    """A repository with one photo, 2000 pixels wide; its commit."""
    folder.mkdir(parents=True)
    data = io.BytesIO()
    Image.new("RGB", (2000, 1000), (40, 80, 120)).save(data, "JPEG")
    (folder / "lake.jpg").write_bytes(data.getvalue())
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (("init", "-q"), ("add", "lake.jpg"), (*identity, "commit", "-qm", "A lake")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    shown = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return shown.stdout.strip()


def test_photos_are_laid_out(layout, tmp_path: Path, monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    commit = make_clone(tmp_path / "clones/owner+lakes")
    own = tmp_path / "photos"
    for name in ("labels", "hints"):
        (own / name).mkdir(parents=True)
    rows = ["id,repository,path,commit,crop,author,licence,list", f"lake,owner/lakes,lake.jpg,{commit},,Ann,CC0,train",
            f"top,owner/lakes,lake.jpg,{commit},0 0.5,Ann,CC0,train", "sea,owner/seas,sea.jpg,0,,Ann,CC0,val4"]
    (own / "photos.csv").write_text("\n".join(rows) + "\n")
    label = np.zeros((512, 1024), np.uint8)
    label[256:] = 2
    (own / "hints/other.json").write_text(json.dumps({"arrows": ["better"]}))
    for name in ("lake", "top"):
        Image.fromarray(label).save(own / f"labels/{name}.png")
        (own / f"hints/{name}.json").write_text(json.dumps({"arrows": []}))
    monkeypatch.setattr(layout, "PHOTOS", own)
    out = tmp_path / "out"
    out.mkdir()
    (out / "images").mkdir()
    (out / "images/other.jpg").write_bytes(b"")
    (out / "train.txt").write_text("other\n")
    for _ in range(2):
        monkeypatch.setattr("sys.argv", ["lay_out_photos.py", str(out), "--clones", str(tmp_path / "clones")])
        layout.main()
    assert "sea: owner/seas is not in" in capsys.readouterr().out
    assert json.loads((out / "hints/other.json").read_text()) == {"arrows": ["better"]}, "a photo that was there before"
    with Image.open(out / "images/lake.jpg") as image:
        assert image.size == (1536, 768)
    with Image.open(out / "images/top.jpg") as image:
        assert image.size == (1536, 384)
    assert (out / "train.txt").read_text().split() == ["other", "lake", "top"]
    with (out / "manifest.csv").open(newline="") as file:
        row, _ = csv.DictReader(file)
    assert (row["source"], row["water"], row["split"]) == ("owner/lakes: lake.jpg", "0.5000", "train")


def test_every_labelled_photo_has_its_label_and_credit(layout) -> None:  # type: ignore[no-untyped-def]
    with (layout.PHOTOS / "photos.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["id"] for row in rows}) == len(rows) > 0
    for row in rows:
        assert row["repository"].count("/") == 1 and row["path"] and row["author"] and row["licence"], row["id"]
        assert (layout.PHOTOS / "labels" / f"{row['id']}.png").exists(), row["id"]
        assert (layout.PHOTOS / "hints" / f"{row['id']}.json").exists(), row["id"]


def test_no_photo_that_is_held_out_is_trained_on_under_another_name() -> None:
    """By the numbers that Unsplash and Pexels give their photos, which stay in the names of copies."""
    lists: dict[str, set[str]] = {}
    with (RECIPES / "photos/photos.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if number := re.search(r"([\w-]{11})-unsplash\.|pexels.*?(\d{5,})", row["path"]):
                lists.setdefault(number[1] or number[2], set()).add(row["list"])
    mixed = [number for number, where in lists.items() if len(where) > 1 and any("val" in one for one in where)]
    assert len(lists) > 300 and not mixed
