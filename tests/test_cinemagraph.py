"""The finished loop."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from stylecine import Animator, Cancelled, Cinemagraph, OutputError
from stylecine.video import read_video


@pytest.fixture(scope="module")
def animator(small_model: Path) -> Animator:
    return Animator.from_pretrained(small_model, "cpu")


@pytest.fixture
def loop(photo: np.ndarray, water: np.ndarray, drift: np.ndarray, animator: Animator) -> Cinemagraph:
    return animator.render(animator.invert(photo), mask=water, motion=drift, seconds=1.2, fps=10)


def test_time_goes_round(loop: Cinemagraph) -> None:
    assert len(loop) == 12
    assert np.array_equal(loop[12], loop[0])
    assert np.array_equal(loop[-1], loop[11])
    assert np.array_equal(loop[27.25], loop[3.25])
    assert not np.array_equal(loop[3.5], loop[3])
    for t in (float("nan"), float("inf")):
        with pytest.raises(IndexError, match="finite"):
            loop[t]


def test_frames_are_pictures(loop: Cinemagraph) -> None:
    frames = list(loop)
    assert len(frames) == 12
    assert all(frame.shape == (72, 96, 3) and frame.dtype == np.uint8 for frame in frames)
    assert np.array_equal(frames[5], loop[5])
    frames[0][:] = 0  # a frame is the caller's own
    assert loop[0].max() > 0


def test_measures_are_computed_once_when_asked_for(loop: Cinemagraph) -> None:
    assert loop.report()["measures"] is None
    assert loop.seam == pytest.approx(1, abs=0.3)
    assert set(loop.pulse) == {"tiles", "global"}
    assert set(loop.moved) == {"error", "travel"}
    assert loop.measures["first_frame_error"] == loop.measures["static_drift"] == 0
    assert loop.measures is loop.measures


def test_report_is_json_and_names_all_that_made_it(loop: Cinemagraph, small_model: Path) -> None:
    _ = loop.seam
    report = json.loads(json.dumps(loop.report(), allow_nan=False))
    assert (report["width"], report["height"], report["frames"], report["fps"]) == (96, 72, 12, 10)
    assert report["settings"]["warp"] == "msdfw" and report["settings"]["seconds"] == 1.2
    assert report["model"]["name"] == small_model.name
    assert set(report["model"]["sha256"]) == {"generator", "encoder", "segmenter", "motion", "lpips"}
    assert {"python", "torch", "numpy", "av"} <= set(report["versions"])
    assert report["measures"]["seam"] == loop.seam
    assert set(report["seconds"]) == set(loop.timings)


def test_save_writes_the_loop(loop: Cinemagraph, tmp_path: Path) -> None:
    info = loop.save(tmp_path / "loop.mp4", repeat=2)
    frames, fps = read_video(tmp_path / "loop.mp4")
    assert (info.width, info.height) == (96, 72)
    assert frames.shape == (24, 72, 96, 3) and fps == 10
    assert np.abs(frames[0].astype(int) - loop[0]).mean() < 6
    assert loop.timings["video"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["loop.mp4"]


def test_saving_can_be_cancelled_and_leaves_nothing(
    photo: np.ndarray, water: np.ndarray, animator: Animator, tmp_path: Path
) -> None:
    def stop(stage: str, done: int, total: int) -> bool:
        return not (stage == "video" and done == 3)

    loop = animator.render(animator.invert(photo), mask=water, seconds=1, fps=10, progress=stop)
    with pytest.raises(Cancelled, match="video"):
        loop.save(tmp_path / "loop.mp4")
    assert not list(tmp_path.iterdir())


def test_save_needs_a_folder(loop: Cinemagraph, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        loop.save(tmp_path / "missing" / "loop.mp4")


def test_the_report_goes_along_in_the_file_when_it_is_asked_for(loop: Cinemagraph, tmp_path: Path) -> None:
    loop.save(tmp_path / "plain.mp4")
    loop.save(tmp_path / "told.mp4", embed_report=True)
    with av.open(str(tmp_path / "plain.mp4")) as plain, av.open(str(tmp_path / "told.mp4")) as told:
        assert "comment" not in plain.metadata
        report = json.loads(told.metadata["comment"])
    assert report["model"] == loop.report()["model"] and report["settings"] == loop.report()["settings"]
