"""The networks of one model, and what they do with a photo: invert it, preview and render its loop."""

import atexit
import gc
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any, Self, Unpack

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.cinemagraph import Cinemagraph
from stylecine.cloth.animate import animate_cloth, preview_cloth
from stylecine.cloth.find import Finder, FoundCloth, find_cloth
from stylecine.cloth.layer import ClothLayer
from stylecine.cloth.rest_shape import ClothNets, RestShape, estimate_rest_shape
from stylecine.edits.apply import damp_at_anchors
from stylecine.edits.model import Paint, Style
from stylecine.errors import NothingMoves, SceneError, StylecineWarning, TooLarge, WeightsNotFound
from stylecine.memory import check_memory, release_freed
from stylecine.networks.clothfinder import ClothFinder
from stylecine.networks.clothnet import ClothNet
from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator
from stylecine.networks.motionnet import MotionNet
from stylecine.networks.normalnet import NormalNet
from stylecine.networks.segmenter import Segmenter
from stylecine.ops.image import to_tensor, to_uint8
from stylecine.options import (
    AUTO,
    CLOTH,
    MIN_LAYER_ALPHA,
    SKY,
    RenderArguments,
    RenderOptions,
    Size,
    Wind,
    check_device,
    check_int,
    check_inversion_options,
    check_wind,
    format_size,
)
from stylecine.progress import Progress, Stages
from stylecine.resolve import is_cloth_marked, is_predicted, resolve_cloth, resolve_landscape, resolve_style
from stylecine.scene import Scene
from stylecine.stages.displacement import integrate, margin_for
from stylecine.stages.doubt import torn_regions
from stylecine.stages.inversion import SLACK, invert, refinement_steps
from stylecine.stages.loop import Loop, laplacian_levels, make_loop
from stylecine.stages.mask import erode_moving_edges, moving, predict_layers, predict_probabilities
from stylecine.stages.motion import predict_motion
from stylecine.stages.photo import MAX_SIDE, MIN_SIDE, Source, load_photo, read_photo
from stylecine.stages.plate import Plate, canvas, coarse_side, feature_plate, plain_plate
from stylecine.stages.standing import predict_standing
from stylecine.stages.style import StyleNets
from stylecine.stages.swash import Swash, predict_swash
from stylecine.stages.swell import predict_swell
from stylecine.threads import share_cores
from stylecine.weights import FINDER, STYLES, ModelRecord, find_model, role_tensors

# The interpreter would look through half a million objects of PyTorch's several times before it exits.
atexit.register(gc.freeze)

ANCHOR_ROWS = 256  # of the grid on which anchors fix cloth
MAX_TORN = 3  # places that a warning names


@dataclass(frozen=True, eq=False)
class _MovingParts:
    """What is to move in a scene, at the loop's size.

    scene: of that size; quick: smaller than its photo. photo [3,H,W] in [-1,1]. layers [K,H,W] and flow [2,h,w]: of the
    landscape. cloth: and what is frozen, [2,H,W]; None if no cloth is to move.
    """

    scene: Scene
    quick: bool
    photo: Tensor
    edits: tuple[Any, ...]
    layers: Tensor
    flow: Tensor
    cloth: Tensor | None


@dataclass(frozen=True, eq=False)
class _MovingCloth:
    """Cloth at rest and in the wind. warning: why it does not move although it should."""

    rest_shape: RestShape | None = None
    layer: ClothLayer | None = None
    warning: str = ""


@dataclass(frozen=True, eq=False)
class _MovingLandscape:
    """layers [K,H,W], how much each pixel moves [H,W], flow [2,h,w], and their loop, if anything moves."""

    layers: Tensor
    moves: Tensor
    flow: Tensor
    loop: Loop | None


