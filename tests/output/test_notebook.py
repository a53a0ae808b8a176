"""What a notebook shows holds all it needs, and is small."""

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylecine import Animator, Cinemagraph, Scene, WriterUnavailable, animate
from stylecine.output.notebook import MAX_LONG_SIDE, MAX_SHORT_SIDE, image_html, loop_html
from stylecine.output.video import read_video
from tests.pages import Read

TUTORIAL = Path(__file__).parents[2] / "examples/tutorial.ipynb"


def content(url: str, kind: str) -> bytes:
    assert url.startswith(f"data:{kind};base64,")
    return base64.b64decode(url.partition(",")[2], validate=True)


def noise(height: int, width: int) -> Callable[[float], np.ndarray]:
    return lambda t: np.random.default_rng(int(t * 10)).integers(0, 255, (height, width, 3)).astype(np.uint8)


def test_a_loop_is_a_video_that_plays_automatically(tmp_path: Path) -> None:
    text = loop_html(noise(200, 300), 60, 30, "a <loop>")
    tags = Read(text)
    video, image = tags.of("video"), tags.of("img")
    assert {"loop", "autoplay", "muted", "playsinline"} <= video.keys()
    assert video["title"] == image["alt"] == "a <loop>" and (video["width"], video["height"]) == ("300", "200")
    (tmp_path / "loop.mp4").write_bytes(content(video["src"], "video/mp4"))
    frames, fps = read_video(tmp_path / "loop.mp4")
    assert frames.shape == (30, 200, 300, 3) and fps == 15  # two seconds
    for url in (video["poster"], image["src"]):
        assert Image.open(io.BytesIO(content(url, "image/jpeg"))).size == (300, 200)


def test_large_and_long_ones_are_shown_small(tmp_path: Path) -> None:
    text = loop_html(lambda t: np.full((1000, 1500, 3), t % 256, np.uint8), 900, 30, "grey")
    (tmp_path / "loop.mp4").write_bytes(content(Read(text).of("video")["src"], "video/mp4"))
    frames, fps = read_video(tmp_path / "loop.mp4")
    assert frames.shape == (90, MAX_SHORT_SIDE, 480, 3) and fps == 3  # 30 s all the same


def test_large_outputs_are_compressed_more(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = loop_html(noise(64, 64), 8, 10, "noise")
    monkeypatch.setattr("stylecine.output.notebook.MAX_BYTES", len(fine) // 4)
    assert len(loop_html(noise(64, 64), 8, 10, "noise")) < 0.6 * len(fine)


def test_long_and_thin_ones_too() -> None:
    image = Read(image_html(noise(100, 3000)(0), "panorama")).of("img")
    assert (image["width"], image["height"]) == (str(MAX_LONG_SIDE), "32")


def test_without_an_encoder_the_first_frame_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise WriterUnavailable("There is none.")

    monkeypatch.setattr("stylecine.output.notebook.write_output", none)
    tags = Read(loop_html(noise(64, 64), 10, 10, "x"))
    assert tags.names == ["img"]


@pytest.fixture(scope="module")
def loop(photo: np.ndarray, water: np.ndarray, drift: np.ndarray, small_model: Path) -> Cinemagraph:
    return animate(photo, mask=water, motion=drift, seconds=0.8, fps=10, model=small_model)


def test_loops_and_scenes_show_themselves(loop: Cinemagraph, photo: np.ndarray) -> None:
    video = Read(loop._repr_html_()).of("video")
    assert video["title"] == "8 frames of 96x72, 10 a second"
    scene: Scene = loop.scene
    assert Read(scene._repr_html_()).of("img")["alt"] == "96x72, no edits"
    assert Read(scene.anchor((0.5, 0.5))._repr_html_()).of("img")["alt"] == "96x72, 1 edit"


def test_the_tutorial_has_no_outputs_and_names_only_what_exists() -> None:
    """`make soak` executes it."""
    cells = json.loads(TUTORIAL.read_text(encoding="utf-8"))["cells"]
    program = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(program) > 5 and all(not cell["outputs"] and cell["execution_count"] is None for cell in program)
    text = "\n".join("".join(cell["source"]) for cell in program)
    compile(text, str(TUTORIAL), "exec")
    for owner, name in re.findall(r"\b(animator|scene|touched|again|loop)\.(\w+)", text):
        kind = {"animator": Animator, "loop": Cinemagraph}.get(owner, Scene)
        assert hasattr(kind, name) or name in kind.__dataclass_fields__, f"{owner}.{name}"
