"""Saves a photo and what moves in it as a .cine file, to edit and render."""

import argparse
from pathlib import Path
from time import perf_counter

from stylecine.commands import arguments
from stylecine.commands.arguments import PHOTOS, as_path, values_of
from stylecine.commands.console import complain, progress_bar, say
from stylecine.commands.early import check_given, check_model, check_photo
from stylecine.edits.cine_name import check_suffix
from stylecine.errors import printable
from stylecine.machine.progress import SCENE
from stylecine.options import PHOTO_OPTIONS


def add_arguments(scene: argparse.ArgumentParser) -> None:
    scene.add_argument("photo", metavar="PHOTO", type=as_path, help=PHOTOS)
    scene.add_argument(
        "-o", "--output", metavar="SCENE", type=as_path, help="(default: the photo's name with .cine, here)"
    )
    arguments.add_options(scene, "the photo", PHOTO_OPTIONS)
    arguments.add_model_options(scene, "default")


def run(options: argparse.Namespace, start: float) -> int:
    output = options.output or Path(options.photo.stem + ".cine")
    check_suffix(output)
    check_given(options)
    check_photo(vars(options))
    check_model(options)

    from stylecine.engine.animator import Animator

    with progress_bar(SCENE) as bar:
        animator = Animator.from_pretrained(options.model, options.device)
        scene = animator.invert(options.photo, progress=bar, **values_of(options, PHOTO_OPTIONS))
    scene.save(output)
    if scene.photo_warning:
        complain(scene.photo_warning, 0)
    height, width = scene.photo.shape[:2]
    say(f"{printable(output)}: {width}x{height}, {float(scene.mask.mean()):.0%} moves, {perf_counter() - start:.1f} s")
    return 0
