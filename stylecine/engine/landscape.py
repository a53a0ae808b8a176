"""The loop of what moves in a landscape: its plate and displacement, put together from the stages."""

from collections.abc import Callable
from dataclasses import dataclass, replace

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


def move_landscape(
    parts: MovingParts, cloth: Overlay | None, options: RenderOptions, nets: Networks, stages: Stages
) -> MovingLandscape:
    """Everything that moves except the cloth, which covers it."""
    scenery = parts.scenery
    if cloth is not None:
        scenery = moving_in(scenery, 1 - cloth.footprint)
    moves = scenery.eroded.moves.to(nets.device, copy=True)  # the loop keeps its own
    flow, swash = parts.flow * options.speed, predict_swash(scenery)
    if swash is not None:
        moves, flow = swash.widen(moves), swash.slow(flow)
    if parts.scene.transparent is not None:
        moves *= torch.from_numpy(~parts.scene.transparent).to(moves)
    if parts.scene.wraps:
        moves = still_across(moves)
    landscape, plate = MovingLandscape(scenery, moves, flow), None
    # Plants need one core, and the loop not always all others.
    with another_thread(nets.device, "stylecine-plants") as submit:
        plants = submit(lambda: _predict_plants(parts, cloth, landscape, options))
        if moves.any() or (cloth is None and parts.plants is None and options.weather is None):
            loop, plate = _make_loop(parts, landscape, swash, options, nets, stages)
            landscape = replace(landscape, loop=loop)
        if parts.plants is None or options.wind is None:
            return landscape
        with stages.stage("plants"):
            if (found := plants.result()) is not None:
                swaying, sway = found
                if landscape.loop is not None:
                    swaying = swaying.before(landscape.loop.moving, plate)
                landscape = replace(landscape, plants=swaying.overlay(sway))
    if landscape.loop is None and landscape.plants is None and cloth is None and options.weather is None:
        raise NothingMoves("The plants that could sway are too small or held all around; give a mask, or a weather.")
    return landscape


def _predict_plants(
    parts: MovingParts, cloth: Overlay | None, landscape: MovingLandscape, options: RenderOptions
) -> tuple[SwayingPlants, Sway] | None:
    """The plants that sway, and how they do in this wind; None where none can."""
    if parts.plants is None or options.wind is None:
        return None
    plants, held = parts.plants
    if cloth is not None:
        plants, held = plants * (1 - cloth.footprint), held.maximum(cloth.footprint)
    swaying = find_swaying(
        parts.photo,
        plants,
        landscape.scenery.layers,
        landscape.moves,
        held > 0,
        landscape.scenery.eroded.thin.to(parts.photo.device),
        period=options.period,
        seconds=options.seconds * options.speed,
    )
    return None if swaying is None else (swaying, swaying.motion.in_wind(options.wind))


def _make_loop(
    parts: MovingParts,
    landscape: MovingLandscape,
    swash: Swash | None,
    options: RenderOptions,
    nets: Networks,
    stages: Stages,
) -> tuple[Loop, Tensor | None]:
    """The loop, and, if plants may sway before it, its plate within the photo [3,H,W]."""
    scene, photo = parts.scene, parts.photo
    layers, moves, flow = landscape.scenery.layers, landscape.moves, landscape.flow
    refine = scene.settings["refine"] if options.warp == "dfw" and not nets.has_encoder else 0
    sky = moves * (layers[SKY] > 0) > 0
    margin = margin_for(flow, moves, options.period, options.fps, sky, scene.wraps)
    # The displacement uses one core, and the plate not always all others.
    with another_thread(nets.device, "stylecine-displacement") as submit:
        displaced = submit(lambda: _displace(landscape, swash, options, margin, sky, scene.wraps))
        with stages.stage("plate", max(1, refine)) as step:
            shown = photo
            if options.detail < 1 and options.warp != "pixel":
                shown = torch.lerp(to_tensor(scene.reconstruction).to(nets.device), photo, options.detail)
            plate = _make_plate(parts, shown, moves, margin, options, nets, refine, step)
    with stages.stage("loop"):
        whole = None if plate.whole is None else laplacian_levels(plate.whole)
        behind = None
        if parts.plants is not None:
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
def _displace(
    landscape: MovingLandscape, swash: Swash | None, options: RenderOptions, margin: int, sky: Tensor, wraps: bool
) -> Displacement:
    scenery, given = landscape.scenery, options.motion is not None
    swells = [] if given else predict_swell(scenery, landscape.flow / options.speed, options.wind)
    if swash is not None:
        swells.append(swash.swell)
    return integrate(
        landscape.flow,
        landscape.moves,
        period=options.period,
        fps=options.fps,
        margin=margin,
        sky=sky,
        swells=swells,
        speed=options.speed,
        standing=None if given else predict_standing(scenery),
        wraps=wraps,
    )


def _make_plate(
    parts: MovingParts,
    shown: Tensor,
    moves: Tensor,
    margin: int,
    options: RenderOptions,
    nets: Networks,
    refine: int,
    progress: Callable[[int, int], None],
) -> Plate:
    """The moving part of `shown` [3,H,W], continued behind static things and past the frame."""
    wraps = parts.scene.wraps
    wide, visible = canvas(parts.photo, moves, margin, wraps)
    shown = wide if shown is parts.photo else canvas(shown, moves, margin, wraps)[0]
    if options.warp != "dfw":
        generates = options.warp == "msdfw" and not parts.quick
        return plain_plate(shown, visible, _continue(wide, visible, nets) if generates else None)
    if min(moves.shape) > SLACK * nets.generator.resolution:
        fits = nets.generator.resolution
        raise TooLarge(f"The photo is too large for warp dfw with this model; use size={fits} or msdfw.")
    generator = nets.generator.seeded(parts.scene.settings["seed"])
    side = min(visible.shape)  # as it is: F is to be as fine as the plate
    hidden = invert(wide, generator, nets.encoder, visible=visible, side=side, refine=refine, progress=progress)
    return feature_plate(wide, visible, hidden.reconstruction, options.detail, generator, hidden.w_plus, hidden.feature)


def _continue(photo: Tensor, visible: Tensor, nets: Networks) -> Tensor | None:
    """A photo [3,Hc,Wc] continued where visible is 0; None if that is nowhere, or without an encoder."""
    if not nets.has_encoder or bool((visible > 0).all()):
        return None
    side = coarse_side(visible)
    dtype = fast_dtype(photo.device)
    return invert(photo, nets.generator, nets.encoder, visible=visible, side=side, dtype=dtype).reconstruction
