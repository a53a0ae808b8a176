"""A loop while its wind is turned: about what it will be in that wind."""

from dataclasses import replace

import pytest
from torch import Tensor

from stylecine import Animator, Cinemagraph, NothingMoves, OptionError, Scene
from stylecine.engine.wind_dial import WindDial
from stylecine.options import SKY, WATER

SHORT = {"seconds": 2, "fps": 10}


def moving(scene: Scene, moving_class: int, rows: slice) -> Scene:
    layers = 0 * scene.layers
    layers[moving_class, rows] = 1
    return replace(scene, layers=layers, mask=layers.amax(0))


@pytest.fixture
def sky(scene: Scene) -> Scene:
    return moving(scene, SKY, slice(0, 60))


@pytest.fixture
def sea(scene: Scene) -> Scene:
    return moving(scene, WATER, slice(50, None))


def relative(rough: Tensor, loop: Cinemagraph) -> float:
    """How much a velocity differs from a loop's, where that moves, relative to it."""
    velocity = loop.loop.displacement.rates[0, 0]
    moves = velocity.norm(dim=0) > 0.5 * velocity.norm(dim=0).max()
    return float((rough - velocity).norm(dim=0)[moves].mean() / velocity.norm(dim=0)[moves].mean())


@pytest.mark.parametrize("degrees", [0, 140, 270])
def test_a_landscape_follows_about_as_in_the_loop_of_that_wind(animator: Animator, sky: Scene, degrees: float) -> None:
    dial = WindDial(animator.render(sky, wind=(20, 0.5), **SHORT), animator)
    turned = dial.turn((degrees, 0.5))
    assert turned.velocity is not None and not turned.overlays
    assert relative(turned.velocity, animator.render(sky, wind=(degrees, 0.5), **SHORT)) < 0.2


def test_open_water_has_its_swell(animator: Animator, sea: Scene) -> None:
    loop = animator.render(sea, wind=(90, 0.3), **SHORT)
    turned, other = WindDial(loop, animator).turn((90, 0.8)), animator.render(sea, wind=(90, 0.8), **SHORT)
    assert turned.swell is not None and loop.loop.displacement.swell is not None
    wanted = other.loop.displacement.swell
    assert (turned.swell - wanted).abs().mean() < 0.5 * wanted.abs().mean()
    assert turned.swell.abs().mean() > 1.2 * loop.loop.displacement.swell.abs().mean(), "higher in a stronger wind"


def test_what_was_given_or_steered_keeps_its_way(animator: Animator, sky: Scene) -> None:
    steered = animator.render(sky, arrows=[(0.2, 0.2, 0.4, 0.2)], wind=(0, 0.5), **SHORT)
    given = animator.render(sky, motion=sky.motion, wind=(0, 0.5), **SHORT)
    held = animator.render(sky.anchor([0.5, 0.1]), wind=(0, 0.5), **SHORT)
    for loop in (steered, given, held):
        with pytest.raises(NothingMoves, match="follows the wind"):
            WindDial(loop, animator).turn((90, 0.5))


def test_a_wind_is_checked(animator: Animator, sky: Scene) -> None:
    with pytest.raises(OptionError, match="strength"):
        WindDial(animator.render(sky, **SHORT), animator).turn((0, 2))
