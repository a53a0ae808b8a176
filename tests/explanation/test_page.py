"""The page that explains a loop: what it says, that it is self-contained, and what it advises."""

import base64
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stylecine
from stylecine import Animator, Scene
from stylecine.cli import main, parser
from stylecine.errors import OptionError, OutputError
from stylecine.explanation.advice import advise, freeze_commands, heading
from stylecine.explanation.evidence import Evidence, Motion, gather
from stylecine.explanation.page import explanation_html
from stylecine.explanation.shell import Shell, Source
from stylecine.ops.regions import Region
from stylecine.options import CLASSES, RenderOptions
from stylecine.output.video import read_video
from stylecine.perception.doubt import Doubt
from tests.pages import Read

WATER = CLASSES.index("water")
NASTY = 'a <b> & "c"\'s\x1b[31m #1.jpg'


@pytest.fixture(scope="module")
def evidence(animator: Animator, scene: Scene, water: np.ndarray, drift: np.ndarray) -> Evidence:
    """Of a loop whose mask and motion were given."""
    return gather(animator, scene, RenderOptions(mask=water, motion=drift, seconds=1))


@pytest.fixture(scope="module")
def page(evidence: Evidence) -> str:
    return explanation_html(evidence, Source(NASTY))


def moving(region: Region, **changes: Any) -> tuple[Region, Motion]:
    known: dict[str, Any] = {"velocity": (30.0, 0.0), "speed": 30.0, "probability": 0.9, "disagreement": 10.0}
    return region, Motion(**known | {"vivid": 0.95, "smooth": 0.0} | changes)


def shore(evidence: Evidence) -> Region:
    return evidence.moving[0][0]


def shell(evidence: Evidence) -> Shell:
    return Shell(Source("sea.jpg"), evidence.options, size=72)


def test_the_page_is_self_contained_and_runs_nothing(page: str) -> None:
    read = Read(page)
    fetched = read.values("src", "srcset", "href")
    assert fetched and all(address.startswith(("data:image/", "data:video/")) for address in fetched)
    assert not {"script", "b"} & {*read.names} and all(told["alt"] for tag, told in read.tags if tag == "img")
    assert "default-src 'none'" in page and "unsafe" not in page
    assert not re.search(r"https?://|url\(|\x1b", page)


def test_it_shows_every_stage(page: str) -> None:
    text = Read(page).text
    for title in ("What to do", "Inversion", "What moves", "Motion", "Measures of the loop", "How it was made"):
        assert f"\n{title}\n" in text
    assert 'a <b> & "c"\'s\\x1b[31m #1.jpg explained' in text
    for name in ("vividness moving", "seam encoded", "pulse excess", "lpips", "psnr"):
        assert f"\n{name}\n" in text
    assert stylecine.__version__ in text and "px/s" in text


def test_every_command_can_be_run(page: str) -> None:
    lines = [line for tag, command in Read(page).texts if tag == "code" for line in command.splitlines()]
    assert len(lines) > 2
    for line in lines:
        parser().parse_args(shlex.split(line)[1:])


def test_the_regions_are_those_that_move(evidence: Evidence, water: np.ndarray) -> None:
    """The small model's classes are random, so the water may be several regions."""
    assert sum(region.share for region, _ in evidence.moving) == pytest.approx(water.mean(), abs=0.05)
    for _, motion in evidence.moving:
        assert motion.velocity == pytest.approx((15, 0), abs=0.5) and motion.speed == pytest.approx(15, abs=0.5)
        assert heading(*motion.velocity) == "right"


def test_the_encoded_seam_is_measured(evidence: Evidence) -> None:
    assert 0 < evidence.measures["seam_encoded"] < 3
    assert len(evidence.frames) == 30 and evidence.frames[0].shape == (72, 96, 3)


def test_the_loop_is_shown_as_it_is_exported(evidence: Evidence, page: str, tmp_path: Path) -> None:
    (url,) = (address for address in Read(page).values("src") if address.startswith("data:video/mp4;base64,"))
    path = tmp_path / "loop.mp4"
    path.write_bytes(base64.b64decode(url.split(",")[1]))
    frames, fps = read_video(path)
    assert len(frames) == 30 and fps == 30
    assert np.abs(frames[7].astype(int) - evidence.frames[7]).mean() < 4


def test_without_an_encoder_the_photo_is_shown(evidence: Evidence) -> None:
    page = explanation_html(replace(evidence, video=b""), Source(NASTY))
    assert "data:video" not in page and "no video can be written here" in page


