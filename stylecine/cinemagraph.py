"""The finished loop: frames on demand, measures on demand, a video file on demand."""

import math
import platform
from collections.abc import Iterator, Mapping
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
    """A seamless loop of `len(c)` frames; `c[t]` renders one, uint8 [H,W,3], for any real t: frame N is frame 0.

    Attributes:
        scene: the photo it was made from, understood.
        mask: how much each pixel moves, float32 [H,W] in [0,1]; where it is 0, every frame has the photo's own bytes.
        motion: the motion field it follows, speed included, float32 [2,h,w], pixels of its own grid per 1/30 s.
        fps: frames per second it was made for.
        settings: the options it was made with.
        timings: seconds by stage, from the photo on; `save` adds "video".
    """

    loop: Loop
    scene: Scene
    mask: Tensor
    motion: Tensor
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
        return self.loop.period

    def __getitem__(self, t: float) -> np.ndarray:
        """Frame at time t in frames: any finite number, taken modulo `len(self)`."""
        if not math.isfinite(t):
            raise IndexError(f"A time is a finite number of frames, not {t!r}.")
        with torch.inference_mode():
            return frame(self.loop, t).cpu().numpy()

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
        """{"error": how far pixels are from following `motion`, "travel": how far they get, in short sides a loop}."""
        return {"error": self.measures["moved_error"], "travel": self.measures["travel"]}

    @cached_property
    def measures(self) -> dict[str, float]:
        """Every figure of `stylecine.measures.measure_loop`, computed in one pass when first asked for."""
        return measure_loop(self, self.scene.photo, self.mask.cpu(), self.motion.cpu(), self.fps)

    def report(self) -> dict[str, Any]:
        """What it is, what made it and how it measures, ready for `json.dumps`; measures only if already computed."""
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
        self, path: str | PathLike[str], quality: int | None = None, codec: str | None = None, repeat: int = 1
    ) -> VideoInfo:
        """Writes the loop to a video file, `repeat` times over; the file appears whole or not at all.

        path: where to; its ending says the format (.mp4). quality, codec: see `stylecine.video.write_video`.
        Raises OutputError or OptionError; Cancelled through the progress function given to `animate`.
        """
        stages = Stages(self.progress)
        with stages.stage("video", len(self)) as step:
            info = write_video(self._telling(step), path, self.fps, quality=quality, codec=codec, repeat=repeat)
        self.timings["video"] = stages.timings["video"]
        return info

    def _telling(self, step: Any) -> Iterator[np.ndarray]:
        for done, picture in enumerate(self):
            yield picture
            step(done + 1, len(self))


def plain(figures: Any) -> Any:
    """A figure, or a dict of figures, for JSON, which knows no NaN or infinity: those become None."""
    if isinstance(figures, Mapping):
        return {name: plain(figure) for name, figure in figures.items()}
    return figures if figures is not None and math.isfinite(figures) else None
