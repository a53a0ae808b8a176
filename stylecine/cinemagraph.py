"""The finished loop: frames on demand, measures on demand, a video file on demand."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylecine import __version__
from stylecine.files import VideoInfo
from stylecine.formats import check_output
from stylecine.loop import Loop, frame
from stylecine.measures import measure_loop
from stylecine.pictures import is_poster, png, write_poster
from stylecine.progress import Progress, Stages
from stylecine.provenance import PhotoFile, model_facts, versions
from stylecine.scene import Scene
from stylecine.signing import Credentials, signer_for
from stylecine.video import write_video

UNLIKE = 35.5  # dB of Scene.likeness: 36.6 to 51 for validation photos, less for text, noise and plots
LITTLE = 0.01  # of the picture: validation photos have 0.16 or more of sky and water


@dataclass(frozen=True, eq=False)
class Cinemagraph:
    """A seamless loop of N = `len(c)` frames; `c[t]` renders one for any real t, and frame N is frame 0.

    Attributes:
        scene: the photo it was made from, understood.
        layers: soft maps of what moves, by class (sky, water, falls, smoke), float32 [K,H,W] in [0,1].
        mask: their union: how much each pixel moves, float32 [H,W] in [0,1]; 0: the photo's own bytes.
        motion: the motion field it follows, speed included: [2,h,w], pixels of its own grid per 1/30 s.
        period: N, frames in the loop. fps: frames per second it was made for.
        settings: the options it was made with; "given", "found" or "from motion" for the mask and the motion.
        timings: seconds by stage, from the photo on; `save` adds "video".
    """

    loop: Loop
    scene: Scene
    layers: Tensor
    mask: Tensor
    motion: Tensor
    period: int
    fps: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    progress: Progress | None = None

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
        with torch.inference_mode():
            return frame(self.loop, t % self.period).cpu().numpy()

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
        """{"error", "travel"}: how far pixels are from following `motion`, how far they get a loop."""
        return {"error": self.measures["moved_error"], "travel": self.measures["travel"]}

    @cached_property
    def measures(self) -> dict[str, float]:
        """Every figure of `stylecine.measures.measure_loop`, computed in one pass when first asked for."""
        return measure_loop(self, self.scene.photo, self.mask.cpu(), self.motion.cpu(), self.fps)

    @property
    def warning(self) -> str:
        """One line that says why this loop may disappoint; "" where nothing speaks against it."""
        doubts = []
        if self.settings["mask"] == "found" and float(self.mask.mean()) < LITTLE:
            doubts.append("hardly any sky or water was found")
        if self.settings["warp"] != "pixel" and self.scene.likeness < UNLIKE:
            doubts.append("the model does not know pictures like it, so what comes into view may look wrong")
        if not doubts:
            return ""
        exact = "; the first frame is the photo all the same" if self.settings["detail"] == 1 else ""
        return f"This may be no landscape: {', and '.join(doubts)}{exact}."

    def report(self) -> dict[str, Any]:
        """Everything known about it, field by field in docs/provenance.md; ready for `json.dumps`.

        Computes the inversion's score (a second or so); of `measures` it tells what has been asked for before.
        """
        scene = self.scene
        return {
            "stylecine": __version__,
            "photo": {"name": scene.source.name, "sha256": scene.source.sha256} if scene.source else None,
            "width": self.width,
            "height": self.height,
            "frames": len(self),
            "fps": _plainly(self.fps),
            "settings": {name: _plainly(value) for name, value in {**scene.settings, **self.settings}.items()},
            "model": model_facts(scene.model),
            "device": str(scene.feature.device),
            "versions": versions(scene.feature.device),
            "seconds": dict(self.timings),
            "inversion": plain(scene.score | {"likeness": scene.likeness}),
            "measures": plain(self.__dict__.get("measures")),
            "warning": self.warning or None,
        }

    def save(
        self,
        path: str | PathLike[str],
        quality: int | None = None,
        codec: str | None = None,
        repeat: int = 1,
        embed_report: bool = False,
        c2pa: Credentials | None = None,
    ) -> VideoInfo:
        """Writes the loop to a video file, `repeat` times over, or its first frame to a .png; whole or not at all.

        path: where to; its ending says the format: .mp4, .webm or .png. quality, codec: see
            `stylecine.video.write_video`; a poster has none.
        embed_report: put `report()`, as JSON, into the comment of the file's metadata.
        c2pa: (certificate chain, private key), PEM files: sign an .mp4 or .png by C2PA, `report()` included.
        Raises OutputError or OptionError; Cancelled through the progress function given to `animate`.
        """
        check_output(path, fps=self.fps, quality=quality, codec=codec, repeat=repeat)
        signer = signer_for(path, c2pa) if c2pa else None
        report = self.report() if embed_report or signer else {}
        comment = json.dumps(report, allow_nan=False) if embed_report else ""
        poster = is_poster(path)
        finish = None
        if signer:
            source = self.scene.source
            photo = source if source and source.content else PhotoFile("pixels.png", png(self.scene.photo))
            generated = not poster or self.settings["detail"] != 1
            finish = partial(signer.sign, title=Path(path).name, report=report, photo=photo, generated=generated)
        if poster:
            return write_poster(self[0], path, comment=comment, finish=finish)
        stages = Stages(self.progress)
        with stages.stage("video", self.period * repeat) as step:
            frames = _Told(self, step, self.period * repeat)
            info = write_video(
                frames, path, self.fps, quality=quality, codec=codec, repeat=repeat, comment=comment, finish=finish
            )
        self.timings["video"] = stages.timings["video"]
        return info


class _Told:
    """The frames of a loop, any number of times over; the caller hears of each."""

    def __init__(self, loop: Cinemagraph, step: Callable[[int, int], None], total: int) -> None:
        self.loop, self.step, self.total, self.done = loop, step, total, 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for picture in self.loop:
            yield picture
            self.done += 1
            self.step(self.done, self.total)


def _plainly(value: Any) -> Any:
    """An option for JSON, which knows neither fractions nor NumPy's numbers."""
    return value if isinstance(value, str | int | float | list) else float(value)


def plain(figures: Any) -> Any:
    """A figure, or a dict of figures, for JSON, which knows no NaN or infinity: those become None."""
    if isinstance(figures, Mapping):
        return {name: plain(figure) for name, figure in figures.items()}
    return figures if figures is not None and math.isfinite(figures) else None
