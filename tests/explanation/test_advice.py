"""What is advised about streams that might as well run the other way."""

import shlex
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from stylecine import Animator, Scene
from stylecine.cli import parser
from stylecine.commands.arguments import render_options
from stylecine.explanation.advice import advise
from stylecine.explanation.evidence import Evidence, gather
from stylecine.explanation.shell import Shell, Source
from stylecine.options import RenderOptions
from stylecine.perception.scenery import Scenery
from tests.seen import Everywhere, saying


@pytest.fixture(scope="module")
def evidence(animator: Animator, scene: Scene, water: np.ndarray) -> Evidence:
    return gather(animator, scene, RenderOptions(mask=water, seconds=1))


def test_an_ambiguous_stream_is_said_to_be_slower(evidence: Evidence) -> None:
    region, motion = evidence.moving[0]
    undecided = replace(motion, disagreement=10.0, velocity=(30.0, 0.0), ambiguous=True)
    shell = Shell(Source("river.jpg"), evidence.options, size=72)
    (finding,) = [
        finding for finding in advise(replace(evidence, moving=[(region, undecided)]), shell) if finding.region == "1"
    ]
    assert "is a guess" in finding.title and not finding.certain
    assert "runs slower" in finding.text and "It moves right" in finding.text
    assert "--arrow=" in finding.commands[0]


def test_the_advice_to_leave_a_style_out_can_be_followed(evidence: Evidence) -> None:
    options = replace(evidence.options, mask=None, style="dusk", style_strength=0.5, style_drift=True)
    measured = {**evidence.measures, "static_drift": 9.0}
    found = advise(replace(evidence, measures=measured), Shell(Source("river.jpg"), options))
    (line,) = next(finding.commands for finding in found if finding.title == "Still parts differ from the photo")
    assert RenderOptions(**render_options(parser().parse_args(shlex.split(line)[1:]))).style is None


@pytest.mark.parametrize("short", [None, 64], ids=["explain", "in the studio"])
def test_ambiguous_streams_are_those_of_the_loop_with_its_arrows_and_pushes(
    animator: Animator, scene: Scene, water: np.ndarray, monkeypatch: pytest.MonkeyPatch, short: int | None
) -> None:
    unless_steered = property(lambda scenery: (scenery.owner >= 0) & (len(scenery.arrows) == 0))
    monkeypatch.setattr(Scenery, "ambiguous", unless_steered)
    arrow = (0.5, 0.8, 0.6, 0.8)

    def ambiguous_in(scene: Scene, **options: Any) -> set[bool]:
        found = gather(animator, scene, RenderOptions(seconds=1, fps=10, **options), short=short)
        return {motion.ambiguous for _, motion in found.moving}

    assert ambiguous_in(scene, mask=water) == {True}
    assert ambiguous_in(scene, mask=water, arrows=(arrow,)) == {False}
    assert ambiguous_in(scene.paint("water", water).push(arrow)) == {False}
    assert ambiguous_in(scene, mask=water, motion=np.ones((2, 8, 12)) * 0.1) == {False}, "nobody asked the network"


def test_what_a_stroke_tears_off_is_to_be_frozen(
    animator: Animator, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    certain = torch.tensor([0.95, 0.05, 0, 0, 0])[:, None, None].expand(5, 72, 96)
    says = saying(certain, Everywhere(1, 0))
    monkeypatch.setattr(Animator, "seen", lambda animator, photo, scenery: says)
    still = replace(scene, layers=torch.zeros_like(scene.layers))
    found = gather(animator, still.paint("sky", [[0.5, 0.25]], radius=0.2), RenderOptions(seconds=1))
    warning, place = advise(found, Shell(Source("hill.cine", cine="hill.cine"), found.options))[:2]
    assert "drift with the sky" in warning.text and not warning.commands
    ((said, lines),) = place.more
    assert said == "A should stand still" and "--freeze" in lines[0]
