"""The finished loop: frames, measures and files, each computed on demand."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, Self, Unpack, overload

import numpy as np
import torch
from torch import Tensor

from stylecine.edits.model import Edit, Paint, to_option
from stylecine.engine.loop_warnings import SEEN_TIMES, WEATHER_EDGE, changing_share, quality_warning
from stylecine.engine.saving import save
from stylecine.engine.scene import Scene
from stylecine.machine.atomic import check_path
from stylecine.machine.defaults import with_usual_defaults
from stylecine.machine.progress import Progress
from stylecine.ops.readback import read_back
from stylecine.ops.recolour import Recolouring, recolour_
from stylecine.ops.render import FINE
from stylecine.options import CLASSES, FILE_OPTIONS, PLANTS, FileArguments, FileOptions, Wind, preset_defaults
from stylecine.output import VideoInfo
from stylecine.output.aov import write_aovs
from stylecine.output.c2pa import Credentials
from stylecine.output.formats import ending_of
from stylecine.output.metadata import json_figures, json_value, model_facts, utf8_texts, versions
from stylecine.output.notebook import loop_html
from stylecine.output.palette import SHOWN
from stylecine.output.web_pack import pack
from stylecine.perception.layers import moving
from stylecine.perception.scenery import Scenery
from stylecine.picture.loop import frames as render_frames
from stylecine.picture.overlay import Overlay
from stylecine.picture.style import Appearance
from stylecine.picture.transparency import flattened
from stylecine.picture.weather import Weather, make_weather
from stylecine.quality.measures import measure_loop
from stylecine.sound.noise import Track
from stylecine.sound.sources import find_sources
from stylecine.sound.track import make_track
from stylecine.version import __version__

BATCH = 4  # frames that are rendered at once
MAX_BATCH_BYTES = 50_000_000


@dataclass(frozen=True, eq=False, repr=False)
class Cinemagraph:
    """A seamless loop of N = `len(c)` frames; `c[t]` renders one for any real t, and frame N is frame 0.

    Attributes:
        scene: the inverted photo that it was made from.
        layers: soft maps of what moves, by class (sky, water, falls, smoke), float32 [K,H,W] in [0,1].
        mask: their union with cloth and plants: how much each pixel moves, float32 [H,W] in [0,1]; where it is 0 frames
            have the photo's own bytes, or those of its style, behind the weather.
        motion: the motion field of the landscape, speed included: [2,h,w], pixels of its own grid per 1/30 s; 0 where
            only cloth or plants move.
        period: N, frames in the loop. fps: frames per second.
        settings: the options it was made with; "given", "found", "from motion" or "painted" for mask and motion.
        timings: seconds by stage, from the photo on; `save` adds "video".
        edits: the scene's edits.
        scenery: what is seen in the photo, the edits included, at the loop's size.
        loop: what landscape frames are rendered from, None if no landscape moves.
        overlays: what moves in the wind over it, in the order in which it is drawn: plants, then cloth.
        appearance: the other light and colours that finished frames are shown in; None for the photo's own.
        weather: what falls or drifts in front of it all; None for none.
        preset: what `animate` was given; it has other defaults for an .mp4.
        mask_warning: where a given or painted mask tears static things off; "" if nowhere.
        cloth_warning: why painted cloth stands still beside a moving landscape, or how sure it is that what was found
            is cloth; "" if neither.
    """

    loop: Any  # a Loop or None; callers that render a landscape know that it is there
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
    scenery: Scenery | None = None
    overlays: tuple[Overlay, ...] = ()
    mask_warning: str = ""
    cloth_warning: str = ""
    appearance: Appearance | None = None
    weather: Weather | None = None
    preset: str | None = None

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

    @overload
    def __getitem__(self, t: float) -> np.ndarray: ...
    @overload
    def __getitem__(self, t: slice) -> list[np.ndarray]: ...
    def __getitem__(self, t: Any) -> Any:
        """The frame uint8 [H,W,3] at time t in frames: any finite number, taken modulo `len(self)`.

        A slice gives the list of its frames, with the bounds of a sequence: loop[0:3], loop[::2].
        """
        if isinstance(t, slice):
            return list(self.frames(range(*t.indices(len(self)))))
        return next(self.frames([t]))

    def frames(self, times: Sequence[float]) -> Iterator[np.ndarray]:
        """The frames at these times, as `c[t]` for each of them; quicker, since a few are made at once.

        A GPU makes the next few while the caller has these.
        """
        for t in times:
            _check_time(t)
        most = max(1, min(BATCH, MAX_BATCH_BYTES // (3 * self.width * self.height)))
        batches = (times[begin : begin + most] for begin in range(0, len(times), most))
        made = (frame for batch in batches for frame in self._render([float(t) % self.period for t in batch]))
        yield from read_back(made, self.mask.device, ahead=most)

    def fine_frames(self, times: Sequence[float]) -> Iterator[np.ndarray]:
        """The frames at these times as uint16 [H,W,3], 257 times the photo where it stands still, and elsewhere not
        dithered; many times as slow. Overlays, styles and weather are drawn in 8 bits: a loop that has some is 257
        times the frames of `frames`."""
        if self.is_fine:
            for t in times:
                _check_time(t)
                (made,) = render_frames(self._landscape, [float(t) % self.period], fine=True)
                yield made.cpu().numpy().astype(np.uint16)
        else:
            yield from (frame.astype(np.uint16) * FINE for frame in self.frames(times))

    @property
    def is_fine(self) -> bool:
        """Whether `fine_frames` are computed in 16 bits."""
        return not (self.loop is None or self.overlays or self.appearance or self.weather)

    def opaque(self, t: float) -> np.ndarray:
        """The frame at time t over white, where the photo is transparent."""
        return self[t] if self.scene.alpha is None else flattened(self[t], self.scene.alpha)

    @torch.inference_mode()
    @with_usual_defaults
    def _render(self, times: Sequence[float]) -> list[Tensor]:
        phases = [t / self.period for t in times]
        made = self._render_dry(times, self.appearance.recolouring(phases) if self.appearance else None)
        if self.weather:
            shares = [self.appearance.share(phase) for phase in phases] if self.appearance else [0.0] * len(times)
            dry = made.clone() if self.scene.transparent is not None else made
            self.weather.draw_over_(made, times, shares)
            made = self._standing(made, dry)
        return list(made)

    def _render_dry(self, times: Sequence[float], recolouring: Recolouring | None) -> Tensor:
        """Frames [n,H,W,3] without weather."""
        if self.loop is not None and not self.overlays:
            return render_frames(self._landscape, times, recolouring)
        if self.loop is None:
            made = self._backdrop.expand(len(times), -1, -1, -1).clone()
        else:
            made = render_frames(self._landscape, times)
        still = made.clone() if self.scene.transparent is not None else made
        for layer in self.overlays:
            layer.draw_over_(made, times)
        made = self._standing(made, still)
        return made if recolouring is None else recolour_(made, recolouring)

    def _standing(self, frames: Tensor, before: Tensor) -> Tensor:
        """Frames [n,H,W,3] as they were `before` where the photo is transparent."""
        if self.scene.transparent is None:
            return frames
        return torch.where(torch.from_numpy(self.scene.transparent).to(frames.device)[..., None], before, frames)

    @with_usual_defaults
    def styled(self, grid: Tensor, strength: float, drift: bool) -> Self:
        """The same loop in another appearance: see `picture.style.Appearance`."""
        look = Appearance(grid, strength, drift, self._static_photo, self.mask)
        return replace(self, appearance=look, timings=dict(self.timings))  # each is saved on its own

    @with_usual_defaults
    def in_weather(self, kind: str, strength: float, wind: Wind | None, speed: float = 1.0) -> Self:
        """The same loop in snow, rain or fog: see `picture.weather`. wind: of it; None is the default one."""
        photo = self._static_photo
        shown = self.appearance.farthest if self.appearance else photo
        assert self.scenery is not None  # without one nobody knows what is far away
        seen = photo, shown, self.scenery.depth
        weather = make_weather(kind, strength, wind, *seen, period=self.period, fps=self.fps, speed=speed)
        return replace(self, weather=weather, timings=dict(self.timings))  # each is saved on its own

    def overlay(self, kind: str) -> Overlay | None:
        """The one of a kind, "plants" or "cloth"; None if there is none."""
        return next((overlay for overlay in self.overlays if overlay.kind == kind), None)

    @cached_property
    def _landscape(self) -> Any:
        return replace(self.loop, photo=self._backdrop)

    @cached_property
    def _backdrop(self) -> Tensor:
        return self.appearance.backdrop if self.appearance else self._static_photo

    @cached_property
    def _static_photo(self) -> Tensor:
        """uint8 [H,W,3]: where nothing moves, and behind the cloth if nothing else does."""
        if self.loop is not None:
            photo: Tensor = self.loop.photo
            return photo
        return torch.from_numpy(self.scene.photo.copy()).to(self.mask.device)

    @cached_property
    def tinted(self) -> Tensor:
        """How much each pixel moves, by what it is, [K,H,W] in the order of `output.palette.SHOWN`."""
        maps = dict(zip(CLASSES, self.layers, strict=True)) | {layer.kind: layer.reach for layer in self.overlays}
        nothing = torch.zeros_like(self.mask)
        return torch.stack([maps.get(name, nothing) for name in SHOWN])

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames of one loop, rendered on demand."""
        return self.frames(range(len(self)))

    @property
    def seam(self) -> float:
        """The step from the last frame to the first over the median step: 1 if the seam is invisible."""
        return self.measures["seam"]

    @property
    def pulse(self) -> dict[str, float]:
        """How much fine contrast varies over the loop: {"tiles", "global"}; 0 is not at all."""
        return {name: self.measures[f"pulse_{name}"] for name in ("tiles", "global")}

    @property
    def moved(self) -> dict[str, float]:
        """{"error", "travel"}: how much pixels deviate from `motion`, and how far they move in a loop.

        Of the landscape; NaN without one, since cloth has no steady motion.
        """
        return {"error": self.measures["moved_error"], "travel": self.measures["travel"]}

    @cached_property
    @with_usual_defaults
    def measures(self) -> dict[str, float]:
        """Every figure of `stylecine.quality.measures.measure_loop`, computed in one pass on first use.

        They are about the motion, hence of the frames before a style changes their colours, and without weather.
        """
        return measure_loop(
            replace(self, appearance=None, weather=None),
            self.scene.photo,
            self.mask.cpu(),
            self.motion.cpu(),
            self.fps,
            flowing=self.flowing.cpu(),
        )

    @property
    def flowing(self) -> Tensor:
        """[H,W] in [0,1]: how much each pixel follows `motion`. Cloth and plants do not, nor does water that rocks in
        place."""
        flowing = self.mask
        if self.loop is not None:
            flowing = flowing * ~self.loop.displacement.rocks(self.height, self.width)
        for layer in self.overlays:
            flowing = flowing * (layer.reach == 0)
        return flowing

    @property
    def warning(self) -> str:
        """One line with every reason why this loop may disappoint; "" if there is none.

        The worst comes first: what is missing of the photo, then what frames show torn, then what is wrong with the
        landscape as a whole, then cloth, then the edge of the weather in a 360° photo.
        """
        edge = WEATHER_EDGE if self.scene.wraps and self.weather else ""
        reasons = (self.scene.photo_warning, self.mask_warning, self._quality_warning, self.cloth_warning, edge)
        return " ".join(filter(None, reasons))

    @cached_property
    def _quality_warning(self) -> str:
        painted = any(isinstance(edit, Paint) for edit in self.edits)
        if self.loop is None or self.settings["mask"] != "found" or painted:  # it is about landscapes that were found
            return ""
        plain = replace(self, appearance=None, weather=None)
        shown = plain.frames([self.period * share for share in SEEN_TIMES])  # rendered only if they are needed
        return quality_warning(self.scene, self.mask, lambda: changing_share(shown, self.scene.photo))

    def report(self) -> dict[str, Any]:
        """Everything known about it, field by field in docs/provenance.md; ready for `json.dumps`.

        Includes `measures` only if they were computed before.
        """
        scene = self.scene
        report = {
            "stylecine": __version__,
            "photo": scene.source.facts if scene.source else None,
            "width": self.width,
            "height": self.height,
            "frames": len(self),
            "fps": json_value(self.fps),
            "settings": {name: json_value(value) for name, value in {**scene.settings, **self.settings}.items()},
            "edits": [to_option(edit) for edit in self.edits],
            "model": model_facts(scene.model),
            "device": str(self.mask.device),
            "versions": versions(self.mask.device),
            "seconds": dict(self.timings),
            "measures": json_figures(self.__dict__.get("measures")),
            "warning": self.warning or None,
        }
        return dict(utf8_texts(report))

    @property
    def matte(self) -> np.ndarray:
        """How much of each pixel is moving content, and not the still photo, in frames without weather: uint8 [H,W]."""
        reaches = [layer.reach for layer in self.overlays] + ([self.loop.moving] if self.loop is not None else [])
        most = torch.stack([torch.zeros_like(self.mask), *reaches]).amax(0)
        matte: np.ndarray = (255 * most.nan_to_num(0.0).clamp(0, 1)).ceil().to(torch.uint8).cpu().numpy()
        return matte

    def live(self) -> bytes:
        """The web pack from which stylecine/player plays the loop in a browser, at any frame rate: docs/player.md.

        Raises OptionError for warp dfw and sampling splat, which no shader plays.
        """
        return self.packed(layers=self.layers)

    @with_usual_defaults
    def packed(self, **how: Any) -> bytes:
        """The loop as a web pack. how: layers, quality and photo, of `output.web_pack.pack`."""
        shown: dict[str, Any] = {"overlays": self.overlays, "appearance": self.appearance, "weather": self.weather}
        photo: dict[str, Any] = {"still": self.scene.photo, "alpha": self.scene.alpha}
        return pack(self.loop, self.period, self.fps, **shown, **photo, **how)

    def _repr_html_(self) -> str:
        """The loop at a modest size, as a video inside of the HTML, for a notebook."""
        caption = f"{len(self)} frames of {self.width}x{self.height}, {self.fps:g} a second"
        return loop_html(self.opaque, len(self), self.fps, caption)

    @with_usual_defaults
    def save(
        self,
        path: str | PathLike[str],
        *,
        c2pa: Credentials | None = None,
        progress: Progress | None = None,
        **options: Unpack[FileArguments],
    ) -> VideoInfo:
        """Writes the loop as a video or animated image, or its first frame as a poster, completely or not at all.

        path: its ending decides the format: .mp4 and .webm are videos, .mov is ProRes, for editing programs; .gif,
            .webp, .avif and .apng are animated images that loop forever; .html is a page that plays the loop;
            .livephoto is a Live Photo of two files, .livephoto.zip an archive of them, .MP.jpg a Motion Photo; .png is
            the first frame; .wav is its sound alone; without an ending it is a new folder of frame-0000.png and so on.
        quality: on the format's own scale (docs/formats.md). codec, repeat: for videos, which codec, and how many times
            the file holds the loop, for players that play a file once. duration: instead of repeat, how long the video
            lasts, in seconds or as "10m"; rounded up to whole loops, which is logged. keyframes: "first" frame of the
            loop or "all", for players that halt where it starts again.
        crop: an aspect ratio such as "9:16": the largest such window, placed where most moves; "9:16@0.3,0.5" centres
            it there, in fractions of width and height.
        layer: "moving" writes only what moves, with its matte as a straight alpha, for compositing over the first
            frame, which is the photo unless there is a style or a weather.
        depth: 16 computes the frames in 16 bits instead of dithering them to 8, for codecs of 10 bits; many times as
            slow.
        sound: add what is heard in the picture, which loops as it does, to a video, a page, a Live Photo or a Motion
            Photo: `track()`. A .wav is that sound alone.
        embed_report: put `report()`, as JSON, into the comment field of the file's metadata.
        c2pa: (certificate chain, private key), PEM files: sign the file with C2PA, `report()` included.
        progress: called as (stage, done, total); returning False cancels, which leaves nothing. Default: the function
            that was given to `animate`.
        keep_metadata: put when, where and with what camera the photo was taken into an .mp4, a Live Photo or a Motion
            Photo, so that it sorts beside the photo; by default nothing of that leaves the photo.
        silence: put a silent AAC track into an .mp4, for platforms that ask for sound.
        Raises OutputError, OptionError, Cancelled; TooLarge if no such file can hold frames of this size.
        """
        check_path(path)
        others = preset_defaults(self.preset, options, of=FILE_OPTIONS, video=ending_of(path) == ".mp4")
        chosen = FileOptions.create(**others, **options)
        return save(self, path, chosen, c2pa, progress or self.progress)

    @with_usual_defaults
    def save_aovs(self, folder: str | PathLike[str]) -> list[Path]:
        """Writes mask and motion for compositing programs, as EXR and .npy: see `output.aov.write_aovs`."""
        return write_aovs(folder, self.mask, moving(self.layers), self.motion, self.fps)

    @with_usual_defaults
    def track(self, loops: int = 1) -> Track:
        """What is heard in so many loops: surf, falls, brooks, small waves, wind in plants, rain; docs/sound.md.

        The longer it is, the later it repeats. Raises OptionError for a loop that is too long for a sound.
        """
        assert self.scenery is not None  # without one nobody knows what is heard
        plants, settings = self.overlay(PLANTS), self.settings
        sources = find_sources(
            self.scenery,
            None if plants is None else plants.reach,
            Wind(*settings["wind"]) if "wind" in settings else None,
            settings["weather_strength"] if settings.get("weather") == "rain" else None,
        )
        return make_track(sources, self.period / self.fps, loops, settings["speed"])


def _check_time(t: Any) -> None:
    if not isinstance(t, Real):
        raise TypeError(f"A time is a number of frames or a slice of them, not {t!r}.")
    if not math.isfinite(t):
        raise IndexError(f"A time is a finite number of frames, not {t!r}.")
