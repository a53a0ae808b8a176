"""The page that explains a loop: what it shows, and that it is self-contained."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import stylecine
from stylecine import Animator, Scene
from stylecine.cli import main, parser
from stylecine.errors import OptionError, OutputError
from stylecine.explanation.evidence import Evidence, gather
from stylecine.explanation.page import explanation_html
from stylecine.options import RenderOptions
from tests.pages import Read

NASTY = 'a <b> & "c"\'s\x1b[31m #1.jpg'


@pytest.fixture(scope="module")
def evidence(animator: Animator, scene: Scene, water: np.ndarray, drift: np.ndarray) -> Evidence:
    """Of a loop whose mask and motion were given."""
    return gather(animator, scene, RenderOptions(mask=water, motion=drift, seconds=1))


@pytest.fixture(scope="module")
def page(evidence: Evidence) -> str:
    return explanation_html(evidence, NASTY)


def code(page: str) -> list[str]:
    return [line for tag, text in Read(page).texts if tag == "code" for line in text.splitlines()]


def test_the_page_is_self_contained_and_runs_nothing(page: str) -> None:
    read = Read(page)
    fetched = read.values("src", "srcset", "href")
    assert fetched and all(address.startswith(("data:image/", "data:video/")) for address in fetched)
    assert not {"script", "b"} & {*read.names} and all(told["alt"] for tag, told in read.tags if tag == "img")
    assert "default-src 'none'" in page and "unsafe" not in page
    assert not re.search(r"url\(|\x1b", page)


def test_it_shows_the_loop_and_every_stage(page: str) -> None:
    read = Read(page)
    for title in ("What to do", "What moves", "Measures", "Pictures", "How it was made"):
        assert f"\n{title}\n" in read.text
    assert 'a <b> & "c"\'s\\x1b[31m #1.jpg explained' in read.text
    assert read.names.count("video") == 1 and read.names.count("figure") == 9
    assert any(f'"stylecine": "{stylecine.__version__}"' in line for line in code(page)), "the report"


def test_every_measure_has_its_goal_and_meaning(page: str, evidence: Evidence) -> None:
    rows = {name: rest for name, *rest in Read(page).rows if len(rest) == 4}
    assert rows["moved error"][1] == "0 to 0.25" and rows["travel"][1:3] == ["0.02 or more", "met"]
    assert rows["static drift"] == ["0", "0 to 0", "met", "largest difference from the photo where nothing moves"]
    assert rows["malf"][1:3] == ["", ""]
    worse = replace(evidence, measures={**evidence.measures, "travel": 0.01})
    goals = [
        re.search(r"(\d+) of (\d+) goals are met", explanation_html(found, "sea.jpg")) for found in (evidence, worse)
    ]
    (met, known), (fewer, same) = ((int(n) for n in goal.groups()) for goal in goals if goal)
    assert fewer == met - 1 and same == known


def test_every_command_can_be_run(page: str) -> None:
    lines = [line for line in code(page) if line.startswith("stylecine ")]
    assert [line.split()[1] for line in lines] == ["scene", "edit", "render"]
    for line in lines:
        parser().parse_args(shlex.split(line.replace("…", "0.5,0.5"))[1:])


@pytest.mark.parametrize("name", ["it's $(me).jpg", "-x.jpg", "two words.jpg"])
def test_names_are_quoted(evidence: Evidence, name: str) -> None:
    options = parser().parse_args(shlex.split(code(explanation_html(evidence, name))[0])[1:])
    assert options.photo.name == name and options.output.name == f"{Path(name).stem}.cine"


def test_the_regions_are_those_that_move(evidence: Evidence, water: np.ndarray) -> None:
    """The small model's classes are random, so the water may be several regions."""
    assert sum(region.share for region in evidence.regions) == pytest.approx(water.mean(), abs=0.05)
    for region in evidence.regions:
        assert region.velocity == pytest.approx((15, 0), abs=0.5) and region.speed == pytest.approx(15, abs=0.5)


def test_what_is_first_used_here_can_be_used_in_training(animator: Animator, scene: Scene, evidence: Evidence) -> None:
    assert evidence.loop is not None
    assert not any(tensor.is_inference() for tensor in (scene.edited_layers, *animator.eye.parameters()))


def test_a_photo_in_which_nothing_moves_is_explained(animator: Animator, photo: np.ndarray) -> None:
    scene = animator.invert(photo)
    still = replace(scene, layers=torch.zeros_like(scene.layers), mask=torch.zeros_like(scene.mask))
    evidence = gather(animator, still, RenderOptions())
    assert evidence.loop is None and not evidence.regions
    page = explanation_html(evidence, "wall.jpg")
    text = Read(page).text
    assert "There is no loop." in text and "give a mask" in text and "--mask mask.png" in code(page)
    assert "Probability of moving" in text and "How it was made" not in text


def test_a_smaller_copy_is_explained_as_the_scene(animator: Animator, scene: Scene, water: np.ndarray) -> None:
    small = gather(animator, scene, RenderOptions(mask=water, seconds=0.5), short=64)
    assert small.scene.photo.shape[0] == 64 and small.layers.shape[1:] == (64, 85)
    assert "85 × 64 pixels" in explanation_html(small, "sea.jpg")


# --- the command and the function


def test_the_command_writes_the_page(
    photo_file: Path,
    mask_file: Path,
    motion_file: Path,
    small_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--mask", mask_file.name, "--motion", motion_file.name, "--seconds", "0.5", "--model", str(small_model)]
    assert main(["explain", photo_file.name, *given]) == 0
    out = capsys.readouterr().out
    assert out.startswith("photo-explained.html: ") and " 0.0 MB" not in out
    assert "stylecine scene photo.png -o photo.cine" in code((tmp_path / "photo-explained.html").read_text("utf-8"))


def test_a_scene_file_is_explained_with_its_edits(scene: Scene, small_model: Path, tmp_path: Path) -> None:
    edited = scene.paint("water", [[0.1, 0.8], [0.9, 0.8]], radius=0.2)
    edited.save(tmp_path / "lake.cine")
    for photo in (edited, tmp_path / "lake.cine"):
        page = stylecine.explain(photo, tmp_path / "lake.html", model=small_model, seconds=0.5)
        text = page.read_text("utf-8")
        assert page == tmp_path / "lake.html" and "stylecine edit" in text and "stylecine scene" not in text


def test_impossible_requests_leave_nothing(photo_file: Path, small_model: Path, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(OptionError, match="pace"):
        stylecine.explain(photo_file, tmp_path / "x.html", model=small_model, pace="hasty")
    with pytest.raises(OutputError, match="no folder"):
        stylecine.explain(photo_file, tmp_path / "none/x.html", model=small_model)
    assert main(["explain", str(photo_file), "-o", str(tmp_path / "x.mp4")]) == 2
    assert {path.name for path in tmp_path.iterdir()} == before
