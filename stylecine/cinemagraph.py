"""The finished loop: frames on demand, measures on demand, a video file on demand."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylecine import __version__
from stylecine.cloth.layer import ClothLayer
from stylecine.edits.apply import Edit, Paint, told
from stylecine.options import CLASSES, CLOTH, check_live
from stylecine.output import VideoInfo
from stylecine.output.c2pa import Credentials, signer_for
from stylecine.output.crop import Crop, Window, check_crop, window
from stylecine.output.formats import check_output, has_codec, is_page, shown, write
from stylecine.output.html import write_page
from stylecine.output.images import is_poster
from stylecine.output.metadata import model_facts, versions
from stylecine.output.notebook import loop_html
from stylecine.output.web_pack import pack
from stylecine.progress import Progress, Stages
from stylecine.quality.measures import measure_loop
from stylecine.scene import Scene
from stylecine.stages.displacement import moving_points
from stylecine.stages.loop import frame
from stylecine.stages.photo import PhotoFile, encode_png

UNLIKE = 35.5  # dB of Scene.likeness: 36.6 to 51 for validation photos, less for text, noise and plots
LITTLE = 0.01  # of the picture: validation photos have 0.16 or more of sky and water


@dataclass(frozen=True, eq=False, repr=False)
class Cinemagraph:
    """A seamless loop of N = `len(c)` frames; `c[t]` renders one for any real t, and frame N is frame 0.

    Attributes:
        scene: the photo it was made from, understood.
        layers: soft maps of what moves, by class (sky, water, falls, smoke), float32 [K,H,W] in [0,1].
        mask: their union with the cloth: how much each pixel moves, float32 [H,W] in [0,1]; 0: the photo's own bytes.
        motion: the motion field that its landscape follows, speed included: [2,h,w], pixels of its own grid per 1/30 s;
            0 where cloth alone moves.
        period: N, frames in the loop. fps: frames per second it was made for.
        settings: the options it was made with; "given", "found" or "from motion" for the mask and the motion.
        timings: seconds by stage, from the photo on; `save` adds "video".
        edits: what people had changed about the scene.
        loop: what its landscape is drawn from, None where that stands still. cloth_layer: the same of its cloth.
    """

    loop: Any  # a Loop; None is rare, and all who ask for landscapes know that theirs is there
    scene: Scene
    layers: Tensor
    mask: Tensor
    motion: Tensor
    period: int
    fps: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    progress: Progress | None = None
    edits: tuple[Edit, ...] = ()
    cloth_layer: ClothLayer | None = None

    def __repr__(self) -> str:
        return f"<Cinemagraph {self.width}x{self.height}, {len(self)} frames, {self.fps:g} fps, of {self.scene!r}>"

    @property
    def width(self) -> int:
        return int(self.scene.photo.shape[1])

    @property
    def height(self) -> int:
        return int(self.scene.photo.shape[0])

    def __len__(self) -> int:
        return self.period

    def __getitem__(self, t: float) -> np.ndarray:
        """The frame uint8 [H,W,3] at time t in frames: any finite number, taken modulo `len(self)`."""
        if not math.isfinite(t):
            raise IndexError(f"A time is a finite number of frames, not {t!r}.")
        t %= self.period
        with torch.inference_mode():
            shown = self._still if self.loop is None else frame(self.loop, t)
            return (self.cloth_layer.draw_over(shown, t) if self.cloth_layer else shown).cpu().numpy()

    @cached_property
    def _still(self) -> Tensor:
        """The photo, uint8 [H,W,3]: what cloth alone moves over."""
        return torch.from_numpy(self.scene.photo.copy()).to(self.mask.device)

    @cached_property
    def tinted(self) -> Tensor:
        """`layers`, and the cloth as one more where there is any, to be shown over the photo."""
        return torch.cat((self.layers, self.cloth_layer.reach[None])) if self.cloth_layer else self.layers

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames of one loop, each rendered when it is asked for."""
        return (self[t] for t in range(len(self)))

    @property
    def seam(self) -> float:
        """The step from the last frame to the first over the median step: 1 where the seam cannot be seen."""
        return self.measures["seam"]

    @property
    def pulse(self) -> dict[str, float]:
        """How much fine contrast comes and goes over the loop: {"tiles", "global"}, 0 for not at all."""
        return {name: self.measures[f"pulse_{name}"] for name in ("tiles", "global")}

    @property
    def moved(self) -> dict[str, float]:
        """{"error", "travel"}: how far pixels are from following `motion`, how far they get a loop.

        Of the landscape alone; NaN without one, since cloth follows no steady motion.
        """
        return {"error": self.measures["moved_error"], "travel": self.measures["travel"]}

    @cached_property
    def measures(self) -> dict[str, float]:
        """Every figure of `stylecine.quality.measures.measure_loop`, computed in one pass when first asked for."""
        flowing = None if self.cloth_layer is None else self.mask.cpu() * (self.cloth_layer.reach.cpu() == 0)
        return measure_loop(self, self.scene.photo, self.mask.cpu(), self.motion.cpu(), self.fps, flowing=flowing)

    @property
    def warning(self) -> str:
        """One line that says why this loop may disappoint; "" where nothing speaks against it."""
        if self.cloth_layer is not None:  # whoever asks for cloth knows that it is there
            return ""
        painted = any(isinstance(edit, Paint) for edit in self.edits)
        return quality_warning(
            self.scene,
            self.mask,
            found=self.settings["mask"] == "found" and not painted,
            generated=self.settings["warp"] != "pixel",
            exact=self.settings["detail"] == 1,
        )

    def report(self) -> dict[str, Any]:
        """Everything known about it, field by field in docs/provenance.md; ready for `json.dumps`.

        Computes the inversion's score (a second or so); of `measures` it tells what has been asked for before.
        """
        scene = self.scene
        return {
            "stylecine": __version__,
            "photo": scene.source.facts if scene.source else None,
            "width": self.width,
            "height": self.height,
            "frames": len(self),
            "fps": _plainly(self.fps),
            "settings": {name: _plainly(value) for name, value in {**scene.settings, **self.settings}.items()},
            "edits": [told(edit) for edit in self.edits],
            "model": model_facts(scene.model),
            "device": str(scene.feature.device),
            "versions": versions(scene.feature.device),
            "seconds": dict(self.timings),
            "inversion": plain(scene.score | {"likeness": scene.likeness}),
            "measures": plain(self.__dict__.get("measures")),
            "warning": self.warning or None,
        }

    def live(self) -> bytes:
        """What stylecine/player plays the loop from in a browser, at any frame rate: docs/player.md.

        Raises OptionError where it was made with warp dfw or sampling splat, which no shader plays.
        """
        return pack(self.loop, self.period, self.fps, cloth_layer=self.cloth_layer, layers=self.layers)

    def _repr_html_(self) -> str:
        """The loop at a modest size, as a video inside of the HTML, for a notebook."""
        says = f"{len(self)} frames of {self.width}x{self.height}, {self.fps:g} a second"
        return loop_html(self.__getitem__, len(self), self.fps, says)

    def save(
        self,
        path: str | PathLike[str],
        quality: int | None = None,
        codec: str | None = None,
        repeat: int = 1,
        crop: str | None = None,
        embed_report: bool = False,
        c2pa: Credentials | None = None,
    ) -> VideoInfo:
        """Writes the loop as a video or animated picture, or its first frame as a poster; whole or not at all.

        path: where to; its ending says the format: .mp4 and .webm are videos; .gif, .webp, .avif and .apng are pictures
            that play for ever; .html is a page that plays it; .png is the first frame; no ending, a new folder of
            frame-0000.png and so on.
        quality: as the format counts it (docs/formats.md). codec, repeat: of a video, which codec, and how many times
            the loop is gone through, for players that play a file once.
        crop: "9:16", or another shape: the largest such window, where most moves near the middle; "9:16@0.3,0.5" puts
            its middle there, in fractions of width and height.
        embed_report: put `report()`, as JSON, into the comment of the file's metadata.
        c2pa: (certificate chain, private key), PEM files: sign the file by C2PA, `report()` included.
        Raises OutputError or OptionError; Cancelled through the progress function given to `animate`.
        """
        check_output(path, fps=self.fps, quality=quality, codec=codec, repeat=repeat, crop=crop, comment=embed_report)
        if is_page(path):
            check_live(self.settings["warp"], self.settings["sampling"])
        cut = self._window(check_crop(crop), even=has_codec(path)) if crop is not None else None
        signer = signer_for(path, c2pa) if c2pa else None
        report = self.report() if embed_report or signer else {}
        comment = json.dumps(report, allow_nan=False) if embed_report else ""
        finish = None
        if signer:
            source = self.scene.source
            photo = source if source and source.content else PhotoFile("pixels.png", encode_png(self.scene.photo))
            landscape, cloth = self.loop is not None, self.cloth_layer is not None
            generated = [*["sky, water or mist"] * landscape, *["cloth"] * cloth]
            if is_poster(path) and self.settings["detail"] == 1:
                generated = []  # it is the photo
            finish = partial(signer.sign, title=Path(path).name, report=report, photo=photo, generated=generated)
        stages = Stages(self.progress)
        if is_page(path):
            with stages.stage("video"):
                info = self._save_page(path, quality)
        else:
            times, rate = shown(path, self.period, self.fps)
            with stages.stage("video", len(times)) as step:
                frames = _Shots(self, times, cut, step)
                info = write(
                    frames, path, rate, quality=quality, codec=codec, repeat=repeat, comment=comment, finish=finish
                )
        self.timings["video"] = stages.timings["video"]
        return replace(info, window=cut)

    def _save_page(self, path: str | PathLike[str], quality: int | None) -> VideoInfo:
        shares = zip(CLASSES, self.layers.mean(dim=(1, 2)).tolist(), strict=True)
        moving = [*(name for name, share in shares if share > LITTLE), *([CLOTH] if self.cloth_layer else [])]
        says, title = ", ".join(["Photo in motion", *moving]), Path(path).stem
        return write_page(
            self.loop,
            self.period,
            self.fps,
            path,
            title=title,
            says=says,
            quality=quality,
            cloth_layer=self.cloth_layer,
        )

    def _window(self, crop: Crop, *, even: bool) -> Window:
        moves = moving_points(self.mask, self.motion) * self.motion.norm(dim=0)
        if self.cloth_layer is not None:
            moves = moves + moving_points(self.cloth_layer.reach, self.motion) * moves.amax().clamp_min(1)
        return window(crop, self.width, self.height, moves.cpu().numpy(), even=even)


