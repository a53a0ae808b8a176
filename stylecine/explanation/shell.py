"""Command lines that make a loop again with something changed, ready to copy."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import PurePath
from typing import Any

from stylecine.edits.strokes import Stroke
from stylecine.errors import printable
from stylecine.options import OPTIONS, RenderOptions, Size, format_size


@dataclass(frozen=True)
class Source:
    """What the commands begin with. name: of the photo's file. cine: of the scene's file if it exists already."""

    name: str
    cine: str = ""

    @property
    def stem(self) -> str:
        return PurePath(self.name).stem or "photo"

    @property
    def scene_file(self) -> str:
        return self.cine or f"{self.stem}.cine"


@dataclass(frozen=True)
class Shell:
    """The commands for one loop: its source, and the options that it was made with."""

    source: Source
    options: RenderOptions
    size: Size = 1024
    refine: int = 0
    seed: int = 0
    model: str = "default"

    def animate(self, **changes: Any) -> list[str]:
        """Lines that make the loop with other options; size and refine are possible too."""
        values = {name: changes.get(name, getattr(self.options, name)) for name in OPTIONS}
        output = ["-o", _file(f"{self.source.stem}.mp4")]
        if self.source.cine:
            return [_line("render", _file(self.source.cine), *_flags(values), *output)]
        return [_line("animate", _file(self.source.name), *self._inversion(changes), *_flags(values), *output)]

    def edit(self, *arguments: str) -> list[str]:
        """Lines that make the loop with further edits: options of `stylecine edit`, quoted."""
        file = _file(self.source.scene_file)
        first = [] if self.source.cine else [_line("scene", _file(self.source.name), *self._inversion({}), "-o", file)]
        values = {name: getattr(self.options, name) for name in OPTIONS}
        output = _file(f"{self.source.stem}.mp4")
        return [*first, _line("edit", file, *arguments), _line("render", file, *_flags(values), "-o", output)]

    def _inversion(self, changes: dict[str, Any]) -> list[str]:
        size, refine = changes.get("size", self.size), changes.get("refine", self.refine)
        given = [] if size == 1024 else ["--size", format_size(size)]
        given += ["--refine", str(refine)] if refine else []
        given += ["--seed", str(self.seed)] if self.seed else []
        return given if self.model == "default" else [*given, "--model", _file(self.model)]


def stroke_text(stroke: Stroke) -> str:
    """A stroke as `stylecine edit` takes it."""
    points, radius = stroke
    return f"{' '.join(f'{x:g},{y:g}' for x, y in points)} @{radius:g}"


def arrow_text(arrow: Sequence[float]) -> str:
    return ",".join(f"{value:.3g}" for value in arrow)


def _line(command: str, *arguments: str) -> str:
    return shlex.join(["stylecine", command, *arguments])


def _file(name: str) -> str:
    """A file's name that no terminal obeys, and that no command takes for an option."""
    shown = printable(name)
    return f"./{shown}" if shown.startswith("-") else shown


def _flags(values: dict[str, Any]) -> list[str]:
    """Options that differ from their defaults."""
    flags: list[str] = []
    for name, value in values.items():
        flag = "--" + name.replace("_", "-")
        if name == "arrows":
            flags += [f"--arrow={arrow_text(arrow)}" for arrow in value]
        elif value is None or (isinstance(value, str | int | float) and value == OPTIONS[name]["default"]):
            continue
        elif isinstance(value, bool):
            flags.append(flag)
        elif name == "wind":
            flags.append(f"{flag}={value.degrees:g},{value.strength:g}")
        else:
            flags += [flag, _text(name, value)]
    return flags


def _text(name: str, value: Any) -> str:
    if isinstance(value, str | PathLike):
        return _file(fspath(value))
    if isinstance(value, int | float):
        return f"{value:g}"
    return {"mask": "mask.png", "motion": "motion.npy"}.get(name, "style.jpg")  # it was given as pixels
