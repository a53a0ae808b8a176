"""What the eye is trained on: folds, views with the labels that there are, losses where there are labels."""

import csv
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from stylecine.networks.eye import FOAM, KINDS, Eye

RECIPES = Path(__file__).resolve().parents[2] / "pretrained/recipes"
EYE = RECIPES.parent / "eye.safetensors"
W, H = 120, 80
UNKNOWN = 255


def make_photos(folder: Path) -> Path:
    """A lake under a sky, with a river's arrow to the right and down; and a still."""
    for name in ("images", "labels", "hints", "classes"):
        (folder / name).mkdir(parents=True)
    label = np.zeros((H, W), np.uint8)
    label[:30], label[50:] = 1, 2
    rng = np.random.default_rng(0)
    arrows = [
        {"class": "water", "at": [0.5, 0.8], "to": [0.6, 0.9]},
        {"class": "sky", "at": [0.5, 0.2], "to": [0.6, 0.2]},
    ]
    for name, classes, drawn in (("w-lake", label, arrows), ("still-wall", 0 * label, [])):
        colours = np.array([[90, 60, 30], [180, 200, 240], [40, 80, 120]], np.uint8)[classes]
        colours += rng.integers(0, 4, colours.shape, np.uint8)
        Image.fromarray(colours).save(folder / f"images/{name}.jpg", quality=95)
        Image.fromarray(classes).save(folder / f"labels/{name}.png")
        Image.fromarray(np.full((H, W), 17, np.uint8)).save(folder / f"classes/{name}.png")
        (folder / f"hints/{name}.json").write_text(json.dumps({"arrows": drawn}))
    (folder / "train.txt").write_text("w-lake")
    (folder / "stills.txt").write_text("still-wall")
    return folder


