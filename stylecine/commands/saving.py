"""Saving a loop as the command line says, checked before the work."""

import argparse
import os
from itertools import chain, count
from pathlib import Path

from stylecine.commands.arguments import Usage
from stylecine.commands.console import make_folder
from stylecine.errors import OutputError, printable
from stylecine.output.formats import AOVS, PREVIEWS, check_size, ending_of, files_of


def output_of(source: Path, options: argparse.Namespace) -> Path:
    """What -o says, or else the name of a photo or scene with .mp4 or the ending of --format, here; numbered if there
    is such a file, which may be the camera's own. Raises Usage if -o and --format differ."""
    ending = options.format or ".mp4"
    if options.output is not None:
        if options.format and ending_of(options.output) != ending_of(f"loop{ending}"):
            raise Usage(f"'{printable(options.output)}' does not end in {ending}; rename it, or leave out --format")
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
    could not be signed; what `early` checks has been checked."""
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
