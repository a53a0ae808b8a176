"""stylecine report: prints the report embedded in a file."""

import argparse
import json

from stylecine.commands.arguments import Commands, as_path
from stylecine.commands.console import say
from stylecine.errors import VideoError
from stylecine.machine.given import check_file
from stylecine.output.formats import LIVE_PHOTO, ending_of


def add_to(commands: Commands) -> None:
    report = commands.add_parser(
        "report",
        help="print the report embedded in a file",
        description="Prints the report that --embed-report embedded in a file, as JSON.",
    )
    report.set_defaults(run=run)
    report.add_argument("file", metavar="FILE", type=as_path, help="video or picture")


def run(options: argparse.Namespace, start: float) -> int:
    if ending_of(options.file) != LIVE_PHOTO:  # which is two files
        check_file(options.file, "file", VideoError)

    from stylecine.output.metadata import read_report

    say(json.dumps(read_report(options.file), indent=2))
    return 0
