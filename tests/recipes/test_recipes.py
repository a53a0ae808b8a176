"""The recipes: photos are packed to travel, trainings run for the given minutes and go on where they stopped."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator

RECIPES = Path(__file__).resolve().parents[2] / "pretrained/recipes"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos of 540x520 with labels and arrows, one to train on and one to validate."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("images", "labels", "hints"):
        (folder / name).mkdir()
    rng = np.random.default_rng(0)
    for name, split in (("one", "train"), ("two", "val")):
        coarse = Image.fromarray(rng.integers(0, 255, (13, 14, 3), np.uint8))
        coarse.resize((540, 520), Image.Resampling.BICUBIC).save(folder / f"images/{name}.jpg", quality=95)
        Image.fromarray(np.repeat(np.uint8([[1], [2]]), 130, 0).repeat(270, 1)).save(folder / f"labels/{name}.png")
        arrow = {"class": "sky", "at": [0.2, 0.2], "to": [0.3, 0.2]}
        (folder / f"hints/{name}.json").write_text(json.dumps({"arrows": [arrow]}))
        (folder / f"{split}.txt").write_text(name)
    return folder


def run(recipe: str, *options: str | Path) -> str:
    done = subprocess.run([sys.executable, RECIPES / recipe, *map(str, options)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_pack_holds_what_the_folder_does(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPES))
    from data import load

    run("data.py", photos, "--out", tmp_path / "train.npz")
    (packed,), (plain,) = load(tmp_path / "train.npz"), load(photos)
    assert (packed.id, packed.arrows, packed.photo.shape) == (plain.id, plain.arrows, plain.photo.shape)
    assert (packed.photo.float() - plain.photo.float()).abs().mean() < 6
    assert packed.label.equal(plain.label)


def test_training_the_generator_writes_weights_and_goes_on(photos: Path, tmp_path: Path) -> None:
    options = ("--photos", photos, "--minutes", "0.1", "--batch", "1", "--threads", "1", "--out", tmp_path)
    first = [json.loads(line) for line in run("train_generator.py", *options).splitlines()]
    assert "psnr" in first[-1]
    Generator.from_tensors({k: v.float() for k, v in load_file(tmp_path / "generator.safetensors").items()})
    Encoder.from_tensors({k: v.float() for k, v in load_file(tmp_path / "encoder.safetensors").items()})
    assert (tmp_path / "samples.png").exists()
    second = [json.loads(line) for line in run("train_generator.py", *options).splitlines()]
    assert second[0] == {"step": first[-1]["step"], "minutes": second[0]["minutes"], "event": "resumed"}
    assert second[-1]["minutes"] > first[-1]["minutes"]
