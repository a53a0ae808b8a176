"""stylecine mcp: loops as a tool of agents."""

import argparse

from stylecine.commands.arguments import Commands
from stylecine.commands.console import extra
from stylecine.weights import find_model


def add_to(commands: Commands) -> None:
    mcp = commands.add_parser(
        "mcp",
        help="serve agents over standard input and output (MCP)",
        description="Serves the tools animate, render and explain to an agent, by the Model Context Protocol over"
        " standard input and output. Agents start it themselves: put this command into their settings.",
    )
    mcp.set_defaults(run=run)
    mcp.add_argument("--model", metavar="NAME", default="default", help="name or folder of a model (default: default)")


def run(options: argparse.Namespace, start: float) -> int:
    find_model(options.model)
    with extra("mcp", "stylecine mcp"):
        from stylecine.server.agent import serve
    serve(options.model)
    return 0
