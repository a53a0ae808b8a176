"""An inverted photo: its latents, what moves in it and how, and the edits of that."""

import operator
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from stylecine.edits.apply import Editable
from stylecine.edits.model import Edit
from stylecine.edits.scene_file import SOURCE, Cine, read_cine, write_cine
from stylecine.machine.memory import check_memory
from stylecine.machine.progress import Progress, Stages
from stylecine.output.metadata import model_facts
from stylecine.output.notebook import image_html
from stylecine.output.preview import mask_overlay
from stylecine.perception.layers import moving
from stylecine.perception.scenery import Scenery
from stylecine.picture.photo import PhotoFile
from stylecine.weights import CLOTH, PLANTS, ROLES, STYLES, FileRecord, ModelRecord, models, models_folder


@dataclass(frozen=True, eq=False)
class Latents:
    """What a generator knows of a photo: `reconstruction`, `w_plus` and `feature` of a scene."""

    reconstruction: np.ndarray
    w_plus: Tensor
    feature: Tensor


class PendingLatents:
    """Latents that are found when something first needs them: most loops are made without any. Pickled, they are those
    that were found, or how to find them."""

    def __init__(self, find: Callable[[], Latents], found: Latents | None = None) -> None:
        self._find, self._lock = find, threading.Lock()
        self.found = found

    def get(self) -> Latents:
        with self._lock:
            if self.found is None:
                self.found = self._find()
            return self.found

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._find, self.found)


