"""The finished loop: frames on demand, measures on demand, a video file on demand."""

import json
import math
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylecine import __version__
from stylecine.loop import Loop, frame
from stylecine.measures import measure_loop
from stylecine.progress import Progress, Stages
from stylecine.scene import Scene
from stylecine.video import VideoInfo, write_video


@dataclass(frozen=True, eq=False)
class Cinemagraph:
    """A seamless loop of N = `len(c)` frames; `c[t]` renders one for any real t, and frame N is frame 0.

    Attributes:
        scene: the photo it was made from, understood.
        layers: soft maps of what moves, by class (sky, water, falls, smoke), float32 [K,H,W] in [0,1].
        mask: their union: how much each pixel moves, float32 [H,W] in [0,1]; 0: the photo's own bytes.
        motion: the motion field it follows, speed included: [2,h,w], pixels of its own grid per 1/30 s.
        period: N, frames in the loop. fps: frames per second it was made for.
        settings: the options it was made with.
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

    def report(self) -> dict[str, Any]:
        """What it is, what made it, how it measures if that is known already; ready for `json.dumps`."""
        model = self.scene.model
        return {
            "stylecine": __version__,
            "width": self.width,
            "height": self.height,
            "frames": len(self),
            "fps": self.fps,
            "settings": dict(self.settings),
            "model": {
                "name": model.name,
                "licence": model.licence,
                "source": model.source,
                "sha256": {role: file.sha256 for role, file in model.files.items()},
            },
            "device": str(self.scene.feature.device),
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in ("torch", "numpy", "av")},
            "seconds": dict(self.timings),
            "inversion": plain(self.scene.__dict__.get("score")),
            "measures": plain(self.__dict__.get("measures")),
        }

    def save(
        self,
        path: str | PathLike[str],
        quality: int | None = None,
        codec: str | None = None,
        repeat: int = 1,
        embed_report: bool = False,
    ) -> VideoInfo:
        """Writes the loop to a video file, `repeat` times over; the file appears whole or not at all.

        path: where to; its ending says the format (.mp4). quality, codec: see `stylecine.video.write_video`.
        embed_report: put `report()`, as JSON, into the comment of the file's metadata.
        Raises OutputError or OptionError; Cancelled through the progress function given to `animate`.
        """
        stages = Stages(self.progress)
        with stages.stage("video", self.period * repeat) as step:
            frames = _Told(self, step, self.period * repeat)
            comment = json.dumps(self.report(), allow_nan=False) if embed_report else ""
            info = write_video(frames, path, self.fps, quality=quality, codec=codec, repeat=repeat, comment=comment)
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


def plain(figures: Any) -> Any:
    """A figure, or a dict of figures, for JSON, which knows no NaN or infinity: those become None."""
    if isinstance(figures, Mapping):
        return {name: plain(figure) for name, figure in figures.items()}
    return figures if figures is not None and math.isfinite(figures) else None