def test_what_is_first_used_here_can_be_used_in_training(animator: Animator, scene: Scene, evidence: Evidence) -> None:
    assert evidence.loop is not None
    assert not any(tensor.is_inference() for tensor in (scene.edited_layers, *animator.eye.parameters()))


def test_a_photo_in_which_nothing_moves_is_explained(animator: Animator, photo: np.ndarray) -> None:
    scene = animator.invert(photo)
    still = replace(scene, layers=torch.zeros_like(scene.layers), mask=torch.zeros_like(scene.mask))
    evidence = gather(animator, still, RenderOptions())
    assert evidence.loop is None and not evidence.moving
    text = Read(explanation_html(evidence, Source("wall.jpg"))).text
    assert "There is no loop." in text and "give a mask" in text and "Measures of the loop" not in text


def test_a_smaller_copy_is_explained_as_the_scene(animator: Animator, scene: Scene, water: np.ndarray) -> None:
    small = gather(animator, scene, RenderOptions(mask=water, seconds=0.5), short=64)
    assert small.scene.photo.shape[0] == 64 and small.layers.shape[1:] == (64, 85)
    assert "85 × 64 pixels" in explanation_html(small, Source("sea.jpg"))


# --- advice


def test_a_loop_without_faults_gets_no_advice(evidence: Evidence) -> None:
    good = replace(evidence, measures={"vividness_moving": 0.9, "seam": 1.0}, moving=[], doubtful=[], problem="")
    assert [f for f in advise(good, shell(good)) if not f.title.startswith("The loop may")] == []


@pytest.mark.parametrize(
    ("smooth", "title", "command"),
    [
        (0.0, "Part of it hardly seems to move", "--pace lively"),
        (0.9, "Smooth areas do not seem to move", "--crop 1:1"),
    ],
)
def test_what_seems_still_is_slow_or_smooth(evidence: Evidence, smooth: float, title: str, command: str) -> None:
    still = [moving(shore(evidence), vivid=0.2, smooth=smooth)]
    slow = replace(evidence, measures={"vividness_moving": 0.2}, moving=still)
    (finding,) = [finding for finding in advise(slow, shell(slow)) if "seem" in finding.title]
    assert finding.title == title and command in finding.commands[0] and finding.certain == (smooth < 0.5)
    assert "region 1" in finding.text


def test_a_motion_that_contradicts_itself_gets_an_arrow_the_other_way(evidence: Evidence) -> None:
    guess = replace(evidence, options=RenderOptions(), moving=[moving(shore(evidence), disagreement=140.0)])
    (finding,) = [finding for finding in advise(guess, shell(guess)) if finding.region == "1"]
    (found,) = re.findall(r"--arrow=(\S+)", finding.commands[0])
    x0, y0, x1, y1 = map(float, found.split(","))
    assert x1 < x0 and y1 == pytest.approx(y0, abs=1e-3)
    assert x0 - x1 == pytest.approx(30 / 96, abs=0.01), "as fast as what was predicted"


def test_cloth_that_was_found_may_be_masked_by_hand(evidence: Evidence) -> None:
    assert evidence.loop is not None
    warning = "Nobody has marked this cloth."
    settings = evidence.loop.settings | {"mask": "found"}
    cloth = replace(evidence.loop, loop=None, settings=settings, cloth_warning=warning)
    found = replace(evidence, options=RenderOptions(subject="cloth"), loop=cloth)
    (finding,) = [finding for finding in advise(found, shell(found)) if finding.text == warning]
    assert "--subject cloth --mask mask.png" in finding.commands[0]
    assert "was given" in explanation_html(evidence, Source("sea.jpg"))
    assert "was given" not in explanation_html(found, Source("sea.jpg"))


def test_falls_that_pulse_are_calmed(evidence: Evidence) -> None:
    falls = [moving(replace(shore(evidence), moving_class=CLASSES.index("falls")))]
    pulsing = replace(evidence, measures={"pulse_global": 0.04}, moving=falls, options=RenderOptions())
    (finding,) = [finding for finding in advise(pulsing, shell(pulsing)) if "Contrast" in finding.title]
    assert "--pace calm" in finding.commands[0] and finding.certain


