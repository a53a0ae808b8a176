"""Runs in the service's worker processes: tasks on scenes, and a cache of scenes."""

import base64
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, is_dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from stylecine.edits.model import MAX_NAME, Edit, Paint, Speed, Style, to_json
from stylecine.edits.scene_file import scene_size
from stylecine.edits.strokes import cover_region
from stylecine.engine.animator import Animator
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.engine.loop_warnings import quality_warning
from stylecine.engine.resolve import resolve_style
from stylecine.engine.scene import Scene
from stylecine.engine.wind_dial import WindDial
from stylecine.errors import NothingMoves, PhotoError, TooLarge, printable
from stylecine.explanation.evidence import gather
from stylecine.explanation.page import explanation_html
from stylecine.machine.atomic import atomic_write
from stylecine.machine.memory import check_memory
from stylecine.machine.progress import Progress
from stylecine.machine.threads import one_thread
from stylecine.ops.recolour import recolour
from stylecine.options import CLASSES, CLOTH, FILE_OPTIONS, OPTIONS, PAINTS, STYLES, UNSTYLED, RenderOptions, check_wind
from stylecine.output.formats import check_size, ending_of
from stylecine.output.live_photo import write_zip
from stylecine.output.metadata import json_figures
from stylecine.output.web_pack import pack_wind
from stylecine.perception.doubt import doubtful_regions
from stylecine.perception.layers import moving, require_motion
from stylecine.picture.photo import encode_png, load_photo, photo_size
from stylecine.quality.measures import GOALS, seam
from stylecine.server.settings import IMPRESSION, MAX_PICTURES, MAX_POINTS
from stylecine.server.store import hidden_paths

CACHE_BYTES = 400e6  # of cached scenes; the most recently used one is always kept
MAX_DOUBTS, MAX_OFFERS = 3, 2  # places that move, that stand still: more would not be looked at
THUMBNAIL = 160, 120  # pixels
ARGUMENTS = {"stroke": "where"}  # of methods of a scene, where the fields of an edit have other names

Spec = dict[str, Any]  # an edit as schemas.py has it; {"base": k} is the k-th edit in the scene's file
Request = dict[str, Any]
Result = dict[str, Any]


def load(model: str, device: str | None, threads: int) -> "Worker":
    torch.set_num_threads(threads)
    return Worker(Animator.from_pretrained(model, device))