@dataclass(frozen=True, eq=False, repr=False)
class Animator:
    """The networks of one model on one device, for any number of photos."""

    model: ModelRecord
    device: torch.device
    generator: Generator
    encoder: Encoder | None  # foreign generators have none
    segmenter: Segmenter
    motionnet: MotionNet
    cloth_nets: ClothNets | None = None  # None: the model's, read when they are needed
    finder: Finder | None = None  # the same; models may lack it
    style_nets: StyleNets | None = None  # None: the model's, or the default model's if it has none

    def __repr__(self) -> str:
        return f"<Animator {self.model.name}, {self.device}>"

    @classmethod
    @torch.inference_mode(False)  # the generator's gradients may be wanted
    def from_pretrained(cls, model: str | PathLike[str] = "default", device: str | torch.device | None = None) -> Self:
        """Loads a model by name or path. Raises WeightsError, OptionError."""
        share_cores()
        record, place = find_model(model), check_device(device)
        segmenter = Segmenter.from_tensors(role_tensors(record, "segmenter"))
        return cls(
            record,
            place,
            Generator.from_tensors(role_tensors(record, "generator"), record.injection).to(place),
            Encoder.from_tensors(role_tensors(record, "encoder")).to(place) if "encoder" in record.files else None,
            segmenter.to(place),
            MotionNet.from_tensors(role_tensors(record, "motion"), segmenter.backbone).to(place),
        )

    @torch.no_grad()
    def invert(
        self, photo: Source, *, size: Size = 1024, refine: int = 0, seed: int = 0, progress: Progress | None = None
    ) -> Scene:
        """The expensive part, once per photo: its latents, what moves in it and how. Parameters as in `animate`."""
        check_inversion_options(refine, seed)
        stages = Stages(progress, self.device)
        with stages.stage("photo"):
            picture, source = read_photo(photo, size)
            check_memory(picture.shape[1], picture.shape[0], self.device)
            image = to_tensor(picture).to(self.device)
        refine = refinement_steps(self.encoder, refine)
        with stages.stage("inversion", max(1, refine)) as step:
            inverted = invert(image, self.generator.seeded(seed), self.encoder, refine=refine, progress=step)
        with stages.stage("mask"):
            layers = predict_layers(image, self.segmenter)
        with stages.stage("motion"):
            motion = predict_motion(image, layers, self.motionnet)
        release_freed()
        return Scene(
            photo=picture,
            reconstruction=to_uint8(inverted.reconstruction).cpu().numpy(),
            w_plus=inverted.w_plus,
            feature=_half_precision(inverted.feature),
            layers=layers,
            mask=moving(layers),
            motion=motion,
            model=self.model,
            source=source,
            settings={"size": format_size(size), "refine": refine, "seed": seed},
            timings=stages.timings,
        )

    def preview(
        self, scene: Scene, *, size: int = 256, progress: Progress | None = None, **options: Unpack[RenderArguments]
    ) -> Cinemagraph:
        """A small, quick loop of a scene, its edits included: short side `size`, 64 or more. Otherwise as `render`.

        Only the photo and what moves are shrunk; nothing is inverted again.
        """
        short = check_int("size", size, MIN_SIDE, MAX_SIDE)
        return self.render_with(RenderOptions.create(**options), scene, short=short, progress=progress)

    def render(
        self, scene: Scene, *, progress: Progress | None = None, **options: Unpack[RenderArguments]
    ) -> Cinemagraph:
        """The cheap part, once per change of mind: the loop of a scene, its edits included.

        options: those of `RenderOptions`, as `animate` documents them; what is given comes on top of the edits.
        Raises as `animate` does. Warns with a StylecineWarning if the scene was made with another model.
        """
        return self.render_with(RenderOptions.create(**options), scene, progress=progress)

    @torch.no_grad()
    def render_with(
        self,
        options: RenderOptions,
        scene: Scene,
        *,
        short: int | None = None,
        found: FoundCloth | None = None,
        progress: Progress | None = None,
    ) -> Cinemagraph:
        """`render` with all options in one value. short: `preview`'s size. found: what `find_cloth` found before."""
        if not isinstance(scene, Scene):
            raise SceneError(f"A loop is made of a scene, as invert() or Scene.load() returns it, not of {scene!r}.")
        self._check_model(scene, options.warp)
        stages = Stages(progress, self.device)
        stages.timings.update(scene.timings)
        style = resolve_style(options, scene.edits)
        with stages.stage("motion"):
            found = self._look_for_cloth(scene, options, found)
            parts = self._resolve(scene, options, found, short)
        cloth = self._move_cloth(parts, options, stages)
        landscape = self._move_landscape(parts, cloth.layer, options, stages)
        if short is None:  # a preview is to be quick
            release_freed()
        loop = Cinemagraph(
            loop=landscape.loop,
            scene=parts.scene,
            layers=landscape.layers,
            mask=landscape.moves if cloth.layer is None else torch.maximum(landscape.moves, cloth.layer.reach),
            motion=landscape.flow,
            period=options.period,
            fps=options.fps,
            settings=options.describe() | ({} if found is None else {"mask": "found"}),
            timings=stages.timings,
            progress=progress,
            edits=scene.edits,
            rest_shape=cloth.rest_shape,
            cloth_layer=cloth.layer,
            mask_warning=self._mask_warning(parts, landscape, options),
            cloth_warning=cloth.warning or self._cloth_warning(scene, options, found, short),
        )
        if style is not None:
            with stages.stage("style"):
                (grid,) = self.style_grids(scene.photo, [style])
            loop = loop.styled(grid, style.strength, style.drift)
        if options.weather is None:
            return loop
        with stages.stage("weather"):
            return loop.in_weather(options.weather, options.weather_strength, options.wind, options.speed)

    def _look_for_cloth(self, scene: Scene, options: RenderOptions, found: FoundCloth | None) -> FoundCloth | None:
        """What was found before, or is found now; None where nobody asks for it, or has said where it is."""
        if options.subject != CLOTH or is_cloth_marked(options, scene.edits):
            return None
        return found or self.find_cloth(to_tensor(scene.photo).to(self.device))

    def _cloth_warning(self, scene: Scene, options: RenderOptions, found: FoundCloth | None, short: int | None) -> str:
        """That unmarked cloth moves, or, except in previews, that unmarked cloth may be here and stands still."""
        if found is not None:
            return found.warning
        if options.subject != AUTO or short is not None or is_cloth_marked(options, scene.edits):
            return ""
        still = self.find_cloth(to_tensor(scene.photo).to(self.device))
        return "" if still is None else still.still_warning

    def _mask_warning(self, parts: _MovingParts, landscape: _MovingLandscape, options: RenderOptions) -> str:
        """Where something that seems static drifts with the sky because somebody has said so, except in previews."""
        added = any(isinstance(edit, Paint) and edit.mode == "add" for edit in parts.edits)
        if parts.quick or not (added or options.mask is not None) or not landscape.layers[SKY].any():
            return ""
        probabilities = predict_probabilities(parts.photo, self.segmenter)
        torn = torn_regions(probabilities, landscape.layers, landscape.moves)
        if not torn:
            return ""
        places = " and ".join("{:.2f},{:.2f}".format(*region.centre) for region in torn[:MAX_TORN])
        return f"Something static seems to drift with the sky around {places}; freeze it, or correct the mask there."

    def _resolve(
        self, scene: Scene, options: RenderOptions, found: FoundCloth | None, short: int | None
    ) -> _MovingParts:
        """What moves, and how: found in the whole scene, then shrunk to a `short` side."""
        photo = to_tensor(scene.photo).to(self.device)
        cloth = resolve_cloth(scene, options, self.device, None if found is None else found.mask)
        try:
            layers, flow = resolve_landscape(scene, photo, options, self.motionnet, optional=cloth is not None or options.weather is not None)
        except NothingMoves as error:
            marked = short is not None or is_cloth_marked(options, scene.edits)
            if still := None if marked else self.find_cloth(photo):
                raise NothingMoves(f"{error} {still.still_warning}") from None
            raise
        edits, whole = scene.edits, scene.photo.shape
        if short is not None:
            scene, layers, cloth = _shrink(scene, layers, cloth, short)
            photo = to_tensor(scene.photo).to(self.device)
        return _MovingParts(scene, scene.photo.shape != whole, photo, edits, layers, flow * options.speed, cloth)

    def _move_cloth(self, parts: _MovingParts, options: RenderOptions, stages: Stages) -> _MovingCloth:
        """Raises NothingMoves if no cloth can move, unless the landscape does."""
        if parts.cloth is None:
            return _MovingCloth()
        with stages.stage("cloth") as step:
            try:
                rest_shape = self._estimate_rest_shape(parts.photo, parts.cloth, parts.edits)
                length = {"cycles": options.gusts, "period": options.period}
                layer = animate_cloth(rest_shape, self._cloth_nets, options.wind or Wind(), **length, progress=step)
            except NothingMoves as error:
                if options.subject == CLOTH or not parts.layers.any():
                    raise
                return _MovingCloth(warning=f"Only the landscape moves. {error}")
        return _MovingCloth(rest_shape, layer)

    def _move_landscape(
        self, parts: _MovingParts, cloth: ClothLayer | None, options: RenderOptions, stages: Stages
    ) -> _MovingLandscape:
        """Everything that moves except the cloth, which covers it."""
        layers = parts.layers if cloth is None else parts.layers * (1 - cloth.footprint)
        moves, flow, swash = erode_moving_edges(layers, parts.photo), parts.flow, None
        if parts.cloth is None and is_predicted(options, parts.edits):
            swash = predict_swash(parts.photo, layers, flow, parts.scene.frozen.to(self.device))
        if swash is not None:
            moves, flow = swash.widen(moves), flow * swash.drift
        loop = None
        if moves.any() or (cloth is None and options.weather is None):
            loop = self._make_loop(parts, layers, moves, flow, swash, options, stages)
        return _MovingLandscape(layers, moves, flow, loop)

    def find_cloth(self, photo: Tensor) -> FoundCloth | None:
        """Flags, banners and hung cloth in a photo [3,H,W] in [-1,1]; None where the model finds none for sure."""
        finder = self.finder or self._model_finder
        return None if finder is None else find_cloth(photo, finder)

    @torch.no_grad()
    def turn_wind(
        self, loop: Cinemagraph, wind: Wind | Sequence[float], *, progress: Progress | None = None
    ) -> Cinemagraph:
        """A loop with its cloth in another wind, as `render` would make it, in a fraction of the time.

        wind: as in `animate`. Raises OptionError for what is no wind, NothingMoves if no cloth moves.
        """
        wind = check_wind(wind)
        cloth, layer = _moving_cloth(loop)
        stages = Stages(progress, self.device)
        with stages.stage("cloth") as step:
            length = {"cycles": layer.cycles, "period": layer.period}
            layer = animate_cloth(cloth, self._cloth_nets, wind, **length, progress=step)
        photo = to_tensor(loop.scene.photo).to(self.device)
        return replace(
            loop,
            mask=torch.maximum(erode_moving_edges(loop.layers, photo), layer.reach),
            settings={**loop.settings, "wind": [wind.degrees, wind.strength]},
            timings={**loop.timings, **stages.timings},
            progress=progress,
            cloth_layer=layer,
        )

    def preview_wind(self, loop: Cinemagraph, wind: Wind | Sequence[float]) -> ClothLayer:
        """The cloth of `turn_wind` approximately, many times as fast. Raises the same errors."""
        cloth, layer = _moving_cloth(loop)
        return preview_cloth(cloth, self._cloth_nets, check_wind(wind), layer)

    @torch.no_grad()
    def style_grids(self, photo: np.ndarray, styles: Sequence[Style]) -> list[Tensor]:
        """The recolouring of a photo uint8 [H,W,3] by each of some styles: grids for `ops.recolour`.

        They fit frames of any size. Raises OptionError for a name that the model does not know.
        """
        nets = self.style_nets or self._model_style_nets
        others = [nets.w_plus_of(style.name, style.picture) for style in styles]
        return nets.grids(torch.from_numpy(photo.copy()).to(self.device), others)

    def _make_loop(
        self,
        parts: _MovingParts,
        layers: Tensor,
        moves: Tensor,
        flow: Tensor,
        swash: Swash | None,
        options: RenderOptions,
        stages: Stages,
    ) -> Loop:
        """The landscape's loop. moves [H,W]: how much each pixel moves."""
        scene, photo = parts.scene, parts.photo
        refine = scene.settings["refine"] if options.warp == "dfw" and self.encoder is None else 0
        with stages.stage("plate", max(1, refine)) as step:
            reconstruction = to_tensor(scene.reconstruction).to(self.device)
            shown = photo if options.warp == "pixel" else torch.lerp(reconstruction, photo, options.detail)
            sky = moves * (layers[SKY] > 0) > 0
            margin = margin_for(flow, moves, options.period, options.fps, sky)
            plate = self._make_plate(parts, shown, moves, margin, options, refine, step)
        with stages.stage("loop"):
            swell = predict_swell(photo, layers, flow) if options.motion is None else None
            if swash is not None:
                swell = swash.add_to(swell)
            standing = predict_standing(photo, layers, flow) if options.motion is None else None
            displacement = integrate(
                flow,
                moves,
                period=options.period,
                fps=options.fps,
                margin=margin,
                sky=sky,
                swell=swell,
                standing=standing,
            )
            return make_loop(
                to_uint8(shown).cpu().numpy(),
                moves,
                laplacian_levels(plate.image),
                displacement,
                fps=options.fps,
                sampling=options.sampling,
                feature=plate.feature,
                resynthesise=plate.resynthesise,
                whole=None if plate.whole is None else laplacian_levels(plate.whole),
            )

    def _make_plate(
        self,
        parts: _MovingParts,
        shown: Tensor,
        moves: Tensor,
        margin: int,
        options: RenderOptions,
        refine: int,
        progress: Callable[[int, int], None],
    ) -> Plate:
        """The moving part of `shown` [3,H,W], continued behind static things and past the frame."""
        wide, visible = canvas(parts.photo, moves, margin)
        shown, _ = canvas(shown, moves, margin)
        if options.warp != "dfw":
            generates = options.warp == "msdfw" and not parts.quick
            return plain_plate(shown, visible, self._continue(wide, visible) if generates else None)
        if min(visible.shape) > SLACK * self.generator.resolution:
            fits = self.generator.resolution
            raise TooLarge(f"The photo is too large for warp dfw with this model; use size={fits} or msdfw.")
        generator = self.generator.seeded(parts.scene.settings["seed"])
        hidden = invert(wide, generator, self.encoder, visible=visible, refine=refine, progress=progress)
        return feature_plate(
            wide, visible, hidden.reconstruction, options.detail, generator, hidden.w_plus, hidden.feature
        )

    def _continue(self, photo: Tensor, visible: Tensor) -> Tensor | None:
        """A photo [3,Hc,Wc] continued where visible is 0; None if that is nowhere, or without an encoder."""
        if self.encoder is None or bool((visible > 0).all()):
            return None
        side = coarse_side(visible)
        return invert(photo, self.generator, self.encoder, visible=visible, side=side).reconstruction

    def _estimate_rest_shape(self, photo: Tensor, cloth: Tensor, edits: tuple[Any, ...]) -> RestShape:
        """cloth [2,H,W]: cloth and what is frozen."""
        columns = round(ANCHOR_ROWS * cloth.shape[2] / cloth.shape[1])
        kept = damp_at_anchors(np.ones((ANCHOR_ROWS, columns), np.float32), edits)
        mobility = torch.from_numpy(kept).to(self.device) if (kept < 1).any() else None
        return estimate_rest_shape(photo, cloth[0], self._cloth_nets, frozen=cloth[1], mobility=mobility)

    @property
    def _cloth_nets(self) -> ClothNets:
        return self.cloth_nets or self._model_cloth_nets

    @cached_property
    def _model_cloth_nets(self) -> ClothNets:
        normals = NormalNet.from_tensors(role_tensors(self.model, "normals")).to(self.device)
        return ClothNets(normals, ClothNet.from_tensors(role_tensors(self.model, "cloth")).to(self.device))

    @cached_property
    def _model_finder(self) -> ClothFinder | None:
        if FINDER not in self.model.files:
            return None
        return ClothFinder.from_tensors(role_tensors(self.model, FINDER), self.segmenter.backbone).to(self.device)

    @cached_property
    def _model_style_nets(self) -> StyleNets:
        own = STYLES in self.model.files and self.encoder is not None
        model = self.model if own else find_model("default")
        named = {name: w_plus.to(self.device) for name, w_plus in role_tensors(model, STYLES).items()}
        if own and self.encoder is not None:
            return StyleNets(self.generator, self.encoder, named)
        generator = Generator.from_tensors(role_tensors(model, "generator"), model.injection)
        encoder = Encoder.from_tensors(role_tensors(model, "encoder"))
        return StyleNets(generator.to(self.device), encoder.to(self.device), named)

    def _check_model(self, scene: Scene, warp: str) -> None:
        """Warns if the scene comes from another model; WeightsNotFound where its generator has to run again."""
        if scene.made_with(self.model):
            return
        wanted = f"The scene was made with the model '{scene.model.name}'"
        if warp == "dfw":
            raise WeightsNotFound(
                f"{wanted}, whose weights are not those of '{self.model.name}'; warp dfw needs them,"
                " so load that model, or use warp msdfw."
            )
        warnings.warn(
            f"{wanted}, whose weights are not those of '{self.model.name}'; what edits change may move differently.",
            StylecineWarning,
            stacklevel=5,  # the caller of render or preview
        )


