"""How far a prediction is from the simulation: nothing for the truth itself, all of it for a cloth at rest."""

import sys
from pathlib import Path

import pytest
import torch
from cloth.clips import Clips, Views, load
from cloth.evaluate_cloth import at_rest, mean_cycles, own_harmonics, own_mean, steering
from cloth.figures import mean_displacement, measure
from torch import Tensor

from stylecine.networks.clothnet import ClothNet


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "pretrained/recipes"))
    from smoke import make_clips

    folder = tmp_path_factory.mktemp("cloth") / "clips"
    make_clips(folder, clips=10, side=32, phases=16)
    return load(folder, "train")


def truth(views: Views) -> Tensor:
    return torch.cat([views.displacement, views.normals - views.still[:, None]], 2)


def test_the_truth_has_no_error(clips: Clips) -> None:
    figures = measure(truth, clips)
    assert figures["displacement"] == pytest.approx(0, abs=1e-4)
    assert figures["normals"] == pytest.approx(0, abs=0.1)
    assert (figures["relief"], figures["travel"], figures["within_30"]) == pytest.approx((1, 1, 1), abs=1e-3)


def test_twice_the_motion_has_twice_the_amplitude_and_the_same_direction(clips: Clips) -> None:
    figures = measure(lambda views: truth(views) * torch.tensor([2.0, 2, 1, 1, 1])[:, None, None], clips)
    assert figures["travel"] == pytest.approx(2)
    assert figures["direction"] == pytest.approx(0, abs=0.1)


def test_a_cloth_at_rest_misses_all_of_it(clips: Clips) -> None:
    figures = measure(at_rest, clips)
    assert (figures["relief"], figures["travel"]) == pytest.approx((0, 0), abs=1e-5)
    assert figures["normals"] > 10 and figures["displacement"] > 0.5


def test_hindsight_is_better_than_rest(clips: Clips) -> None:
    rest, mean, harmonics = (measure(predict, clips) for predict in (at_rest, own_mean, own_harmonics))
    assert harmonics["displacement"] < 0.05 < mean["displacement"] < rest["displacement"]
    assert harmonics["normals"] < 1 < mean["normals"] < rest["normals"]


def test_the_mean_cycle_linear_in_the_wind_predicts_motion_linear_in_the_wind(clips: Clips) -> None:
    told, untold = (measure(mean_cycles(clips, told), clips)["displacement"] for told in (True, False))
    assert told < 0.3 * untold


def test_mean_displacement_counts_the_still() -> None:
    shift = torch.tensor([0.3, -0.1])[:, None, None].expand(1, 3, 2, 4, 4)
    mean = mean_displacement(shift, torch.ones(1, 3, 1, 4, 4))
    assert mean.tolist() == pytest.approx([0.225, -0.075])


def test_steering_is_by_shares(clips: Clips) -> None:
    torch.manual_seed(0)
    shares = steering(ClothNet(widths=(8, 8, 8), embedding=8).eval(), clips.parted(8)[1])
    assert set(shares) == {"displacement_grows", "normals_grow", "side"}
    assert all(0 <= share <= 1 for share in shares.values())
