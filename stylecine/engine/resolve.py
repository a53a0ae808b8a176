"""What moves in a scene, and how: what was given comes before what was edited, and that before what was predicted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from stylecine.cloth.find import FoundCloth
from stylecine.edits.apply import active_arrows, damp_at_anchors, edited_cloth, edited_flow
from stylecine.edits.model import Anchor, Edit, Paint, Speed, Style
from stylecine.engine.model_networks import Networks
from stylecine.engine.scene import Latents, PendingLatents, Scene
from stylecine.errors import MaskError, NothingMoves
from stylecine.movement.displacement import moving_points
from stylecine.movement.motion import predict_motion, read_motion
from stylecine.movement.sway import MIN_PLANTS
from stylecine.ops.image import ACROSS, from_left, resize, to_tensor
from stylecine.options import CLOTH, MIN_LAYER_ALPHA, OPTIONS, SKY, Arrow, RenderOptions, Wind, format_size
from stylecine.perception.layers import apply_mask, moving, require_motion
from stylecine.perception.look import perceive
from stylecine.perception.scenery import Scenery, moving_in, shrink_maps, shrunk
from stylecine.picture.given_mask import read_mask
from stylecine.picture.photo import load_photo, read_photo
from stylecine.picture.transparency import split_alpha, with_alpha

MIN_GIVEN_SPEED = 0.05  # pixels of a given motion's own grid per 1/30 s: without a mask, what is faster moves
MIN_SPEED = 1e-3  # pixels of the flow's grid per 1/30 s: slower motion cannot be seen


@dataclass(frozen=True, eq=False)
class MovingParts:
    """What is to move in a scene, at the loop's size.

    scene: of that size; quick: a preview, smaller than the photo, into which nothing is painted. painted: bool [H,W],
    as of the scene. photo [3,H,W] in [-1,1]. scenery: of the landscape, as the user has corrected it; flow: of it,
    [2,h,w], before `options.speed`. cloth: and what is frozen, [2,H,W]; None if no cloth is to move. plants: how much
    each place sways in the wind, and what is frozen or anchored, [2,H,W]; None if none does. found: the cloth that
    nobody marked and that is to move, if any.
    """

    scene: Scene
    quick: bool
    painted: np.ndarray
    photo: Tensor
    edits: tuple[Edit, ...]
    scenery: Scenery
    flow: Tensor
    cloth: Tensor | None
    plants: Tensor | None
    found: FoundCloth | None


def resolve(
    scene: Scene, options: RenderOptions, nets: Networks, short: int | None = None, quick: bool = False
) -> MovingParts:
    """What moves, and how: in the whole scene, then shrunk to a `short` side. quick: a preview."""
    photo = to_tensor(scene.photo).to(nets.device)
    found = nets.cloth_in(scene.photo) if looks_for_cloth(scene, options) else None
    cloth = resolve_cloth(scene, options, nets.device, None if found is None else found.mask)
    plants = resolve_plants(scene, options, nets)
    landscape = None
    if options.subject != CLOTH:
        try:
            landscape = resolve_landscape(scene, photo, options, nets)
        except NothingMoves as error:
            if cloth is None and plants is None and options.weather is None:
                marked = short is not None or is_cloth_marked(options, scene.edits)
                if still := None if marked else nets.cloth_in(scene.photo):
                    raise NothingMoves(f"{error} {still.still_warning}") from None
                raise
    if landscape is None:
        scenery = corrected(scene, photo, torch.zeros_like(scene.layers, device=photo.device), (), nets)
        landscape = scenery, torch.zeros(2, *scenery.grid, device=photo.device)
    scenery, flow = landscape
    if cloth is not None or not is_predicted(options, scene.edits):
        scenery = replace(scenery, beach=None)  # surf runs up where nobody has said what moves
    if scene.wraps:
        cloth, plants = (None if maps is None else _held_at_edges(maps) for maps in (cloth, plants))
    parts = MovingParts(scene, quick, scene.painted, photo, scene.edits, scenery, flow, cloth, plants, found)
    return parts if short is None else _shrink(parts, short, options)


def _held_at_edges(maps: Tensor) -> Tensor:
    """What sways or flutters, and what is held, [2,H,W], still at the left and right edges, across which overlays do
    not reach."""
    free = from_left(maps, ACROSS)
    free = free.minimum(free.flip(0))
    return torch.stack((maps[0] * free, maps[1].maximum(1 - free)))


def resolve_plants(scene: Scene, options: RenderOptions, nets: Networks) -> Tensor | None:
    """How much each place sways in the wind, and how much it is frozen or anchored, [2,H,W] in [0,1]; None without a
    wind, or plants, or where a mask or a motion says what moves."""
    windy = options.wind is not None and options.wind.strength > 0
    if not windy or options.subject == CLOTH or options.mask is not None or options.motion is not None:
        return None
    plants = nets.plants_in(scene.photo)
    if plants is None:
        return None
    mobile = 1 - scene.frozen
    if any(isinstance(edit, Anchor) for edit in scene.edits):
        mobile = torch.from_numpy(damp_at_anchors(mobile.numpy(), scene.edits)).to(mobile)
    mobile = mobile.to(plants.device)
    plants = plants * mobile
    return torch.stack((plants, 1 - mobile)) if float((plants > 0.5).float().mean()) >= MIN_PLANTS else None


def looks_for_cloth(scene: Scene, options: RenderOptions) -> bool:
    """Whether cloth is to move, and nobody has said where it is."""
    return options.subject == CLOTH and not is_cloth_marked(options, scene.edits)


def is_cloth_marked(options: RenderOptions, edits: Sequence[Edit]) -> bool:
    """Whether a mask or paint says where cloth is."""
    painted = any(isinstance(edit, Paint) and edit.mode == "add" and edit.what == CLOTH for edit in edits)
    return options.mask is not None or painted


def resolve_cloth(
    scene: Scene, options: RenderOptions, device: torch.device, found: Tensor | None = None
) -> Tensor | None:
    """Cloth and what is frozen, [2,H,W] in [0,1]; None where no cloth is to move.

    found: [H,W] in [0,1], the cloth of `Networks.cloth_in`, if it is needed.

    Raises MaskError if the subject is cloth and nothing says where it is, NothingMoves if all of it is frozen or
    erased.
    """
    if options.subject == "landscape":
        return None
    frozen = scene.frozen.to(device)
    if options.subject == CLOTH and options.mask is not None:
        cloth = read_mask(options.mask, _size(scene)).to(device) * (1 - frozen)
    elif found is not None:
        there = edited_cloth(_size(scene), scene.edits, found.cpu().numpy())
        cloth = torch.from_numpy(scene.opaque(there)).to(device)
    else:
        cloth = scene.edited_cloth.to(device)
    if (cloth > 0.5).any():
        return torch.stack((cloth, frozen))
    if options.subject != CLOTH:
        return None
    if found is not None or is_cloth_marked(options, scene.edits):
        raise NothingMoves("All that cloth is frozen or erased, so nothing would move; undo that.")
    raise MaskError(
        "No cloth was found with certainty; give a mask that is white where the cloth is, or paint it:"
        " scene.paint('cloth', stroke), or stylecine edit --add cloth:STROKE."
    )


def corrected(scene: Scene, photo: Tensor, layers: Tensor, arrows: Sequence[Arrow], nets: Networks) -> Scenery:
    """What is seen in a scene of which a user has said what moves: layers [4,H,W], arrows, and its edits.

    Looked at again only where the user has changed something. The last answer is kept with the scene, since the
    studio asks for loops of several sizes.
    """
    seen, frozen = scene.scenery, scene.frozen if scene.frozen.any() else None
    corrected_by_user = len(arrows) > 0 or frozen is not None or bool(scene.added.any())
    if seen is not None and not corrected_by_user and torch.equal(layers, seen.layers.to(layers.device)):
        return seen
    last: tuple[Sequence[Arrow], Scenery] | None = scene.__dict__.get("_corrected")
    if last is not None and last[0] == tuple(arrows):
        before = last[1].layers
        if before.device == layers.device and torch.equal(layers, before):
            return last[1]
    forced = torch.from_numpy(scene.added).to(photo.device) if scene.added.any() else None
    found = perceive(
        photo,
        layers,
        nets.seen(scene, seen) if layers.any() else None,
        arrows=arrows,
        frozen=None if frozen is None else frozen.to(photo.device),
        forced=forced,
        sky=torch.maximum(scene.layers[SKY], scene.edited_layers[SKY]).to(photo.device),
    )
    scene.__dict__["_corrected"] = tuple(arrows), found
    return found


def resolve_style(options: RenderOptions, edits: Sequence[Edit]) -> Style | None:
    """What was given, or else the last that was edited; None for the photo's own appearance."""
    if options.style is not None:
        style = options.style
        given = style if isinstance(style, Style) else Style.create(style, options.style_strength, options.style_drift)
        return given if given.strength else None
    style = next((edit for edit in reversed(edits) if isinstance(edit, Style)), None)
    return style if style and style.strength else None


