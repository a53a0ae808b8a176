"""What follows the wind while it is being turned: roughly, and many times as fast as the loop in that wind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from stylecine.cloth.animate import preview_cloth
from stylecine.cloth.rest_shape import RestShape
from stylecine.edits.model import Anchor, Push, Speed
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.engine.model_networks import Networks
from stylecine.engine.plants import SwayingPlants
from stylecine.errors import NothingMoves
from stylecine.movement.displacement import Canvas
from stylecine.movement.motion import predict_motion
from stylecine.movement.waves import predict_swash, predict_swell
from stylecine.options import Wind, check_wind
from stylecine.perception.scenery import Scenery, coarsened
from stylecine.picture.overlay import Overlay

GRID = 128  # short side of the landscape's flow: half of that of a loop


@dataclass(frozen=True, eq=False)
class TurnedWind:
    """What another wind changes in a loop: the landscape's velocity [2,gh,gw] and swell [2K,2,gh,gw], as its
    `Displacement` has them, None where no wind changes them; and all overlays, in their order."""

    velocity: Tensor | None = None
    swell: Tensor | None = None
    overlays: tuple[Overlay, ...] = ()


@dataclass(frozen=True, eq=False)
class WindDial:
    """A loop whose wind is turned, and the networks that it was made with."""

    loop: Cinemagraph
    nets: Networks

    @torch.inference_mode()
    def turn(self, wind: Wind | Sequence[float]) -> TurnedWind:
        """The loop in another wind, given as in `animate`, approximately.

        Fields have half the detail or less, and places repeat as often as before. What was given, edited or steered by
        arrows keeps its way. Raises OptionError for what is no wind, NothingMoves where nothing follows it.
        """
        wind, loop = check_wind(wind), self.loop
        velocity, swell = self._landscape(wind)
        overlays = tuple(self._roughly(overlay, wind) for overlay in loop.overlays)
        if velocity is None and not overlays:
            raise NothingMoves(loop.cloth_warning or "Nothing in this loop follows the wind before it is made anew.")
        return TurnedWind(velocity, swell, overlays)

    def _roughly(self, overlay: Overlay, wind: Wind) -> Overlay:
        match overlay.at_rest:
            case SwayingPlants() as plants:
                return plants.overlay(plants.motion.coarse.in_wind(wind))
            case RestShape() as cloth:
                return preview_cloth(cloth, self.nets.cloth_nets, wind, overlay)
        return overlay

    def _landscape(self, wind: Wind) -> tuple[Tensor | None, Tensor | None]:
        """Velocity and swell."""
        if self._scenery is None:
            return None, None
        loop, speed = self.loop, self.loop.settings["speed"]
        displacement, size = loop.loop.displacement, (loop.height, loop.width)
        flow, swash = predict_motion(self._scenery, loop.settings["pace"], wind), predict_swash(self._scenery)
        if swash is not None:
            flow = swash.slow(flow)
        swells = [] if displacement.swell is None else predict_swell(self._scenery, flow, wind)
        if swash is not None and displacement.swell is not None:
            swells.append(swash.swell)
        rows, columns = displacement.sub_cycle.shape
        canvas = Canvas(size, (rows, columns), displacement.cell, displacement.margin, displacement.wraps)
        seconds = displacement.period / loop.fps * speed
        return canvas.velocity(flow * speed, loop.fps), canvas.swell(swells, displacement.swell_cycles, seconds)

    @cached_property
    def _scenery(self) -> Scenery | None:
        """None where the flow is not simply what the networks predict."""
        loop = self.loop
        edited = any(isinstance(edit, (Anchor, Push, Speed)) for edit in loop.edits)
        if loop.loop is None or edited or loop.settings["arrows"] or loop.settings["motion"] != "found":
            return None
        assert loop.scenery is not None
        return coarsened(loop.scenery, GRID)