@dataclass
class CachedScene:
    """A scene as in its file, and with the edits of the last request; grids: of styles, by their names or pictures."""

    base: Scene
    scene: Scene
    specs: list[Spec] = field(default_factory=list)
    grids: dict[str | bytes, torch.Tensor] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Memory of all arrays, each counted once."""
        values = (vars(self.base), vars(self.scene), self.grids)
        arrays = {id(array): array for value in values for array in _arrays(value)}
        return sum(array.nbytes for array in arrays.values())

    def edited(self, specs: list[Spec]) -> Scene:
        """The scene with these edits; leading edits that have not changed are reused."""
        if specs != self.specs:
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(specs, self.specs, strict=False)))
            scene = replace(self.base, edits=self.scene.edits[:same])
            for spec in specs[same:]:
                scene = replace(self.base, edits=(*scene.edits, self._edit(scene, spec)))
            self.scene, self.specs = scene, specs
        return self.scene

    def _edit(self, scene: Scene, spec: Spec) -> Edit:
        match spec:
            case {"base": number}:
                return self.base.edits[number]
            case {"kind": "style", "picture": str(picture)}:
                style = Style.create(_decoded(picture), spec["strength"], spec["drift"])
                return replace(style, name=printable(spec["name"])[:MAX_NAME])
            case {"kind": "style"}:
                scene = scene.style(spec["name"], spec["strength"], spec["drift"])
            case {"kind": "speed"}:
                scene = scene.speed(spec["what"] or spec["stroke"], spec["factor"], spec["radius"])
            case {"kind": kind, **fields}:
                scene = getattr(scene, kind)(**{ARGUMENTS.get(name, name): value for name, value in fields.items()})
        return scene.edits[-1]


class Worker:
    """Handles requests: {"task": name of a method, "scene": id, "cine": path of its file, ...}."""

    def __init__(self, animator: Animator) -> None:
        self.animator = animator
        self.cache: OrderedDict[str, CachedScene] = OrderedDict()  # the most recently used one last
        self.played: tuple[Any, Any, Cinemagraph] | None = None  # what the last live loop is of, its wind, and itself
        self.dial: WindDial | None = None  # of the last loop whose wind was turned

    def __call__(self, request: Request, progress: Progress) -> Result:
        task: Callable[[Request, Progress], Result | None] = getattr(self, request["task"])
        try:
            with hidden_paths(request):
                return task(request, progress) or {}
        finally:
            while len(self.cache) > 1 and sum(one.bytes for one in self.cache.values()) > CACHE_BYTES:
                self.cache.popitem(last=False)

    def begin(self, request: Request, progress: Progress) -> Result:
        """A first impression of an upload, before `scene` makes it: writes a web pack of a small loop of a small copy,
        if anything moves. What it says of that is provisional. {} of a .cine file."""
        upload = Path(request["upload"])
        if _is_cine(upload):
            return {}
        sides = photo_size(upload, request["size"])
        check_memory(*sides, self.animator.device)
        scene = self.animator.invert(upload, size=IMPRESSION, latents=False, quick=True, progress=progress)
        if (scene.photo.shape[0] > scene.photo.shape[1]) != (sides[1] > sides[0]):  # turned by what a header lacks
            sides = sides[::-1]
        with suppress(NothingMoves):
            loop = self.animator.preview(scene, size=request["first"], subject="auto", progress=progress)
            Path(request["output"]).write_bytes(loop.live())
        return _facts(scene) | {"width": sides[0], "height": sides[1], "warning": scene.photo_warning or None}

    def scene(self, request: Request, progress: Progress) -> Result:
        """Makes a scene of an upload, a photo or a .cine file, and saves it as a new .cine file."""
        upload = Path(request["upload"])
        if _is_cine(upload):
            side, most = min(scene_size(upload)), request["max_size"]
            if side > most:  # before the rest takes memory
                raise TooLarge(
                    f"The scene's short side is {side} pixels, and {most} are allowed here; make a smaller one."
                )
            scene = Scene.load(upload)
            _check_edits(scene)
        else:
            scene = self.animator.invert(upload, size=request["size"], refine=request["refine"], progress=progress)
            assert scene.source is not None
            # the content of the photo's file is no longer needed
            source = replace(scene.source, name=request["name"], content=b"", digest=scene.source.sha256)
            scene = replace(scene, source=source)
        self._remember(request["scene"], _cached(scene))  # before it is saved, which may be interrupted
        scene.save(request["cine"], progress=progress)
        return {"base": [_described(edit) for edit in scene.edits]} | _facts(scene)

    def edit(self, request: Request, progress: Progress) -> Result:
        return _facts(self._edited(request))

    def file(self, request: Request, progress: Progress) -> None:
        self._edited(request).save(request["output"])

    def live(self, request: Request, progress: Progress) -> None:
        """Writes a web pack."""
        options, loop = RenderOptions(**_given(request)), self._plain(request, progress)
        style = resolve_style(options, self._edited(request).edits)
        if style is not None:
            (grid,) = self._grids(self.cache[request["scene"]], [style])
            loop = loop.styled(grid, style.strength, style.drift)
        if options.weather is not None:
            loop = loop.in_weather(options.weather, options.weather_strength, options.wind, options.speed)
        Path(request["output"]).write_bytes(loop.live())

    def wind(self, request: Request, progress: Progress) -> None:
        """Writes what another wind changes in the web pack that `live` wrote for the last; if quick, about that, and
        otherwise of its overlays alone."""
        still, wind = self._motion(request)
        if request["quick"] and self.played is not None and self.played[0] == still:
            if self.dial is None or self.dial.loop is not self.played[2]:
                self.dial = WindDial(self.played[2], self.animator)
            with one_thread():  # next to a browser that draws on all cores
                content = pack_wind(**vars(self.dial.turn(wind)))
        else:
            loop = self._plain(request, progress)
            if not loop.overlays:
                raise NothingMoves(loop.cloth_warning or "There is no cloth that a wind could move; paint it.")
            content = pack_wind(overlays=loop.overlays)
        Path(request["output"]).write_bytes(content)

    def seam(self, request: Request, progress: Progress) -> Result:
        """The seam of a loop that `live` would write, and its goal."""
        return {"seam": json_figures(seam(self._plain(request, progress))), "goal": list(GOALS["seam"])}

    def doubts(self, request: Request, progress: Progress) -> Result:
        """Where the mask may be wrong, but for what was painted, each with a stroke that covers it: what moves, then
        what stands still."""
        scene = self._edited(request)
        seen = self.animator.seen(scene, scene.scenery)
        found = doubtful_regions(seen.classes, moving(scene.edited_layers), scene.painted)
        frozen, offered = ([doubt for doubt in found if doubt.moving == moves] for moves in (True, False))
        doubts = []
        for doubt in frozen[:MAX_DOUBTS] + offered[:MAX_OFFERS]:
            stroke, radius = cover_region(doubt.mask)
            what = None if doubt.moving else CLASSES[doubt.moving_class]
            doubts.append({"stroke": stroke, "radius": radius, "share": doubt.share, "what": what})
        return {"doubts": doubts}

    def styles(self, request: Request, progress: Progress) -> None:
        """Writes the photo as it is and in each style, side by side."""
        cached = self._cached(request)
        small = torch.from_numpy(load_photo(cached.base.photo, max(THUMBNAIL))).to(self.animator.device)
        grids = self._grids(cached, [Style(name, 1.0, False) for name in STYLES])
        shown = [small, *(recolour(small, grid) for grid in grids)]
        tiles = [ImageOps.fit(Image.fromarray(picture.cpu().numpy()), THUMBNAIL) for picture in shown]
        row = np.concatenate([np.asarray(tile) for tile in tiles], axis=1)
        Image.fromarray(row).save(request["output"], "WEBP", quality=85)

    def style(self, request: Request, progress: Progress) -> Result:
        """The picture that an edit of kind style needs of an uploaded photo."""
        style = Style.create(Path(request["upload"]), 1.0, False)
        assert style.picture is not None
        return {"picture": _encoded(style.picture)}

    def preview(self, request: Request, progress: Progress) -> Result:
        """Writes a small, quick video or picture of a loop."""
        return self._save(request, self._quick(self._edited(request), request, progress))

    def animate(self, request: Request, progress: Progress) -> Result:
        """Writes an animation."""
        scene = self._edited(request)
        output = Path(request["output"])
        written = output.with_suffix("") if ending_of(output) == ".zip" else output  # it has a folder in it
        check_size(written, *scene.size_at(request["size"]), request["crop"])
        smaller = _smaller(scene, request["size"])
        return self._save(request, self.animator.render(scene, size=smaller, progress=progress, **_given(request)))

    def _save(self, request: Request, loop: Cinemagraph) -> Result:
        output = Path(request["output"])
        if ending_of(output) == ".zip":
            _save_zip(loop, output, crop=request["crop"], layer=request["layer"])
        else:
            loop.save(output, **{name: request[name] for name in FILE_OPTIONS if name in request})
        return {"bytes": output.stat().st_size, "warning": loop.warning or None}

    def explain(self, request: Request, progress: Progress) -> None:
        """Writes the page that explains a loop."""
        options = RenderOptions(**_given(request))
        scene, name = self._edited(request), request["name"]
        evidence = gather(self.animator, scene, options, progress, short=min(request["size"], *scene.photo.shape[:2]))
        page = explanation_html(evidence, name, f"{Path(name).stem}.cine")
        Path(request["output"]).write_text(page, encoding="utf-8", newline="\n")

    def forget(self, request: Request, progress: Progress) -> None:
        """Removes a deleted scene from the cache."""
        self.cache.pop(request["scene"], None)
        if self.played is not None and self.played[0][0] == request["scene"]:
            self.played = self.dial = None

    def _plain(self, request: Request, progress: Progress) -> Cinemagraph:
        """A loop in the photo's own appearance, in any weather; not made again if only these have changed."""
        still, wind = self._motion(request)
        if self.played is not None and self.played[0] == still:
            loop = self.played[2]
            if self.played[1] == wind:
                return loop
            if loop.loop is None and [overlay.kind for overlay in loop.overlays] == [CLOTH]:
                with suppress(NothingMoves):
                    self.played = still, wind, self.animator.turn_wind(loop, check_wind(wind), progress=progress)
                    return self.played[2]
        self.played = self.dial = None  # their memory is needed
        scene = self._edited(request)
        unstyled = replace(scene, edits=tuple(edit for edit in scene.edits if not isinstance(edit, Style)))
        self.played = still, wind, self._quick(unstyled, request | UNSTYLED, progress)
        return self.played[2]

    def _motion(self, request: Request) -> tuple[Any, Any]:
        """What determines a loop in the photo's own appearance and dry, but for the wind; and the wind."""
        edits = zip(request["edits"], self._edited(request).edits, strict=True)
        shown = ("style", "weather")
        motion = {n: request.get(n, OPTIONS[n]["default"]) for n in OPTIONS if not n.startswith(shown)}
        wind = motion.pop("wind", None)
        motion["may_be_still"] = request.get("weather") is not None
        others = [spec for spec, edit in edits if not isinstance(edit, Style)]
        return (request["scene"], request["size"], others, motion), wind

    def _quick(self, scene: Scene, request: Request, progress: Progress) -> Cinemagraph:
        if (size := _smaller(scene, request["size"])) is None:
            return self.animator.render(scene, progress=progress, **_given(request))
        return self.animator.preview(scene, size=size, progress=progress, **_given(request))

    def _grids(self, cached: CachedScene, styles: Sequence[Style]) -> list[torch.Tensor]:
        """The grids that show a scene in some styles; those that were needed before are kept."""
        keys = [style.name if style.picture is None else style.picture.tobytes() for style in styles]
        new = {key: style for key, style in zip(keys, styles, strict=True) if key not in cached.grids}
        if new:  # even for none, the networks would look at the photo
            cached.grids |= zip(new, self.animator.style_grids(cached.base.photo, [*new.values()]), strict=True)
        return [cached.grids[key] for key in keys]

    def _edited(self, request: Request) -> Scene:
        return self._cached(request).edited(request["edits"])

    def _cached(self, request: Request) -> CachedScene:
        cached = self.cache.get(request["scene"]) or _cached(Scene.load(request["cine"]))
        self._remember(request["scene"], cached)
        return cached

    def _remember(self, id: str, cached: CachedScene) -> None:
        self.cache[id] = cached
        self.cache.move_to_end(id)


