"""examples/gradio_app.py: the video that it makes; its page only where Gradio is installed."""

import gc
import runpy
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from stylecine import NothingMoves
from stylecine.options import PACES, STYLES

EXAMPLE = Path(__file__).parent.parent / "examples/gradio_app.py"
app = runpy.run_path(str(EXAMPLE))
CHOICES = ("lively", "sunset", 1)


@pytest.fixture
def lake(tmp_path: Path) -> str:
    with Image.open(EXAMPLE.parent / "lake.jpg") as photo:
        photo.resize((192, 120)).save(tmp_path / "lake.png")
    return str(tmp_path / "lake.png")


@pytest.fixture
def wall(tmp_path: Path) -> str:
    """A picture of nothing that could move."""
    Image.new("RGB", (192, 120), (120, 60, 50)).save(tmp_path / "<b>wall.png")
    return str(tmp_path / "<b>wall.png")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    return folder


@pytest.mark.usefixtures("as_shipped")
def test_a_photo_becomes_a_video_and_every_stage_is_shown(lake: str, videos: Path) -> None:
    shown: list[tuple[str, int, int]] = []
    video, warning = app["make_video"](lake, *CHOICES, videos, lambda *step: shown.append(step))
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 30 and frames[0].shape == (120, 192, 3) and warning == ""
    assert list(videos.iterdir()) == [video]
    assert {stage for stage, _, _ in shown} >= {"inversion", "mask", "video"} and shown[-1] == ("video", 30, 30)


def test_a_photo_in_which_nothing_moves_leaves_no_video(wall: str, videos: Path) -> None:
    with pytest.raises(NothingMoves):
        app["make_video"](wall, "natural", app["AS_IT_IS"], 2, videos, lambda *step: None)
    assert not list(videos.iterdir())


@pytest.mark.filterwarnings("ignore")  # Gradio's own
def test_the_page_offers_the_options_and_shows_errors(
    lake: str, wall: str, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradio = pytest.importorskip("gradio")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(videos))
    page = app["page"]()
    photo, pace, style, _ = page.input_components
    assert photo.image_mode is None  # or Gradio would save a copy, without the orientation and with loss
    assert [value for _, value in pace.choices] == [*PACES]
    assert [value for _, value in style.choices] == [app["AS_IT_IS"], *STYLES]

    def animate(photo: Any) -> str:
        return str(page.fn(photo, pace.value, style.value, 2, lambda *_, **__: None))

    video = Path(animate(lake))
    assert video.suffix == ".mp4" and video.is_relative_to(videos), "where Gradio deletes it"
    assert [path for path in videos.rglob("*") if path.is_file()] == [video]
    with pytest.raises(gradio.Error, match="Choose a photo first"):
        animate(None)
    with pytest.raises(gradio.Error, match="othing"):
        animate(wall)
    with pytest.raises(gradio.Error, match="&lt;b&gt;"):  # messages are HTML
        animate("<b>missing.png")
    gc.collect()  # the event loop that Gradio leaves behind, whose warning would be an error later
