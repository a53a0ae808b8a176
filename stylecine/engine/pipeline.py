"""One photo in, one loop out: photo -> inversion -> mask -> motion -> displacement -> plate -> loop."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any

import torch

from stylecine.engine.animator import Animator
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.engine.framing import framed, is_around_motion
from stylecine.engine.resolve import resolve_style
from stylecine.errors import StylecineWarning
from stylecine.machine.defaults import with_usual_defaults
from stylecine.machine.memory import release_freed
from stylecine.machine.progress import Progress, Stages
from stylecine.movement.motion import read_motion
from stylecine.options import (
    OPTIONS,
    UNSTYLED,
    Arrow,
    MaskSource,
    MotionSource,
    Pace,
    RenderOptions,
    Sampling,
    Size,
    StyleSource,
    Subject,
    Warp,
    WeatherName,
    Wind,
    check_device,
    check_inversion_options,
    with_preset,
)
from stylecine.picture.given_mask import read_mask
from stylecine.picture.photo import Source, cropped_alike, read_photo


@with_preset
@with_usual_defaults
def animate(
    photo: Source,
    *,
    subject: Subject = "landscape",
    mask: MaskSource | None = None,
    motion: MotionSource | None = None,
    arrows: Sequence[Arrow] = (),
    wind: Wind | Sequence[float] | None = None,
    seconds: float = 4.0,
    fps: float = 30,
    pace: Pace = "natural",
    speed: float = 1.0,
    size: Size = 1024,
    warp: Warp = "msdfw",
    sampling: Sampling = "gather",
    detail: float = 1.0,
    style: StyleSource | None = None,
    style_strength: float = 1.0,
    style_drift: bool = False,
    weather: WeatherName | None = None,
    weather_strength: float = 0.5,
    refine: int = 0,
    preset: str | None = None,
    model: str | PathLike[str] = "default",
    device: str | torch.device | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Cinemagraph:
    """One photo in, one seamless loop out. Only the photo is required.

    photo: path, bytes, binary file, PIL image or uint8 array [H,W,3].
    subject: what moves: "landscape", "cloth", or "auto", both where both are there.
    mask: what moves, white or 1: path, PIL image or array (bool, float 0..1, uint8) of any size. For subject "cloth" it
        marks the cloth (without it, flags, banners and the like may be found); for "auto" the landscape's part.
    motion: Eulerian motion field [2,h,w] or [1,2,h,w], array or .npy, pixels of its own grid per 1/30 s, x right,
        y down; without a mask, what is faster than 0.05 moves.
    arrows: (x0, y0, x1, y1) each, in fractions of width and height: where matter travels in one second; more points
        make its way a curve.
    wind: (degrees, strength) of one wind for the whole picture: where it blows to seen from above, 0 to the right, 90
        away from the viewer, 180 to the left, 270 towards the viewer; strength 0, a calm, to 1. In it plants sway;
        clouds, smoke and the waves of open water follow it. Default: none, and (0, 0.5) for cloth and weather.
    seconds, fps: length and frame rate of the loop.
    pace: how fast the landscape moves where motion is predicted: "calm", "natural" or "lively"; arrows and a given
        motion have speeds of their own. speed: factor on all motion.
    size: None = the photo's own; an int = short side, never enlarged; (width, height) = cropped to fill
        around the middle, (width, height, "moving") around what moves, unless mask, motion or arrows are given;
        (width, height, (x, y)) around that place, in fractions. Arrows are about the cropped picture, and so are masks
        and motions, but for those of the whole photo's shape, which are cropped with it.
    warp, sampling: see `options.WARPS` and `options.SAMPLINGS`; "pixel" uses no generator.
    detail: share of what the generator misses that is put back; 0 shows the generator's output alone.
    style: another appearance for the whole: one of `options.STYLES`, such as "dusk", or a photo, as above, of which
        only the appearance counts. style_strength: 0, the photo's own, to 1. style_drift: from the photo to the style
        and back, once in the loop.
    weather: "snow", "rain" or "fog" in front of the whole, also of a photo in which nothing else moves; the first frame
        is then the photo with its weather. weather_strength: above 0, at most 1.
    refine: optimisation steps after the encoder. Foreign models have no encoder and take 60 steps by default.
    preset: "story", "post" or "wallpaper": other defaults for size, seconds and fps, and for what `save` writes as an
        .mp4; options that are given are kept.
    model: name or path. seed: for the noise of foreign models.
    progress: called as (stage, done, total); returning False cancels.

    Raises a StylecineError that says what to do: OptionError, PhotoError, MaskError, MotionError, NothingMoves,
    TooLarge, WeightsError, Cancelled. Warns with a StylecineWarning where the loop may disappoint.
    """
    given = dict(locals())
    options = RenderOptions(**{name: given[name] for name in OPTIONS})
    check_inversion_options(refine, seed)
    place = check_device(device)
    stages = Stages(progress)
    with stages.stage("photo"):  # everything given is read before the first expensive step
        picture, source = read_photo(photo, size)
        crop = partial(cropped_alike, photo=photo if source is None else source.content, size=size)
        if mask is not None:
            options = replace(options, mask=read_mask(mask, (picture.shape[0], picture.shape[1]), crop))
        if motion is not None:
            field = crop(read_motion(motion).numpy())
            options = replace(options, motion=torch.from_numpy(field.copy()))
        chosen = resolve_style(options, ())
        options = replace(options, **(UNSTYLED if chosen is None else {"style": chosen}))
    with stages.stage("weights"):
        animator = Animator.from_pretrained(model, place, lazily=True)
    if is_around_motion(size) and mask is None and motion is None and not options.arrows:
        with stages.stage("mask"):
            picture, size = framed(photo if source is None else source.content, size, animator)
    inversion: dict[str, Any] = {"size": size, "refine": refine, "seed": seed, "progress": progress}
    scene = animator.scene_for(options, (picture, source), **inversion)
    loop = animator.render_with(options, scene, progress=progress)
    del animator
    release_freed()  # what the networks took is for the encoder
    timings = stages.timings | loop.timings
    for name in stages.timings.keys() & loop.timings.keys():  # reading the file, framing
        timings[name] += stages.timings[name]
    loop = replace(loop, timings=timings, preset=preset)
    if loop.warning:
        warnings.warn(loop.warning, StylecineWarning, stacklevel=4)  # of the caller of both decorators
    return loop
