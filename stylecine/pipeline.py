"""The whole way in one call: photo -> inversion -> mask -> motion -> displacement -> plate -> loop."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import torch

from stylecine.animator import Animator, _no_cloth
from stylecine.cinemagraph import Cinemagraph
from stylecine.errors import StylecineWarning
from stylecine.options import (
    CLOTH,
    Arrow,
    RenderOptions,
    check_arrows,
    check_device,
    check_dtype,
    check_inversion_options,
    check_subject,
    format_size,
)
from stylecine.progress import Progress, Stages
from stylecine.stages.mask import given_mask
from stylecine.stages.motion import given_motion
from stylecine.stages.photo import Size, Source, read_photo


def animate(
    photo: Source,
    *,
    subject: str = "landscape",
    mask: Any = None,
    motion: Any = None,
    arrows: Sequence[Arrow] = (),
    wind: Sequence[float] | None = None,
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
    subject: what moves: "landscape", "cloth", or "auto", both where both are there.
    mask: what moves, white or 1: path, PIL image or array (bool, float 0..1, uint8) of any size. Of subject "cloth" the
        cloth, which is not found by itself; of "auto" the landscape's part.
    motion: Eulerian motion field [2,h,w] or [1,2,h,w], array or .npy, pixels of its own grid per 1/30 s, x right,
        y down; without a mask, what is faster than 0.05 moves.
    arrows: (x0, y0, x1, y1) each, in fractions of width and height: where matter travels in one second.
    wind: (degrees, strength), of cloth: where it blows to seen from above, 0 to the right, 90 away from the viewer, 180
        to the left, 270 towards the viewer; strength above 0, at most 1. (0, 0.5) unless told.
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
    RenderOptions(seconds, fps, speed, warp, sampling, detail)
    check_subject(subject, wind, motion, arrows)
    if subject == CLOTH and mask is None:
        raise _no_cloth()
    check_inversion_options(refine, seed)
    check_dtype(dtype)
    place = check_device(device)
    stages = Stages(progress)
    with stages.stage("photo"):  # and all else a user gave, before the first dear step
        picture, source = read_photo(photo, size)
        mask = None if mask is None else given_mask(mask, (picture.shape[0], picture.shape[1]))
        motion = None if motion is None else given_motion(motion)
        arrows = check_arrows(arrows)
    with stages.stage("weights"):
        animator = Animator.from_pretrained(model, place)
    scene = animator.invert(picture, size=None, refine=refine, seed=seed, progress=progress)
    scene = replace(scene, source=source, settings={**scene.settings, "size": format_size(size)})
    loop = animator.render(
        scene,
        subject=subject,
        mask=mask,
        motion=motion,
        arrows=arrows,
        wind=wind,
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