@dataclass(frozen=True, eq=False, repr=False)
class Scene(Editable):
    """What `Animator.invert` predicts from one photo, and all that `Animator.render` needs; immutable.

    `paint`, `push`, `anchor`, `speed` and `style` return a scene with one more edit, `undo` one without the last;
    predictions stay as they are, and edits are applied when the scene is rendered.

    Attributes:
        photo: the photo, oriented, in sRGB and sized, uint8 [H,W,3].
        inversion: its latents, or how to find them.
        layers: soft maps of what can move, float32 [K,H,W] in [0,1]: sky, water, falls, smoke.
        mask: how much each pixel moves, 1 − Π(1 − layer), float32 [H,W] in [0,1].
        motion: Eulerian motion field, float32 [2,h,w], pixels of its own grid per 1/30 s, x right, y down.
        scenery: all that was seen in the photo; None for a scene from a file, until it is rendered.
        model: record of the weights that made it.
        edits: in order.
        source: the photo's file; None for pixels.
        settings: the options it was inverted with.
        timings: seconds by stage.
        alpha: of a photo of which some is transparent, uint8 [H,W], straight; None for any other. Under what is fully
            transparent, `photo` has the colours of its surroundings.
    """

    photo: np.ndarray
    inversion: Latents | PendingLatents
    layers: Tensor
    mask: Tensor
    motion: Tensor
    model: ModelRecord
    scenery: Scenery | None = None
    edits: tuple[Edit, ...] = ()
    source: PhotoFile | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    alpha: np.ndarray | None = None

    def made_with(self, model: ModelRecord) -> bool:
        """Whether a model has the same weights, to the byte, as the one that made the scene."""
        digests = ({r: w["sha256"] for r, w in _facts(m)["weights"].items()} for m in (self.model, model))
        return self.model is model or operator.eq(*digests)

    def __repr__(self) -> str:
        height, width = self.photo.shape[:2]
        name = (self.source and self.source.name) or "pixels"
        moves = 100 * float((self.mask > 0).float().mean())
        return f"<Scene {name}, {width}x{height}, {moves:.0f}% moves, {len(self.edits)} edits>"

    @property
    def is_inverted(self) -> bool:
        """Whether the latents are there already; otherwise what needs them waits about a second."""
        return isinstance(self.inversion, Latents) or self.inversion.found is not None

    @property
    def latents(self) -> Latents:
        return self.inversion if isinstance(self.inversion, Latents) else self.inversion.get()

    @property
    def reconstruction(self) -> np.ndarray:
        """The generator's output G(F, w+), without the residual, uint8 [H,W,3]."""
        return self.latents.reconstruction

    @property
    def w_plus(self) -> Tensor:
        """Style vectors, float32 [L,512]."""
        return self.latents.w_plus

    @property
    def feature(self) -> Tensor:
        """Features at the injection layer, float32 [C,h,w]."""
        return self.latents.feature

    def size_at(self, short: int | None) -> tuple[int, int]:
        """Width and height of its loop in full size, None, or of a preview with this short side."""
        height, width = self.photo.shape[:2]
        scale = 1.0 if short is None else min(1.0, short / min(height, width))
        return round(width * scale), round(height * scale)

    @property
    def photo_warning(self) -> str:
        """What is missing of the photo; "" if nothing is."""
        return self.source.warning if self.source else ""

    @property
    def wraps(self) -> bool:
        """Whether it is a whole 360° photo, whose left and right edges meet."""
        return self.source is not None and self.source.wraps

    @property
    def predicted_layers(self) -> np.ndarray:
        return self.layers.cpu().numpy()

    @cached_property
    def edited_layers(self) -> Tensor:
        """`layers` after the edits, float32 [K,H,W] in [0,1]."""
        return torch.from_numpy(self.edited[0]).to(self.layers.device)

    @cached_property
    def frozen(self) -> Tensor:
        """How much each pixel is frozen, float32 [H,W] in [0,1]; where it is 1 nothing moves."""
        return torch.from_numpy(self.edited[1]).to(self.layers.device)

    @cached_property
    def edited_cloth(self) -> Tensor:
        """How much of each pixel was painted as cloth, float32 [H,W] in [0,1]."""
        return torch.from_numpy(self.cloth).to(self.layers.device)

    def _repr_html_(self) -> str:
        """The photo with what moves tinted by class, edits included, for a notebook."""
        height, width = self.photo.shape[:2]
        count = len(self.edits) or "no"
        caption = f"{width}x{height}, {count} edit{'' if count == 1 else 's'}"
        shown = torch.cat((self.edited_layers, self.edited_cloth[None]))
        return image_html(mask_overlay(self.photo, shown), caption)

    def save(self, path: str | PathLike[str], *, progress: Progress | None = None) -> Path:
        """Writes a .cine file, whole or not at all; the photo's own file is kept as name and checksum only.

        A scene loaded from it renders bit-identical frames. progress: as in `animate`, but also called by other
        threads. Raises OutputError, SceneError, Cancelled.
        """
        tensors = {name: getattr(self, name).cpu().numpy() for name in ("layers", "motion", "w_plus", "feature")}
        cine = Cine(
            photo=self.photo,
            reconstruction=self.reconstruction,
            **tensors,
            model=_facts(self.model),
            source=None if self.source is None else {name: getattr(self.source, name) for name in SOURCE},
            settings={name: self.settings[name] for name in ("size", "refine", "seed")},
            edits=self.edits,
            alpha=self.alpha,
        )
        with Stages(progress).stage("saving", cancel_at_end=False) as report:
            return write_cine(cine, path, partial(report, 0, 1))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """The scene in a .cine file, on the CPU. Safe with untrusted files. Raises SceneError, TooLarge.

        The model need not be installed until its generator is needed, which is to render with warp "dfw".
        """
        cine = read_cine(path)
        height, width = cine.photo.shape[:2]
        check_memory(width, height, remedy="make the scene again with")
        layers, kept = torch.from_numpy(cine.layers), cine.source
        source = None if kept is None else PhotoFile(kept["name"], b"", kept["sha256"], kept["warning"], kept["wraps"])
        return cls(
            photo=cine.photo,
            inversion=Latents(cine.reconstruction, torch.from_numpy(cine.w_plus), torch.from_numpy(cine.feature)),
            layers=layers,
            mask=moving(layers),
            motion=torch.from_numpy(cine.motion),
            model=_record(cine.model),
            edits=cine.edits,
            source=source,
            settings=dict(cine.settings),
            alpha=cine.alpha,
        )


def _facts(model: ModelRecord) -> dict[str, Any]:
    """The record of a model in a .cine file, without what a scene does not need: cloth, plants, styles come later."""
    public = model_facts(model)
    files = {role: facts for role, facts in public["weights"].items() if role not in (*CLOTH, PLANTS, STYLES)}
    weights = {role: {name: facts[name] for name in ("sha256", "licence")} for role, facts in files.items()}
    return public | {"resolution": model.resolution, "injection": model.injection, "weights": weights}


def _record(facts: Mapping[str, Any]) -> ModelRecord:
    """The record of the model that a .cine file names: the installed one, if all weights are the same.

    Otherwise each weight file is that of any model with the same checksum, or a path that does not exist.
    """
    known = models()
    for model in known:
        if model.name == facts["name"] and model.installed and _facts(model) == facts:
            return model
    installed = {file.sha256: file for model in known for file in model.files.values() if file.sha256}
    absent = models_folder() / "not-installed"
    files = {
        role: installed.get(of["sha256"]) or FileRecord(absent / f"{role}.safetensors", of["licence"], of["sha256"])
        for role, of in facts["weights"].items()
        if role in ROLES
    }
    texts = {name: facts[name] for name in ("name", "resolution", "injection", "licence", "source")}
    return ModelRecord(**texts, files=files)
