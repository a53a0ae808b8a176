"""The networks of one model, and what they do with a photo: invert it, preview and render its loop."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.cinemagraph import Cinemagraph
from stylecine.cloth.animate import ClothNets, hang
from stylecine.cloth.layer import Drapery
from stylecine.edits.apply import Anchor, Edit, Paint, Speed, anchored, live_arrows, steered
from stylecine.errors import MaskError, NothingMoves, StylecineWarning, TooLarge, WeightsNotFound
from stylecine.networks.clothnet import ClothNet
from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator
from stylecine.networks.motionnet import MotionNet
from stylecine.networks.normalnet import NormalNet
from stylecine.networks.segmenter import Segmenter
from stylecine.ops.image import to_tensor, to_uint8
from stylecine.options import (
    CLOTH,
    MIN_LAYER_ALPHA,
    Arrow,
    RenderOptions,
    Wind,
    check_arrows,
    check_device,
    check_int,
    check_inversion_options,
    check_memory,
    check_subject,
    describe_inputs,
    format_size,
    gust_count,
)
from stylecine.progress import Progress, Stages
from stylecine.scene import Scene
from stylecine.stages.displacement import integrate, margin_for, on_grid_of
from stylecine.stages.inversion import SLACK, effort, invert
from stylecine.stages.loop import Loop, laplacian_levels, make_loop
from stylecine.stages.mask import apply_mask, erode_moving_edges, given_mask, moving, predict_layers, require_motion
from stylecine.stages.motion import given_motion, predict_motion
from stylecine.stages.photo import MAX_SIDE, MIN_SIDE, Size, Source, load_photo, read_photo
from stylecine.stages.plate import Plate, canvas, feature_plate, plain_plate
from stylecine.stages.swell import roll
from stylecine.weights import ModelRecord, find_model, role_tensors

SLOW = 0.05  # pixels of a given motion's own grid per 1/30 s: without a mask, what is faster moves
CALM_GRID = 256  # rows on which anchors hold cloth
STILL = 1e-3  # below this nothing can be seen to move


@dataclass(frozen=True)
class _Given:
    """What moves and how, as a caller says it; checked, but for masks and motions, which are read when needed."""

    subject: str
    mask: Any
    motion: Any
    arrows: Sequence[Arrow]
    wind: Wind

    @property
    def told(self) -> dict[str, Any]:
        """For a report; a loop of a landscape says nothing of cloth."""
        if self.subject == "landscape":
            return {}
        painted = {"mask": "painted"} if self.subject == CLOTH and self.mask is None else {}
        return {"subject": self.subject, "wind": [self.wind.degrees, self.wind.strength]} | painted


@dataclass(frozen=True)
class Animator:
    """The networks of one model on one device, to be used for any number of photos."""

    model: ModelRecord
    device: torch.device
    generator: Generator
    encoder: Encoder | None  # foreign generators have none
    segmenter: Segmenter
    motionnet: MotionNet
    cloth_nets: ClothNets | None = None  # None: the model's, read when they are needed

    @classmethod
    @torch.inference_mode(False)  # the generator's gradients may be wanted
    def from_pretrained(cls, model: str | PathLike[str] = "default", device: str | torch.device | None = None) -> Self:
        """Loads a model by name or path. Raises WeightsError, OptionError."""
        record, place = find_model(model), check_device(device)
        return cls(
            record,
            place,
            Generator.from_tensors(role_tensors(record, "generator"), record.injection).to(place),
            Encoder.from_tensors(role_tensors(record, "encoder")).to(place) if "encoder" in record.files else None,
            Segmenter.from_tensors(role_tensors(record, "segmenter")).to(place),
            MotionNet.from_tensors(role_tensors(record, "motion")).to(place),
        )

    @torch.no_grad()
    def invert(
        self,
        photo: Source,
        *,
        size: Size = 1024,
        refine: int = 0,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Scene:
        """The dear part, once a photo: its latents, what moves in it and how. Parameters as in `animate`."""
        check_inversion_options(refine, seed)
        stages = Stages(progress, self.device)
        with stages.stage("photo"):
            picture, source = read_photo(photo, size)
            check_memory(picture.shape[1], picture.shape[0], self.device)
            image = to_tensor(picture).to(self.device)
        refine = effort(self.encoder, refine)
        with stages.stage("inversion", max(1, refine)) as step:
            found = invert(image, self.generator.seeded(seed), self.encoder, refine=refine, progress=step)
        with stages.stage("mask"):
            layers = predict_layers(image, self.segmenter)
        with stages.stage("motion"):
            motion = predict_motion(image, layers, self.motionnet)
        return Scene(
            photo=picture,
            reconstruction=to_uint8(found.reconstruction).cpu().numpy(),
            w_plus=found.w_plus,
            feature=_rounded(found.feature),
            layers=layers,
            mask=moving(layers),
            motion=motion,
            model=self.model,
            source=source,
            settings={"size": format_size(size), "refine": refine, "seed": seed},
            timings=stages.timings,
        )

    @torch.no_grad()
    def preview(
        self,
        scene: Scene,
        *,
        size: int = 256,
        subject: str = "landscape",
        mask: Any = None,
        motion: Any = None,
        arrows: Sequence[Arrow] = (),
        wind: Sequence[float] | None = None,
        progress: Progress | None = None,
        **look: Any,
    ) -> Cinemagraph:
        """A small, quick loop of a scene, its edits included: short side `size`, 64 or more. Else as `render`.

        Only the photo and what moves are shrunk; nothing is inverted again.
        """
        short = check_int("size", size, MIN_SIDE, MAX_SIDE)
        given = _Given(subject, mask, motion, check_arrows(arrows), check_subject(subject, wind, motion, arrows))
        return self._render(scene, short, given, RenderOptions(**look), progress)

    @torch.no_grad()
    def render(
        self,
        scene: Scene,
        *,
        subject: str = "landscape",
        mask: Any = None,
        motion: Any = None,
        arrows: Sequence[Arrow] = (),
        wind: Sequence[float] | None = None,
        seconds: float = 4.0,
        fps: float = 30,
        speed: float = 1.0,
        warp: str = "msdfw",
        sampling: str = "gather",
        detail: float = 1.0,
        progress: Progress | None = None,
    ) -> Cinemagraph:
        """The cheap part, once a change of mind: the loop of a scene, its edits included; what is given comes on top.

        Parameters as in `animate`. Warns with a StylecineWarning if the scene was made with another model.
        """
        look = RenderOptions(seconds, fps, speed, warp, sampling, detail)
        given = _Given(subject, mask, motion, check_arrows(arrows), check_subject(subject, wind, motion, arrows))
        return self._render(scene, None, given, look, progress)

    def _render(
        self, scene: Scene, short: int | None, given: "_Given", look: RenderOptions, progress: Progress | None
    ) -> Cinemagraph:
        """The loop of a scene, shrunk to a `short` side once it is known what moves, and how; None: as it is."""
        self._require_model(scene, look.warp)
        stages = Stages(progress, self.device)
        stages.timings.update(scene.timings)
        edits = scene.edits
        with stages.stage("motion"):
            photo = to_tensor(scene.photo).to(self.device)
            cloth = self._cloth(scene, given)
            layers, flow = self._flowing(scene, photo, given, cloth)
            if short is not None:
                scene, layers, cloth = _shrunk(scene, layers, cloth, short)
                photo = to_tensor(scene.photo).to(self.device)
        loop, drapery, moves = None, None, torch.zeros_like(layers[0])
        if cloth is not None:
            with stages.stage("cloth"):
                drapery = self._hung(photo, cloth, given.wind, look, edits)
                layers = layers * (1 - drapery.covers)
        flow = flow * look.speed
        if cloth is None or (erode_moving_edges(layers, photo) > 0).any():
            loop, moves = self._loop(scene, photo, layers, flow, given, look, stages)
        if drapery is not None:
            moves = torch.maximum(moves, drapery.reach)
        settings = describe_inputs(given.mask, given.motion, given.arrows) | given.told | asdict(look)
        times = stages.timings
        return Cinemagraph(
            loop, scene, layers, moves, flow, look.frames, look.fps, settings, times, progress, edits, drapery
        )

    def _loop(
        self,
        scene: Scene,
        photo: Tensor,
        layers: Tensor,
        flow: Tensor,
        given: "_Given",
        look: RenderOptions,
        stages: Stages,
    ) -> tuple[Loop, Tensor]:
        """The landscape's loop, and how much each pixel moves [H,W]."""
        refine = scene.settings["refine"] if look.warp == "dfw" and self.encoder is None else 0
        with stages.stage("plate", max(1, refine)) as step:
            alone = to_tensor(scene.reconstruction).to(self.device)
            shown = photo if look.warp == "pixel" else torch.lerp(alone, photo, look.detail)
            moves = erode_moving_edges(layers, photo)
            margin = margin_for(flow, moves, look.frames, look.fps)
            plate = self._plate(scene, photo, shown, moves, margin, look.warp, look.detail, refine, step)
        with stages.stage("loop"):
            rolls = roll(layers, flow) if given.motion is None else None
            displacement = integrate(flow, moves, period=look.frames, fps=look.fps, margin=margin, roll=rolls)
            loop = make_loop(
                to_uint8(shown).cpu().numpy(),
                moves,
                laplacian_levels(plate.image),
                displacement,
                fps=look.fps,
                sampling=look.sampling,
                feature=plate.feature,
                resynthesise=plate.resynthesise,
            )
        return loop, moves

    def _cloth(self, scene: Scene, given: "_Given") -> Tensor | None:
        """What is cloth and what is frozen, [2,H,W] in [0,1], if cloth is to move and there is any.

        Raises MaskError where cloth is asked for and nobody says where.
        """
        if given.subject == "landscape":
            return None
        frozen = scene.frozen.to(self.device)
        if given.subject == CLOTH and given.mask is not None:
            cloth = given_mask(given.mask, (scene.photo.shape[0], scene.photo.shape[1])).to(self.device) * (1 - frozen)
            if not (cloth > 0.5).any():
                raise NothingMoves("All that cloth is frozen, so nothing would move; undo the freeze.")
        else:
            cloth = scene.edited_cloth.to(self.device)
        if (cloth > 0.5).any():
            return torch.stack((cloth, frozen))
        if given.subject == CLOTH:
            raise _no_cloth()
        return None

    def _flowing(self, scene: Scene, photo: Tensor, given: "_Given", cloth: Tensor | None) -> tuple[Tensor, Tensor]:
        """The landscape's layers and flow; where cloth moves these may be 0."""
        nothing = torch.zeros_like(scene.layers), torch.zeros_like(scene.motion)
        if given.subject == CLOTH:
            return nothing
        if cloth is None:
            return self._what_moves(scene, photo, given.mask, given.motion, given.arrows)
        try:
            return self._what_moves(scene, photo, given.mask, given.motion, given.arrows)
        except NothingMoves:
            return nothing

    def _hung(self, photo: Tensor, cloth: Tensor, wind: Wind, look: RenderOptions, edits: Sequence[Edit]) -> Drapery:
        nets = self.cloth_nets or self._own_cloth_nets
        kept = anchored(np.ones((CALM_GRID, round(CALM_GRID * cloth.shape[2] / cloth.shape[1])), np.float32), edits)
        calm = torch.from_numpy(kept).to(self.device) if (kept < 1).any() else None
        cycles = gust_count(look.seconds, look.speed)
        return hang(photo, cloth[0], nets, wind, cycles=cycles, period=look.frames, frozen=cloth[1], calm=calm)

    @cached_property
    def _own_cloth_nets(self) -> ClothNets:
        normals = NormalNet.from_tensors(role_tensors(self.model, "normals")).to(self.device)
        return ClothNets(normals, ClothNet.from_tensors(role_tensors(self.model, "cloth")).to(self.device))

    def _what_moves(
        self, scene: Scene, photo: Tensor, mask: Any, motion: Any, arrows: Sequence[Arrow]
    ) -> tuple[Tensor, Tensor]:
        """What was given, else what was found and edited: layers [K,H,W] and flow [2,h,w]."""
        layers, flow = scene.edited_layers.to(self.device, copy=True), scene.motion.to(self.device)  # a loop's own
        given = None if motion is None else given_motion(motion).to(self.device)
        if mask is None and given is not None:
            mask = given.norm(dim=0) > SLOW
            if not mask.any():
                raise NothingMoves(f"The motion is nowhere faster than {SLOW}, so nothing would move.")
        if mask is not None:
            layers = apply_mask(layers, given_mask(mask, (scene.photo.shape[0], scene.photo.shape[1])).to(self.device))
            layers = layers * (1 - scene.frozen.to(self.device))
            layers = torch.where(layers < MIN_LAYER_ALPHA, 0, layers)
            if not layers.any():
                raise NothingMoves("All that would move is frozen; undo the freeze, or give another mask or motion.")
        elif any(isinstance(edit, Paint) for edit in scene.edits):
            if not (layers > 0.5).any():
                raise NothingMoves("The edits leave nothing that moves; undo one, or add some sky or water.")
        else:
            require_motion(scene.mask)
        if given is not None:
            flow = given
        else:
            arrows = (*live_arrows(scene.edits, layers.cpu().numpy()), *arrows)
            if mask is not None or arrows or not torch.equal(layers, scene.layers.to(self.device)):
                flow = predict_motion(photo, layers, self.motionnet, arrows)
            flow = torch.from_numpy(steered(flow.cpu().numpy(), layers.cpu().numpy(), scene.edits)).to(self.device)
        if not (flow.norm(dim=0)[on_grid_of(moving(layers), flow)] > STILL).any():
            if mask is not None and given is not None:
                raise NothingMoves("The motion is zero where the mask is white, so nothing would move.")
            raise NothingMoves(_why_still(scene.edits, arrows))
        return layers, flow

    def _require_model(self, scene: Scene, warp: str) -> None:
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
            stacklevel=5,  # whoever called render or preview
        )

    def _plate(
        self,
        scene: Scene,
        photo: Tensor,
        shown: Tensor,
        moves: Tensor,
        margin: int,
        warp: str,
        detail: float,
        refine: int,
        progress: Callable[[int, int], None],
    ) -> Plate:
        """What moves of `shown`, continued behind what does not and past the frame."""
        wide, visible = canvas(photo, moves, margin)
        shown, _ = canvas(shown, moves, margin)
        if warp != "dfw":
            return plain_plate(shown, visible)
        if min(visible.shape) > SLACK * self.generator.resolution:
            fits = self.generator.resolution
            raise TooLarge(f"The photo is too large for warp dfw with this model; use size={fits} or msdfw.")
        generator = self.generator.seeded(scene.settings["seed"])
        hidden = invert(wide, generator, self.encoder, visible=visible, refine=refine, progress=progress)
        return feature_plate(wide, visible, hidden.reconstruction, detail, generator, hidden.w_plus, hidden.feature)


