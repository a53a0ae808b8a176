"""A made-up format, style, option and edit, each declared in its one place, is everywhere: nothing else lists them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import stylecine

PACKAGE = Path(stylecine.__file__).parent
DECLARED = {  # file: lines, each with the one that it follows
    "options.py": [
        ('StyleName = Literal["golden-hour",', ' "made-up",'),
        ('F", parse_rate, gt=0, le=240)\n', """\
    grain: float = _option(0.5, "of the film", "G", float, studio=DETAILS | {"label": "Grain"}, ge=0, le=1)
    film: str = _option("none", "the film", "NAME", choices=("none", "slide"))
"""),
        ("    fps: float\n", "    grain: float\n    film: str\n"),
    ],
    "output/formats.py": [
        ("    for form in (\n", '        Image(".xyz", "image/x-new", "Made-up", "New", (60, 80, 95), 100, 512),\n'),
    ],
    "edits/model.py": [
        ("# The metadata of an edit's fields are their limits, in Python and in requests of the service.\n", """

@dataclass(frozen=True)
class Tilt:
    "Leans to one side."

    way: str = field(metadata={"choices": ("left", "right")})
    factor: float = field(metadata={"ge": 0, "le": 1})
"""),
        ("Edit: TypeAlias = Paint | Push | Anchor | Speed | Style", " | Tilt"),
        ("    match edit:\n", "        case Tilt(way, factor):\n            return f'--tilt {way}={factor:g}'\n"),
        ("    match facts:\n", """\
        case {"edit": "tilt", "way": str(way), "factor": factor}:
            return Tilt(way, checked(Tilt, "factor", factor))
"""),
    ],
    "edits/apply.py": [
        ("    Style,\n", "    Tilt,\n"),
        ("        return self._with(Style.create(style, strength, drift))\n", """
    def tilt(self, way: str, factor: float = 0.5) -> Self:
        return self._with(Tilt(way, factor))
"""),
    ],
    "commands/edit.py": [
        ("    for name, metavar, parse, explanation in (\n", """\
        ("--tilt", "WAY", lambda way: ("tilt", (way,), {}), "leans that way"),
"""),
    ],
    "output/images.py": [("ENCODERS: dict[str, Encode] = {", '".xyz": _encode_webp, ')],
}  # fmt: skip
PROGRAM = """
import argparse, json, sys, tempfile
from pathlib import Path
import numpy as np
from stylecine import OptionError
from stylecine.cli import parser
from stylecine.commands.arguments import values_of
from stylecine.commands.manifest import tasks_of
from stylecine.commands.remote import REMOTE_OPTIONS
from stylecine.edits.model import from_json, to_json, to_option
from stylecine.edits.scene_file import Cine
from stylecine.options import FileOptions, RenderOptions
from stylecine.output.formats import SERVED
from stylecine.output.writing import check_output, write_output
from stylecine.server.app import create_app
from stylecine.server.declared import declared_js
from stylecine.server.schemas import Animation, Edits
from stylecine.server.settings import Settings
from stylecine.server.worker import CachedScene

