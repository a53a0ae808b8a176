"""Schemas of requests and responses: they validate requests, and /openapi.json describes them."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from inspect import Parameter, cleandoc, signature
from typing import Annotated, Any, Literal, Union, get_args, get_type_hints

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, FiniteFloat, Tag, create_model

from stylecine.edits import model
from stylecine.edits.apply import Editable
from stylecine.edits.model import KINDS, MAX_EDITS, MAX_NAME, MAX_POINTS, MODES, Area
from stylecine.options import CLASSES, FILE_OPTIONS, OPTIONS, PAINTS, PRESETS, STYLES, parse_rate
from stylecine.output.formats import SERVED
from stylecine.server.settings import MAX_PICTURES


class CheckedAs:
    """Annotates a type: requests are checked against another one, which is computed."""

    def __init__(self, checked: Any) -> None:
        self.checked = checked

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return handler.generate_schema(self.checked)


class OneOf(CheckedAs):
    """For a str that is one of these."""

    def __init__(self, choices: Iterable[str]) -> None:
        super().__init__(Literal[tuple(choices)])


Format = Annotated[str, OneOf(SERVED)]
State = Literal["queued", "running", "ready", "failed"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
What = Annotated[str, OneOf(CLASSES)]
Paintable = Annotated[str, OneOf(PAINTS)]
Mode = Annotated[str, OneOf(MODES)]
StyleName = Annotated[str, OneOf(STYLES)]

NUMBERS = {parse_rate: float}  # what a command line writes in other ways as well
# In JSON 4.0 is a whole number.
WHOLE = BeforeValidator(lambda n: int(n) if isinstance(n, float) and n.is_integer() else n)
Point = Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]
Stroke = Annotated[list[Point], Field(min_length=1, max_length=MAX_POINTS, description="[[x, y], ...], fractions")]
Share = Annotated[float, Field(ge=0, le=1)]
Radius = Annotated[FiniteFloat, Field(gt=0, le=1, description="a fraction of the short side")]


class StrictRequest(BaseModel):
    """Strict: "4" is not a number, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Edit(StrictRequest):
    id: Annotated[int, Field(ge=0), WHOLE] | None = None


def _request(kind: type) -> Any:
    """A request for an edit: the fields of its kind; the defaults are those of the method that makes it."""
    name, hints = kind.__name__.lower(), get_type_hints(kind)
    types: dict[str, Any] = {"kind": (Literal[name], ...)}
    method = signature(getattr(Editable, name)).parameters
    for declared in fields(kind):
        hint = hints[declared.name]
        for key, checked in _types(declared.name, hint, dict(declared.metadata)).items():
            if key in method and method[key].default is not Parameter.empty:
                types[key] = checked, method[key].default
            elif type(None) in get_args(hint):
                types[key] = checked | None, None
            else:
                types[key] = checked, ...
    about = cleandoc(kind.__doc__ or "").partition("\n\n")[0]
    return create_model(f"{kind.__name__}Edit", __base__=_Edit, __doc__=about, **types)


def _types(name: str, hint: Any, limits: dict[str, Any]) -> dict[str, Any]:
    """What requests have for a field of an edit: names and types."""
    if Area in (hint, *get_args(hint)):
        return {"stroke": Stroke, "radius": Radius}
    if np.ndarray in get_args(hint):
        return {name: type(None)}
    if "choices" in limits:
        return {name: Annotated[str, OneOf(limits["choices"])]}
    plain = list[FiniteFloat] if "max_length" in limits else FiniteFloat if hint is float else hint
    return {name: Annotated[plain, Field(**limits)]}


REQUESTS = {name: _request(kind) for name, kind in zip(KINDS, get_args(model.Edit), strict=True)}
StyleEdit: Any = REQUESTS["style"]