def _is_cine(upload: Path) -> bool:
    with upload.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _given(request: Request) -> dict[str, Any]:
    """Its options of `RenderOptions`."""
    return {name: request[name] for name in OPTIONS if name in request}


def _smaller(scene: Scene, size: int | None) -> int | None:
    """The short side of a loop that is to be smaller than the scene's photo."""
    return None if size is None or size >= min(scene.photo.shape[:2]) else size


def _cached(scene: Scene) -> CachedScene:
    return CachedScene(scene, scene, [{"base": number} for number in range(len(scene.edits))])


def _arrays(value: Any) -> Iterator[Any]:
    """All arrays and tensors in a nested value."""
    if isinstance(value, np.ndarray | torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from (array for item in value.values() for array in _arrays(item))
    elif isinstance(value, tuple | list):
        yield from (array for item in value for array in _arrays(item))
    elif is_dataclass(value):
        yield from _arrays(vars(value))


def _check_edits(scene: Scene) -> None:
    """Raises TooLarge for an uploaded scene whose strokes are too long, or that has too many style photos."""
    points = sum(len(edit.area.stroke) for edit in scene.edits if isinstance(edit, Paint | Speed) and edit.area)
    if points > MAX_POINTS:
        raise TooLarge(f"The scene's strokes have {points} points, and {MAX_POINTS} are allowed here; use fewer.")
    pictures = sum(len(_described(edit)["picture"] or "") for edit in scene.edits if isinstance(edit, Style))
    if pictures > MAX_PICTURES:
        raise TooLarge("The scene has more style photos than are allowed here; undo those that no longer count.")


def _facts(scene: Scene) -> Result:
    """The fields of a scene in responses that the photo and the edits determine."""
    layers, (height, width) = torch.cat((scene.edited_layers, scene.edited_cloth[None])), scene.photo.shape[:2]
    moves = moving(layers)
    shares = {name: float(layer.mean()) for name, layer in zip(PAINTS, layers, strict=True)}
    facts = {"width": width, "height": height, "moving": float(moves.mean()), "classes": shares}
    return facts | {"warning": " ".join(filter(None, (scene.photo_warning, _warning(scene)))) or None}


def _warning(scene: Scene) -> str:
    """Why loops of the scene may disappoint, or why there can be none yet; "" where paint says what moves."""
    if any(isinstance(edit, Paint) for edit in scene.edits):
        return ""
    try:
        require_motion(scene.mask)
    except NothingMoves as error:
        return str(error)
    return quality_warning(scene, scene.mask)


def _described(edit: Edit) -> Spec:
    """An edit of a .cine file as schemas.py has it."""
    values = to_json(edit)
    if isinstance(edit, Style):
        values |= {"picture": None if edit.picture is None else _encoded(edit.picture)}
        del values["photo"]
    area = values.pop("area", None)
    described = {"kind": values.pop("edit"), **values}
    return described | ({"stroke": area["stroke"], "radius": area["radius"]} if area else {})


def _encoded(picture: np.ndarray) -> str:
    """A picture as PNG in base64."""
    return base64.b64encode(encode_png(picture)).decode()


def _decoded(picture: str) -> bytes:
    try:
        return base64.b64decode(picture, validate=True)
    except ValueError:
        raise PhotoError("The picture of a style is not base64; send it as it was received.") from None


def _save_zip(loop: Cinemagraph, output: Path, **shown: Any) -> None:
    """The frames as PNG, in one file."""
    folder = output.with_suffix("")
    try:
        loop.save(folder, **shown)
        with atomic_write(output) as part:
            write_zip(part, sorted(folder.iterdir()))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
