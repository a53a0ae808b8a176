"""Serves agents over standard input and output (MCP).

Offers the tools animate, render and explain by the Model Context Protocol. Agents start it themselves: put this command
into their settings.
"""

import argparse

from stylecine.commands.console import extra
from stylecine.weights import find_model


def add_arguments(mcp: argparse.ArgumentParser) -> None:
    mcp.add_argument("--model", metavar="NAME", default="default", help="name or folder of a model (default: default)")


def run(options: argparse.Namespace, start: float) -> int:
    find_model(options.model)
    with extra("mcp", "stylecine mcp"):
        from stylecine.server.agent import serve
    serve(options.model)
    return 0
