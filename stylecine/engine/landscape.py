"""The loop of what moves in a landscape: its plate and displacement, put together from the stages."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stylecine.engine.model_networks import Networks
from stylecine.engine.plants import SwayingPlants, find_swaying
from stylecine.engine.resolve import MovingParts
from stylecine.errors import NothingMoves, TooLarge
from stylecine.machine.progress import Stages
from stylecine.machine.threads import another_thread
from stylecine.movement.displacement import Displacement, integrate, margin_for
from stylecine.movement.sway import Sway
from stylecine.movement.waves import Swash, predict_standing, predict_swash, predict_swell
from stylecine.ops.image import fast_dtype, still_across, to_tensor, to_uint8
from stylecine.options import SKY, RenderOptions
from stylecine.perception.scenery import Scenery, moving_in
from stylecine.picture.inversion import SLACK, invert
from stylecine.picture.loop import Loop, laplacian_levels, make_loop
from stylecine.picture.overlay import Overlay
from stylecine.picture.plate import Plate, canvas, coarse_side, feature_plate, plain_plate


@dataclass(frozen=True, eq=False)
class MovingLandscape:
    """The scenery without what cloth covers, how much each pixel moves [H,W], flow [2,h,w], their loop, if
    anything moves, the plants over it that sway in a wind, if any do, and how they do in this one."""

    scenery: Scenery
    moves: Tensor
    flow: Tensor
    loop: Loop | None = None
    plants: Overlay | None = None


@dataclass(frozen=True, eq=False)
class _Making:
    """What a landscape's loop and plants are made from: as in `MovingLandscape`, and the swash of a beach, if any."""

    parts: MovingParts
    options: RenderOptions
    nets: Networks
    scenery: Scenery
    moves: Tensor
    flow: Tensor
    swash: Swash | None

    def plants(self, cloth: Overlay | None) -> tuple[SwayingPlants, Sway] | None:
        """The plants that sway, and how they do in this wind; None where none can."""
        parts, options = self.parts, self.options
        if parts.plants is None or options.wind is None:
            return None
        plants, held = parts.plants
        if cloth is not None:
            plants, held = plants * (1 - cloth.footprint), held.maximum(cloth.footprint)
        swaying = find_swaying(
            parts.photo,
            plants,
            self.scenery.layers,
            self.moves,
            held > 0,
            self.scenery.eroded.thin.to(parts.photo.device),
            period=options.period,
            seconds=options.seconds * options.speed,
        )
        return None if swaying is None else (swaying, swaying.motion.in_wind(options.wind))

    def loop(self, stages: Stages) -> tuple[Loop, Tensor | None]:
        """The loop, and, if plants may sway before it, its plate within the photo [3,H,W]."""
        scene, photo, moves, options = self.parts.scene, self.parts.photo, self.moves, self.options
        refine = scene.settings["refine"] if options.warp == "dfw" and not self.nets.has_encoder else 0
        sky = moves * (self.scenery.layers[SKY] > 0) > 0
        margin = margin_for(self.flow, moves, options.period, options.fps, sky, scene.wraps)
        # The displacement uses one core, and the plate not always all others.
        with another_thread(self.nets.device, "stylecine-displacement") as submit:
            displaced = submit(lambda: self._displacement(margin, sky))
            with stages.stage("plate", max(1, refine)) as step:
                shown = photo
                if options.detail < 1 and options.warp != "pixel":
                    shown = torch.lerp(to_tensor(scene.reconstruction).to(self.nets.device), photo, options.detail)
                plate = self._plate(shown, margin, refine, step)
        with stages.stage("loop"):
            whole = None if plate.whole is None else laplacian_levels(plate.whole)
            behind = None
            if self.parts.plants is not None:
                (height, width), image = moves.shape, plate.image if plate.whole is None else plate.whole
                behind = image[:, margin : margin + height, margin : margin + width]
            levels, feature, resynthesise = laplacian_levels(plate.image), plate.feature, plate.resynthesise
            del plate  # as large as all levels
            loop = make_loop(
                to_uint8(shown).cpu().numpy(),
                moves,
                levels,
                displaced.result(),
                fps=options.fps,
                sampling=options.sampling,
                lit=options.motion is None,
                feature=feature,
                resynthesise=resynthesise,
                whole=whole,
            )
        return loop, behind

    @torch.no_grad()
    def _displacement(self, margin: int, sky: Tensor) -> Displacement:
        scenery, flow, options = self.scenery, self.flow, self.options
        given = options.motion is not None
        swells = [] if given else predict_swell(scenery, flow / options.speed, options.wind)
        if self.swash is not None:
            swells.append(self.swash.swell)
        return integrate(
            flow,
            self.moves,
            period=options.period,
            fps=options.fps,
            margin=margin,
            sky=sky,
            swells=swells,
            speed=options.speed,
            standing=None if given else predict_standing(scenery),
            open_water=None if given else torch.from_numpy(scenery.streams.open).to(flow.device),
            wraps=self.parts.scene.wraps,
        )

    def _plate(self, shown: Tensor, margin: int, refine: int, progress: Callable[[int, int], None]) -> Plate:
        """The moving part of `shown` [3,H,W], continued behind static things and past the frame."""
        scene, photo, options, nets = self.parts.scene, self.parts.photo, self.options, self.nets
        wide, visible = canvas(photo, self.moves, margin, scene.wraps)
        shown = wide if shown is photo else canvas(shown, self.moves, margin, scene.wraps)[0]
        if options.warp != "dfw":
            generates = options.warp == "msdfw" and not self.parts.quick
            return plain_plate(shown, visible, _continue(wide, visible, nets) if generates else None)
        if min(self.moves.shape) > SLACK * nets.generator.resolution:
            fits = nets.generator.resolution
            raise TooLarge(f"The photo is too large for warp dfw with this model; use size={fits} or msdfw.")
        generator = nets.generator.seeded(scene.settings["seed"])
        side = min(visible.shape)  # as it is: F is to be as fine as the plate
        hidden = invert(wide, generator, nets.encoder, visible=visible, side=side, refine=refine, progress=progress)
        generated = hidden.reconstruction, options.detail, generator, hidden.w_plus, hidden.feature
        return feature_plate(wide, visible, *generated)


