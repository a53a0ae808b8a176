"""stylecine doctor: checks the installation."""

import argparse
import json

from stylecine.commands.arguments import Commands
from stylecine.commands.console import say


def add_to(commands: Commands) -> None:
    doctor = commands.add_parser("doctor", help="check the installation", description="Checks the installation.")
    doctor.set_defaults(run=run)
    doctor.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, start: float) -> int:
    from stylecine.doctor import examine

    findings = examine()
    if options.json:
        say(json.dumps([finding.__dict__ for finding in findings]))
    for finding in [] if options.json else findings:
        say(f"{'ok     ' if finding.good else 'PROBLEM'} {finding.what}: {finding.says}")
    return 0 if all(finding.good for finding in findings) else 1
