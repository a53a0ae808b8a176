"""Saving a loop as the command line says, checked before the work."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stylecine.commands.arguments import file_options
from stylecine.commands.console import make_folder

if TYPE_CHECKING:
    from stylecine.cinemagraph import Cinemagraph
    from stylecine.output import VideoInfo


def check_files(output: Path, options: argparse.Namespace, c2pa: tuple[Path, Path] | None) -> None:
    """Raises an error before any work if a file could not be written."""
    from stylecine.options import check_live
    from stylecine.output.c2pa import signer_for
    from stylecine.output.formats import check_output, is_page

    check_output(
        output,
        fps=options.fps,
        comment=options.embed_report,
        **file_options(options),
    )
    if is_page(output):
        check_live(options.warp, options.sampling)
    if c2pa:
        signer_for(output, c2pa)
    if options.preview:
        make_folder(options.preview)


def save(loop: "Cinemagraph", output: Path, options: argparse.Namespace, c2pa: tuple[Path, Path] | None) -> "VideoInfo":
    return loop.save(
        output,
        embed_report=options.embed_report,
        c2pa=c2pa,
        **file_options(options),
    )
