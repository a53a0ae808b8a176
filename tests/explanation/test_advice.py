"""What is advised about a loop, with options that the command line takes."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from stylecine import Animator, Scene
from stylecine.cli import parser
from stylecine.explanation.advice import Finding, advise, heading, paint_option
from stylecine.explanation.evidence import Evidence, MovingRegion, gather
from stylecine.options import CLASSES, RenderOptions
from stylecine.perception.doubt import Doubt
from stylecine.perception.scenery import Scenery
from tests.seen import Everywhere, saying

WATER = CLASSES.index("water")


@pytest.fixture(scope="module")
def evidence(animator: Animator, scene: Scene, water: np.ndarray) -> Evidence:
    return gather(animator, scene, RenderOptions(mask=water, seconds=1))


def of_water(evidence: Evidence, **changes: Any) -> Evidence:
    """The same if its first region were all that moves, at 30 pixels a second to the right, and nothing were measured
    or doubtful."""
    known: dict[str, Any] = {"velocity": (30.0, 0.0), "disagreement": 10.0, "vivid": 0.95, "smooth": 0.0}
    region = replace(evidence.regions[0], **known | {"moving_class": WATER, "ambiguous": False} | changes)
    return replace(evidence, regions=[region], doubtful=[], measures={}, options=RenderOptions())


def shore(evidence: Evidence) -> MovingRegion:
    return evidence.regions[0]


def titled(found: Sequence[Finding], title: str) -> Finding:
    (finding,) = [finding for finding in found if title in finding.title]
    return finding


def steps(option: str) -> list[Any]:
    """The edits that an option of `stylecine edit` makes."""
    return list(parser().parse_args(["edit", "a.cine", *shlex.split(option)]).steps)


def test_a_loop_without_faults_gets_no_advice(evidence: Evidence) -> None:
    good = replace(of_water(evidence), measures={"vividness_moving": 0.9, "seam": 1.0})
    assert [finding for finding in advise(good) if finding.title != "The loop may disappoint"] == []


@pytest.mark.parametrize(
    ("smooth", "title", "option"),
    [
        (0.0, "Part of it hardly seems to move", "--pace lively"),
        (0.9, "Smooth areas do not seem to move", "--crop 1:1"),
    ],
)
def test_what_seems_still_is_slow_or_smooth(evidence: Evidence, smooth: float, title: str, option: str) -> None:
    still = replace(of_water(evidence, vivid=0.2, smooth=smooth), measures={"vividness_moving": 0.2})
    finding = titled(advise(still), "seem")
    assert finding.title == title and finding.option == option and finding.certain == (smooth < 0.5)
    assert "region 1" in finding.text


def test_a_motion_that_contradicts_itself_gets_an_arrow_the_other_way(evidence: Evidence) -> None:
    finding = titled(advise(of_water(evidence, disagreement=140.0)), "region 1 is a guess")
    ((push, (arrow,), _),) = steps(finding.option)
    assert push == "push" and parser().parse_args(["animate", "sea.jpg", *finding.option.split()]).arrows == [arrow]
    x0, y0, x1, y1 = arrow
    assert y1 == y0 and x0 - x1 == pytest.approx(30 / 96, abs=0.002), "as fast as what was predicted"


def test_an_ambiguous_stream_is_said_to_be_slower(evidence: Evidence) -> None:
    finding = titled(advise(of_water(evidence, ambiguous=True)), "is a guess")
    assert not finding.certain and "runs slower" in finding.text and "It moves right" in finding.text


@pytest.mark.parametrize("short", [None, 64], ids=["explain", "in the studio"])
def test_ambiguous_streams_are_those_of_the_loop_with_its_arrows_and_pushes(
    animator: Animator, scene: Scene, water: np.ndarray, monkeypatch: pytest.MonkeyPatch, short: int | None
) -> None:
    unless_steered = property(lambda scenery: (scenery.owner >= 0) & (len(scenery.arrows) == 0))
    monkeypatch.setattr(Scenery, "ambiguous", unless_steered)
    arrow = (0.5, 0.8, 0.6, 0.8)

    def ambiguous_in(scene: Scene, **options: Any) -> set[bool]:
        found = gather(animator, scene, RenderOptions(seconds=1, fps=10, **options), short=short)
        return {region.ambiguous for region in found.regions}

    assert ambiguous_in(scene, mask=water) == {True}
    assert ambiguous_in(scene, mask=water, arrows=(arrow,)) == {False}
    assert ambiguous_in(scene.paint("water", water).push(arrow)) == {False}
    assert ambiguous_in(scene, mask=water, motion=np.ones((2, 8, 12)) * 0.1) == {False}, "nobody asked the network"


def test_falls_that_pulse_are_calmed(evidence: Evidence) -> None:
    falls = of_water(evidence, moving_class=CLASSES.index("falls"))
    finding = titled(advise(replace(falls, measures={"pulse_global": 0.04})), "Contrast")
    assert finding.option == "--pace calm" and finding.certain


@pytest.mark.parametrize("figures", [{"vividness_moving": 0.2}, {"travel": 0.01}], ids=str)
def test_a_loop_is_not_to_be_faster_and_calmer_at_once(evidence: Evidence, figures: dict[str, float]) -> None:
    slow = of_water(evidence, vivid=0.2)
    found = advise(replace(slow, measures={"pulse_global": 0.06, **figures}))
    assert {"--pace lively", "--speed 2"} & {finding.option for finding in found}
    pulse = titled(found, "Contrast")
    assert not pulse.option and not pulse.certain and "would lessen it" in pulse.text


def test_doubtful_places_are_added_or_frozen(evidence: Evidence) -> None:
    places = [Doubt(shore(evidence).mask, WATER, moving=now) for now in (False, True)]
    finding = titled(advise(replace(of_water(evidence), doubtful=places)), "unsure about 2 places")
    (add, added), (freeze, frozen) = finding.more
    assert add.startswith("A, ") and add.endswith("should move, as water")
    assert freeze.startswith("B, ") and freeze.endswith("should stand still")
    assert re.search(r"\d% of the photo, \d+% likely to move", add)
    ((paint, (what, line), _),) = steps(added)
    assert (paint, what) == ("paint", "water") and line
    assert steps(frozen) == [("paint", (None, line), steps(added)[0][2] | {"mode": "freeze"})]


def test_freezing_a_region_as_advised_stops_it(scene: Scene, evidence: Evidence) -> None:
    still = scene
    for method, values, keywords in steps(paint_option(shore(evidence), "freeze")):
        still = getattr(still, method)(*values, **keywords)
    assert float(still.frozen[45:].mean()) > 0.85 and float(still.frozen[:30].mean()) < 0.1


def test_what_a_stroke_tears_off_is_to_be_frozen(
    animator: Animator, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    certain = torch.tensor([0.95, 0.05, 0, 0, 0])[:, None, None].expand(5, 72, 96)
    says = saying(certain, Everywhere(1, 0))
    monkeypatch.setattr(Animator, "seen", lambda animator, photo, scenery: says)
    still = replace(scene, layers=torch.zeros_like(scene.layers))
    found = gather(animator, still.paint("sky", [[0.5, 0.25]], radius=0.2), RenderOptions(seconds=1))
    warning, place = advise(found)[:2]
    assert "drift with the sky" in warning.text and not warning.option
    ((said, option),) = place.more
    assert said.startswith("A, ") and said.endswith("should stand still") and option.startswith("--freeze '")


@pytest.mark.parametrize(("way", "name"), [((1, 0), "right"), ((0, 1), "down"), ((-1, -1), "up and left")], ids=str)
def test_directions_have_names(way: tuple[float, float], name: str) -> None:
    assert heading(*way) == name