def is_predicted(options: RenderOptions, edits: Sequence[Edit]) -> bool:
    """Whether nobody has said what moves or how, only, perhaps, what does not."""
    freezes_only = all(isinstance(edit, Style) or (isinstance(edit, Paint) and edit.mode == "freeze") for edit in edits)
    return options.mask is None and options.motion is None and not options.arrows and freezes_only


def resolve_landscape(scene: Scene, photo: Tensor, options: RenderOptions, nets: Networks) -> tuple[Scenery, Tensor]:
    """The scenery of what moves in the landscape of a photo [3,H,W] in [-1,1], on the device to work on, and its flow
    [2,h,w]."""
    given = None if options.motion is None else read_motion(options.motion).to(photo.device)
    mask = options.mask
    if mask is None and given is not None:
        try:
            moves = (given.norm(dim=0) > MIN_GIVEN_SPEED).float()  # on the motion's own grid, of any shape
            mask = read_mask(resize(moves[None], _size(scene))[0].clamp(0, 1), _size(scene))
        except NothingMoves:
            raise NothingMoves(
                f"The motion is almost nowhere faster than {MIN_GIVEN_SPEED}, so nothing would move; give a faster one."
            ) from None
    layers = _resolve_layers(scene, mask, photo.device)
    arrows = (*active_arrows(scene.edits, layers.cpu().numpy()), *options.arrows)
    scenery = corrected(scene, photo, layers, arrows if given is None else (), nets)
    flow = _predict_flow(scene, scenery, options) if given is None else given
    if not (flow.norm(dim=0)[moving_points(moving(layers), flow)] > MIN_SPEED).any():
        if options.mask is not None and given is not None:
            raise NothingMoves("The motion is zero where the mask is white, so nothing would move.")
        raise NothingMoves(_why_still(scene.edits, arrows if given is None else options.arrows, options.wind))
    if options.wind is not None and options.wind.strength == 0:  # what it no longer drives is static
        scenery = moving_in(scenery, resize(flow.norm(dim=0)[None], layers.shape[1:])[0] > MIN_SPEED)
    return scenery, flow


