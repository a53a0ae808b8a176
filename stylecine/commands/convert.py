"""Converts a StyleGAN2 checkpoint to .safetensors; nothing in it is executed."""

import argparse

from stylecine.commands.arguments import as_path
from stylecine.commands.console import say
from stylecine.errors import WeightsNotFound, printable
from stylecine.machine.given import check_file


def add_arguments(convert: argparse.ArgumentParser) -> None:
    convert.add_argument("checkpoint", metavar="IN", type=as_path, help="NVIDIA's .pkl or rosinality's .pt")
    convert.add_argument("output", metavar="OUT", type=as_path, help=".safetensors file, or a name that `models` lists")


def run(options: argparse.Namespace, start: float) -> int:
    check_file(options.checkpoint, "checkpoint", WeightsNotFound)

    from stylecine.checkpoints.convert import convert

    say(printable(convert(options.checkpoint, options.output)))
    return 0
