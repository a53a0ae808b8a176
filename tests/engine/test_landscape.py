"""One wind for a landscape: plants that a stand-in finds, the sky, open water and falls."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylecine import Animator, Cinemagraph, NothingMoves, Scene
from stylecine.movement.motion import predict_motion
from stylecine.ops.image import to_tensor
from stylecine.options import CLASSES, FALLS, SKY
from stylecine.output.preview import mask_overlay
from stylecine.perception.look import perceive
from tests.seen import Everywhere, saying

H, W = 96, 128
SHORT = {"seconds": 2, "fps": 10}
RIGHT, UNSURE = Everywhere(1, 0), torch.full((5, H // 2, W // 2), 0.2)


def in_the_middle(photos: Tensor) -> Tensor:
    """A stand-in for the network of plants, which finds a bush."""
    n, _, h, w = photos.shape
    y, x = torch.meshgrid(torch.arange(h // 4) / (h // 4), torch.arange(w // 4) / (w // 4), indexing="ij")
    bush = (y - 0.6) ** 2 + (x - 0.5) ** 2 < 0.25**2
    return torch.where(bush, 8.0, -8.0).expand(n, 1, -1, -1)


@pytest.fixture
def windy(animator: Animator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Animator]:
    monkeypatch.setitem(vars(animator), "plant_net", in_the_middle)
    yield animator


@pytest.fixture(scope="module")
def leafy(animator: Animator) -> Scene:
    """Leaves everywhere, in which nothing is predicted to move; what a user says moves runs to the right."""
    noise = np.random.default_rng(0).integers(0, 255, (H // 4, W // 4, 3)).repeat(4, 0).repeat(4, 1)
    scene = animator.invert(noise.astype(np.uint8))
    assert scene.scenery is not None
    scenery = replace(scene.scenery, seen=saying(UNSURE, RIGHT))
    return replace(scene, layers=0 * scene.layers, mask=0 * scene.mask, scenery=scenery)


def with_layers(animator: Animator, scene: Scene, **rows: slice) -> Scene:
    layers = 0 * scene.layers
    for name, places in rows.items():
        layers[CLASSES.index(name), places] = 1
    motion = predict_motion(perceive(to_tensor(scene.photo), layers, saying(UNSURE, RIGHT)))
    return replace(scene, layers=layers, mask=layers.amax(0), motion=motion)


def test_plants_move_where_nothing_else_does(windy: Animator, leafy: Scene, tmp_path: Path) -> None:
    with pytest.raises(NothingMoves, match="wind"):
        windy.render(leafy, **SHORT)
    loop = windy.render(leafy, wind=(0, 0.8), **SHORT)
    assert loop.loop is None and loop.overlay("plants") and not loop.warning
    assert np.array_equal(loop[0], leafy.photo) and not np.array_equal(loop[7], leafy.photo)
    still = (loop.mask == 0).numpy()
    assert still.mean() > 0.3 and all(np.array_equal(frame[still], leafy.photo[still]) for frame in loop)
    assert loop.report()["settings"]["wind"] == [0, 0.8] and loop.measures["static_drift"] == 0
    assert mask_overlay(leafy.photo, loop.tinted.cpu()).shape == leafy.photo.shape
    for name in ("loop.mp4", "loop.html"):
        assert loop.save(tmp_path / name).path.stat().st_size > 500


def test_a_preview_has_plants(windy: Animator, leafy: Scene) -> None:
    loop = windy.preview(leafy, size=64, wind=(180, 1), **SHORT)
    assert loop.overlay("plants") and (loop[5] != loop[0]).any()


def test_plants_are_looked_for_once_per_photo(windy: Animator, leafy: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    first = windy.plants_in(leafy.photo)
    monkeypatch.setitem(vars(windy), "plant_net", lambda photos: 1 / 0)
    assert windy.plants_in(leafy.photo) is first
    with pytest.raises(ZeroDivisionError):
        windy.plants_in(leafy.photo.copy())


def test_what_is_frozen_does_not_sway(windy: Animator, leafy: Scene) -> None:
    right_half = np.arange(W) >= W // 2
    frozen = leafy.paint(None, np.broadcast_to(right_half, (H, W)), mode="freeze")
    (left,) = windy.render(frozen, wind=(0, 1), **SHORT).overlays
    assert left.reach[:, W // 2 :].max() == 0 < left.reach.max()


def test_without_a_wind_nobody_looks_for_plants(
    animator: Animator, leafy: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = with_layers(animator, leafy, sky=slice(0, 40))
    before = list(animator.render(scene, **SHORT))
    monkeypatch.setitem(vars(animator), "plant_net", lambda photos: 1 / 0)
    assert all(np.array_equal(a, b) for a, b in zip(before, animator.render(scene, **SHORT), strict=True))


def test_a_model_without_the_network_has_wind_in_the_sky_only(animator: Animator, leafy: Scene) -> None:
    assert animator.plant_net is None
    loop = animator.render(with_layers(animator, leafy, sky=slice(0, 40)), wind=(180, 0.5), **SHORT)
    assert not loop.overlays and loop.motion[0, 5:20].median() < 0


@pytest.mark.parametrize("degrees", [0, 180])
def test_the_sky_drifts_with_the_wind_and_as_fast(animator: Animator, leafy: Scene, degrees: float) -> None:
    scene = with_layers(animator, leafy, sky=slice(0, 48))
    drift = [float(sky_drift(animator, scene, (degrees, strength))[0].mean()) for strength in (0.2, 0.5, 1.0)]
    assert [d * (1 if degrees == 0 else -1) > 0 for d in drift] == [True] * 3
    slow, usual, fast = map(abs, drift)
    assert slow < 0.6 * usual and fast > 1.5 * usual
    assert usual == pytest.approx(float(sky_drift(animator, scene, None).norm(dim=0).mean()), rel=0.1)


def test_clouds_that_come_nearer_rise(animator: Animator, leafy: Scene) -> None:
    scene = with_layers(animator, leafy, sky=slice(0, 48))
    assert sky_drift(animator, scene, (270, 0.5))[1].mean() < 0 < sky_drift(animator, scene, (90, 0.5))[1].mean()


def sky_drift(animator: Animator, scene: Scene, wind: tuple[float, float] | None) -> Tensor:
    loop: Cinemagraph = animator.render(scene, wind=wind, **SHORT)
    return loop.motion[:, 2:40]


def test_in_a_calm_only_falls_move(animator: Animator, leafy: Scene) -> None:
    with pytest.raises(NothingMoves, match="above 0"):
        animator.render(with_layers(animator, leafy, sky=slice(0, 48)), wind=(0, 0), **SHORT)
    with pytest.raises(NothingMoves, match="above 0"):
        animator.render(with_layers(animator, leafy, water=slice(50, 96)), wind=(0, 0), **SHORT)
    falls = with_layers(animator, leafy, falls=slice(30, 90), sky=slice(20))
    loop, usual = animator.render(falls, wind=(0, 0), **SHORT), animator.render(falls, **SHORT)
    assert loop.layers[SKY].max() == 0 and loop.layers[FALLS].max() == 1
    assert torch.allclose(loop.motion[:, 40:80], usual.motion[:, 40:80], atol=1e-4)
    assert np.array_equal(loop[9][:20], leafy.photo[:20])


def test_open_water_goes_with_the_wind(animator: Animator, leafy: Scene) -> None:
    scene = with_layers(animator, leafy, water=slice(50, 96))
    right, left = (animator.render(scene, wind=(degrees, 0.6), **SHORT) for degrees in (0, 180))
    assert left.motion[0, 60:90].median() < 0 < right.motion[0, 60:90].median()
    weak, strong = (animator.render(scene, wind=(0, s), **SHORT).loop.displacement.swell for s in (0.3, 0.9))
    assert strong.abs().max() > 1.5 * weak.abs().max()
