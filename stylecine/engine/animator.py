"""The networks of one model, and what they do with a photo: invert it, preview and render its loop."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from stylecine.cloth.animate import animate_cloth
from stylecine.cloth.rest_shape import RestShape, estimate_rest_shape
from stylecine.edits.apply import damp_at_anchors
from stylecine.edits.model import Style
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.engine.framing import framed, is_around_motion
from stylecine.engine.landscape import move_landscape
from stylecine.engine.loop_warnings import cloth_warning, mask_warning
from stylecine.engine.model_networks import Networks
from stylecine.engine.resolve import MovingParts, looks_for_cloth, resolve, resolve_style
from stylecine.engine.scene import Latents, PendingLatents, Scene
from stylecine.errors import NothingMoves, SceneError, StylecineWarning, WeightsNotFound
from stylecine.machine.defaults import with_usual_defaults
from stylecine.machine.memory import check_memory, release_freed
from stylecine.machine.progress import Progress, Stages
from stylecine.machine.threads import another_thread
from stylecine.movement.motion import predict_motion
from stylecine.ops.image import fast_dtype, to_tensor, to_uint8
from stylecine.options import (
    CLOTH,
    RenderArguments,
    RenderOptions,
    Size,
    Wind,
    check_inversion_options,
    check_wind,
    format_size,
)
from stylecine.perception.layers import moving
from stylecine.perception.look import look
from stylecine.perception.scenery import Scenery, moving_in
from stylecine.perception.see import QUICK
from stylecine.picture.inversion import ProgressCallback, invert, refinement_steps
from stylecine.picture.overlay import Overlay
from stylecine.picture.photo import ReadPhoto, Source, read_photo
from stylecine.picture.size import check_preview_size
from stylecine.picture.transparency import split_alpha, transparent
from stylecine.weights import ModelRecord

ANCHOR_ROWS = 256  # of the grid on which anchors fix cloth


class Animator(Networks):
    """The networks of one model on one device, for any number of photos."""

    def __repr__(self) -> str:
        return f"<Animator {self.model.name}, {self.device}>"

    @torch.no_grad()
    @with_usual_defaults
    def invert(
        self,
        photo: "Source | ReadPhoto",
        *,
        size: Size = 1024,
        refine: int = 0,
        seed: int = 0,
        latents: bool = True,
        quick: bool = False,
        progress: Progress | None = None,
    ) -> Scene:
        """The expensive part, once per photo: its latents, what moves in it and how. Parameters as in `animate`.

        latents: find them now. Otherwise this takes two thirds of the time, and they are found when something needs
        them, as `save` does and loops with warp dfw or a detail below 1. quick: what moves is looked for in smaller
        copies of the photo, for a first impression.
        """
        stages = Stages(progress, self.device)
        check_inversion_options(refine, seed)
        refine = refinement_steps(self.has_encoder, refine)
        with stages.stage("photo"):
            if isinstance(photo, tuple):
                picture, source = photo
            else:
                picture, source = read_photo(photo, size)
                if is_around_motion(size):
                    picture, size = framed(photo if source is None else source.content, size, self)
            picture, alpha = split_alpha(picture)
            check_memory(picture.shape[1], picture.shape[0], self.device)
        image, wraps = to_tensor(picture).to(self.device), source is not None and source.wraps
        find: Callable[[], Scenery] = partial(look, image, self.eye, self.refiner, QUICK if quick else 1.0, wraps)
        inversion: Latents | PendingLatents = PendingLatents(
            partial(_find_latents, self.model, self.device, picture, refine, seed)
        )
        with another_thread(self.device, "stylecine-look") as submit:
            if latents:
                find = submit(find).result  # much of it uses one core; inversion uses all
                with stages.stage("inversion", max(1, refine)) as step:
                    inversion = self._latents(image, refine, seed, step)
            with stages.stage("mask"):
                scenery = find()
                if alpha is not None:
                    scenery = moving_in(scenery, torch.from_numpy(~transparent(alpha)))
        with stages.stage("motion"):
            motion = predict_motion(scenery)
        release_freed()
        return Scene(
            photo=picture,
            inversion=inversion,
            layers=scenery.layers,
            mask=moving(scenery.layers),
            motion=motion,
            model=self.model,
            scenery=scenery,
            source=source,
            settings={"size": format_size(size), "refine": refine, "seed": seed},
            timings=stages.timings,
            alpha=alpha,
        )

    def scene_for(self, options: RenderOptions, photo: "Source | ReadPhoto", **inversion: Any) -> Scene:
        """Of a photo, for a loop of these options: with latents only if that needs them. inversion: of `invert`."""
        generated = bool(inversion["refine"]) or options.warp == "dfw" or options.detail < 1
        found_later = options.subject == CLOTH  # and where there is none, nothing is made
        return self.invert(photo, latents=generated and not found_later, **inversion)

    def _latents(self, photo: Tensor, refine: int, seed: int, progress: ProgressCallback | None = None) -> Latents:
        """Of a photo [3,H,W] in [-1,1]."""
        generator, dtype = self.generator.seeded(seed), fast_dtype(self.device)
        inverted = invert(photo, generator, self.encoder, refine=refine, dtype=dtype, progress=progress)
        half = inverted.feature.half().float()  # as a .cine file keeps it, unless its values are too large for that
        feature = half if torch.isfinite(half).all() else inverted.feature
        return Latents(to_uint8(inverted.reconstruction).cpu().numpy(), inverted.w_plus, feature)

    def preview(
        self, scene: Scene, *, size: int = 256, progress: Progress | None = None, **options: Unpack[RenderArguments]
    ) -> Cinemagraph:
        """A small, quick loop of a scene, its edits included: short side `size`, 64 or more. Otherwise as `render`.

        Only the photo and what moves are shrunk; nothing is inverted again.
        """
        short = check_preview_size(size)
        return self.render_with(RenderOptions.create(**options), scene, short=short, quick=True, progress=progress)

    def render(
        self,
        scene: Scene,
        *,
        size: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[RenderArguments],
    ) -> Cinemagraph:
        """The cheap part, once per change of mind: the loop of a scene, its edits included.

        size: short side of the loop, 64 or more, if it is to be smaller than the scene's photo. options: those of
        `RenderOptions`, as `animate` documents them; what is given comes on top of the edits.
        Raises as `animate` does. Warns with a StylecineWarning if the scene was made with another model.
        """
        short = None if size is None else check_preview_size(size)
        return self.render_with(RenderOptions.create(**options), scene, short=short, progress=progress)

    @torch.no_grad()
    @with_usual_defaults
    def render_with(
        self,
        options: RenderOptions,
        scene: Scene,
        *,
        short: int | None = None,
        quick: bool = False,
        progress: Progress | None = None,
    ) -> Cinemagraph:
        """`render` with all options in one value. short: the loop's size; quick: it is a `preview`."""
        if not isinstance(scene, Scene):
            raise SceneError(f"A loop is made of a scene, as invert() or Scene.load() returns it, not of {scene!r}.")
        self._check_model(scene, options.warp)
        stages = Stages(progress, self.device)
        stages.timings.update(scene.timings)
        style = resolve_style(options, scene.edits)
        if looks_for_cloth(scene, options):
            with stages.stage("mask"):
                self.cloth_in(scene.photo)
        with stages.stage("motion"):
            parts = resolve(scene, options, self, short, quick)
        cloth, still = self._move_cloth(parts, options, stages)
        landscape = move_landscape(parts, cloth, options, self, stages)
        overlays = tuple(overlay for overlay in (landscape.plants, cloth) if overlay is not None)
        if not quick:
            release_freed()
        loop = Cinemagraph(
            loop=landscape.loop,
            scene=parts.scene,
            layers=landscape.scenery.layers,
            scenery=landscape.scenery,
            mask=_moving(landscape.moves, overlays),
            motion=landscape.flow,
            period=options.period,
            fps=options.fps,
            settings=options.describe() | ({} if parts.found is None else {"mask": "found"}),
            timings=stages.timings,
            progress=progress,
            edits=scene.edits,
            overlays=overlays,
            mask_warning=mask_warning(parts, landscape.moves, options, self),
            cloth_warning=still or cloth_warning(scene, options, parts.found, self, preview=quick),
        )
        if style is not None:
            with stages.stage("style"):
                (grid,) = self.style_grids(scene.photo, [style])
            loop = loop.styled(grid, style.strength, style.drift)
        if options.weather is None:
            return loop
        with stages.stage("weather"):
            return loop.in_weather(options.weather, options.weather_strength, options.wind, options.speed)

    def _move_cloth(self, parts: MovingParts, options: RenderOptions, stages: Stages) -> tuple[Overlay | None, str]:
        """Cloth in the wind, and why it does not move although it should. Raises NothingMoves if no cloth can move,
        unless the landscape does."""
        if parts.cloth is None:
            return None, ""
        with stages.stage("cloth") as step:
            try:
                rest_shape = self._estimate_rest_shape(parts.photo, parts.cloth, parts.edits)
                length = {"cycles": options.gusts, "period": options.period}
                return animate_cloth(rest_shape, self.cloth_nets, options.wind or Wind(), **length, progress=step), ""
            except NothingMoves as error:
                if options.subject == CLOTH or not (parts.scenery.layers.any() or parts.plants is not None):
                    raise
                return None, f"Only the landscape moves. {error}"

    @torch.no_grad()
    @with_usual_defaults
    def turn_wind(
        self, loop: Cinemagraph, wind: Wind | Sequence[float], *, progress: Progress | None = None
    ) -> Cinemagraph:
        """A loop with its cloth in another wind, as `render` would make it, in a fraction of the time; a landscape and
        its plants keep theirs.

        wind: as in `animate`. Raises OptionError for what is no wind, NothingMoves if no cloth moves.
        """
        wind, before = check_wind(wind), loop.overlay(CLOTH)
        if before is None or not isinstance(before.at_rest, RestShape):
            raise NothingMoves(loop.cloth_warning or "There is no cloth in this loop that a wind could move; paint it.")
        stages = Stages(progress, self.device)
        with stages.stage("cloth") as step:
            length = {"cycles": before.cycles, "period": before.period}
            cloth = animate_cloth(before.at_rest, self.cloth_nets, wind, **length, progress=step)
        overlays = tuple(cloth if overlay is before else overlay for overlay in loop.overlays)
        assert loop.scenery is not None, "what has cloth was rendered"
        return replace(
            loop,
            mask=_moving(loop.scenery.eroded.moves.to(self.device), overlays),
            settings={**loop.settings, "wind": [wind.degrees, wind.strength]},
            timings={**loop.timings, **stages.timings},
            progress=progress,
            overlays=overlays,
        )

    @torch.no_grad()
    @with_usual_defaults
    def style_grids(self, photo: np.ndarray, styles: Sequence[Style]) -> list[Tensor]:
        """The recolouring of a photo uint8 [H,W,3] by each of some styles: grids for `ops.recolour`.

        They fit frames of any size. Raises OptionError for a name that the model does not know.
        """
        nets = self.style_nets
        others = [nets.w_plus_of(style.name, style.picture) for style in styles]
        return nets.grids(torch.from_numpy(photo.copy()).to(self.device), others)

    def _estimate_rest_shape(self, photo: Tensor, cloth: Tensor, edits: tuple[Any, ...]) -> RestShape:
        """cloth [2,H,W]: cloth and what is frozen."""
        columns = round(ANCHOR_ROWS * cloth.shape[2] / cloth.shape[1])
        kept = damp_at_anchors(np.ones((ANCHOR_ROWS, columns), np.float32), edits)
        mobility = torch.from_numpy(kept).to(self.device) if (kept < 1).any() else None
        return estimate_rest_shape(photo, cloth[0], self.cloth_nets, frozen=cloth[1], mobility=mobility)

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
            stacklevel=6,  # the caller of render or preview
        )


@torch.no_grad()
def _find_latents(model: ModelRecord, device: torch.device, photo: np.ndarray, refine: int, seed: int) -> Latents:
    """With networks that are loaded for it: a scene that kept those that made it would keep their memory."""
    return Animator.from_record(model, device)._latents(to_tensor(photo).to(device), refine, seed)


def _moving(landscape: Tensor, overlays: Sequence[Overlay]) -> Tensor:
    """How much each pixel moves, [H,W], of the landscape and with what is drawn over it."""
    for overlay in overlays:
        landscape = torch.maximum(landscape, overlay.reach)
    return landscape
