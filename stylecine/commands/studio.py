"""Opens the studio in a browser, until Ctrl-C."""

import argparse

from stylecine.commands.arguments import PHOTOS, as_path
from stylecine.commands.console import extra
from stylecine.errors import PhotoError
from stylecine.machine.given import check_file
from stylecine.machine.private_folder import private_folder


def add_arguments(studio: argparse.ArgumentParser) -> None:
    studio.add_argument("photo", metavar="PHOTO", type=as_path, nargs="?", help=f"to open: {PHOTOS}, or .cine")
    studio.add_argument("--port", metavar="N", type=int, help="(default 8351, or any free port)")
    studio.add_argument("--no-browser", action="store_true", help="only print the address")


def run(options: argparse.Namespace, start: float) -> int:
    if options.photo:
        check_file(options.photo, "photo", PhotoError)
    with extra("studio", "stylecine studio"):
        from stylecine.server.launch import studio
    from stylecine.server.settings import Settings

    with private_folder("stylecine-studio-") as folder:
        # Nobody else uploads here, and a photo that opens by name is to open when it is dropped as well.
        settings = Settings(folder / "store", upload_mb=1000, size=4096, keep_hours=24 * 30)
        studio(settings, options.photo, port=options.port, browser=not options.no_browser)
    return 0