folder = Path(sys.argv[1])
(commands,) = (a.choices for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
typed = commands["animate"].parse_args("p.jpg --grain 0.2 --film slide --style made-up -o p.xyz".split())
(folder / "p.csv").write_text("photo,output,grain,style\\np.jpg,q.xyz,0.25,made-up\\n")
((task,), _) = tasks_of(folder / "p.csv", folder, ".mp4", {})
try:
    refused = str(RenderOptions(grain=2))
except OptionError as error:
    refused = str(error)
check_output(folder / "p.xyz", FileOptions(quality=90))
write_output([np.full((8, 8, 3), k, np.uint8) for k in (0, 99)], folder / "p.xyz", 30)
app = create_app(Settings(data=folder / "data"), studio=True)
black, no = np.zeros((8, 8, 3), np.uint8), np.zeros(0)
scene = Cine(black, black, no, no, no, no, {}, None, {})
(edit,) = Edits(edits=[{"kind": "tilt", "way": "left"}]).model_dump()["edits"]
(made,) = CachedScene(scene, scene).edited([{name: edit[name] for name in edit if name != "id"}]).edits
print(json.dumps({
    "help": {name: command.format_help() for name, command in commands.items()},
    "typed": values_of(typed, ("grain", "film", "style")),
    "task": [task.output, task.options, [*task.files]],
    "remote": REMOTE_OPTIONS,
    "refused": refused,
    "report": RenderOptions(grain=0.2).describe(),
    "media type": SERVED["xyz"].media_type,
    "sent": [*app.openapi()["paths"]["/v1/animations/{id}/result"]["get"]["responses"]["200"]["content"]],
    "schema": Animation.model_json_schema()["properties"],
    "request": Animation(scene="1", format="xyz", grain=0.1, style="made-up").model_dump(),
    "live": [p["name"] for p in app.openapi()["paths"]["/v1/scenes/{id}/live"]["get"]["parameters"]],
    "page": declared_js(),
    "edit": edit,
    "edit's schema": app.openapi()["components"]["schemas"]["TiltEdit"],
    "edit as text": to_option(made),
    "edit read again": to_json(from_json(to_json(made), None, (8, 8))),
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a package with the made-up ones says of them."""
    folder = tmp_path_factory.mktemp("declared")
    copy = folder / "stylecine"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("lib", "__pycache__", "examples"))
    for name, lines in DECLARED.items():
        text = (copy / name).read_text()
        for before, line in lines:
            assert text.count(before) == 1, f"{name} has no longer, once, {before!r}"
            text = text.replace(before, before + line)
        (copy / name).write_text(text)
    environment = os.environ | {"PYTHONPATH": str(folder)}
    run = [sys.executable, "-c", PROGRAM, str(folder)]
    done = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    found["page"] = dict(line.removeprefix("export const ").split(" = ") for line in found["page"].splitlines())
    found["page"] = {name: json.loads(value.removesuffix(";")) for name, value in found["page"].items()}
    return found


def test_a_format(seen: Any) -> None:
    assert ".xyz" in seen["help"]["animate"] and ".xyz" in seen["help"]["render"]
    assert seen["task"][0] == "q.xyz"
    assert "xyz" in seen["schema"]["format"]["enum"] and seen["request"]["format"] == "xyz"
    assert seen["media type"] == "image/x-new" and "image/x-new" in seen["sent"]
    (form,) = (form for form in seen["page"]["FORMATS"] if form["id"] == "xyz")
    assert (form["name"], form["kind"]["group"], form["default_size"]) == ("Made-up", "Animated image", 512)
    assert form["qualities"] == [60, 80, 95] and form["codecs"] == []


def test_a_style(seen: Any) -> None:
    assert "made-up" in seen["help"]["animate"] and "made-up" in seen["help"]["batch"]
    assert seen["typed"]["style"] == "made-up"
    assert seen["task"][1]["style"] == "made-up" and seen["task"][2] == ["photo"]
    assert "made-up" in str(seen["schema"]["style"]) and seen["request"]["style"] == "made-up"
    assert "made-up" in seen["page"]["OPTIONS"]["style"]["choices"]


def test_an_option(seen: Any) -> None:
    for command in ("animate", "render", "batch", "explain"):
        assert "--grain G" in seen["help"][command] and "of the film (default 0.5)" in seen["help"][command]
    assert seen["typed"] == {"grain": 0.2, "film": "slide", "style": "made-up"}
    assert seen["refused"] == "grain must be a number from 0 to 1, not 2."
    assert seen["report"]["grain"] == 0.2 and seen["task"][1]["grain"] == 0.25
    assert {"grain", "film"} <= {*seen["remote"]} & {*seen["live"]}
    grain = {"default": 0.5, "description": "of the film", "maximum": 1, "minimum": 0, "type": "number"}
    assert grain.items() <= seen["schema"]["grain"].items() and seen["request"]["grain"] == 0.1
    assert seen["schema"]["film"]["enum"] == ["none", "slide"]
    slider = {"label": "Grain", "min": 0, "max": 1, "step": 0.05, "unit": "%"}
    assert seen["page"]["OPTIONS"]["grain"] == {"default": 0.5, "ge": 0, "le": 1, **slider}


def test_an_edit(seen: Any) -> None:
    """Its class and method; its option of the command line; a tool, if the studio is to have it."""
    assert seen["edit"] == {"id": None, "kind": "tilt", "way": "left", "factor": 0.5}
    schema = seen["edit's schema"]
    assert schema["description"] == "Leans to one side." and schema["required"] == ["kind", "way"]
    assert schema["properties"]["way"]["enum"] == ["left", "right"]
    assert {"default": 0.5, "maximum": 1, "minimum": 0}.items() <= schema["properties"]["factor"].items()
    assert seen["edit as text"] == "--tilt left=0.5" and "--tilt WAY" in seen["help"]["edit"]
    assert seen["edit read again"] == {"edit": "tilt", "way": "left", "factor": 0.5}
