"""Arguments that several commands share."""

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from stylecine.errors import OptionError, instead_of
from stylecine.options import ALL_OPTIONS, FILE_OPTIONS, OPTIONS, PHOTO_OPTIONS, PRESETS, format_size, preset_defaults
from stylecine.output.formats import FORMATS, describe_endings, ending_of, find_format

Options: TypeAlias = Mapping[str, Mapping[str, Any]]

_NAMES = "|".join(name for name in ALL_OPTIONS if "_" in name)
_OPTION_NAMES = re.compile(rf"(?:^|(?<=: )|(?<=omit ))(?:{_NAMES})(?= |\.$)")  # in a sentence, not in a file's name

PHOTOS = "JPEG, PNG, WebP, HEIC, AVIF, TIFF, JPEG 2000, JPEG XL, PSD, BMP, GIF or a camera's raw file"


class Parser(argparse.ArgumentParser):
    """Full option names only, and errors in one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)
        self._negative_number_matcher = re.compile(r"-[\d.]")  # also -0.1,0.2: no option begins so

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Refuses what it does not know itself, since the parser of all commands would name its own help."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown and unknown[0].startswith("-"):
            option = unknown[0].partition("=")[0]
            near = get_close_matches(option, self._option_string_actions, 1, 0.7)
            self.error(f"there is no option {option}" + (f"; did you mean {near[0]}?" if near else ""))
        if unknown:
            several = "; for several photos, use stylecine batch" if hasattr(known, "photo") else ""
            self.error(f"unexpected argument{'s' if len(unknown) > 1 else ''}: {' '.join(unknown)}{several}")
        self._add_defaults(known)
        return known, unknown

    def _add_defaults(self, options: argparse.Namespace) -> None:
        """Adds what was not typed, with a preset's defaults for the file that is asked for; `given` names what was.
        A server adds a preset's defaults itself."""
        taken = ALL_OPTIONS.keys() & {action.dest for action in self._actions if action.default is argparse.SUPPRESS}
        if not taken:
            return
        options.given = taken & vars(options).keys()
        defaults = {name: ALL_OPTIONS[name]["default"] for name in taken}
        if preset := getattr(options, "preset", None):
            ending = options.format or (".mp4" if options.output is None else ending_of(options.output))
            others = preset_defaults(preset, options.given, video=ending == ".mp4")
            if not getattr(options, "server", None):
                defaults |= others
        for name in taken - options.given:
            setattr(options, name, defaults[name])

    def error(self, message: str) -> NoReturn:
        if wrong := re.fullmatch(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message, re.DOTALL):
            commands = re.findall(r"\w+", wrong[2])
            message = f"there is no command '{wrong[1]}'; {instead_of(wrong[1], commands).removesuffix('.')}"
        for kind, what in (("float", "a number"), ("int", "a whole number"), ("parse_rate", "a number or a fraction")):
            message = re.sub(rf"invalid {kind} value: (.*)", rf"\1 is not {what}", message)
        raise OptionError(f"{message} (see {self.prog} --help)")


def with_flags(message: str) -> str:
    """An error of the library, with its options named as one types them."""
    return _OPTION_NAMES.sub(lambda found: "--" + found[0].replace("_", "-"), message)


def as_path(text: str) -> Path:
    """A path as one types it. An empty one, such as a variable of the shell that is not set, would be this folder."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; give one")
    if text == "-":
        raise argparse.ArgumentTypeError("files are not read from or written to pipes; give a path")
    if text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"'{text}' is an address; download the file and give its path")
    return Path(text)


def as_output(text: str) -> Path:
    """A path that is no device, such as /dev/stdout: outputs are read back and moved into place."""
    if text.startswith("/dev/"):
        raise argparse.ArgumentTypeError(f"'{text}' is a device, and loops are written to files; give the path of one")
    return as_path(text)


def add_output(command: argparse.ArgumentParser, default: str) -> None:
    says = f"{describe_endings()}; an existing file is replaced (default: {default})"
    command.add_argument("-o", "--output", metavar="OUT", type=as_output, help=says)
    ending = "ending of the output, or prores for .mov (default: that of -o, or mp4)"
    command.add_argument("--format", metavar="NAME", type=as_ending, help=ending)


def as_ending(text: str) -> str:
    """The ending of a format, typed with or without its dot, or the format's name."""
    named = next((ending for ending, form in FORMATS.items() if form.name.lower() == text.lower()), "")
    ending = named or "." + text.removeprefix(".")
    form = find_format(f"loop{ending}")
    if form is None or form.parts or not form.ending:
        endings = (other.removeprefix(".") for other, form in FORMATS.items() if other and not form.parts)
        raise argparse.ArgumentTypeError(f"'{text}' is not one of {', '.join(endings)}")
    return ending


