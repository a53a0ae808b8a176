"""The worker's limits, its cache, and its messages."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stylecine.edits.model import Style
from stylecine.edits.scene_file import edit_cine
from stylecine.engine.animator import Animator
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.engine.scene import Scene
from stylecine.errors import Cancelled, TooLarge
from stylecine.machine.progress import Progress
from stylecine.server import worker
from stylecine.server.store import without_paths
from stylecine.server.worker import Worker
from tests.server.conftest import Served

STROKE = {"kind": "speed", "what": None, "stroke": [[0.2, 0.2], [0.8, 0.2]], "radius": 0.1, "factor": 2.0}


@pytest.fixture
def file(real: Served, photo_file: Path, tmp_path: Path) -> Iterator[Path]:
    """A scene of 96x72 pixels with a stroke of two points."""
    link = real.scene(photo_file.read_bytes())["links"]["self"]
    assert real.client.patch(link, json={"edits": [STROKE]}).status_code == 200
    (tmp_path / "lake.cine").write_bytes(real.client.get(f"{link}/file").content)
    yield tmp_path / "lake.cine"
    real.client.delete(link)


@pytest.fixture
def works(animator: Animator) -> Worker:
    return Worker(animator)


def add_scene(
    works: Worker, upload: Path, id: str, progress: Progress = lambda *_: True, **options: Any
) -> dict[str, Any]:
    request = {"task": "scene", "scene": id, "upload": str(upload), "cine": str(upload.with_name(f"{id}.cine"))}
    fields = {"max_size": 72, "name": "lake", "size": 72, "refine": 0, "first": None}
    return works(fields | request | options, progress)


def test_an_uploaded_scene_has_limits(file: Path, works: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert add_scene(works, file, "one")["base"][0]["stroke"] == STROKE["stroke"]
    with pytest.raises(TooLarge, match="72 pixels, and 71 are allowed"):
        add_scene(works, file, "two", max_size=71)
    monkeypatch.setattr(worker, "MAX_POINTS", 1)
    with pytest.raises(TooLarge, match="2 points, and 1 are allowed"):
        add_scene(works, file, "three")


def test_of_an_uploaded_scene_that_is_too_large_only_its_size_is_read(
    file: Path, works: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scene, "load", lambda path: pytest.fail("it is loaded"))
    with pytest.raises(TooLarge, match="72 pixels, and 71 are allowed"):
        add_scene(works, file, "one", max_size=71)


def test_cached_scenes_take_a_bounded_number_of_bytes(
    photo_file: Path, works: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_scene(works, photo_file, "one")
    size = works.cache["one"].bytes
    assert size > works.cache["one"].base.photo.nbytes + works.cache["one"].base.feature.nbytes
    monkeypatch.setattr(worker, "CACHE_BYTES", 2.5 * size)
    for id in ("two", "three"):
        add_scene(works, photo_file, id)
    assert list(works.cache) == ["two", "three"]
    monkeypatch.setattr(worker, "CACHE_BYTES", 1)
    add_scene(works, photo_file, "four")
    assert list(works.cache) == ["four"], "the last one is always kept"


def test_the_scene_that_was_used_last_is_kept(photo_file: Path, works: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    for id in ("one", "two"):
        add_scene(works, photo_file, id)
    monkeypatch.setattr(worker, "CACHE_BYTES", 1)
    works({"task": "edit", "scene": "one", "cine": str(photo_file.with_name("one.cine")), "edits": []}, lambda *_: True)
    assert list(works.cache) == ["one"]


def test_a_cached_scene_does_not_keep_its_upload(photo_file: Path, works: Worker) -> None:
    with photo_file.open("ab") as file:
        file.write(bytes(1_000_000))
    sha256 = hashlib.sha256(photo_file.read_bytes()).hexdigest()
    add_scene(works, photo_file, "one")
    source = works.cache["one"].base.source
    assert source is not None and (source.content, source.sha256, source.name) == (b"", sha256, "lake")


def test_what_is_missing_of_a_photo_is_told_of_its_scene_and_loops(photo_file: Path, works: Worker) -> None:
    photo_file.write_bytes(photo_file.read_bytes()[:-200])
    output = str(photo_file.with_name("pack"))
    begun = add_scene(works, photo_file, "one", task="begin", first=64, output=output)
    for facts in (begun, add_scene(works, photo_file, "one")):
        assert "of its 72 rows are missing" in facts["warning"]


def test_a_file_that_cannot_hold_the_loop_is_refused_before_it_is_made(
    tmp_path: Path, works: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (16400, 80)).save(tmp_path / "wide.png")
    scene = works.animator.invert(tmp_path / "wide.png", size=None, latents=False)
    works.cache["wide"] = worker._cached(scene)
    monkeypatch.setattr(Animator, "render", lambda *_, **__: pytest.fail("work was done"))
    request = {"task": "animate", "scene": "wide", "cine": "", "edits": [], "size": None, "crop": None}
    with pytest.raises(TooLarge, match="ask for size 79"):
        works(request | {"output": str(tmp_path / "loop.webp")}, lambda *_: True)


def test_an_export_smaller_than_its_scene_is_no_preview(
    tmp_path: Path, works: Worker, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies behind static things is painted in, and where something may be left out is said."""
    add_scene(works, photo_file, "one")
    quick: list[bool] = []
    render_with = Animator.render_with

    def recorded(self: Animator, *given: Any, **others: Any) -> Cinemagraph:
        quick.append(others.get("quick", False))
        return render_with(self, *given, **others)

    monkeypatch.setattr(Animator, "render_with", recorded)
    request = {"scene": "one", "cine": str(photo_file.with_name("one.cine")), "edits": [], "size": 64, "crop": None}
    works(request | {"task": "animate", "output": str(tmp_path / "loop.gif")}, lambda *_: True)
    with Image.open(tmp_path / "loop.gif") as loop:
        assert min(loop.size) == 64
    works(request | {"task": "live", "output": str(tmp_path / "pack")}, lambda *_: True)
    assert quick == [False, True]


