"""The recipes: photos are packed to travel, trainings run for the given minutes and go on where they stopped."""

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmarks.lpips import LPIPS
from stylecine.networks.backbone import Backbone
from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator

RECIPES = Path(__file__).resolve().parents[2] / "pretrained/recipes"


@pytest.fixture(scope="module")
def smoke() -> ModuleType:
    spec = importlib.util.spec_from_file_location("smoke", RECIPES / "smoke.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def photos(smoke: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos of 720x520 with labels and arrows, one to train on and one to validate."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    smoke.make_photos(folder, [RECIPES.parents[1] / f"examples/{name}.jpg" for name in ("sea", "lake")])
    return folder


def run(recipe: str, *options: str | Path) -> str:
    done = subprocess.run([sys.executable, RECIPES / recipe, *map(str, options)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_pack_contains_the_folder(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPES))
    from data import load

    run("data.py", photos, "--out", tmp_path / "train.npz")
    (packed,), (plain,) = load(tmp_path / "train.npz"), load(photos)
    assert (packed.id, packed.arrows, packed.photo.shape) == (plain.id, plain.arrows, plain.photo.shape)
    assert (packed.photo.float() - plain.photo.float()).abs().mean() < 6
    assert packed.label.equal(plain.label)


def test_our_labels_override_those_of_the_folder(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(RECIPES))
    import data

    monkeypatch.setattr(data, "OWN_LABELS", tmp_path)
    Image.new("L", (60, 40), 4).save(tmp_path / "sea.png")
    (sea,), (lake,) = data.load(photos), data.load(photos, "val.txt")
    assert sea.label.shape == sea.photo.shape[1:] and sea.label.unique().tolist() == [4]
    assert lake.label.unique().tolist() == [0, 1, 2, 3]


def test_training_photos_are_credited() -> None:
    ids = {}
    for name in ("training", "validation"):
        with (RECIPES.parent / f"cards/{name}-photos.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert all(row[column] for row in rows for column in ("id", "source", "author", "licence"))
        ids[name] = {row["id"] for row in rows}
        assert len(ids[name]) == len(rows) > 0
    assert not ids["training"] & ids["validation"]


def test_training_reports_every_few_minutes_saves_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPES))
    import common

    seconds = 0.0
    monkeypatch.setattr(common, "time", SimpleNamespace(monotonic=lambda: seconds))
    words = ["--minutes", "10", "--threads", "1", "--device", "cpu", "--out", str(tmp_path)]
    options = common.arguments(None, "", photos=False).parse_args(words)
    network = torch.nn.Linear(2, 1)
    training = common.Training(run := common.Run(options), network, rate=0.1, weight_decay=0.0, half_life=2)
    seconds = 240.0  # of preparation, which counts no more than anything before it
    run.restart_clock()
    assert run.fraction == 0

    def loss() -> torch.Tensor:
        nonlocal seconds
        seconds += 60
        return (network(torch.tensor([[1.0, 2.0]])) - 3).square().mean()

    training.fit(loss, lambda tensors: {"bias": tensors["bias"].item()})
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["minutes"] for row in rows] == [4, 8, 10]
    assert rows[-1]["step"] == 10 and rows[-1]["loss"] < rows[0]["loss"]

    resumed = common.Run(options)
    copy = torch.nn.Linear(2, 1)
    common.Training(resumed, copy, rate=0.1, weight_decay=0.0, half_life=2)
    assert (resumed.step, resumed.trained) == (10, 10)
    assert copy.weight.equal(network.weight)
    assert common.averaged(tmp_path / "state.pt")["bias"].item() == pytest.approx(rows[-1]["bias"], abs=1e-4)


@pytest.mark.slow
def test_training_the_generator_writes_weights_and_resumes(photos: Path, tmp_path: Path) -> None:
    options = ("--photos", photos, "--steps", "2", "--batch", "1", "--threads", "1", "--out", tmp_path)
    first = [json.loads(line) for line in run("train_generator.py", *options).splitlines()]
    assert "psnr" in first[-1]
    Generator.from_tensors({k: v.float() for k, v in load_file(tmp_path / "generator.safetensors").items()})
    Encoder.from_tensors({k: v.float() for k, v in load_file(tmp_path / "encoder.safetensors").items()})
    assert (tmp_path / "samples.png").exists()
    second = [json.loads(line) for line in run("train_generator.py", *options).splitlines()]
    assert second[0] == {"step": first[-1]["step"], "minutes": second[0]["minutes"], "event": "resumed"}
    assert second[-1]["step"] == 2 * first[-1]["step"] == 4
    assert second[-1]["minutes"] > first[-1]["minutes"]


def test_spattered_water_is_rougher_and_the_rest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPES))
    import labelled

    photo, place = torch.full((3, 64, 96), 0.5), torch.zeros(64, 96)
    place[:, 48:] = 1
    shown = labelled.spattered(np.random.default_rng(0), photo, place)
    assert shown[:, :, :40].equal(photo[:, :, :40]) and shown[:, :, 60:].std() > 0.03


def test_what_is_pasted_hides_a_background_that_may_be_blurred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPES))
    import labelled

    photo, other = torch.rand(3, 160, 240), torch.full((3, 160, 240), 0.9)
    place = torch.zeros(160, 240, dtype=torch.bool)
    place[40:120, 60:180] = True
    views = [labelled.pasted(np.random.default_rng(seed), photo, other, place) for seed in range(8)]
    widths = [wide for _, wide in views]
    assert 1 in widths and 2 <= max(widths) <= 20
    for shown, wide in views:
        kept, behind = shown[:, 60:100, 80:160], shown[:, :20]
        assert float(kept.std()) < 0.02 and 0.4 < float(kept.mean()) <= 0.91
        assert torch.equal(behind, photo[:, :20]) == (wide == 1) and float(behind.std()) <= float(photo[:, :20].std())


@pytest.mark.slow
def test_the_published_networks_are_converted(smoke: ModuleType, tmp_path: Path) -> None:
    smoke.make_published(tmp_path / "published")
    run("convert_lpips.py", tmp_path / "published", "--out", tmp_path / "lpips.safetensors")
    lpips = LPIPS.from_tensors({k: v.float() for k, v in load_file(tmp_path / "lpips.safetensors").items()})
    assert lpips(torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)) > 0
    backbone = tmp_path / "backbone.safetensors"
    run("convert_efficientnet.py", tmp_path / "published/efficientnet.pth", "--out", backbone)
    Backbone().load_state_dict(load_file(backbone))


def test_batch_normalisation_is_folded_into_the_convolution_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPES))
    from convert_efficientnet import EPSILON, folded

    torch.manual_seed(0)
    conv, norm = torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.BatchNorm2d(8, eps=EPSILON).eval()
    for values in (norm.weight, norm.bias, norm.running_mean):
        torch.nn.init.normal_(values)
    norm.running_var.uniform_(0.5, 2)
    tensors = {f"{name}.{k}": v for name, part in (("c", conv), ("n", norm)) for k, v in part.state_dict().items()}
    image = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(torch.conv2d(image, *folded(tensors, "c", "n")), norm(conv(image)), atol=1e-5, rtol=1e-4)