def _no_cloth() -> MaskError:
    return MaskError(
        "Cloth is not found by itself; give a mask that is white where the cloth is, or paint it: scene.paint('cloth',"
        " stroke), or stylecine edit --add cloth:STROKE."
    )


def _rounded(feature: Tensor) -> Tensor:
    """F as a .cine file keeps it: in half precision, unless that is too small for it."""
    half = feature.half().float()
    return half if torch.isfinite(half).all() else feature


def _why_still(edits: Sequence[Edit], arrows: Sequence[Arrow]) -> str:
    """What to say where there is what could move, and it does not."""
    kinds = {type(edit) for edit in edits}
    named = {"arrows": len(arrows) > 0, "anchors": Anchor in kinds, "speeds": Speed in kinds}
    causes = [name for name, there in named.items() if there]
    if not causes:
        return "What could move has no motion, so nothing would; give arrows, or a motion."
    return f"The {' and '.join(causes)} hold everything still, so nothing would move; change or undo them."


def _shrunk(scene: Scene, layers: Tensor, cloth: Tensor | None, short: int) -> tuple[Scene, Tensor, Tensor | None]:
    """A scene with those layers, without edits, at a `short` side, its layers, and what is cloth and frozen [2,H,W].

    Its latents stay those of all the photo. NothingMoves if nothing is left of what moves.
    """
    photo, alone = (load_photo(picture, short) for picture in (scene.photo, scene.reconstruction))

    def small(maps: Tensor) -> Tensor:
        made = F.interpolate(maps[None], photo.shape[:2], mode="bilinear", align_corners=False, antialias=True)[0]
        return torch.where(made < MIN_LAYER_ALPHA, 0, made).clamp(max=1)

    layers, cloth = small(layers), None if cloth is None else small(cloth)
    if not layers.any() and (cloth is None or not cloth[0].any()):
        raise NothingMoves(f"What moves is too little to be seen at a size of {short}; ask for a larger preview.")
    shrunk = replace(
        scene,
        photo=photo,
        reconstruction=alone,
        layers=layers.clone(),
        mask=moving(layers),
        edits=(),
        settings={**scene.settings, "size": format_size(short)},
    )
    return shrunk, layers, cloth