@pytest.mark.parametrize("figures", [{"vividness_moving": 0.2}, {"travel": 0.01}], ids=str)
def test_a_loop_is_not_to_be_faster_and_calmer_at_once(evidence: Evidence, figures: dict[str, float]) -> None:
    slow = [moving(shore(evidence), vivid=0.2, smooth=0.0)]
    both = replace(evidence, measures={"pulse_global": 0.06, **figures}, moving=slow, options=RenderOptions())
    found = [finding for finding in advise(both, shell(both)) if not finding.region]
    commands = "".join(line for finding in found for line in finding.commands)
    assert ("--pace lively" in commands or "--speed 2" in commands) and "calm" not in commands
    (pulse,) = [finding for finding in found if "Contrast" in finding.title]
    assert not pulse.certain and "would lessen it" in pulse.text


def test_every_measure_is_explained_at_its_word(page: str) -> None:
    meanings = dict(re.findall(r"<tr><th scope=row>([^<]+)</th>.*?<td>([^<]+)</td></tr>", page))
    assert "peak signal-to-noise ratio" in meanings["psnr"] and "looks to a network" in meanings["lpips"]
    assert "crossfade" in meanings["foreign edges"]
    assert "a loop apart" in meanings["malf"] and "coarse shapes" in meanings["likeness"]


def test_doubtful_places_are_added_or_frozen(evidence: Evidence) -> None:
    places = [Doubt(shore(evidence).mask, WATER, moving=now) for now in (False, True)]
    unsure = replace(evidence, doubtful=places, moving=[])
    (finding,) = [finding for finding in advise(unsure, shell(unsure)) if "unsure" in finding.title]
    (add, lines), (freeze, others) = finding.more
    assert add == "A should move, as water" and "--add 'water:" in lines[1]
    assert freeze == "B should stand still" and "--freeze '" in others[1]
    text = Read(explanation_html(unsure, Source("sea.jpg"))).text
    assert "\nstands still\n" in text and "\nmoves\n" in text


def test_a_river_that_moves_by_half_misses_a_goal(evidence: Evidence) -> None:
    place = Doubt(shore(evidence).mask, WATER, moving=False)
    half = replace(
        evidence, doubtful=[place], left_out=[place], moving=[], measures={**evidence.measures, "left_out": 0.5}
    )
    (finding,) = [finding for finding in advise(half, shell(half)) if "unsure" in finding.title]
    assert finding.certain and "Beside A the same thing moves" in finding.text
    met = {**half.measures, "left_out": 0.05}
    goals = [
        re.search(r"(\d+) of (\d+) goals are met", explanation_html(replace(half, measures=m), Source("sea.jpg")))
        for m in (half.measures, met)
    ]
    (missed, all_goals), (better, same) = ((int(n) for n in goal.groups()) for goal in goals if goal)
    assert all_goals == same and better == missed + 1


def test_freezing_a_region_as_advised_stops_it(animator: Animator, scene: Scene, evidence: Evidence) -> None:
    lines = freeze_commands(shore(evidence), shell(evidence))
    still = scene
    for method, values, keywords in parser().parse_args(shlex.split(lines[1])[1:]).steps:
        still = getattr(still, method)(*values, **keywords)
    assert float(still.frozen[45:].mean()) > 0.85 and float(still.frozen[:30].mean()) < 0.1


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
    page = (tmp_path / "photo-explained.html").read_text("utf-8")
    assert "--mask mask.png --motion motion.npy --seconds 0.5" in page


def test_a_scene_file_is_explained_with_its_edits(scene: Scene, small_model: Path, tmp_path: Path) -> None:
    edited = scene.paint("water", [[0.1, 0.8], [0.9, 0.8]], radius=0.2)
    edited.save(tmp_path / "lake.cine")
    for photo in (edited, tmp_path / "lake.cine"):
        page = stylecine.explain(photo, tmp_path / "lake.html", model=small_model, seconds=0.5)
        assert page == tmp_path / "lake.html" and "stylecine render" in page.read_text("utf-8")


def test_impossible_requests_leave_nothing(photo_file: Path, small_model: Path, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(OptionError, match="pace"):
        stylecine.explain(photo_file, tmp_path / "x.html", model=small_model, pace="hasty")
    with pytest.raises(OutputError, match="no folder"):
        stylecine.explain(photo_file, tmp_path / "none/x.html", model=small_model)
    assert main(["explain", str(photo_file), "-o", str(tmp_path / "x.mp4")]) == 2
    assert {path.name for path in tmp_path.iterdir()} == before
