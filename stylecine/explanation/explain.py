"""`stylecine.explain`: from a photo to the page that explains its loop."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Unpack

import torch

from stylecine.engine.animator import Animator
from stylecine.engine.scene import Scene
from stylecine.explanation.evidence import gather
from stylecine.explanation.page import explanation_html
from stylecine.machine.atomic import atomic_write, check_destination, translate_os_errors
from stylecine.machine.defaults import with_usual_defaults
from stylecine.machine.progress import Progress
from stylecine.options import RenderArguments, RenderOptions, Size, check_device, check_inversion_options
from stylecine.picture.photo import Source


@with_usual_defaults
def explain(
    photo: Source | Scene,
    path: str | PathLike[str],
    *,
    size: Size = 1024,
    refine: int = 0,
    model: str | PathLike[str] = "default",
    device: str | torch.device | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Unpack[RenderArguments],
) -> Path:
    """Writes a self-contained HTML page on a photo's loop: what was predicted and how surely, what was measured, and
    what to do about it, with options to copy. Returns its path.

    photo: as in `animate`; or a Scene, or the path of a .cine file, whose edits count, and which size, refine and seed
    do not concern. options: those of the loop, as in `animate`. Where `animate` raises NothingMoves, the page says what
    nearly moves. Raises as `animate` does, and OutputError.
    """
    chosen = RenderOptions.create(**options)
    check_inversion_options(refine, seed)
    place = check_device(device)
    target = check_destination(path)
    name: str = fspath(photo) if isinstance(photo, str | PathLike) else ""
    cine = name if name.lower().endswith(".cine") else ""
    loaded = Scene.load(name) if cine else photo
    animator = Animator.from_pretrained(model, place)
    if isinstance(loaded, Scene):
        scene, cine = loaded, cine or "photo.cine"
        name = (scene.source.name if scene.source else None) or cine
    else:
        scene = animator.invert(loaded, size=size, refine=refine, seed=seed, progress=progress)
        name = name or (scene.source.name if scene.source else None) or "photo.jpg"
    page = explanation_html(gather(animator, scene, chosen, progress), name, cine)
    with atomic_write(target) as part, translate_os_errors(target):
        part.write_text(page, encoding="utf-8", newline="\n")
    return Path(path)