class PhotoStyleEdit(StyleEdit):
    """Shows the whole as a photo looks, whose `picture` is a small PNG in base64: POST /v1/scenes/{id}/styles."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    picture: Annotated[str, Field(min_length=1, max_length=MAX_PICTURES)]


class KnownEdit(StrictRequest):
    """An edit that the scene already has."""

    id: Annotated[int, Field(ge=0), WHOLE]


def _tag(edit: Any) -> str:
    fields = edit if isinstance(edit, dict) else vars(edit) if isinstance(edit, BaseModel) else {}
    kind = str(fields.get("kind", "known"))
    return "photo-style" if kind == "style" and fields.get("picture") is not None else kind


TAGGED = REQUESTS | {"photo-style": PhotoStyleEdit, "known": KnownEdit}
REQUESTED: Any = Union[tuple(Annotated[request, Tag(tag)] for tag, request in TAGGED.items())]  # noqa: UP007
KIND = Discriminator(
    _tag,
    custom_error_type="edit",
    custom_error_message=f"an edit is of kind {', '.join(KINDS[:-1])} or {KINDS[-1]}, or the id of an existing one",
)


class Edits(StrictRequest):
    """All edits of a scene, in order."""

    edits: Annotated[list[Annotated[Any, CheckedAs(Annotated[REQUESTED, KIND])]], Field(max_length=MAX_EDITS)]


class Edit(BaseModel):
    """An edit of a scene; a stroke without points is a mask, whose pixels are only in the scene's file."""

    id: int
    kind: Annotated[str, OneOf(KINDS)]
    what: Paintable | None = None
    mode: Mode | None = None
    stroke: list[list[float]] | None = None
    radius: float | None = None
    arrow: list[float] | None = None
    point: list[float] | None = None
    factor: float | None = None
    name: str | None = None
    strength: float | None = None
    drift: bool | None = None
    picture: str | None = None


class Problem(BaseModel):
    """RFC 9457: what went wrong; `detail` says in one sentence what to do."""

    type: str
    title: str
    status: int
    detail: str


class Scene(BaseModel):
    """A photo and what moves in it. `moving` and `classes` are shares of its area."""

    id: str
    state: State
    name: str
    width: int | None
    height: int | None
    moving: Share | None
    classes: dict[Paintable, Share]
    edits: list[Edit]
    warning: str | None
    problem: Problem | None
    created: str
    expires: str
    links: dict[str, str]


class Seam(BaseModel):
    """The step across a loop's seam, over its median step; null where nothing moves. `goal`: lowest and highest."""

    seam: float | None
    goal: list[float]


class Doubt(BaseModel):
    """A place, `share` of the photo, that moves and perhaps should not, or the reverse: then `what` is what it may be.
    The brush of this stroke and `radius` covers it."""

    stroke: list[list[float]]
    radius: float
    share: Share
    what: What | None


class Doubts(BaseModel):
    """What the mask is least sure of: what moves, the largest first, then what stands still."""

    doubts: list[Doubt]


class Progress(BaseModel):
    """How far a job is: `done` of `total` steps of a stage, and `share` of the whole."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)  # they are always sent

    stage: str
    done: int = 0
    total: int = 1
    share: Share = 0.0


class Job(BaseModel):
    """A requested animation; its result is at `links.result` once the state is done."""

    id: str
    scene: str
    state: JobState
    progress: Progress
    format: Format
    bytes: int | None
    warning: str | None
    problem: Problem | None
    created: str
    started: str | None
    finished: str | None
    expires: str
    links: dict[str, str]


def typed(options: Mapping[str, Mapping[str, Any]], **own: Any) -> dict[str, Any]:
    """Types and defaults of served options, as `create_model` takes them. own: types of those that are not plain."""
    types: dict[str, Any] = {}
    for name, option in options.items():
        if not option["served"]:
            continue
        limits, kind = dict(option["limits"]), NUMBERS.get(option["parse"], option["parse"])
        if "choices" in limits:
            kind = Annotated[str, OneOf(limits.pop("choices"))]
        if kind is float:
            limits["allow_inf_nan"] = False
        checked = own.get(name) or Annotated[kind, Field(**limits)]
        checked = Annotated[checked, WHOLE] if kind is int else checked
        optional = checked | None if option["default"] is None else checked
        types[name] = Annotated[optional, Field(description=option["help"])], option["default"]
    return types


def loop_options(wind: Any) -> dict[str, Any]:
    """Of the options of a loop; wind: how that is given."""
    return typed(OPTIONS, wind=wind, style=StyleName)


WindPair = Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]
Duration = FiniteFloat | Annotated[str, Field(max_length=32)]
OPTIONS_OF_FILES: Any = create_model(
    "Options", __base__=StrictRequest, **loop_options(WindPair), **typed(FILE_OPTIONS, duration=Duration)
)


class Animation(OPTIONS_OF_FILES):
    """An animation of a scene with its current edits. The options are those of `stylecine.animate` and `save`.
    A preset has other defaults for those that are not given, and the crop and size that its picture needs."""

    scene: Annotated[str, Field(max_length=64)]
    format: Format = "mp4"
    preset: Annotated[str, OneOf(PRESETS)] | None = None
    size: Annotated[int, Field(ge=64, le=8192, description="short side, at most the scene's"), WHOLE] | None = None
