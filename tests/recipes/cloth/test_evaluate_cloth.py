"""The errors of predictions: zero for the truth itself, large for cloth at rest."""

import pytest
import torch
from cloth.clips import Clips, Views, load
from cloth.evaluate_cloth import at_rest, mean_cycles, mean_displacement, measure, own_mean
from smoke import make_clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    folder = tmp_path_factory.mktemp("cloth") / "clips"
    make_clips(folder, clips=10, side=32, phases=16)
    return load(folder, "train")


def test_the_truth_has_no_error(clips: Clips) -> None:
    figures = measure(Views.changes, clips)
    assert figures["displacement"] == pytest.approx(0, abs=1e-4)
    assert figures["normals"] == pytest.approx(0, abs=0.1)
    assert (figures["relief"], figures["travel"], figures["within_30"]) == pytest.approx((1, 1, 1), abs=1e-3)


def test_twice_the_motion_has_twice_the_amplitude_and_the_same_direction(clips: Clips) -> None:
    figures = measure(lambda views: views.changes() * torch.tensor([2.0, 2, 1, 1, 1])[:, None, None], clips)
    assert figures["travel"] == pytest.approx(2)
    assert figures["direction"] == pytest.approx(0, abs=0.1)


def test_cloth_at_rest_has_no_amplitude_and_large_errors(clips: Clips) -> None:
    figures = measure(at_rest, clips)
    assert (figures["relief"], figures["travel"]) == pytest.approx((0, 0), abs=1e-5)
    assert figures["normals"] > 10 and figures["displacement"] > 0.5


def test_the_oracle_is_better_than_rest(clips: Clips) -> None:
    rest, mean = (measure(predict, clips) for predict in (at_rest, own_mean))
    assert 0.05 < mean["displacement"] < rest["displacement"]
    assert 1 < mean["normals"] < rest["normals"]


def test_the_mean_cycle_linear_in_the_wind_predicts_motion_linear_in_the_wind(clips: Clips) -> None:
    linear, constant = (measure(mean_cycles(clips, use_wind), clips)["displacement"] for use_wind in (True, False))
    assert linear < 0.3 * constant


def test_mean_displacement_counts_the_still() -> None:
    shift = torch.tensor([0.3, -0.1])[:, None, None].expand(1, 3, 2, 4, 4)
    mean = mean_displacement(shift, torch.ones(1, 3, 1, 4, 4))
    assert mean.tolist() == pytest.approx([0.225, -0.075])
