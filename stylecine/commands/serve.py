"""Serves scenes and animations over HTTP, until Ctrl-C."""

import argparse
from pathlib import Path

from stylecine.commands.arguments import as_path
from stylecine.commands.console import extra
from stylecine.commands.remote import add_token_file, read_tokens
from stylecine.errors import OptionError
from stylecine.options import check_device_name
from stylecine.server.settings import Settings, read_settings

OPTIONS = ("host", "port", "data", "workers", "ray", "model", "device")  # that are settings as well


def add_arguments(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--host", metavar="ADDRESS", help="address to listen on (default 127.0.0.1: this machine only)")
    serve.add_argument("--port", metavar="N", type=int, help="default 8350; 0: any free port")
    serve.add_argument("--data", metavar="DIR", type=as_path, help="data folder (default ~/.local/share/stylecine)")
    serve.add_argument("--workers", metavar="N", type=int, help="worker processes, 2 or more (default 2)")
    serve.add_argument("--ray", metavar="ADDRESS", help="work on the Ray cluster at that address, or auto")
    serve.add_argument("--model", metavar="NAME", help="its name or path (default: default)")
    serve.add_argument("--device", metavar="NAME", help="cpu or cuda (default: cuda if available)")
    add_token_file(serve, "tokens, one per line, of which clients have to send one")
    serve.add_argument(
        "--settings", metavar="FILE", type=as_path, help="TOML with these and all limits: docs/service.md"
    )


def run(options: argparse.Namespace, start: float) -> int:
    changes = read_settings(options.settings) if options.settings else {}
    changes |= {name: value for name in OPTIONS if (value := getattr(options, name)) is not None}
    settings = Settings(Path() if "data" in changes else _default_folder()).updated(changes)
    if settings.device is not None:
        check_device_name(settings.device)
    tokens = read_tokens(options.token_file)
    with extra("studio", "stylecine serve"):
        from stylecine.server.launch import serve

    serve(settings, tokens)
    return 0


def _default_folder() -> Path:
    """Raises OptionError for a user without a home, such as one that a container runs under."""
    try:
        return Path.home() / ".local/share/stylecine"
    except RuntimeError:
        raise OptionError("This user has no home folder for the service's data; name a folder with --data.") from None