def _resolve_layers(scene: Scene, mask: object, device: torch.device) -> Tensor:
    layers = scene.edited_layers.to(device, copy=True)  # the loop keeps its own
    if mask is not None:
        layers = apply_mask(layers, read_mask(mask, _size(scene)).to(device))
        layers = layers * (1 - scene.frozen.to(device))
        layers = torch.where(layers < MIN_LAYER_ALPHA, 0, layers)
        if not layers.any():
            raise NothingMoves(
                "All that would move is frozen or transparent; undo the freeze, or give another mask or motion."
            )
    elif any(isinstance(edit, Paint) for edit in scene.edits):
        if not (layers > 0.5).any():
            raise NothingMoves("The edits leave nothing that moves; undo one, or add some sky or water.")
    else:
        require_motion(scene.mask)
    return layers


def _predict_flow(scene: Scene, scenery: Scenery, options: RenderOptions) -> Tensor:
    """The scene's flow, or that of a corrected scenery, of another pace or wind; steered by the edits."""
    usual = options.pace == OPTIONS["pace"]["default"] and options.wind is None and not scenery.arrows
    same = usual and torch.equal(scenery.layers, scene.layers.to(scenery.layers.device))
    flow = scene.motion if same else predict_motion(scenery, options.pace, options.wind)
    steered = edited_flow(flow.cpu().numpy(), scenery.layers.cpu().numpy(), scene.edits)
    return torch.from_numpy(steered).to(scenery.layers.device)


def _why_still(edits: Sequence[Edit], arrows: Sequence[Arrow], wind: Wind | None) -> str:
    """What to say where something could move but does not."""
    if wind is not None and wind.strength == 0:
        return "In a calm nothing here moves; give the wind a strength above 0."
    kinds = {type(edit) for edit in edits}
    named = {"arrows": len(arrows) > 0, "anchors": Anchor in kinds, "speeds": Speed in kinds}
    causes = [name for name, there in named.items() if there]
    if not causes:
        return "What could move has no motion, so nothing would; give arrows, or a motion."
    return f"The {' and '.join(causes)} hold everything still, so nothing would move; change or undo them."


def _shrink(parts: MovingParts, short: int, options: RenderOptions) -> MovingParts:
    """The same at a `short` side: everything that is known of the whole photo is shrunk, nothing is looked at anew.

    Its latents stay those of the whole photo. Raises NothingMoves if nothing is left of what moves.
    """
    scene = parts.scene
    whole = scene.photo if scene.alpha is None else with_alpha(scene.photo, scene.alpha)
    photo, alpha = split_alpha(read_photo(whole, short)[0])
    size = photo.shape[0], photo.shape[1]
    scenery = shrunk(parts.scenery, short)
    cloth, plants = (None if maps is None else shrink_maps(maps, size) for maps in (parts.cloth, parts.plants))
    moves = scenery.layers.any() or plants is not None or (cloth is not None and cloth[0].any())
    if not moves and options.weather is None:
        raise NothingMoves(f"What moves is too small to be seen at a size of {short}; ask for a larger preview.")
    layers = shrink_maps(scene.layers, size)
    pending = PendingLatents(partial(_shrunk_latents, scene, short))
    small = replace(
        scene,
        photo=photo,
        alpha=alpha,
        inversion=_shrunk_latents(scene, short) if scene.is_inverted else pending,
        layers=layers,
        mask=moving(layers),
        scenery=None,
        edits=(),  # they are in the scenery, and their strokes would not fit
        settings={**scene.settings, "size": format_size(short)},
    )
    return replace(
        parts,
        scene=small,
        quick=parts.quick and size != _size(scene),
        painted=shrink_maps(torch.from_numpy(parts.painted)[None], size)[0].numpy() > 0.5,
        photo=to_tensor(photo).to(parts.photo.device),
        scenery=scenery,
        cloth=cloth,
        plants=plants,
    )


def _shrunk_latents(scene: Scene, short: int) -> Latents:
    return replace(scene.latents, reconstruction=load_photo(scene.reconstruction, short))


def _size(scene: Scene) -> tuple[int, int]:
    return scene.photo.shape[0], scene.photo.shape[1]
