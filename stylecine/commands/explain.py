"""Explains a loop, and how to mend it.

Writes an HTML page on a photo's loop: what was predicted and how surely, what was measured, and what to do about it.
"""

import argparse
from pathlib import Path
from time import perf_counter

from stylecine.commands import arguments, early
from stylecine.commands.arguments import PHOTOS, as_path, values_of
from stylecine.commands.console import file_size, progress_bar, say
from stylecine.errors import OutputError, printable
from stylecine.machine.atomic import check_destination
from stylecine.machine.progress import EXPLANATION, LOOP, SCENE
from stylecine.options import OPTIONS, PHOTO_OPTIONS


def add_arguments(explain: argparse.ArgumentParser) -> None:
    explain.add_argument("photo", metavar="PHOTO", type=as_path, help=f"{PHOTOS}, or a .cine file")
    explain.add_argument(
        "-o", "--output", metavar="OUT", type=as_path, help="(default: the photo's name with -explained.html, here)"
    )
    arguments.add_loop_options(explain, "predicted from the photo")
    arguments.add_model_options(explain, "default")


def run(options: argparse.Namespace, start: float) -> int:
    output = options.output or Path(f"{options.photo.stem}-explained.html")
    if output.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"'{output}' does not end in .html; rename it.")
    early.protect_inputs(output, options)
    early.check_loop(vars(options))
    early.check_photo(vars(options))
    early.check_given(options)
    early.check_model(options)
    check_destination(output)

    from stylecine.explanation.explain import explain

    with progress_bar(SCENE | LOOP | EXPLANATION) as bar:
        chosen = values_of(options, ("model", "device", *PHOTO_OPTIONS, *OPTIONS))
        explain(options.photo, output, progress=bar, **chosen)
    say(f"{printable(output)}: {file_size(output.stat().st_size)}, {perf_counter() - start:.1f} s")
    return 0
