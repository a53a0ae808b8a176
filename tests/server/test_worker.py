"""The worker's limits, its cache, and its messages."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stylecine.animator import Animator
from stylecine.errors import TooLarge
from stylecine.server import worker
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


def add_scene(works: Worker, upload: Path, id: str, **options: Any) -> dict[str, Any]:
    request = {"task": "scene", "scene": id, "upload": str(upload), "cine": str(upload.with_name(f"{id}.cine"))}
    return works({"max_size": 72, "name": "lake", "size": 72, "refine": 0, **request, **options}, lambda *_: True)


def test_an_uploaded_scene_has_limits(file: Path, works: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert add_scene(works, file, "one")["base"][0]["stroke"] == STROKE["stroke"]
    with pytest.raises(TooLarge, match="72 pixels, and 71 are allowed"):
        add_scene(works, file, "two", max_size=71)
    monkeypatch.setattr(worker, "MAX_POINTS", 1)
    with pytest.raises(TooLarge, match="2 points, and 1 are allowed"):
        add_scene(works, file, "three")


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


def test_a_cached_scene_does_not_keep_its_upload(photo_file: Path, works: Worker) -> None:
    with photo_file.open("ab") as file:
        file.write(bytes(1_000_000))
    sha256 = hashlib.sha256(photo_file.read_bytes()).hexdigest()
    add_scene(works, photo_file, "one")
    source = works.cache["one"].base.source
    assert source is not None and (source.content, source.sha256, source.name) == (b"", sha256, "lake")


def test_a_deleted_scene_is_forgotten(photo_file: Path, works: Worker) -> None:
    for id in ("one", "two"):
        add_scene(works, photo_file, id)
    for id in ("one", "unknown"):
        works({"task": "forget", "scene": id, "cine": "x/y/z"}, lambda *_: True)
    assert list(works.cache) == ["two"]


@pytest.mark.parametrize(
    "place", ["uploads/x", "results/x.zip", "results/x", "results/x/frame-0001.png", "scenes/x.cine"]
)
def test_messages_do_not_reveal_paths(place: str) -> None:
    request = {"cine": "/srv/a b/data/scenes/x.cine", "name": r"la\1ke.jpg"}
    message = worker._without_paths(f"'/srv/a b/data/{place}' cannot be read; check /srv/a b/data/{place}.", request)
    assert message == r"'la\1ke.jpg' cannot be read; check la\1ke.jpg."
