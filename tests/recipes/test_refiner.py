"""What the refiner is trained on, and that training runs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stylecine.networks.refiner import Refiner

RECIPES = Path(__file__).resolve().parents[2] / "pretrained/recipes"
SIDE = 640


def tree(recipe):  # type: ignore[no-untyped-def]
    """A dark tree before a plain sky, above dark ground; the label leaves the tree out."""
    label = torch.zeros(SIDE, SIDE, dtype=torch.uint8)
    label[:400] = 1
    image = torch.where(label > 0, torch.tensor([0.4, 0.6, 0.9])[:, None, None], 0.2)
    image[:, 380:400, 300:303] = 0.1
    image[:, 100:120, 300:303] = 0.1
    return recipe("occluders.composites").Scene(image, label, torch.ones(SIDE, SIDE, dtype=torch.bool))


def test_before_a_plain_sky_what_differs_stands_although_the_label_leaves_it_out(recipe) -> None:  # type: ignore[no-untyped-def]
    known = recipe("refiner_data").what_is_known(tree(recipe))
    assert (known.static[385:398, 301] > 0.9).all() and (known.weight[385:398, 301] == 3).all()
    assert known.static[110, 301] == 0, "far from all that stands the label counts"
    assert not known.doubtful[385:398, 301].any() and known.doubtful[330, 100], "beyond what is keyed it is doubtful"
    assert (known.static[405:] == 1).all()


def test_before_an_uneven_sky_what_is_thin_and_joined_stands(recipe) -> None:  # type: ignore[no-untyped-def]
    data, scene = recipe("refiner_data"), tree(recipe)
    clouds = torch.nn.functional.interpolate(
        torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0)), (SIDE, SIDE), mode="bicubic"
    )[0]
    scene.image[:, :400] = (0.5 * scene.image + 0.5 * clouds)[:, :400]
    scene.image[:, 300:400, 300:303] = 0.05
    known = data.what_is_known(scene)
    assert known.doubtful[385, 301] and known.static[385, 301] == 0
    maps = torch.zeros(6, SIDE, SIDE)
    maps[1] = maps[5] = 1
    taught = data.with_thin(known, maps)
    assert taught.static[330:395, 301].all() and not taught.doubtful[330:395, 301].any()
    assert taught.static[330:380, 100].max() == 0


def test_sorted_patches_are_what_they_were_sorted_as(recipe) -> None:  # type: ignore[no-untyped-def]
    data = recipe("refiner_data")
    patches = torch.zeros(3, SIDE, SIDE, dtype=torch.bool)
    for number, column in enumerate((100, 200, 300)):  # a cloud, a thing with its margin, and one that nobody looked at
        patches[number, 100:110, column : column + 10] = True
    ruled, refined = patches.any(0), torch.zeros(SIDE, SIDE)
    ruled[200:210, 100:110] = True  # elsewhere rules alone say that something stands
    refined[100:110, 204:206] = 0.9
    known = data.replace(data.what_is_known(tree(recipe)), patches=patches)
    taught = data.with_patches(known, ruled, refined)
    assert not taught.static[100:110, 100:110].any() and (taught.weight[100:110, 100:110] == data.KNOWN_WEIGHT).all()
    assert taught.static[105, 205] == 1 and taught.weight[105, 205] == data.THIN_WEIGHT
    assert not taught.weight[100:110, 200:203].any(), "the margin of a thing"
    assert not taught.weight[100:110, 300:310].any() and not taught.weight[200:210, 100:110].any()
    assert data.with_patches(data.what_is_known(tree(recipe)), ruled, refined).weight[205, 105] > 0, "no patches here"


def test_the_loss_is_bounded_where_only_a_label_says_that_a_place_moves(recipe) -> None:  # type: ignore[no-untyped-def]
    loss, ones = recipe("train_refiner").refining_loss, torch.ones(1, 8, 8)
    sure, static = torch.full((1, 8, 8), 12.0), torch.zeros(1, 8, 8)
    doubted, known = (float(loss(sure, static, ones, ones == n)) for n in (1, 0))
    assert doubted < 2.5 and known > 10
    assert float(loss(-sure, static, ones, ones == 0)) < 0.01


@pytest.mark.slow
def test_views_are_made_and_trained_on(recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    smoke = recipe("smoke")
    smoke.make_photos(tmp_path / "photos", [RECIPES.parents[1] / f"examples/{name}.jpg" for name in ("sea", "lake")])
    data, train = recipe("refiner_data"), recipe("train_refiner")
    monkeypatch.setattr("sys.argv", ["", str(tmp_path / "photos"), "--out", str(tmp_path / "views"), "--views", "3"])
    data.main()
    with np.load(tmp_path / "views/0-00002.npz") as view:
        assert view["photo"].shape == (3, SIDE, SIDE) and view["maps"].shape == (6, SIDE // 2, SIDE // 2)
    run = ["", "--out", str(tmp_path / "run"), "--batch", "1"]
    monkeypatch.setattr("sys.argv", [*run, "--photos", str(tmp_path / "views"), "--minutes", "5", "--steps", "3"])
    train.main()
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert {"loss", "missed", "held"} <= log[-1].keys()
    monkeypatch.setattr("sys.argv", [*run, "--export", str(tmp_path / "refiner.safetensors")])
    train.main()
    Refiner.from_tensors({name: part.float() for name, part in load_file(tmp_path / "refiner.safetensors").items()})
