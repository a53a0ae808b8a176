"""Arguments that several commands take alike, and what a word of the command line becomes."""

import argparse
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

Size: TypeAlias = int | tuple[int, int] | None
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"

PHOTOS = "JPEG, PNG, WebP, TIFF or HEIC"
LOOP = (  # of animate and render
    *("subject", "mask", "motion", "arrows", "wind"),
    *("seconds", "fps", "speed", "warp", "sampling", "detail"),
)


class Usage(Exception):
    """The command line itself is wrong."""


class Parser(argparse.ArgumentParser):
    """Full option names only, and errors in one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise Usage(f"{message} ({self.prog} --help tells more)")


def add_output(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        help="a video, .mp4 or .webm; a picture that plays, .gif, .webp, .avif or .apng; a page that plays,"
        f" .html; a folder of PNG, without an ending; or .png, the first frame (default: {default})",
    )


def add_motion_options(command: argparse.ArgumentParser, default: str) -> None:
    what = command.add_argument_group(f"what moves, and how (default: {default})")
    add_subject_options(what)
    what.add_argument("--mask", metavar="FILE", type=Path, help="picture, white moves")
    what.add_argument("--motion", metavar="FILE", type=Path, help=".npy [2,h,w]: pixels of its own grid per 1/30 s")
    what.add_argument(
        "--arrow",
        metavar="X0,Y0,X1,Y1",
        type=arrow_of,
        action="append",
        default=[],
        dest="arrows",
        help="where matter travels in one second, in fractions of width and height; may be repeated",
    )


def add_subject_options(command: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    command.add_argument(
        "--subject",
        metavar="NAME",
        default="landscape",
        help="landscape (default), cloth, or auto: both, where there are both",
    )
    command.add_argument(
        "--wind",
        metavar="DEGREES,STRENGTH",
        type=wind_of,
        help="of cloth, blowing 0 to the right, 90 away, 180 to the left, 270 towards the viewer; strength to 1"
        " (default 0,0.5)",
    )


def add_inversion_options(command: argparse.ArgumentParser) -> None:
    photo = command.add_argument_group("how the photo is read")
    photo.add_argument(
        "--size",
        metavar="SIZE",
        type=size_of,
        default=1024,
        help="short side (never enlarged), WxH (cropped to fill) or own, the photo's; default 1024",
    )
    photo.add_argument(
        "--refine", metavar="K", type=int, default=0, help="optimisation steps of the inversion (default 0)"
    )
    photo.add_argument("--seed", metavar="N", type=int, default=0, help="of the noise that some foreign models use")


def add_loop_options(command: argparse.ArgumentParser) -> None:
    loop = command.add_argument_group("the loop")
    loop.add_argument("--seconds", metavar="S", type=float, default=4.0, help="length of one loop (default 4)")
    loop.add_argument("--fps", metavar="F", type=float, default=30.0, help="frames per second (default 30)")
    loop.add_argument("--speed", metavar="S", type=float, default=1.0, help="times as fast (default 1)")
    loop.add_argument("--warp", metavar="NAME", default="msdfw", help="msdfw (default), dfw or pixel (no generator)")
    loop.add_argument("--sampling", metavar="NAME", default="gather", help="gather (default) or splat")
    loop.add_argument(
        "--detail", metavar="D", type=float, default=1.0, help="share of what the generator misses, 0 to 1"
    )


def add_model_options(command: argparse.ArgumentParser, default: str | None) -> None:
    """default: the model's name; None for the scene's own."""
    works = command.add_argument_group("what it works with")
    own = "" if default else " (default: the one that the scene was made with)"
    works.add_argument(
        "--model",
        metavar="NAME",
        default=default,
        help=f"its name, or the path of a generator.safetensors or its folder{own}",
    )
    works.add_argument("--device", metavar="NAME", help="cpu or cuda (default: cuda where there is one)")


def add_format_options(command: argparse.ArgumentParser) -> None:
    file = command.add_argument_group("the file")
    file.add_argument("--quality", metavar="Q", type=int, help="as the format counts it: docs/formats.md")
    file.add_argument("--codec", metavar="NAME", help="of a video, where its container takes several")
    file.add_argument("--repeat", metavar="N", type=int, default=1, help="times a video holds the loop (default 1)")
    file.add_argument("--crop", metavar="W:H[@X,Y]", help="the largest window of that shape; its middle, in fractions")
    file.add_argument("--embed-report", action="store_true", help="put what made the loop into the file's metadata")


def add_file_options(command: argparse.ArgumentParser) -> None:
    add_format_options(command)
    file = command.add_argument_group("its signature, and what is told")
    file.add_argument("--c2pa-cert", metavar="FILE", type=Path, help="sign by C2PA with this certificate chain (PEM)")
    file.add_argument("--c2pa-key", metavar="FILE", type=Path, help="and this private key (PEM)")
    file.add_argument("--preview", metavar="DIR", type=Path, help="also write mask, flow and contact sheet there")
    file.add_argument("--json", action="store_true", help="print figures and measures as one JSON object")


def file_options(options: argparse.Namespace) -> dict[str, Any]:
    """What is both checked before the work and used after it."""
    return {name: getattr(options, name) for name in ("quality", "codec", "repeat", "crop")}


def credentials(options: argparse.Namespace) -> tuple[Path, Path] | None:
    if (options.c2pa_cert is None) != (options.c2pa_key is None):
        raise Usage("--c2pa-cert and --c2pa-key go together; give both")
    return (options.c2pa_cert, options.c2pa_key) if options.c2pa_cert else None


def size_of(text: str) -> Size:
    if text == "own":
        return None
    try:
        numbers = [int(part) for part in text.lower().split("x")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    raise argparse.ArgumentTypeError(f"{text!r} is not a size like 1024, 1024x768 or own")


def wind_of(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not two numbers, degrees and strength, like 270,0.6")
    return numbers


def arrow_of(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not four numbers like 0.2,0.3,0.4,0.3")
    return numbers
