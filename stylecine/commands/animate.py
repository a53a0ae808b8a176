"""Makes a loop from a photo."""

import argparse
from time import perf_counter

from stylecine.commands import arguments, early
from stylecine.commands.arguments import PHOTOS, as_path, values_of
from stylecine.commands.console import print_result, progress_bar
from stylecine.commands.remote import add_server_options, animate_remotely, check_served
from stylecine.errors import OptionError, printable
from stylecine.machine.progress import FILE, LOOP, SCENE
from stylecine.options import FILE_OPTIONS, OPTIONS, PHOTO_OPTIONS
from stylecine.output.formats import check_writable


def add_arguments(animate: argparse.ArgumentParser) -> None:
    animate.add_argument("photo", metavar="PHOTO", type=as_path, help=PHOTOS)
    arguments.add_output(animate, "the photo's name with .mp4, here, numbered if that exists")
    arguments.add_preset(animate)
    arguments.add_loop_options(animate, "predicted from the photo")
    arguments.add_model_options(animate, "default")
    arguments.add_file_options(animate)
    add_server_options(animate)


def run(options: argparse.Namespace, start: float) -> int:
    if options.photo.suffix == ".cine":
        raise OptionError(f"'{printable(options.photo)}' is a scene, not a photo; use `stylecine render`")
    if options.token_file and not options.server:
        raise OptionError("--token-file is for a service; give its address with --server, or leave it out")
    output = early.output_of(options.photo, options)
    early.protect_inputs(output, options)
    if options.server:
        check_served(options)
    early.check_loop(vars(options), output)
    early.check_photo(vars(options))
    early.check_given(options)
    check_writable(output)
    if options.server:
        return animate_remotely(options, output, start)
    early.check_model(options)
    c2pa = arguments.credentials(options)
    early.check_files(output, options, c2pa, options.photo)

    from stylecine.engine.pipeline import animate

    imported = perf_counter() - start
    with progress_bar(SCENE | {"inversion": 0.2} | LOOP | FILE) as bar:  # the inversion is put off, as a rule
        chosen = values_of(options, ("model", "device", *PHOTO_OPTIONS, *OPTIONS))
        loop = animate(options.photo, progress=bar, **chosen)
        info = loop.save(output, c2pa=c2pa, **values_of(options, FILE_OPTIONS))
    return print_result(loop, info, output, options, imported, start)
