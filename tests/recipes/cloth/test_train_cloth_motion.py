"""Training the motion of cloth starts from a linear fit."""

from pathlib import Path

import torch
from cloth.clips import Batches, load
from cloth.evaluate_cloth import measure, predictor
from cloth.train_cloth_motion import initialise
from smoke import make_clips

from stylecine.networks.clothnet import ClothNet


def test_initialisation_fits_cloth_that_leans_with_the_wind(tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", clips=10, side=32, phases=16)
    clips = load(tmp_path / "clips", "train")
    batches = Batches(clips, 0)
    torch.manual_seed(0)
    network = ClothNet(widths=(8, 8, 8), embedding=8).eval()
    before = measure(predictor(network), clips)
    initialise(network, lambda: batches(8, 15), count=10)
    after = measure(predictor(network), clips)
    assert after["direction"] < 10 < before["direction"]
    assert after["displacement"] < 0.5 * before["displacement"]
