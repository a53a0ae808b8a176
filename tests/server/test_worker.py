"""stylecine/server/worker.py: what it takes in, keeps, and tells."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stylecine.animator import Animator
from stylecine.errors import TooLarge
from stylecine.server import worker
from stylecine.server.worker import Held, Worker
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


def test_a_scene_from_elsewhere_has_limits_and_few_are_kept(
    file: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = Worker(Animator.from_pretrained(small_model))

    def take_in(name: str, most: int = 72) -> None:
        asked = {"scene": name, "upload": str(file), "cine": str(file.with_name(f"{name}.cine")), "most": most}
        assert works.scene(asked, lambda *_: True)["base"][0]["stroke"] == STROKE["stroke"]

    take_in("one")
    with pytest.raises(TooLarge, match="72 pixels, and 71 are allowed"):
        take_in("two", most=71)
    monkeypatch.setattr(worker, "PIXELS", 2 * 96 * 72)
    for name in ("three", "four"):
        take_in(name)
    assert list(works.held) == ["three", "four"]
    monkeypatch.setattr(worker, "PIXELS", 1)
    works._hold("four", Held(works.held["four"].base, works.held["four"].scene))
    assert list(works.held) == ["four"], "what is worked with is kept in any case"
    monkeypatch.setattr(worker, "POINTS", 1)
    with pytest.raises(TooLarge, match="2 points, and 1 are allowed"):
        take_in("five")


@pytest.mark.parametrize(
    "place", ["uploads/x", "results/x.zip", "results/x", "results/x/frame-0001.png", "scenes/x.cine"]
)
def test_where_files_lie_is_nobodys_business(place: str) -> None:
    asked = {"cine": "/srv/a b/data/scenes/x.cine", "name": r"la\1ke.jpg"}
    told = worker._without_paths(f"'/srv/a b/data/{place}' cannot be read; check /srv/a b/data/{place}.", asked)
    assert told == r"'la\1ke.jpg' cannot be read; check la\1ke.jpg."
