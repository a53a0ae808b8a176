"""What a batch's worker does: it makes a loop of one photo, and the loop's record."""

import base64
import hashlib
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F

from stylecine.batch.journal import Record
from stylecine.batch.tasks import Task, digest_of, failed, weights_of
from stylecine.engine.animator import Animator
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.errors import DiskFull
from stylecine.options import FILE_OPTIONS, OPTIONS, PHOTO_OPTIONS, RenderOptions
from stylecine.output.embed import shrunk, webp
from stylecine.output.formats import check_size
from stylecine.output.metadata import json_figures
from stylecine.output.preview import mask_overlay
from stylecine.picture.photo import photo_size
from stylecine.version import __version__
from stylecine.weights import file_sha256

MAX_THUMBNAIL = 240, 240  # pixels


def load(folder: Path, model: str, device: str) -> Callable[[Task, object], Record]:
    """A worker process's handler: writes a task's loop below `folder` and returns its record."""
    animate = load_model(model, device)
    return lambda task, _: animate(task, folder / task.output)


def load_model(model: str, device: str | None) -> Callable[[Task, Path], Record]:
    """A function that writes a task's loop to a path and returns its record, on one thread."""
    torch.set_num_threads(1)
    animator = Animator.from_pretrained(model, device)
    return lambda task, path: animate_task(animator, task, path, model)


def animate_task(animator: Animator, task: Task, path: Path, model: str) -> Record:
    """Writes the loop of one photo to `path`, completely or not at all, and returns its record.

    A record is ready for JSON: "state" is "done" or "failed"; docs/batch.md lists the rest. Raises DiskFull, since no
    other loop would fit either.
    """
    start = perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the record contains the loop's own warning
            digest, weights = digest_of(task, model), weights_of(model)
            options = task.options
            check_size(path, *photo_size(str(task.photo), options["size"]), options["crop"])
            chosen = RenderOptions.create(**{name: options[name] for name in OPTIONS})
            scene = animator.scene_for(chosen, str(task.photo), **{name: options[name] for name in PHOTO_OPTIONS})
            loop = animator.render_with(chosen, scene)
            info = loop.save(path, **{name: options[name] for name in FILE_OPTIONS})
            seconds = dict(loop.timings)
            measures, frames_sha256 = _measures(loop)
            first_frame = shrunk(loop[0], MAX_THUMBNAIL)
            layers = F.interpolate(loop.tinted[None].cpu(), first_frame.shape[:2], mode="area")[0]
            mask = mask_overlay(first_frame, layers)
            pictures = [base64.b64encode(webp(picture, 70)).decode() for picture in (first_frame, mask)]
            moving, warning = round(float(loop.mask.mean()), 4), loop.warning or None
    except DiskFull:
        raise
    except Exception as error:  # must not stop the other photos
        return failed(error)
    seconds["total"] = perf_counter() - start
    return {
        "state": "done",
        "stylecine": __version__,
        "weights": weights,
        "digest": digest,
        "bytes": info.bytes,
        "sha256": file_sha256(path),
        "width": info.width,
        "height": info.height,
        "frames": info.frames,
        "fps": info.fps,
        "frames_sha256": frames_sha256,
        "moving": moving,
        **{name: None if value is None else float(f"{value:.4g}") for name, value in json_figures(measures).items()},
        "warning": warning,
        "thumbnail": pictures[0],
        "mask_thumbnail": pictures[1],
        "seconds": {stage: round(taken, 3) for stage, taken in seconds.items()},
    }


def _measures(loop: Cinemagraph) -> tuple[dict[str, float], str]:
    """The loop's measures, and a checksum of the frames from which they are computed."""
    sha256 = hashlib.sha256()

    class Hashed(Cinemagraph):
        def __getitem__(self, t: Any) -> Any:
            frame = super().__getitem__(t)
            sha256.update(frame.tobytes())
            return frame

    hashed = Hashed(**{field.name: getattr(loop, field.name) for field in fields(loop)})
    return hashed.measures, sha256.hexdigest()
