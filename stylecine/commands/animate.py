"""stylecine animate: a loop from a photo."""

import argparse
from time import perf_counter
from typing import Any

from stylecine.commands import arguments
from stylecine.commands.arguments import PHOTOS, Commands, Usage, as_path
from stylecine.commands.console import Bar, print_result
from stylecine.commands.early import check_loop, check_model, check_photo_options, check_saved
from stylecine.commands.remote import add_server_options, animate_remotely, check_served
from stylecine.commands.saving import check_files, output_of, protect_inputs, save
from stylecine.errors import printable
from stylecine.machine.progress import FILE, LOOP, SCENE


def add_to(commands: Commands) -> None:
    animate = commands.add_parser("animate", help="make a loop from a photo", description="Makes a loop from a photo.")
    animate.set_defaults(run=run)
    animate.add_argument("photo", metavar="PHOTO", type=as_path, help=PHOTOS)
    arguments.add_output(animate, "the photo's name with .mp4, here, numbered if that exists")
    arguments.add_preset(animate)
    arguments.add_motion_options(animate, "predicted from the photo")
    arguments.add_inversion_options(animate)
    arguments.add_loop_options(animate)
    arguments.add_model_options(animate, "default")
    arguments.add_file_options(animate)
    add_server_options(animate)


def run(options: argparse.Namespace, start: float) -> int:
    if options.photo.suffix == ".cine":
        raise Usage(f"'{printable(options.photo)}' is a scene, not a photo; use `stylecine render`")
    if options.token_file and not options.server:
        raise Usage("--token-file is for a service; give its address with --server, or leave it out")
    output = output_of(options.photo, options)
    protect_inputs(output, options)
    if options.server:
        check_served(options)
    check_loop(options)
    check_photo_options(options)
    check_saved(output, options)
    if options.server:
        return animate_remotely(options, output, start)
    check_model(options)
    c2pa = arguments.credentials(options)
    check_files(output, options, c2pa, options.photo)

    from stylecine.engine.pipeline import animate

    imported = perf_counter() - start
    with Bar(SCENE | {"inversion": 0.2} | LOOP | FILE) as bar:  # the inversion is put off, as a rule
        made_with: Any = {"model": options.model, "device": options.device, **arguments.photo_options(options)}
        loop = animate(options.photo, progress=bar, **made_with, **arguments.render_options(options))
        info = save(loop, output, options, c2pa)
    return print_result(loop, info, output, options, imported, start)
