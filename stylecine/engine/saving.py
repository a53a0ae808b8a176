"""A loop becomes a file: which of its frames, what of each, and what else is put in."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from stylecine.engine.loop_warnings import MIN_MOVING_SHARE
from stylecine.errors import OptionError, printable
from stylecine.machine.atomic import Finish, PathLike
from stylecine.machine.memory import release_freed
from stylecine.machine.progress import Progress, Stages
from stylecine.movement.displacement import moving_points
from stylecine.options import CLASSES, MOVING_LAYER, FileOptions
from stylecine.output import VideoInfo
from stylecine.output.audio import encode_flac
from stylecine.output.c2pa import Credentials, signer_for
from stylecine.output.formats import Page, Sound, check_size, format_of
from stylecine.output.html import QUALITY, write_page
from stylecine.output.layer import moving_layer
from stylecine.output.origin import UNKNOWN, Origin, read_origin
from stylecine.output.panorama import mark_spherical
from stylecine.output.writing import check_output, write_output
from stylecine.picture.crop import check_crop
from stylecine.picture.transparency import UNDER_NAME, flattened, with_alpha
from stylecine.picture.window import Window, crop_window
from stylecine.sound.track import check_seconds

Cinemagraph: TypeAlias = Any  # whose module imports this one
PAGE_SECONDS = 8.0  # of sound in a page, in whole loops: it is stored without loss

_log = logging.getLogger("stylecine")


def save(
    loop: Cinemagraph, path: PathLike, options: FileOptions, c2pa: Credentials | None, progress: Progress | None
) -> VideoInfo:
    """As `Cinemagraph.save` documents it."""
    check_output(path, options, loop.fps)
    check_size(path, loop.width, loop.height, options.crop)
    form = format_of(path)
    form.check_loop(loop.settings["warp"], loop.settings["sampling"])
    if isinstance(form, Sound) or options.sound:
        check_seconds(loop.period / loop.fps)
    window = _window(loop, options.crop, even=form.has_codec)
    origin = _origin(loop) if options.keep_metadata else UNKNOWN
    signer = signer_for(path, c2pa) if c2pa else None
    report = loop.report() if options.embed_report or signer else {}
    sphere = loop.scene.wraps and window is None
    steps: list[Finish] = [mark_spherical] * (sphere and form.ending == ".mp4")
    if signer:
        photo: Any = {"source": loop.scene.source, "pixels": loop.scene.photo}
        steps.append(partial(signer.sign, path=path, report=report, **photo, **_facts(loop)))
    if not isinstance(form, Sound):
        _say_what_is_lost(loop, path, options)
    stages = Stages(progress)
    release_freed()  # what measures and warnings took is for the encoder
    if isinstance(form, Page):
        with stages.stage("video", cancel_at_end=False) as step:
            info = _save_page(loop, path, options, finish=lambda _: step(1, 1))
    else:
        written, (times, rate) = _written(loop, path, options), form.shown(loop.period, loop.fps)
        if is_sound := isinstance(form, Sound):
            steps.append(lambda _: step(1, 1))
        with stages.stage("video", 1 if is_sound else len(times), cancel_at_end=False) as step:
            frames = CroppedFrames(loop, times, window, step, written, fine=options.depth > 8)
            info = write_output(
                frames,
                path,
                rate,
                options,
                comment=json.dumps(report, allow_nan=False) if options.embed_report else "",
                origin=origin,
                track=loop.track if options.sound or is_sound else None,
                finish=partial(_in_turn, steps) if steps else None,
                sphere=sphere,
                alpha=options.layer == MOVING_LAYER
                or (loop.scene.alpha is not None and form.keeps_alpha(path, options)),
            )
    loop.timings["video"] = stages.timings["video"]
    return replace(info, window=window)


class CroppedFrames(Sequence[np.ndarray]):
    """The frames of a Cinemagraph at some times, in a window; iteration reports progress. shown: what is written of a
    frame. fine: whether it has 16 bits."""

    def __init__(
        self,
        loop: Any,
        times: Sequence[float],
        window: Window | None,
        step: Callable[[int, int], None],
        shown: Callable[[np.ndarray], np.ndarray] = lambda frame: frame,
        fine: bool = False,
    ) -> None:
        self.times, self.step, self.shown = times, step, shown
        self.last: tuple[int, np.ndarray] | None = None
        self.frames = loop.fine_frames if fine else loop.frames
        left, top, width, height = window or (0, 0, loop.width, loop.height)
        self.box = slice(top, top + height), slice(left, left + width)

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, k: Any) -> Any:
        if self.last is None or self.last[0] != k:  # writers ask for the first one more than once
            (whole,) = self.frames([self.times[k]])
            self.last = k, np.ascontiguousarray(self.shown(whole)[self.box])
        return self.last[1]

    def __iter__(self) -> Iterator[np.ndarray]:
        for k, whole in enumerate(self.frames(self.times)):
            yield np.ascontiguousarray(self.shown(whole)[self.box])
            self.step(k + 1, len(self))


def _facts(loop: Cinemagraph) -> dict[str, Any]:
    """What a signature tells of how a loop was made."""
    moving = ["sky, water or mist"] * (loop.loop is not None) + [overlay.kind for overlay in loop.overlays]
    weather = loop.settings["weather"] if loop.weather else ""
    return {
        "moving": moving, "detail": loop.settings["detail"], "appearance": loop.appearance, "weather": weather,
    }  # fmt: skip


def _origin(loop: Cinemagraph) -> Origin:
    """Raises OptionError if there is no file of the photo to read it from."""
    photo = loop.scene.source
    if photo is None or not photo.content:
        raise OptionError(
            "Scene files and pixels have no metadata to keep; animate the photo itself, or omit keep_metadata."
        )
    return read_origin(photo.content)


def _window(loop: Cinemagraph, crop: str | None, *, even: bool) -> Window | None:
    """The part of its frames that is shown; None for all."""
    if crop is None:
        return None
    moves = moving_points(loop.mask, loop.motion) * loop.motion.norm(dim=0)
    for layer in loop.overlays:
        moves = moves + moving_points(layer.reach, loop.motion) * moves.amax().clamp_min(1)
    return crop_window(check_crop(crop), loop.width, loop.height, moves.cpu().numpy(), even=even)


def _say_what_is_lost(loop: Cinemagraph, path: PathLike, options: FileOptions) -> None:
    if options.depth > 8 and not loop.is_fine:
        _log.warning("%s: plants, cloth, styles and weather are drawn in 8 bits, not 16.", printable(path))
    keeps_alpha = format_of(path).keeps_alpha(path, options)
    if loop.scene.alpha is not None and options.layer != MOVING_LAYER and not keeps_alpha:
        message = "%s cannot keep what is transparent in the photo; %s lies under it."
        _log.warning(message, printable(path), UNDER_NAME)


def _written(loop: Cinemagraph, path: PathLike, options: FileOptions) -> Callable[[np.ndarray], np.ndarray]:
    """What of a frame a file gets."""
    alpha = loop.scene.alpha
    if options.layer == MOVING_LAYER:
        return partial(moving_layer, still=loop[0], matte=loop.matte)
    if alpha is None:
        return lambda frame: frame
    return partial(with_alpha if format_of(path).keeps_alpha(path, options) else flattened, alpha=alpha)


def _save_page(loop: Cinemagraph, path: PathLike, options: FileOptions, finish: Finish) -> VideoInfo:
    shares = zip(CLASSES, loop.layers.mean(dim=(1, 2)).tolist(), strict=True)
    moving = [name for name, share in shares if share > MIN_MOVING_SHARE]
    moving += [overlay.kind for overlay in loop.overlays]
    moving += [str(loop.settings["weather"])] if loop.weather else []
    # The player takes the image for the photo, unless that is another picture.
    changed = (loop.appearance and not loop.appearance.drift) or loop.weather or loop.scene.alpha is not None
    quality = QUALITY if options.quality is None else options.quality
    loops = max(1, int(PAGE_SECONDS * loop.fps / loop.period))
    return write_page(
        loop.packed(quality=quality, photo=bool(changed)),
        loop.opaque(0),
        path,
        period=loop.period,
        fps=loop.fps,
        title=Path(path).stem,
        alt=", ".join(["Photo in motion", *moving]),
        quality=quality,
        sound=encode_flac(loop.track(loops)) if options.sound else None,
        wraps=loop.scene.wraps,
        finish=finish,
    )


def _in_turn(steps: Sequence[Finish], path: Path) -> None:
    for step in steps:
        step(path)