def test_the_first_loop_is_a_first_impression_of_the_scene(
    works: Worker, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a small copy, looked at quickly. Nothing of it is kept: the scene is the one that it would be without."""
    asked: list[tuple[int, bool, bool]] = []
    invert = Animator.invert

    def spied(
        self: Animator, upload: Path, *, size: int, latents: bool = True, quick: bool = False, **options: Any
    ) -> Scene:
        asked.append((size, latents, quick))
        return invert(self, upload, size=min(size, 64) if quick else size, latents=latents, quick=quick, **options)

    monkeypatch.setattr(Animator, "invert", spied)
    first = photo_file.with_name("first")
    begun = add_scene(works, photo_file, "one", task="begin", first=64, output=str(first))
    assert asked == [(worker.IMPRESSION, False, True)]
    assert (begun["width"], begun["height"]) == (96, 72), "of the scene, not of the copy"
    assert begun["moving"] > 0.1 and begun["warning"] is None
    assert first.stat().st_size > 1000 and not works.cache
    add_scene(works, photo_file, "one")
    add_scene(works, photo_file, "two")
    assert photo_file.with_name("one.cine").read_bytes() == photo_file.with_name("two.cine").read_bytes()


def test_a_scene_that_is_interrupted_anywhere_is_made_again_the_same(works: Worker, photo_file: Path) -> None:
    output = str(photo_file.with_name("first"))
    steps: list[str] = []

    def stop_at(last: int) -> Progress:
        steps.clear()
        return lambda stage, *_: steps.append(stage) or len(steps) != last

    add_scene(works, photo_file, "one", task="begin", first=64, output=output)
    add_scene(works, photo_file, "one", stop_at(-1))
    assert steps.count("inversion") > 10 and steps.count("saving") > 5
    whole, total = photo_file.with_name("one.cine").read_bytes(), len(steps)
    for last in (2, total // 2, steps.index("saving") + 3):
        add_scene(works, photo_file, "two", task="begin", first=64, output=output)
        with pytest.raises(Cancelled):
            add_scene(works, photo_file, "two", stop_at(last))
        assert not photo_file.with_name("two.cine").exists()
        add_scene(works, photo_file, "two")
        assert photo_file.with_name("two.cine").read_bytes() == whole
        works.cache.clear()
        photo_file.with_name("two.cine").unlink()


def test_what_does_not_move_or_is_whole_has_no_first_loop(
    works: Worker, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylecine.perception.look.segment", lambda *_: torch.zeros(4, 72, 96))
    output = photo_file.with_name("first")
    begun = add_scene(works, photo_file, "one", task="begin", first=64, output=str(output))
    assert begun["moving"] == 0 and begun["warning"] is None and not output.exists(), "the scene will say why"
    add_scene(works, photo_file, "one")
    file = photo_file.with_name("one.cine")
    assert add_scene(works, file, "two", task="begin", first=64, output=str(output)) == {} and not output.exists()


LIVE = {"seconds": 1.0, "fps": 10.0, "subject": "auto", "size": 64}
NIGHT = {"kind": "style", "name": "night", "strength": 1.0, "drift": False, "picture": None}
SKY = {"kind": "paint", "what": "sky", "mode": "add", "stroke": [[0.1, 0.2], [0.9, 0.2]], "radius": 0.2}


@pytest.fixture
def live(works: Worker, photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cinemagraph]:
    """Requests a live loop with some edits and options, and returns what is packed."""
    packed: list[Cinemagraph] = []
    monkeypatch.setattr(Cinemagraph, "live", lambda loop: packed.append(loop) or b"")
    add_scene(works, photo_file, "one")

    def request(*edits: dict[str, Any], **options: Any) -> Cinemagraph:
        of = {"task": "live", "scene": "one", "cine": str(photo_file.with_name("one.cine")), "edits": [*edits]}
        works({**of, **LIVE, **options, "output": str(photo_file.with_name("pack"))}, lambda *_: True)
        return packed.pop()

    return request


def test_another_style_needs_no_new_loop(works: Worker, live: Callable[..., Cinemagraph]) -> None:
    plain = live(SKY)
    drifting = {**NIGHT, "drift": True, "strength": 0.5}
    styled = [live(SKY, NIGHT), live(SKY, drifting), live(SKY, style="dusk", style_strength=0.4), live(NIGHT, SKY)]
    assert all(loop.loop is plain.loop for loop in styled) and plain.appearance is None
    night, weaker, dusk, _ = (loop.appearance for loop in styled)
    assert night is not None and weaker is not None and dusk is not None
    assert (night.strength, weaker.strength, weaker.drift) == (1.0, 0.5, True)
    assert night.grid is weaker.grid and not torch.equal(night.grid, dusk.grid)
    whole = works.animator.preview(works.cache["one"].scene, size=64, seconds=1, fps=10, subject="auto")
    assert np.array_equal(whole[3], styled[0][3]) and not np.array_equal(plain[3], styled[0][3])
    changes: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [([], {"fps": 5.0}), ([NIGHT], {"size": 70})]
    for edits, options in [*changes, ([{**SKY, "what": "water"}], {})]:
        assert live(SKY, *edits, **options).loop is not live(SKY).loop


def test_another_weather_needs_no_new_loop(works: Worker, live: Callable[..., Cinemagraph]) -> None:
    plain = live(SKY)
    wind = {"wind": ["180", "0.6"]}
    snow = live(SKY, NIGHT, weather="snow", weather_strength=0.8, **wind)
    assert snow.loop is not plain.loop, "with weather nothing else has to move"
    others = ([], "rain"), ([NIGHT], "rain"), ([], "fog")
    dry = [live(SKY, *style, weather=weather, **wind) for style, weather in others]
    assert all(loop.loop is snow.loop and loop.weather is not None for loop in dry)
    assert snow.weather is not None and not torch.equal(snow.weather.paths, dry[0].weather.paths)
    options = {"weather": "snow", "weather_strength": 0.8, "wind": (180, 0.6), "style": "night"}
    whole = works.animator.preview(works.cache["one"].scene, size=64, seconds=1, fps=10, subject="auto", **options)
    assert np.array_equal(whole[3], snow[3])
    assert live(SKY).weather is None


def test_a_style_is_computed_once(live: Callable[..., Cinemagraph], monkeypatch: pytest.MonkeyPatch) -> None:
    live(SKY, NIGHT)
    monkeypatch.setattr(Animator, "style_grids", lambda *_: pytest.fail("it is computed again"))
    assert live(SKY, {**NIGHT, "strength": 0.5}).appearance is not None


def test_styles_of_a_cached_scene_count_among_its_bytes(works: Worker, live: Callable[..., Cinemagraph]) -> None:
    live(SKY)
    before = works.cache["one"].bytes
    appearance = live(SKY, NIGHT).appearance
    assert appearance is not None and works.cache["one"].bytes == before + appearance.grid.nbytes


def test_photos_of_the_same_name_are_different_styles(live: Callable[..., Cinemagraph]) -> None:
    red, blue = (np.full((64, 64, 3), colour, np.uint8) for colour in ((200, 60, 20), (20, 60, 200)))
    photos = [{**NIGHT, "name": "photo.jpg", "picture": worker._encoded(picture)} for picture in (red, blue, red)]
    grids = [loop.appearance.grid for loop in (live(SKY, photo) for photo in photos) if loop.appearance]
    assert not torch.equal(grids[0], grids[1]) and grids[0] is grids[2]


def add_another(works: Worker, photo: np.ndarray, folder: Path) -> None:
    """Adds scene "two", of the photo in other colours."""
    Image.fromarray(255 - photo).save(folder / "other.png")
    add_scene(works, folder / "other.png", "two")


def test_the_same_edits_of_another_scene_are_another_loop_in_another_style(
    works: Worker, live: Callable[..., Cinemagraph], photo: np.ndarray, photo_file: Path
) -> None:
    add_another(works, photo, photo_file.parent)
    one, two = (live(SKY, NIGHT, scene=id, cine="unread") for id in ("one", "two"))
    assert one.appearance is not None and two.appearance is not None
    assert one.loop is not two.loop and not torch.equal(one.appearance.grid, two.appearance.grid)


def test_pictures_of_all_styles_do_not_depend_on_what_was_shown_before(
    works: Worker, live: Callable[..., Cinemagraph], photo_file: Path
) -> None:
    def pictures() -> bytes:
        output = photo_file.with_name("styles.webp")
        request = {"task": "styles", "scene": "one", "cine": str(photo_file.with_name("one.cine"))}
        works({**request, "output": str(output)}, lambda *_: True)
        return output.read_bytes()

    live(SKY, NIGHT)
    first = pictures()
    works({"task": "forget", "scene": "one"}, lambda *_: True)
    assert pictures() == first


FLAG = {"kind": "paint", "what": "cloth", "mode": "add", "stroke": [[0.4, 0.7], [0.7, 0.7]], "radius": 0.15}


def test_another_wind_needs_no_new_cloth(live: Callable[..., Cinemagraph]) -> None:
    first, turned = (live(FLAG, subject="cloth", wind=wind) for wind in (["0", "0.8"], ["180", "0.6"]))
    assert turned.overlays[0].at_rest is first.overlays[0].at_rest
    live(SKY)
    whole = live(FLAG, subject="cloth", wind=["180", "0.6"])
    assert whole.overlays[0].at_rest is not first.overlays[0].at_rest and np.array_equal(whole[4], turned[4])
    assert not np.array_equal(whole[4], first[4])


def test_another_wind_moves_the_landscape_too(live: Callable[..., Cinemagraph]) -> None:
    right, left = (live(SKY, FLAG, wind=wind) for wind in (["0", "0.8"], ["180", "0.8"]))
    assert right.overlay("cloth") and left.motion[0].mean() < 0 < right.motion[0].mean()


def test_the_smallest_pictures_are_styles(works: Worker, live: Callable[..., Cinemagraph]) -> None:
    live(SKY)
    for shape in ((1, 1, 3), (1, 2048, 3), (128, 128, 3)):
        style = Style("x", 1.0, False, np.full(shape, 200, np.uint8))
        (grid,) = works.animator.style_grids(works.cache["one"].base.photo, [style])
        assert torch.isfinite(grid).all()


def test_an_uploaded_scene_has_a_bounded_number_of_style_photos(
    file: Path, works: Worker, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_cine(file, lambda cine: cine.style(photo).style("dusk"), file)
    base = add_scene(works, file, "one")["base"]
    assert [edit.get("name") for edit in base] == [None, "a photo", "dusk"]
    monkeypatch.setattr(worker, "MAX_PICTURES", len(base[1]["picture"]) - 1)
    with pytest.raises(TooLarge, match="more style photos than are allowed"):
        add_scene(works, file, "two")


def test_a_deleted_scene_is_forgotten(photo_file: Path, works: Worker) -> None:
    for id in ("one", "two"):
        add_scene(works, photo_file, id)
    for id in ("one", "unknown"):
        works({"task": "forget", "scene": id, "cine": "x/y/z"}, lambda *_: True)
    assert list(works.cache) == ["two"]


def test_with_a_deleted_scene_its_loop_is_forgotten(works: Worker, live: Callable[..., Cinemagraph]) -> None:
    loop = live(SKY)
    works({"task": "forget", "scene": "unknown", "cine": "x/y/z"}, lambda *_: True)
    assert works.played is not None and works.played[2] is loop
    works({"task": "forget", "scene": "one", "cine": "x/y/z"}, lambda *_: True)
    assert works.played is None


@pytest.mark.parametrize(
    "place", ["uploads/x", "results/x.zip", "results/x", "results/x/frame-0001.png", "scenes/x.cine"]
)
def test_messages_do_not_reveal_paths(place: str) -> None:
    detail = f"'/srv/a b/data/{place}' cannot be read; check /srv/a b/data/{place}."
    message = without_paths(detail, Path("/srv/a b/data"), r"la\1ke.jpg")
    assert message == r"'la\1ke.jpg' cannot be read; check la\1ke.jpg."
