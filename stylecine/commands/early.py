"""What is wrong with a command, said before PyTorch and the codecs are imported, which takes seconds."""

import argparse
from pathlib import Path

from stylecine.commands.arguments import file_options, photo_options, render_options
from stylecine.errors import MaskError, MotionError, PhotoError, SceneError
from stylecine.machine.given import check_file
from stylecine.options import STYLES, RenderOptions, check_device_name, check_inversion_options
from stylecine.output.formats import check_format, check_writable, format_of
from stylecine.picture.size import checked_size
from stylecine.weights import find_model

GIVEN = {"photo": PhotoError, "scene": SceneError, "mask": MaskError, "motion": MotionError}  # options that are files


def check_loop(options: argparse.Namespace) -> None:
    """The options of a loop, and the files that they name."""
    RenderOptions(**render_options(options))  # first: the limits of a file's fps are wider
    check_given(options)
    if options.style is not None and options.style not in STYLES:
        check_file(options.style, "photo", PhotoError)


def check_given(options: argparse.Namespace) -> None:
    """The files that a loop or a scene is made from."""
    for name, error in GIVEN.items():
        path = getattr(options, name, None)
        if path is not None:
            check_file(path, name, error)


def check_photo_options(options: argparse.Namespace) -> None:
    values = photo_options(options)
    checked_size(values["size"])
    check_inversion_options(values["refine"], values["seed"])


def check_model(options: argparse.Namespace) -> None:
    """None of either is the scene's own, or whatever this machine has."""
    if options.model is not None:
        find_model(options.model)
    if options.device is not None:
        check_device_name(options.device)


def check_saved(output: Path, options: argparse.Namespace) -> None:
    """The output, its options, and whether it can be written."""
    check_format(output, file_options(options), options.fps)
    format_of(output).check_loop(options.warp, options.sampling)
    check_writable(output)
