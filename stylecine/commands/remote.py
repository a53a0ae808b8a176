"""`--server`: a service elsewhere does the work; and its tokens."""

import argparse
import json
import os
from pathlib import Path
from time import perf_counter

from stylecine.commands.arguments import as_path
from stylecine.commands.console import complain, extra, file_size, progress_bar, say
from stylecine.errors import OptionError, printable
from stylecine.machine.progress import FILE, LOOP, SCENE
from stylecine.options import ALL_OPTIONS, FILE_OPTIONS, OPTIONS, PRESETS
from stylecine.output.formats import files_of

ENVIRONMENT = "STYLECINE_TOKEN"
LOCAL_OPTIONS = {name: option["default"] for name, option in ALL_OPTIONS.items() if not option["served"]}
LOCAL_OPTIONS |= {"model": "default", "device": None, "c2pa_cert": None, "c2pa_key": None}
LOCAL_OPTIONS |= {"preview": None, "aov": None}
del LOCAL_OPTIONS["arrows"]  # sent as edits
REMOTE_OPTIONS = [name for name in (*OPTIONS, *FILE_OPTIONS) if ALL_OPTIONS[name]["served"]]


def add_server_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("work on another machine")
    group.add_argument("--server", metavar="URL", help="address of `stylecine serve`, such as http://127.0.0.1:8350")
    add_token_file(group, "contains its token")


def add_token_file(command: "argparse.ArgumentParser | argparse._ArgumentGroup", says: str) -> None:
    command.add_argument(
        "--token-file", metavar="FILE", type=as_path, help=f"{says} (default: the environment's {ENVIRONMENT})"
    )


def read_tokens(path: Path | None) -> list[str]:
    """The tokens in a file, one per line, or in the environment if there is no file. Raises OptionError."""
    if path is None:
        return os.environ.get(ENVIRONMENT, "").split()
    try:
        tokens = path.read_text(encoding="ascii").split()
    except OSError as error:
        raise OptionError(f"The tokens in '{path}' cannot be read ({error.strerror}); check the path.") from None
    except UnicodeDecodeError:
        raise OptionError(
            f"'{path}' contains more than letters, digits and signs of ASCII; use only those in tokens."
        ) from None
    if not tokens:
        raise OptionError(f"'{path}' contains no token; write one per line.")
    return tokens


def animate_remotely(options: argparse.Namespace, output: Path, start: float) -> int:
    """`stylecine animate --server`: the same options, files and exit codes as local work; what `early` and
    `check_served` check has been checked."""
    (token, *_) = (*read_tokens(options.token_file), "")
    with extra("client", "--server"):
        from stylecine.server.client import Client

    typed = {name: getattr(options, name) for name in REMOTE_OPTIONS if name in options.given}
    client = Client(options.server, token)
    with progress_bar(SCENE | LOOP | FILE) as bar:
        photo = {"size": _scene_size(options), "refine": options.refine, "arrows": options.arrows}
        reply = client.animate(options.photo, output, progress=bar, preset=options.preset, **photo, **typed)
    seconds, scene, job = perf_counter() - start, reply["scene"], reply["job"]
    if warning := job["warning"]:
        complain(warning, 0)
    if options.json:
        figures = {"output": str(output), "warning": warning, "seconds": {"total": round(seconds, 3)}}
        say(json.dumps({**figures, "server": options.server, "scene": scene, "job": job}))
    else:
        size = f"{file_size(job['bytes'])} of a {scene['width']}x{scene['height']} scene"
        say(f"{' and '.join(map(printable, files_of(output)))}: {size}, {seconds:.1f} s")
    return 0


def _scene_size(options: argparse.Namespace) -> int:
    """The short side of the scene: with a preset, one from which the largest picture of its shape can be cut."""
    if options.preset is None or "size" in options.given:
        return int(options.size)
    width, height, _ = PRESETS[options.preset]["size"]
    return int(max(width, height))


def check_served(options: argparse.Namespace) -> None:
    """Raises OptionError for options that a service does not support."""
    for name, default in LOCAL_OPTIONS.items():
        if getattr(options, name) != default:
            raise OptionError(
                f"--{name.replace('_', '-')} works on this machine only; leave it out, or leave out --server."
            )
    if not isinstance(options.size, int):
        raise OptionError(
            "With --server the size is the short side, a number of pixels, and its shape is a crop:"
            " --size 1920 --crop 9:16."
        )