def add_preset(command: argparse.ArgumentParser) -> None:
    described = [f"{name} ({_described(others)})" for name, others in PRESETS.items()]
    says = f"other defaults: {', '.join(described)}"
    command.add_argument("--preset", metavar="NAME", help=says)


def _described(others: Mapping[str, Any]) -> str:
    texts = {"size": format_size, "seconds": "{:g}".format, "duration": "{:g}s".format}
    shown = {name: texts.get(name, str)(value) for name, value in others.items()}
    return " ".join(f"--{name}" if others[name] is True else f"--{name} {text}" for name, text in shown.items())


def add_loop_options(
    command: argparse.ArgumentParser, moves: str, *, of_photo: bool = True, of_many: bool = False
) -> None:
    """moves: where it is known from what moves, if no option says it. of_photo: whether the loop is made from a photo,
    not a scene. of_many: whether from several, so that there are no options that are about one."""
    groups: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, option in OPTIONS.items():
        if option["served"] or not of_many:
            groups.setdefault(option["group"], {})[name] = option
    add_options(command, f"what moves, and how (default: {moves})", groups["motion"])
    if of_photo:
        add_options(command, "the photo", PHOTO_OPTIONS)
    add_options(command, "the loop", groups["loop"])
    add_options(command, "its light and colours", groups["style"])
    add_options(command, "its weather", groups["weather"])


def add_options(command: argparse.ArgumentParser, title: str, options: Options) -> None:
    """Their defaults are added by the parser, once it knows which were typed."""
    group = command.add_argument_group(title)
    for name, option in options.items():
        flag = "--arrow" if name == "arrows" else "--" + name.replace("_", "-")
        settings: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": option["help"]}
        if isinstance(option["default"], bool):
            group.add_argument(flag, action="store_true", **settings)
            continue
        if isinstance(option["default"], str | float | int):
            settings["help"] += f" (default {option['default']})"
        if option["metavar"] == "FILE":
            settings["type"] = as_path
        elif option["parse"] is not str:
            settings["type"] = argument(option["parse"])
        action = "append" if name == "arrows" else "store"
        group.add_argument(flag, metavar=option["metavar"], action=action, **settings)


def argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser of `options` for argparse, which shows the message of no other exception than this."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except OptionError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    parsed.__name__ = parse.__name__  # argparse prints it for a ValueError
    return parsed


def add_model_options(command: argparse.ArgumentParser, default: str | None) -> None:
    """default: the model's name; None for the scene's own."""
    group = command.add_argument_group("model and device")
    own = "" if default else " (default: the one that the scene was made with)"
    says = f"its name, or the path of a generator.safetensors or its folder{own}"
    group.add_argument("--model", metavar="NAME", default=default, help=says)
    group.add_argument("--device", metavar="NAME", help="cpu or cuda (default: cuda if available)")


def add_file_options(command: argparse.ArgumentParser) -> None:
    add_options(command, "the file", FILE_OPTIONS)
    file = command.add_argument_group("signature and reports")
    signs = "sign with C2PA and this certificate chain (PEM)"
    file.add_argument("--c2pa-cert", metavar="FILE", type=as_path, help=signs)
    file.add_argument("--c2pa-key", metavar="FILE", type=as_path, help="and this private key (PEM)")
    file.add_argument("--preview", metavar="DIR", type=as_path, help="also write mask, flow and contact sheet there")
    aov = "also write mask and motion there, EXR and .npy, for compositing"
    file.add_argument("--aov", metavar="DIR", type=as_path, help=aov)
    file.add_argument("--json", action="store_true", help="print figures and measures as one JSON object")


def values_of(options: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names}


def credentials(options: argparse.Namespace) -> tuple[Path, Path] | None:
    if (options.c2pa_cert is None) != (options.c2pa_key is None):
        raise OptionError("--c2pa-cert and --c2pa-key go together; give both")
    return (options.c2pa_cert, options.c2pa_key) if options.c2pa_cert else None