def move_landscape(
    parts: MovingParts, cloth: Overlay | None, options: RenderOptions, nets: Networks, stages: Stages
) -> MovingLandscape:
    """Everything that moves except the cloth, which covers it."""
    scenery = parts.scenery if cloth is None else moving_in(parts.scenery, 1 - cloth.footprint)
    moves = scenery.eroded.moves.to(nets.device, copy=True)  # the loop keeps its own
    flow, swash = parts.flow * options.speed, predict_swash(scenery)
    if swash is not None:
        moves, flow = swash.widen(moves), swash.slow(flow)
    if parts.scene.transparent is not None:
        moves *= torch.from_numpy(~parts.scene.transparent).to(moves)
    if parts.scene.wraps:
        moves = still_across(moves)
    making = _Making(parts, options, nets, scenery, moves, flow, swash)
    loop = plate = plants = None
    # Plants need one core, and the loop not always all others.
    with another_thread(nets.device, "stylecine-plants") as submit:
        found = submit(lambda: making.plants(cloth))
        if moves.any() or (cloth is None and parts.plants is None and options.weather is None):
            loop, plate = making.loop(stages)
        if parts.plants is not None and options.wind is not None:
            with stages.stage("plants"):
                if (sways := found.result()) is not None:
                    swaying, sway = sways
                    plants = (swaying if loop is None else swaying.before(loop.moving, plate)).overlay(sway)
    if loop is None and plants is None and cloth is None and options.weather is None:
        raise NothingMoves("The plants that could sway are too small or held all around; give a mask, or a weather.")
    return MovingLandscape(scenery, moves, flow, loop, plants)


def _continue(photo: Tensor, visible: Tensor, nets: Networks) -> Tensor | None:
    """A photo [3,Hc,Wc] continued where visible is 0; None if that is nowhere, or without an encoder."""
    if not nets.has_encoder or bool((visible > 0).all()):
        return None
    side = coarse_side(visible)
    dtype = fast_dtype(photo.device)
    return invert(photo, nets.generator, nets.encoder, visible=visible, side=side, dtype=dtype).reconstruction
