"""Makes a loop from a scene, its edits included."""

import argparse
import warnings
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from stylecine.commands import arguments, early
from stylecine.commands.arguments import as_path, values_of
from stylecine.commands.console import complain, print_result, progress_bar
from stylecine.errors import OptionError, StylecineWarning
from stylecine.machine.progress import FILE, LOOP
from stylecine.options import FILE_OPTIONS, OPTIONS
from stylecine.output.formats import check_size, check_writable
from stylecine.picture.size import check_preview_size

if TYPE_CHECKING:
    from stylecine.engine.scene import Scene


def add_arguments(render: argparse.ArgumentParser) -> None:
    render.add_argument("scene", metavar="SCENE", type=as_path, help=".cine file")
    arguments.add_output(render, "the scene's name with .mp4, here, numbered if that exists")
    render.add_argument("--size", metavar="SIZE", type=int, help="short side of a quick preview (default: full size)")
    arguments.add_loop_options(render, "the scene's, edits included", of_photo=False)
    arguments.add_model_options(render, None)
    arguments.add_file_options(render)


def run(options: argparse.Namespace, start: float) -> int:
    if options.keep_metadata:  # `save` would say so too, after the work
        raise OptionError(
            "a scene file has no date, place or camera; use `stylecine animate --keep-metadata` with the photo"
        )
    output = early.output_of(options.scene, options)
    early.protect_inputs(output, options)
    c2pa = arguments.credentials(options)
    early.check_loop(vars(options), output)
    early.check_given(options)
    check_writable(output)
    if options.size is not None:
        check_preview_size(options.size)
    early.check_model(options)

    from stylecine.engine.animator import Animator
    from stylecine.engine.scene import Scene

    imported = perf_counter() - start
    early.check_files(output, options, c2pa)
    scene = Scene.load(options.scene)
    check_size(output, *scene.size_at(options.size), options.crop)
    with warnings.catch_warnings(record=True) as caught, progress_bar(LOOP | FILE) as bar:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", StylecineWarning)
        animator = Animator.from_pretrained(options.model or _model_of(scene), options.device)
        render = animator.render if options.size is None else partial(animator.preview, size=options.size)
        loop = render(scene, progress=bar, **values_of(options, OPTIONS))
        info = loop.save(output, c2pa=c2pa, **values_of(options, FILE_OPTIONS))
    for warning in caught:
        complain(str(warning.message), 0)
    return print_result(loop, info, output, options, imported, start)


def _model_of(scene: "Scene") -> str:
    """The model that a scene was made with, or the default one if that is not installed."""
    from stylecine.weights import models

    return scene.model.name if any(m.name == scene.model.name and m.installed for m in models()) else "default"
