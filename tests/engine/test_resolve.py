"""What moves in a scene: a preview is the loop made small, whatever a user says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from stylecine import Animator, Cinemagraph, NothingMoves, Scene
from stylecine.engine import landscape, resolve
from stylecine.ops.image import resize, to_tensor
from stylecine.options import SKY, WATER
from stylecine.perception.look import perceive
from tests.seen import Everywhere, saying

HEIGHT, WIDTH = 192, 256
HORIZON, EDGE = 60, 130  # rows: sky above, sea between, a beach below
SIZES = (80, 128, 176)
LENGTH: dict[str, Any] = {"seconds": 4, "fps": 5}
SAND = [[x, 0.85] for x in np.linspace(0.1, 0.9, 9)]  # a stroke along the beach
SEA = [[0.3, 0.5], [0.7, 0.5]]
HIGH = [[x, 0.12] for x in np.linspace(0, 1, 9)]


@pytest.fixture(scope="module")
def beach(animator: Animator) -> Scene:
    """A dark sea below a sky, with surf along a smooth beach."""
    random = np.random.default_rng(0)
    grey = np.full((HEIGHT, WIDTH), 0.6)
    grey[HORIZON:EDGE] = 0.25
    texture = ndimage.gaussian_filter(random.standard_normal((HEIGHT, WIDTH)), 1.5)
    grey[EDGE - 25 : EDGE] = (0.75 + 0.15 * texture / texture.std())[EDGE - 25 : EDGE]
    grey[EDGE:] = 0.7
    photo = (grey.clip(0, 1)[..., None] * [250, 252, 255]).astype(np.uint8)
    scene, layers = animator.invert(photo, latents=False), torch.zeros(4, HEIGHT, WIDTH)
    layers[SKY, :HORIZON], layers[WATER, HORIZON:EDGE] = 1, 1
    return with_layers(scene, layers)


@pytest.fixture(scope="module")
def still(beach: Scene) -> Scene:
    """The same photo as if nothing moved in it."""
    return with_layers(beach, torch.zeros_like(beach.layers))


def with_layers(scene: Scene, layers: Tensor, stands: Tensor | None = None) -> Scene:
    """stands: bool [H,W], what is seen to stand, whatever the layers say."""
    photo, surf = to_tensor(scene.photo), Everywhere(1, 0, "surf", "much")
    says = saying(torch.full((5, HEIGHT // 2, WIDTH // 2), 0.2), surf)
    says = replace(says, stands=torch.zeros(HEIGHT, WIDTH) if stands is None else stands.float())
    scenery = perceive(photo, layers, says if layers.any() else None)
    return replace(scene, layers=layers, mask=layers.amax(0), scenery=scenery)


SAID: dict[str, tuple[Callable[[Scene], Scene], dict[str, Any]]] = {
    "nothing": (lambda scene: scene, {}),
    "frozen sand": (lambda scene: scene.paint(None, SAND, "freeze", 0.2), {}),
    "frozen water": (lambda scene: scene.paint(None, SEA, "freeze"), {}),
    "erased sky, in fog": (lambda scene: scene.paint("sky", HIGH, "erase", 0.3), {"weather": "fog"}),
    "water on the sand": (lambda scene: scene.paint("water", SAND), {}),
    "a push": (lambda scene: scene.push((0.5, 0.5, 0.55, 0.5)), {}),
    "an anchor": (lambda scene: scene.anchor((0.5, 0.5), 0.2), {}),
    "a slow sky": (lambda scene: scene.speed("sky", 0.3), {}),
    "a wind": (lambda scene: scene, {"wind": (180, 0.8)}),
    "snow in a wind": (lambda scene: scene, {"wind": (0, 0.5), "weather": "snow"}),
    "all motion slower": (lambda scene: scene, {"speed": 0.25}),
    "a mask": (lambda scene: scene, {"mask": np.arange(HEIGHT)[:, None] * np.ones(WIDTH) < 90}),
}


@pytest.mark.parametrize("sizes", [SIZES[::2], pytest.param(SIZES[1:2], marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("said", SAID)
def test_a_preview_is_the_loop_made_small(beach: Scene, animator: Animator, said: str, sizes: tuple[int, ...]) -> None:
    edit, options = SAID[said]
    scene = edit(beach)
    whole = animator.render(scene, **options, **LENGTH)
    for size in sizes:
        small = animator.preview(scene, size=size, **options, **LENGTH)
        assert torch.equal(small.motion, whole.motion)
        assert waves(small) == pytest.approx(waves(whole), rel=0.1, abs=1e-4)
        moves = resize(whole.mask[None], small.mask.shape)[0]
        assert (small.mask - moves).abs().mean() < 0.03, f"what moves at {size}"
        if whole.weather is not None and small.weather is not None:
            far = resize(whole.weather.distance[None].float(), small.mask.shape)[0]
            assert (small.weather.distance - far).abs().mean() < 3


def test_stars_that_stand_in_the_loop_stand_in_its_preview(animator: Animator) -> None:
    """Too small to be found in the small photo."""
    photo = np.full((HEIGHT, WIDTH, 3), (14, 18, 36), np.uint8)
    photo[HEIGHT - 20 :] = (60, 50, 40)
    photo[6 : HEIGHT - 30 : 9, 5:-5:9] = 235
    layers = torch.zeros(4, HEIGHT, WIDTH)
    layers[SKY, : HEIGHT - 20] = 1
    scene = with_layers(animator.invert(photo, latents=False), layers)
    whole = animator.render(scene, **LENGTH)
    assert 0.1 < (whole.mask == 0)[: HEIGHT - 40].float().mean() < 0.9
    for smaller in (animator.preview, animator.render):
        small = smaller(scene, size=80, **LENGTH)
        moves = resize(whole.mask[None], small.mask.shape)[0]
        assert ((small.mask - moves).abs() > 0.3).float().mean() < 0.01


def test_a_loop_is_painted_in_behind_static_things_at_every_size_but_in_previews(
    beach: Scene, animator: Animator, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, ...]] = []
    painted_in = landscape._continue
    monkeypatch.setattr(
        landscape, "_continue", lambda photo, *given: shown.append(photo.shape) or painted_in(photo, *given)
    )
    animator.preview(beach, size=80, **LENGTH)
    assert not shown
    assert min(animator.render(beach, size=80, **LENGTH).mask.shape) == 80
    assert len(shown) == 1 and min(shown[0][1:]) < HEIGHT


def test_a_beach_leaves_the_seas_waves_as_they_are(beach: Scene, animator: Animator) -> None:
    """Surf runs up once in about four seconds, and waves of the sea take two."""
    surf = animator.render(beach, **LENGTH).loop.displacement
    sea = animator.render(beach.push((0.5, 0.4, 0.55, 0.4)), **LENGTH).loop.displacement  # an arrow leaves surf out
    assert surf.swell_cycles[:2] == (1, 2) and sea.swell_cycles[0] == 2


def waves(loop: Cinemagraph) -> list[float]:
    """Cycles in the loop of each swell, and how far it reaches, in short sides."""
    moved = loop.loop.displacement
    if moved.swell is None:
        return []
    reach = moved.swell.unflatten(0, (-1, 2)).square().sum(1).sum(1).sqrt().amax((1, 2)) / min(loop.mask.shape)
    return [*map(float, moved.swell_cycles), *reach.tolist()]


@pytest.mark.parametrize("size", [*SIZES, None])
def test_a_frozen_beach_stands_still_at_every_size(beach: Scene, animator: Animator, size: int | None) -> None:
    plain, frozen = (loop_of(scene, animator, size) for scene in (beach, beach.paint(None, SAND, "freeze", 0.3)))
    sand = slice(round(0.76 * plain.height), round(0.95 * plain.height))
    edge = slice(round(0.62 * plain.height), round(0.72 * plain.height))
    assert all((frame[sand] == frozen.scene.photo[sand]).all() for frame in frozen)
    assert any((frame[edge] != plain.scene.photo[edge]).any() for frame in plain), "surf, where nobody holds it"


@pytest.mark.parametrize("size", [*SIZES, None])
def test_weather_falls_before_a_still_photo(still: Scene, animator: Animator, size: int | None) -> None:
    loop = loop_of(still, animator, size, weather="snow")
    assert len(loop) == 20 and (loop[10] != loop[0]).any()


@pytest.mark.parametrize("size", [*SIZES, None])
def test_a_calm_stills_what_the_wind_drives(beach: Scene, animator: Animator, size: int | None) -> None:
    with pytest.raises(NothingMoves, match="calm"):
        loop_of(beach, animator, size, wind=(0, 0))
    assert len(loop_of(beach, animator, size, wind=(0, 0), weather="rain")) == 20


def loop_of(scene: Scene, animator: Animator, size: int | None, **options: Any) -> Cinemagraph:
    if size is None:
        return animator.render(scene, **options, **LENGTH)
    return animator.preview(scene, size=size, **options, **LENGTH)


def test_a_stroke_and_an_arrow_outvote_what_seems_to_stand(animator: Animator) -> None:
    """A dark mast before the sky, and a white moon."""
    photo = np.full((HEIGHT, WIDTH, 3), (90, 120, 170), np.uint8)
    photo[:150, 100:103] = 20
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    photo[np.hypot(y - 50, x - 180) < 6] = 255
    layers = torch.zeros(4, HEIGHT, WIDTH)
    layers[SKY, :150] = 1
    scene = with_layers(animator.invert(photo, latents=False), layers, torch.from_numpy(photo[..., 0] == 20))
    mast, moon = (slice(20, 120), 101), (50, 180)

    def moves(scene: Scene, **options: Any) -> Tensor:
        return animator.render(scene, **options, **LENGTH).mask

    usual = moves(scene)
    assert usual[mast].max() == 0 and usual[moon] == 0 and usual[30, 40] == 1
    painted = moves(scene.paint("sky", photo[..., 0] == 20))
    assert painted[mast].min() == 1 and painted[moon] == 0
    pushed = moves(scene, arrows=[(180.5 / WIDTH, 50.5 / HEIGHT, 0.8, 50.5 / HEIGHT)])
    assert pushed[moon] == 1 and pushed[mast].max() == 0


def test_a_photo_is_looked_at_again_only_where_the_user_has_changed_something(
    beach: Scene, animator: Animator, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    perceive = resolve.perceive
    monkeypatch.setattr(resolve, "perceive", lambda *given, **more: looks.append(1) or perceive(*given, **more))
    for options in ({}, {"pace": "lively"}, {"wind": (0, 1)}, {"weather": "fog"}):
        animator.render(beach, **options, **LENGTH)  # type: ignore[arg-type]
    assert not looks
    painted = beach.paint("water", SAND)
    for size in SIZES:
        animator.preview(painted, size=size, **LENGTH)
    assert len(looks) == 1