def _moving_cloth(loop: Cinemagraph) -> tuple[RestShape, ClothLayer]:
    if loop.rest_shape is None or loop.cloth_layer is None:
        raise NothingMoves(loop.cloth_warning or "There is no cloth in this loop that a wind could move; paint it.")
    return loop.rest_shape, loop.cloth_layer


def _half_precision(feature: Tensor) -> Tensor:
    """F as a .cine file keeps it: in half precision, unless its values are too large for that."""
    half = feature.half().float()
    return half if torch.isfinite(half).all() else feature


def _shrink(scene: Scene, layers: Tensor, cloth: Tensor | None, short: int) -> tuple[Scene, Tensor, Tensor | None]:
    """A scene with those layers, without edits, at a `short` side, its layers, and what is cloth and frozen [2,H,W].

    Its latents stay those of the whole photo. Raises NothingMoves if nothing is left of what moves.
    """
    photo, reconstruction = (load_photo(picture, short) for picture in (scene.photo, scene.reconstruction))

    def small(maps: Tensor) -> Tensor:
        made = F.interpolate(maps[None], photo.shape[:2], mode="bilinear", align_corners=False, antialias=True)[0]
        return torch.where(made < MIN_LAYER_ALPHA, 0, made).clamp(max=1)

    layers, cloth = small(layers), None if cloth is None else small(cloth)
    if not layers.any() and (cloth is None or not cloth[0].any()):
        raise NothingMoves(f"What moves is too small to be seen at a size of {short}; ask for a larger preview.")
    shrunk = replace(
        scene,
        photo=photo,
        reconstruction=reconstruction,
        layers=layers.clone(),
        mask=moving(layers),
        edits=(),
        settings={**scene.settings, "size": format_size(short)},
    )
    return shrunk, layers, cloth
