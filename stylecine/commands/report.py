"""Prints the report that --embed-report embedded in a file, as JSON."""

import argparse
import json

from stylecine.commands.arguments import as_path
from stylecine.commands.console import say
from stylecine.errors import VideoError
from stylecine.machine.given import check_file
from stylecine.output.formats import LIVE_PHOTO, ending_of


def add_arguments(report: argparse.ArgumentParser) -> None:
    report.add_argument("file", metavar="FILE", type=as_path, help="video or picture")


def run(options: argparse.Namespace, start: float) -> int:
    if ending_of(options.file) != LIVE_PHOTO:  # which is two files
        check_file(options.file, "file", VideoError)

    from stylecine.output.metadata import read_report

    say(json.dumps(read_report(options.file), indent=2))
    return 0
