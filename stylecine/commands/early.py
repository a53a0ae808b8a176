"""What is wrong with a command, said before PyTorch and the codecs are imported, which takes seconds."""

import argparse
import os
from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path, PurePath
from typing import Any

from stylecine.commands.console import make_folder
from stylecine.errors import MaskError, MotionError, OptionError, OutputError, PhotoError, SceneError, printable
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
from stylecine.output.formats import AOVS, PREVIEWS, check_format, check_size, ending_of, files_of, format_of
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


def output_of(source: Path, options: argparse.Namespace) -> Path:
    """What -o says, or else the name of a photo or scene with .mp4 or the ending of --format, here; numbered if there
    is such a file, which may be the camera's own. Raises OptionError if -o and --format differ."""
    ending = options.format or ".mp4"
    if options.output is not None:
        if options.format and ending_of(options.output) != ending_of(f"loop{ending}"):
            raise OptionError(
                f"'{printable(options.output)}' does not end in {ending}; rename it, or leave out --format"
            )
        output: Path = options.output
        return output
    stem = source.stem or "loop"  # of "." and "/"
    names = (f"{stem}{number}{ending}" for number in chain([""], (f"-{n}" for n in count(2))))
    return next(Path(name) for name in names if not os.path.lexists(name))


def protect_inputs(output: Path, options: argparse.Namespace) -> None:
    """Raises OutputError if the output, or a file of --preview or --aov, would replace what it is made from or each
    other."""
    given = {
        name: Path(str(value))
        for name in ("photo", "scene", "mask", "motion", "style")
        if (value := getattr(options, name, None)) is not None
    }
    outputs = list(files_of(output))
    if getattr(options, "preview", None):
        outputs += [options.preview / name for name in PREVIEWS]
        if len({os.path.realpath(file) for file in outputs}) < len(outputs):
            raise OutputError(f"'{output}' is also an image of --preview; choose another output.")
    if getattr(options, "aov", None):
        outputs += [options.aov / name for name in AOVS]
    for file in outputs:
        for name, path in given.items():
            if file.exists() and path.exists() and file.samefile(path):
                raise OutputError(f"'{file}' is the {name} itself; choose another output.")


def check_files(
    output: Path, options: argparse.Namespace, c2pa: tuple[Path, Path] | None, photo: Path | None = None
) -> None:
    """Raises an error before any work if an encoder is missing, the photo cannot be read from its header, or the file
    could not be signed; the options themselves have been checked."""
    from stylecine.output.encoders import check_encoders
    from stylecine.picture.photo import photo_size

    check_encoders(output, options.codec, sound=options.sound)
    if photo is not None:
        check_size(output, *photo_size(photo, options.size), options.crop)
    if c2pa:
        from stylecine.output.c2pa import signer_for

        signer_for(output, c2pa)
    for folder in filter(None, (options.preview, options.aov)):
        make_folder(folder)