def quality_warning(scene: Scene, mask: Tensor, *, found: bool, generated: bool = True, exact: bool = True) -> str:
    """One line that says why loops of a scene may disappoint; "" where nothing speaks against it.

    mask [H,W]: what moves; found: by the predictor alone. generated: with the generator. exact: frame 0 is the photo.
    """
    told = []
    if found and float(mask.mean()) < LITTLE:
        told.append("hardly any sky or water was found")
    if generated and scene.likeness < UNLIKE:
        told.append("the model does not know pictures like it, so what comes into view may look wrong")
    if not told:
        return ""
    first = "; the first frame is the photo all the same" if exact else ""
    return f"This may be no landscape: {', and '.join(told)}{first}."


class _Shots(Sequence[np.ndarray]):
    """A loop at some times, cropped; whoever waits hears of each frame that is taken in turn."""

    def __init__(
        self,
        loop: Cinemagraph,
        times: Sequence[float],
        cut: Window | None,
        step: Callable[[int, int], None],
    ) -> None:
        self.loop, self.times, self.step = loop, times, step
        left, top, width, height = cut or (0, 0, loop.width, loop.height)
        self.part = slice(top, top + height), slice(left, left + width)

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, k: Any) -> Any:
        return np.ascontiguousarray(self.loop[self.times[k]][self.part])

    def __iter__(self) -> Iterator[np.ndarray]:
        for k in range(len(self)):
            yield self[k]
            self.step(k + 1, len(self))


def _plainly(value: Any) -> Any:
    """An option for JSON, which knows neither fractions nor NumPy's numbers."""
    return value if isinstance(value, str | int | float | list) else float(value)


def plain(figures: Any) -> Any:
    """A figure, or a dict of figures, for JSON, which knows no NaN or infinity: those become None."""
    if isinstance(figures, Mapping):
        return {name: plain(figure) for name, figure in figures.items()}
    return figures if figures is not None and math.isfinite(figures) else None
