"""The stages in order: photo -> inversion -> mask -> motion -> displacement -> synthesis -> loop."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.cinemagraph import Cinemagraph
from stylecine.displacement import integrate, margin_for, on_grid_of
from stylecine.errors import NothingMoves, StylecineWarning, TooLarge, WeightsNotFound
from stylecine.inversion import SLACK, effort, invert
from stylecine.loop import laplacian_levels, make_loop
from stylecine.mask import apply_mask, given_mask, moving, predict_layers, require_motion, without_fringe
from stylecine.motion import given_motion, predict_motion
from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator
from stylecine.networks.motionnet import MotionNet
from stylecine.networks.segmenter import Segmenter
from stylecine.ops.pixels import to_tensor, to_uint8
from stylecine.options import (
    NOTHING,
    Arrow,
    Look,
    check_arrows,
    check_device,
    check_dtype,
    check_effort,
    check_int,
    check_memory,
    told_origin,
    told_size,
)
from stylecine.photo import MAX_SIDE, MIN_SIDE, Size, Source, load_photo
from stylecine.progress import Progress, Stages
from stylecine.provenance import photo_file
from stylecine.roll import roll
from stylecine.scene import Scene
from stylecine.synthesis import Plate, canvas, feature_plate, plain_plate
from stylecine.touchup import Anchor, Edit, Paint, Speed, live_arrows, steered
from stylecine.weights import ModelRecord, find_model, role_tensors

SLOW = 0.05  # pixels of a given motion's own grid per 1/30 s: without a mask, what is faster moves
STILL = 1e-3  # below this nothing can be seen to move


def animate(
    photo: Source,
    *,
    mask: Any = None,
    motion: Any = None,
    arrows: Sequence[Arrow] = (),
    seconds: float = 4.0,
    fps: float = 30,
    speed: float = 1.0,
    size: Size = 1024,
    warp: str = "msdfw",
    sampling: str = "gather",
    detail: float = 1.0,
    refine: int = 0,
    model: str | PathLike[str] = "default",
    device: str | torch.device | None = None,
    dtype: torch.dtype | str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Cinemagraph:
    """One photo in, one seamless loop out. Everything is optional but the photo.

    photo: path, bytes, binary file, PIL image or uint8 array [H,W,3].
    mask: what moves, white or 1: path, PIL image or array (bool, float 0..1, uint8) of any size.
    motion: Eulerian motion field [2,h,w] or [1,2,h,w], array or .npy, pixels of its own grid per 1/30 s, x right,
        y down; without a mask, what is faster than 0.05 moves.
    arrows: (x0, y0, x1, y1) each, in fractions of width and height: where matter travels in one second.
    seconds, fps: length and rate of the loop. speed: times as fast.
    size: None = the photo's own; an int = short side, never enlarged; (width, height) = cropped to fill.
    warp, sampling: see `options.WARPS` and `options.SAMPLINGS`; "pixel" uses no generator.
    detail: share of what the generator misses that is put back; 0 shows the generator alone.
    refine: steps of optimisation after the encoder, or instead of it; foreign models have none and take 60 unless told.
    model: name or path. seed: of foreign models' noise.
    progress: called as (stage, done, total); returning False cancels.

    Raises a StylecineError that says what to do: OptionError, PhotoError, MaskError, MotionError, NothingMoves,
    TooLarge, WeightsError, Cancelled. Warns with a StylecineWarning where the photo seems to be no landscape.
    """
    Look(seconds, fps, speed, warp, sampling, detail)
    check_effort(refine, seed)
    check_dtype(dtype)
    place = check_device(device)
    stages = Stages(progress)
    with stages.stage("photo"):  # and all else a user gave, before the first dear step
        source = photo_file(photo)
        picture = load_photo(photo, size)
        mask = None if mask is None else given_mask(mask, (picture.shape[0], picture.shape[1]))
        motion = None if motion is None else given_motion(motion)
        arrows = check_arrows(arrows)
    with stages.stage("weights"):
        animator = Animator.from_pretrained(model, place)
    scene = animator.invert(picture, size=None, refine=refine, seed=seed, progress=progress)
    scene = replace(scene, source=source, settings={**scene.settings, "size": told_size(size)})
    loop = animator.render(
        scene,
        mask=mask,
        motion=motion,
        arrows=arrows,
        seconds=seconds,
        fps=fps,
        speed=speed,
        warp=warp,
        sampling=sampling,
        detail=detail,
        progress=progress,
    )
    if loop.warning:
        warnings.warn(loop.warning, StylecineWarning, stacklevel=2)
    timings = stages.timings | loop.timings
    timings["photo"] += stages.timings["photo"]  # reading it; the animator was given pixels
    return replace(loop, timings=timings)


@dataclass(frozen=True)
class Animator:
    """The networks of one model on one device, to be used for any number of photos."""

    model: ModelRecord
    device: torch.device
    generator: Generator
    encoder: Encoder | None  # foreign generators have none
    segmenter: Segmenter
    motionnet: MotionNet

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
        check_effort(refine, seed)
        stages = Stages(progress, self.device)
        with stages.stage("photo"):
            source = photo_file(photo)
            picture = load_photo(photo, size)
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
            settings={"size": told_size(size), "refine": refine, "seed": seed},
            timings=stages.timings,
        )

    @torch.no_grad()
    def preview(
        self,
        scene: Scene,
        *,
        size: int = 256,
        mask: Any = None,
        motion: Any = None,
        arrows: Sequence[Arrow] = (),
        progress: Progress | None = None,
        **look: Any,
    ) -> Cinemagraph:
        """A small, quick loop of a scene, its edits included: short side `size`, 64 or more. Else as `render`.

        Only the photo and what moves are shrunk; nothing is inverted again.
        """
        short = check_int("size", size, MIN_SIDE, MAX_SIDE)
        return self._render(scene, short, mask, motion, arrows, Look(**look), progress)

    @torch.no_grad()
    def render(
        self,
        scene: Scene,
        *,
        mask: Any = None,
        motion: Any = None,
        arrows: Sequence[Arrow] = (),
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
        look = Look(seconds, fps, speed, warp, sampling, detail)
        return self._render(scene, None, mask, motion, arrows, look, progress)

    def _render(
        self,
        scene: Scene,
        short: int | None,
        mask: Any,
        motion: Any,
        arrows: Sequence[Arrow],
        look: Look,
        progress: Progress | None,
    ) -> Cinemagraph:
        """The loop of a scene, shrunk to a `short` side once it is known what moves, and how; None: as it is."""
        arrows = check_arrows(arrows)
        self._require_model(scene, look.warp)
        stages = Stages(progress, self.device)
        stages.timings.update(scene.timings)
        edits = scene.edits
        with stages.stage("motion"):
            photo = to_tensor(scene.photo).to(self.device)
            layers, flow = self._what_moves(scene, photo, mask, motion, arrows)
            if short is not None:
                scene, layers = _shrunk(scene, layers, short)
                photo = to_tensor(scene.photo).to(self.device)
            alone = to_tensor(scene.reconstruction).to(self.device)
            shown = photo if look.warp == "pixel" else torch.lerp(alone, photo, look.detail)
            moves, flow = without_fringe(layers, photo), flow * look.speed
        refine = scene.settings["refine"] if look.warp == "dfw" and self.encoder is None else 0
        with stages.stage("plate", max(1, refine)) as step:
            margin = margin_for(flow, moves, look.frames, look.fps)
            plate = self._plate(scene, photo, shown, moves, margin, look.warp, look.detail, refine, step)
        with stages.stage("loop"):
            rolls = roll(layers, flow) if motion is None else None
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
        settings = told_origin(mask, motion, arrows) | asdict(look)
        times = stages.timings
        return Cinemagraph(loop, scene, layers, moves, flow, look.frames, look.fps, settings, times, progress, edits)

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
            layers = torch.where(layers < NOTHING, 0, layers)
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


def _shrunk(scene: Scene, layers: Tensor, short: int) -> tuple[Scene, Tensor]:
    """A scene with those layers, without edits, at a `short` side, and its layers.

    Its latents stay those of all the photo. NothingMoves if nothing is left of what moves.
    """
    photo, alone = (load_photo(picture, short) for picture in (scene.photo, scene.reconstruction))
    small = F.interpolate(layers[None], photo.shape[:2], mode="bilinear", align_corners=False, antialias=True)[0]
    small = torch.where(small < NOTHING, 0, small).clamp(max=1)
    if not small.any():
        raise NothingMoves(f"What moves is too little to be seen at a size of {short}; ask for a larger preview.")
    shrunk = replace(
        scene,
        photo=photo,
        reconstruction=alone,
        layers=small.clone(),
        mask=moving(small),
        edits=(),
        settings={**scene.settings, "size": told_size(short)},
    )
    return shrunk, small
