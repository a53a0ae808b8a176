"""Runs every recipe for a few steps, from photos to a model that animates: to see that they run, not how well.

    python pretrained/recipes/smoke.py              # or: make train-smoke

Photos are examples/*.jpg, reduced, with generated labels and arrows. Clips of cloth are generated too, and the
published networks that training needs (AlexNet, EfficientNet) are random numbers of the right shapes, so that nothing
has to be fetched. Everything is in .runs/smoke afterwards, the model in .runs/smoke/model.
"""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

RECIPES = Path(__file__).resolve().parent
ROOT = RECIPES.parents[1]
SIZE = (720, 520)  # of the photos: recipes validate on 512×512
ALEXNET = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))  # kernel, channels in and out
FEW = ("--minutes", 5, "--steps", 2, "--batch", 2)


def make_photos(folder: Path, pictures: Sequence[Path]) -> None:
    """A folder as the recipes read it, the last picture for validation: sky above water, with a rock and falls."""
    for name in ("images", "labels", "hints", "classes"):
        (folder / name).mkdir(parents=True)
    label = np.array([1, 2], np.uint8).repeat(SIZE[1] // 2)[:, None].repeat(SIZE[0], 1)
    label[200:330, 300:420], label[260:400, 600:660] = 0, 3
    arrows = [{"class": kind, "at": at, "to": to} for kind, at, to in (
        ("sky", [0.3, 0.2], [0.4, 0.2]), ("water", [0.3, 0.8], [0.35, 0.85]), ("falls", [0.87, 0.6], [0.87, 0.7]))]
    for picture in pictures:
        with Image.open(picture) as image:
            image.convert("RGB").resize(SIZE).save(folder / f"images/{picture.stem}.jpg", quality=90)
        Image.fromarray(label).save(folder / f"labels/{picture.stem}.png")
        Image.fromarray(np.uint8(5) * (label == 0)).save(folder / f"classes/{picture.stem}.png")
        (folder / f"hints/{picture.stem}.json").write_text(json.dumps({"arrows": arrows}))
    Image.fromarray(np.uint8(255) * (label > 0)).save(folder / "mask.png")
    (folder / "train.txt").write_text("\n".join(picture.stem for picture in pictures[:-1]))
    (folder / "val.txt").write_text(pictures[-1].stem)
    (folder / "stills.txt").write_text("\n".join(picture.stem for picture in pictures[:2]))


def make_clips(folder: Path, clips: int = 24, side: int = 128, phases: int = 16) -> None:
    """One shard as written by cloth/simulate.py, every tenth clip held out: squares with travelling waves of folds."""
    random = np.random.default_rng(0)
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    mask = (abs(x - 0.5) < 0.42) & (abs(y - 0.5) < 0.42)
    degrees, strength = random.uniform(0, 360, clips), random.uniform(0.1, 1, clips)
    turn = 2 * np.pi * np.arange(phases) / phases
    sway = (np.cos(np.radians(degrees)) * strength)[:, None] * (1 - np.cos(turn)) / 2       # [C,K]
    folds = 2 * np.pi * 4 * x - turn[None, :, None, None] * np.sign(sway[:, 1, None, None, None])
    slope = 0.4 * np.cos(folds) * np.ones_like(sway)[:, :, None, None]
    normals = np.stack([slope, np.zeros_like(slope), np.ones_like(slope)], 2) / np.sqrt(1 + slope[:, :, None] ** 2)
    shift = np.stack([0.05 * sway[:, :, None, None] * y, np.zeros_like(slope)], 2)
    folder.mkdir(parents=True)
    np.savez(folder / "squares-00000.npz", normals=np.int8(np.round(127 * normals * mask)),
             displacement=np.float16(shift * mask), visible=np.broadcast_to(mask, (clips, phases, side, side)),
             wind=np.stack([degrees, strength], 1, dtype=np.float32), kind=np.full(clips, "flag"),
             split=np.where(np.arange(clips) % 10 == 9, "held out", "train"), closure=np.zeros(clips, np.float32))


def make_published(folder: Path) -> None:
    """Random networks in files like those of the published ones, pickled trees of arrays, for convert_lpips.py."""
    random = np.random.default_rng(0)

    def convolutions(shapes: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
        return {f"Conv_{n}": {"kernel": random.normal(0, (2 / (k * k * i)) ** 0.5, (k, k, i, o)).astype(np.float32),
                              "bias": np.zeros(o, np.float32)} for n, (k, i, o) in enumerate(shapes)}

    linear = {f"NetLinLayer_{n}": {"Conv_0": {"kernel": np.full((1, 1, o, 1), 0.1, np.float32)}}
              for n, (_, _, o) in enumerate(ALEXNET)}
    folder.mkdir(parents=True)
    (folder / "alexnet.ckpt").write_bytes(pickle.dumps({"AlexNet_0": convolutions(ALEXNET)} | linear, protocol=4))
    torch.save(make_efficientnet(), folder / "efficientnet.pth")


def make_efficientnet() -> dict[str, torch.Tensor]:
    """A checkpoint as convert_efficientnet.py reads it: random convolutions, batch normalisations that do nothing."""
    sys.path[:0] = [str(RECIPES), str(ROOT)]
    from convert_efficientnet import published_names

    from stylecine.networks.backbone import Backbone

    tensors = {}
    for name, (conv, norm) in published_names().items():
        weight = Backbone().state_dict()[f"{name}.weight"]
        tensors[f"{conv}.weight"] = weight
        for kind, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            tensors[f"{norm}.{kind}"] = torch.full((len(weight),), value)
    return tensors


def commands(at: Path) -> list[list[Any]]:
    """The recipes in the order of the README.md beside this, then an animation with the result."""
    photos, pack, model = at / "photos", at / "train.npz", at / "model"
    backbone, eye_weights = at / "efficientnet.safetensors", model / "eye.safetensors"
    packed = ("--photos", pack, "--val", at / "val.npz")
    clips, normals, cloth = at / "clips", model / "normals.safetensors", model / "cloth.safetensors"
    cloth_motion = ("cloth/train_cloth_motion.py", "--clips", clips)
    finder = ("cloth/train_cloth_finder.py", "--backbone", backbone, "--eye", eye_weights, "--out", at / "finder")
    plants = ("train_plants.py", "--eye", eye_weights, "--finder", model / "finder.safetensors", "--out", at / "plants")
    eye, eye_pack = ("train_eye.py", "--out", at / "eye"), at / "eye.npz"
    course = ("train_course.py", "--out", at / "course", "--start", eye_weights)
    refiner = ("train_refiner.py", "--out", at / "refiner")
    return [
        ["data.py", photos, "--out", pack],
        ["data.py", photos, "--out", at / "val.npz", "--split", "val.txt"],
        ["convert_lpips.py", at / "published", "--out", model / "lpips.safetensors"],
        ["convert_efficientnet.py", at / "published/efficientnet.pth", "--out", backbone],
        ["train_generator.py", *packed, *FEW, "--out", at / "generator"],
        ["train_prior.py", *packed, *FEW, "--out", at / "prior", "--weights", at / "generator"],
        ["train_prior.py", *packed, *FEW, "--out", at / "prior", "--weights", at / "generator", "--regression", 0],
        ["train_encoder.py", *packed, *FEW, "--out", at / "encoder", "--weights", at / "generator"],
        ["train_appearance.py", *packed, *FEW, "--out", at / "appearance", "--weights", at / "encoder"],
        ["eye_data.py", photos, "--out", eye_pack],
        [*eye, "--photos", eye_pack, "--fold", "val", "--backbone", backbone, *FEW, "--workers", 1],
        [*eye, "--export", eye_weights],
        [*course, "--photos", photos, *FEW, "--views", 4],
        [*course, "--export", eye_weights],
        ["refiner_data.py", photos, "--out", at / "views", "--views", 3],
        [*refiner, "--photos", at / "views", *FEW],
        [*refiner, "--export", model / "refiner.safetensors"],
        ["evaluate_eye.py", eye_weights, "--photos", photos],
        ["cloth/simulate.py", "--out", at / "simulated", "--clips", 2, "--shards", 1, "--kinds", "banner"],
        ["cloth/train_cloth_normals.py", "--clips", clips, *FEW, "--out", at / "normals"],
        ["cloth/train_cloth_normals.py", "--out", at / "normals", "--export", normals],
        [*cloth_motion, "--normals", normals, *FEW, "--out", at / "cloth"],
        [*cloth_motion, "--out", at / "cloth", "--export", cloth],
        ["cloth/evaluate_cloth.py", "--clips", clips, "--motion", cloth],
        [*finder, "--photos", photos, "--clips", clips, *FEW, "--composites", 4],
        [*finder, "--export", model / "finder.safetensors"],
        [*plants, "--photos", photos, *FEW, "--views", 8],
        [*plants, "--export", model / "plants.safetensors"],
        [*finder, "--refit", model / "finder.safetensors", "--former", eye_weights, "--export",
         at / "finder.safetensors"],
        ["register.py", model / "models.toml"],
        ["-m", "stylecine", "animate", ROOT / "examples/lake.jpg", "-o", at / "lake.mp4", "--model", model,
         "--mask", photos / "mask.png", "--size", 256, "--seconds", 1],
    ]


def call(command: list[Any]) -> None:
    start = time.monotonic()
    program = [command[0]] if command[0] == "-m" else [RECIPES / command[0]]
    words = [str(word) for word in (sys.executable, *program, *command[1:])]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    print(f"{time.monotonic() - start:6.1f} s  {' '.join(map(str, command[:3]))}", flush=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout}{done.stderr}\nThis failed ({done.returncode}): {' '.join(words)}")


def main() -> None:
    folder = ROOT / ".runs/smoke"
    shutil.rmtree(folder, ignore_errors=True)
    make_photos(folder / "photos", sorted((ROOT / "examples").glob("*.jpg")))
    make_published(folder / "published")
    make_clips(folder / "clips")
    (folder / "model").mkdir()
    shutil.copy(ROOT / "pretrained/models.toml", folder / "model")
    for command in commands(folder):
        if command[0] == "register.py":
            shutil.copy(folder / "prior/generator.safetensors", folder / "model")
            shutil.copy(folder / "encoder/encoder.safetensors", folder / "model")
        call(command)
    print(f"All recipes run; the model is in {(folder / 'model').relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
