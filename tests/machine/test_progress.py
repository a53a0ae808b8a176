"""Every stage that the engine reports is listed, with its seconds and its sentence, and no share of its work falls."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from stylecine import Animator
from stylecine.explanation.evidence import gather
from stylecine.machine.progress import EXPLANATION, FILE, LOOP, SCENE, STAGES, Share
from stylecine.options import CLASSES, RenderOptions
from tests.cloths import flag_mask, flag_photo, with_stand_ins

WHOLE = SCENE | LOOP | FILE | EXPLANATION
News = list[tuple[str, int, int]]


def below_the_flag(photos: Tensor) -> Tensor:
    """A stand-in for the network of plants."""
    n, _, h, w = photos.shape
    plants = torch.full((n, 1, h // 4, w // 4), -8.0)
    plants[..., 3 * h // 16 :, :] = 8.0
    return plants


@pytest.fixture(scope="module")
def reported(animator: Animator, tmp_path_factory: pytest.TempPathFactory) -> News:
    """Of an explanation and a file of a photo whose sky, plants and cloth move, in another style and a weather."""
    news: News = []

    def report(*step: Any) -> None:
        news.append(step)

    windy = with_stand_ins(animator, plant_net=below_the_flag)
    scene = windy.invert(flag_photo(), progress=report)
    layers = 0 * scene.layers
    layers[CLASSES.index("sky"), :20] = 1
    scene = replace(scene, layers=layers, mask=layers.amax(0)).paint("cloth", flag_mask())
    options = RenderOptions.create(subject="auto", wind=(0, 0.8), style="dusk", weather="snow", seconds=1, fps=8)
    loop = gather(windy, scene, options, report).loop
    assert loop is not None and loop.loop and len(loop.overlays) == 2 and loop.weather
    folder = tmp_path_factory.mktemp("progress")
    loop.save(folder / "loop.mp4")
    scene.save(folder / "flag.cine", progress=report)
    return news


def test_every_stage_that_is_reported_is_listed(reported: News) -> None:
    stages = list(dict.fromkeys(stage for stage, _, _ in reported))
    assert {*stages} == {*STAGES} - {"weights"}
    after = stages[stages.index("motion") :]  # what a loop and its explanation are made by
    assert after == [stage for stage in STAGES if stage in after], "they are in the order in which they come"


@pytest.mark.parametrize("work", [WHOLE, LOOP | FILE, LOOP | EXPLANATION])
def test_no_share_falls(reported: News, work: Mapping[str, float]) -> None:
    share = Share(work)
    told = [share(*step) for step in reported]
    assert told == sorted(told) and 0 <= told[0] < 0.1 and told[-1] == 1


@pytest.mark.parametrize("stage", LOOP | FILE)
def test_no_stage_exceeds_the_whole(stage: str) -> None:
    share = Share(LOOP | FILE)
    shares = [share(stage, done, 24) for done in range(25)]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1


def test_a_stage_of_no_part_changes_nothing() -> None:
    """A job of a service is queued at first."""
    share = Share({"loop": 1.0, "video": 3.0})
    told = [share(*step) for step in (("queued", 0, 1), ("loop", 1, 1), ("queued", 1, 1), ("video", 1, 3))]
    assert told == [0, 0.25, 0.25, 0.5]
