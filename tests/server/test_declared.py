"""What the studio offers fits the service: what its tools make is accepted, has an icon, and has a schema."""

import re
from pathlib import Path
from typing import Any

import pytest

import stylecine
from stylecine.edits.apply import Editable
from stylecine.edits.model import KINDS
from stylecine.options import CLASSES, PAINTS
from stylecine.server.declared import TOOLS
from stylecine.server.schemas import REQUESTS, Edit, Edits

STUDIO = Path(stylecine.__file__).parent / "server/studio"
MADE = {  # what a gesture adds to an edit
    "stroke": {"stroke": [[0.1, 0.2]], "radius": 0.05},
    "arrow": {"arrow": [0.1, 0.2, 0.3, 0.4]},
    "point": {"point": [0.1, 0.2], "radius": 0.05},
}
CHOSEN = {"paint": {"what": "water"}, "speed": {"factor": 2.0}}


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool["gesture"]], ids=lambda tool: tool["id"])
def test_a_tool_makes_edits_that_the_service_accepts(tool: dict[str, Any]) -> None:
    edit = {**tool["edit"], **CHOSEN.get(tool["id"], {}), **MADE[tool["gesture"]]}
    (accepted,) = Edits.model_validate({"edits": [edit]}).edits
    assert edit.items() <= accepted.model_dump().items()


def test_every_tool_and_every_moving_class_has_an_icon() -> None:
    icons = re.findall(r'id="([\w-]+)"', (STUDIO / "icons.svg").read_text())
    assert {*PAINTS, *(tool["id"] for tool in TOOLS)} <= {*icons}
    assert len({tool["key"] for tool in TOOLS}) == len(TOOLS) and {*CLASSES} < {*PAINTS}


def test_every_kind_of_edit_is_a_method_and_its_fields_are_sent_back() -> None:
    assert [*REQUESTS] == [*KINDS] and all(callable(getattr(Editable, kind)) for kind in KINDS)
    assert {name for model in REQUESTS.values() for name in model.model_fields} == {*Edit.model_fields}