def test_outlined_things_stand_and_what_is_around_them_moves(recipe, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """A crop of 20 pixels of the lake, the left half of which is a thing."""
    photos, eye_data = make_photos(tmp_path), recipe("eye_data")
    (tmp_path / "boat.json").write_text(json.dumps({"photo": "w-lake", "at": [50, 80]}))
    Image.fromarray(np.arange(256)[None].repeat(256, 0) < 128).save(tmp_path / "boat.png")
    monkeypatch.setattr(eye_data, "outlines_by_photo", lambda: {"w-lake": [tmp_path / "boat.json"]})
    lake, wall = eye_data.read_photos(photos)
    assert wall.things is None and not lake.sample.label[54:74, 50:60].any()
    assert (lake.sample.label[54:74, 60:70] == 2).all()
    monkeypatch.setattr(eye_data, "TRANSPLANTED", 0.0)
    seen = next(iter(eye_data.Views([lake, wall], 24, seed=1)))
    outlined = seen.still_weight[0::8] > 0.9  # views of the lake
    assert outlined.any()
    thing, water = (outlined & (seen.still[0::8] > 0.9)), (outlined & (seen.still[0::8] < 0.1))
    assert thing.any() and water.any()
    assert seen.classes[0::8, 0][thing].mean() > 0.9 and seen.classes[0::8, 2][water].mean() > 0.9


def test_a_source_is_in_one_fold_and_folds_are_even(recipe) -> None:  # type: ignore[no-untyped-def]
    folds = recipe("folds")
    rng = np.random.default_rng(0)
    photos = {}
    for number, size in enumerate(rng.integers(1, 12, 80)):
        for n in range(size):
            kinds = {"still"} if number % 4 == 0 else {"landscape", "falls"} if n % 7 == 0 else {"landscape"}
            photos[f"{number}-{n}"] = (f"album {number}", kinds)
    found = folds.folds_of(photos)
    assert found == folds.folds_of(dict(reversed(photos.items()))), "the order of the photos does not matter"
    of_source: dict[str, set[int]] = {}
    for name, (source, _) in photos.items():
        of_source.setdefault(source, set()).add(found[name])
    assert all(len(chosen) == 1 for chosen in of_source.values())
    for kind in ("still", "landscape", "falls"):
        counts = np.bincount([found[name] for name, (_, kinds) in photos.items() if kind in kinds], minlength=5)
        assert counts.max() - counts.min() <= 0.25 * counts.mean() + 2, (kind, counts)


def test_folds_come_from_the_manifest(recipe, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folds = recipe("folds")
    assert folds.read_folds(tmp_path) == {}
    rows = [{"id": f"p{n}", "source": f"owner/album-{n % 5}: image {n}.jpg", "split": "train", "falls": "0.0"}
            for n in range(20)]
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    found = folds.read_folds(tmp_path)
    assert sorted(found[f"p{n}"] for n in range(5)) == [0, 1, 2, 3, 4]
    assert all(found[f"p{n}"] == found[f"p{n % 5}"] for n in range(20))


def test_who_is_held_out(recipe) -> None:  # type: ignore[no-untyped-def]
    folds = recipe("folds")
    assert folds.is_held_out("val2", 3, "val") and not folds.is_held_out("train", 3, "val")
    assert folds.is_held_out("train", 3, "3") and not folds.is_held_out("val", 3, "1")
    assert not folds.is_held_out("val", 3, None)


def test_a_pack_has_what_the_folder_has(recipe, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = recipe("eye_data")
    photos = make_photos(tmp_path / "photos")
    data.pack(photos, tmp_path / "eye.npz", 120, 10**6)
    for plain, packed in zip(data.read_photos(photos), data.read_photos(tmp_path / "eye.npz"), strict=True):
        assert (plain.sample.id, plain.listed, plain.sample.arrows) == (
            packed.sample.id, packed.listed, packed.sample.arrows)
        assert plain.sample.label.equal(packed.sample.label) and plain.scene.equal(packed.scene)
        assert plain.running == packed.running == (plain.sample.id == "w-lake")
    assert not data.read_photos(photos, "val", held_out=True) and len(data.read_photos(photos, "0")) == 0


def test_mirrored_views_flow_the_other_way(recipe, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data, labelled = recipe("eye_data"), recipe("labelled")
    lake = data.read_photos(make_photos(tmp_path / "photos"))[0]
    for side in (1.0, -1.0):
        matrix = np.array([[side, 0, 0], [0, 1, 0]], np.float32)
        view = labelled.View(torch.nn.functional.affine_grid(torch.from_numpy(matrix)[None], [1, 1, 64, 96],
                                                             align_corners=False), matrix)
        image, label = data._seen(view, lake)
        example = data._example(image, label, (view, lake))
        known = (example.direction_weight[0] > 0) & (torch.arange(8)[:, None] > 5)
        x, y = example.direction[:, known].mean(1)
        assert known.any() and side * x > 0.5 and y > 0.5
        assert abs(float(torch.hypot(x, y)) - 1) < 1e-3
        sky = example.only_axis[0, :2]
        assert bool(sky.all()) == (side < 0), "a calm sky may drift either way"
        assert not example.only_axis[0, 6:].any(), "which way this water runs was seen"


def test_every_view_says_only_what_is_known(recipe, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = recipe("eye_data")
    examples = next(iter(data.Views(data.read_photos(make_photos(tmp_path / "photos")), 5, seed=0)))
    assert examples.photo.shape[0] == 5 and examples.photo.abs().max() <= 1
    assert examples.classes.sum(1).max() <= 1 + 1e-5
    composite, still = 1, 4  # as in ORDER
    assert examples.still_weight[composite].any() and not examples.still_weight[still].any()
    assert (examples.scene[composite] == UNKNOWN).all() and (examples.scene[still] == 17).all()
    assert examples.classes[still, 0].min() == 1 and not examples.direction_weight[still].any()
    assert (examples.kind == UNKNOWN).all()


def test_the_kind_of_water_is_that_of_the_stretch_around_a_place(recipe, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = recipe("eye_data")
    label = torch.zeros(10, 20, dtype=torch.uint8)
    label[2:5, :8], label[6:9, 12:] = 2, 2
    rows = "lake,mirrors,10,35,none", "lake,surf,90,5,much", "lake,stands,90,75,none"
    (tmp_path / "kinds.csv").write_text("\n".join(("id,kind,x,y,foam", *rows)))
    places = data.read_kinds(tmp_path / "kinds.csv")["lake"]
    ((kind, foam, place),) = data.stretches_at(label, places)
    assert (KINDS[kind], FOAM[foam]) == ("mirrors", "none"), "the second place is on land, the third does not move"
    assert place[2:5, :8].all() and place.sum() == 24


def test_losses_are_zero_where_nothing_is_known(recipe) -> None:  # type: ignore[no-untyped-def]
    data, train = recipe("eye_data"), recipe("train_eye")
    unknown = torch.full((64, 96), UNKNOWN)
    blank = data._example(torch.zeros(3, 64, 96), unknown, None)
    examples = data.Examples(*(part[None] for part in blank))
    torch.manual_seed(0)
    network = train.Taught(Eye((8,) * 8, (8,) * 5, (8,) * 5, (8,) * 3))
    with torch.no_grad():
        found = train.losses(*network(examples.photo), examples)
    assert set(found) == set(train.WEIGHTS)
    assert all(torch.isfinite(value) for value in found.values())
    assert all(float(found[name]) == pytest.approx(0, abs=1e-6) for name in ("kind", "scene", "direction"))


def test_training_begins_with_an_eye_or_with_a_backbone(recipe, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    train_eye = recipe("train_eye")
    torch.manual_seed(0)
    before = Eye()
    save_file(before.state_dict(), tmp_path / "eye.safetensors")
    save_file(before.backbone.state_dict(), tmp_path / "backbone.safetensors")
    for name in ("start", "backbone"):
        eye, file = Eye(), tmp_path / ("eye.safetensors" if name == "start" else "backbone.safetensors")
        train_eye.begin_with(eye, Namespace(**{"start": None, "backbone": None, name: file}))
        assert eye.backbone.stem.weight.equal(before.backbone.stem.weight)
        assert eye.occluders.fine.weight.equal(before.occluders.fine.weight) == (name == "start")


@pytest.mark.slow
def test_directions_are_trained_apart_and_the_rest_of_the_eye_stays(  # type: ignore[no-untyped-def]
    recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [RECIPES.parents[1] / f"examples/{name}.jpg" for name in ("sea", "lake", "snow")]
    recipe("smoke").make_photos(tmp_path / "photos", pictures)
    train = recipe("train_course")
    run = ["", "--out", str(tmp_path / "run"), "--start", str(EYE), "--batch", "2"]
    made = ["--photos", str(tmp_path / "photos"), "--views", "6", "--minutes", "5", "--steps", "2"]
    monkeypatch.setattr("sys.argv", [*run, *made])
    train.main()
    monkeypatch.setattr("sys.argv", [*run, "--export", str(tmp_path / "eye.safetensors")])
    train.main()
    before, after = load_file(EYE), load_file(tmp_path / "eye.safetensors")
    assert before.keys() == after.keys()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name].float(), after[name].float())}
    assert changed == {"course"}


def test_kinds_of_water_are_told_apart_by_what_they_are_like(recipe) -> None:  # type: ignore[no-untyped-def]
    """Running water has other features, and surf differs more within a stretch."""
    fit_water = recipe("fit_water")
    torch.manual_seed(0)
    stretches = []
    for kind in range(len(KINDS)):
        for _ in range(12):
            features = torch.randn(1, 4, 8, 12) * (3 if KINDS[kind] == "surf" else 1) + kind
            means = fit_water.mean_over(torch.ones(64, 96, dtype=torch.bool), [features, features[:, :, ::2, ::2]])
            stretches.append(fit_water.Stretch(None, torch.stack([means, means]), kind, 2 * (KINDS[kind] == "surf")))
    weights, biases = fit_water.fit(stretches)
    for stretch in stretches:
        logits = stretch.means[0] @ weights.T + biases
        assert int(logits[: len(KINDS)].argmax()) == stretch.kind
        assert int(logits[len(KINDS) :].argmax()) == stretch.foam


def test_what_was_fitted_is_what_the_eye_says(recipe) -> None:  # type: ignore[no-untyped-def]
    fit_water = recipe("fit_water")
    torch.manual_seed(0)
    eye = Eye((8,) * 8, (8,) * 5, (8,) * 5, (8,) * 3).eval().requires_grad_(False)
    features = eye.backbone(torch.rand(1, 3, 64, 96))
    weights, biases = torch.randn(7, 32), torch.randn(7)
    fit_water.write(eye, weights, biases)
    means = fit_water.mean_over(torch.ones(64, 96, dtype=torch.bool), features[-2:])
    torch.testing.assert_close(eye.water(features)[0].mean((1, 2)), weights @ means + biases, rtol=1e-4, atol=1e-4)


def test_patches_are_told_apart_by_features_within_and_around_them(recipe) -> None:  # type: ignore[no-untyped-def]
    """Foam has the features of what is around it, things have others."""
    fit_patches = recipe("fit_patches")
    torch.manual_seed(0)
    eye = Eye((8,) * 8, (8,) * 5, (8,) * 5, (8,) * 3).eval().requires_grad_(False)
    places = torch.zeros(2, 64, 96)
    places[0, 20:30, 40:60] = 1
    places[1, 10:40, 30:70] = 1 - places[0, 10:40, 30:70]
    features = eye.backbone(torch.rand(1, 3, 64, 96))[1:]
    patches = []
    for number in range(40):
        means = fit_patches.means_over(places, [x[0] + torch.randn_like(x[0]) for x in features])
        means[:32] += number % 2
        patches.append(fit_patches.Patch(f"{number}", torch.stack([means, means]), number % 2 == 1))
    folds = {patch.photo: number % 5 for number, patch in enumerate(patches)}
    logits = fit_patches.cross_fitted(patches, folds).numpy()
    assert fit_patches.area_under_curve(logits, np.array([patch.moves for patch in patches])) > 0.95

    weights, bias = fit_patches.fit(patches)
    fit_patches.write(eye, weights, bias)
    maps = eye.patches([None, *features])
    maps = torch.nn.functional.interpolate(maps, (64, 96), mode="bilinear")[0]
    said = ((maps * places).sum((1, 2)) / places.sum((1, 2))).sum()
    expected = fit_patches.means_over(places, [x[0] for x in features]) @ weights + bias
    torch.testing.assert_close(said, expected[0], rtol=0.05, atol=0.05)


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(recipe) -> None:  # type: ignore[no-untyped-def]
    area, truth = recipe("fit_patches").area_under_curve, np.array([False, False, True, True])
    assert area(np.array([0, 2, 1, 3]), truth) == 0.75 and area(np.ones(4), truth) == 0.5


def test_angles_and_overlaps(recipe) -> None:  # type: ignore[no-untyped-def]
    evaluate = recipe("evaluate_eye")
    assert evaluate.angle((1, 0), (0, 2)) == pytest.approx(90)
    assert evaluate.angle((1, 0.1), (1, -0.1)) == pytest.approx(2 * np.degrees(np.arctan(0.1)))
    assert evaluate.iou(np.array([1, 1, 0], bool), np.array([0, 1, 1], bool)) == pytest.approx(1 / 3)


def test_a_brook_weighs_as_much_as_a_sea(recipe) -> None:  # type: ignore[no-untyped-def]
    data = recipe("eye_data")
    label = torch.zeros(80, 120, dtype=torch.long)
    label[:30] = 1
    label[30:60], label[62:64, 110:] = 2, 2  # a sea, and a puddle that is too small
    label[70:78, 20:60] = 3
    spread = data.stretches_of(label)
    assert spread.shape == (40, 60) and float(spread.sum()) == pytest.approx(2, rel=1e-5)
    assert float(spread[29:].sum()) == pytest.approx(1, abs=0.35), "half of it for the cascade, with its banks"
    assert spread[0].sum() == 0, "nothing for the sky far from water"


def test_in_the_middle_of_water_its_label_is_trusted(recipe) -> None:  # type: ignore[no-untyped-def]
    data = recipe("eye_data")
    label = torch.zeros(80, 120, dtype=torch.uint8)
    label[:20], label[40:] = 1, 2
    hides = data.may_hide_something(label)
    assert hides[:48].all() and not hides[50:, 10:-10].any()


def test_an_arrow_that_was_judged_tells_that_water_runs(recipe) -> None:  # type: ignore[no-untyped-def]
    arrows, data = recipe("arrows"), recipe("data")
    level = {"class": "water", "at": [0.2, 0.5], "to": [0.3, 0.5]}
    photo, label = torch.zeros(3, 8, 8, dtype=torch.uint8), torch.full((8, 8), 2, dtype=torch.uint8)
    assert not arrows.has_running_water(data.Sample("lake", photo, label, (level,)))
    assert arrows.has_running_water(data.Sample("river", photo, label, ({**level, "judged": True},)))
