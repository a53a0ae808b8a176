"""What is wrong with a command, said before PyTorch and the codecs are imported, which takes seconds."""

import argparse
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from stylecine.errors import MaskError, MotionError, PhotoError, SceneError
from stylecine.machine.given import check_file
from stylecine.options import (
    FILE_OPTIONS,
    OPTIONS,
    STYLES,
    FileOptions,
    RenderOptions,
    check_device_name,
    check_inversion_options,
)
from stylecine.output.formats import check_format, format_of
from stylecine.picture.size import checked_size
from stylecine.weights import find_model

GIVEN = {"photo": PhotoError, "scene": SceneError, "mask": MaskError, "motion": MotionError}  # options that are files


def check_loop(values: Mapping[str, Any], output: PurePath | str | None = None) -> None:
    """The options of a loop, and of the file that it is written to. values: of all options, by name."""
    RenderOptions(**{name: values[name] for name in OPTIONS})  # first: the limits of a file's fps are wider
    if output is not None:
        check_format(output, FileOptions(**{name: values[name] for name in FILE_OPTIONS}), values["fps"])
        format_of(output).check_loop(values["warp"], values["sampling"])


def check_photo(values: Mapping[str, Any]) -> None:
    """The options of a photo."""
    checked_size(values["size"])
    check_inversion_options(values["refine"], values["seed"])


def check_given(options: argparse.Namespace) -> None:
    """The files that a loop or a scene is made from."""
    for name, error in GIVEN.items():
        path = getattr(options, name, None)
        if path is not None:
            check_file(path, name, error)
    style = getattr(options, "style", None)
    if style is not None and style not in STYLES:
        check_file(style, "photo", PhotoError)


def check_model(options: argparse.Namespace) -> None:
    """None of either is the scene's own, or whatever this machine has."""
    if options.model is not None:
        find_model(options.model)
    if options.device is not None:
        check_device_name(options.device)
