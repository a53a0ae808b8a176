"""Whole 360° photos: left and right fit together in every frame, and files say what they show."""

import io
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stylecine import Animator, Cinemagraph, Scene
from stylecine.output.panorama import sphere_xmp
from stylecine.picture.photo import XMP_KEYWORD, load_photo
from tests.output.test_moving_photo import atoms

H, W = 96, 192
BOARD = slice(60, 80), slice(90, 110)  # in the sea, does not move
SHORT: dict[str, Any] = {"seconds": 2, "fps": 6, "pace": "lively"}


def waves(fine: float) -> np.ndarray:
    """Noise [H,W] in [0,1] that wraps."""
    spectrum = np.fft.rfft2(np.random.default_rng(1).normal(size=(H, W)))
    y, x = np.fft.fftfreq(H)[:, None] * H, np.fft.rfftfreq(W) * W
    noise = np.fft.irfft2(spectrum / (1 + (x**2 + y**2) / fine**2), s=(H, W))
    return (noise - noise.min()) / np.ptp(noise)


@pytest.fixture(scope="module")
def sphere() -> bytes:
    """A PNG of clouds over a sea, all around, with a board in it."""
    sky, sea = np.array([[90, 140, 215], [250, 250, 252]]), np.array([[20, 60, 90], [120, 170, 190]])
    picture = sky[0] + waves(6)[..., None] * (sky[1] - sky[0])
    picture[48:] = (sea[0] + waves(12)[..., None] * (sea[1] - sea[0]))[48:]
    picture[BOARD] = 40, 20, 10
    xmp, file = PngInfo(), io.BytesIO()
    xmp.add_itxt(XMP_KEYWORD, sphere_xmp(W, H))
    Image.fromarray(picture.astype(np.uint8)).save(file, "PNG", pnginfo=xmp)
    return file.getvalue()


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    moves = np.ones((H, W), bool)
    moves[BOARD] = False
    return moves


@pytest.fixture(scope="module")
def scene(animator: Animator, sphere: bytes) -> Scene:
    return animator.invert(sphere)


@pytest.fixture(scope="module")
def loop(scene: Scene, mask: np.ndarray, animator: Animator) -> Cinemagraph:
    return animator.render(scene, mask=mask, **SHORT)


def steps(frame: np.ndarray) -> np.ndarray:
    """The mean step from each column to the next, and last from the right edge to the left one: [W]."""
    return np.abs(np.roll(frame, -1, 1).astype(float) - frame).mean((0, 2))


def test_left_and_right_fit_together_in_every_frame(loop: Cinemagraph, mask: np.ndarray) -> None:
    photo = loop.scene.photo
    assert np.array_equal(loop[0], photo) and (loop[6] != photo).mean() > 0.5
    for frame in loop:
        step = steps(frame[:48])  # clouds
        assert step[-1] < 1.2 * np.median(step)
        assert np.array_equal(frame[~mask], photo[~mask])
    assert not loop.warning or "360" not in loop.warning


@pytest.mark.parametrize("options", [{"size": 66}, {"warp": "dfw"}, {"sampling": "splat"}, {"speed": 4}], ids=str)
def test_so_they_do_however_it_is_rendered(
    scene: Scene, mask: np.ndarray, animator: Animator, options: dict[str, Any]
) -> None:
    loop = animator.render(scene, mask=mask, **SHORT | options)
    for frame in loop:
        step = steps(frame[: loop.height // 2])
        assert step[-1] < 1.5 * np.median(step)


def test_what_stands_on_one_side_of_the_edge_stands_on_the_other(scene: Scene, animator: Animator) -> None:
    left = np.ones((H, W), bool)
    left[60:80, :30] = False
    loop = animator.render(scene, mask=left, **SHORT)
    for frame in loop:
        assert np.array_equal(frame[62:78, -1], scene.photo[62:78, -1])


def test_a_scene_file_and_a_preview_wrap_too(
    scene: Scene, loop: Cinemagraph, mask: np.ndarray, animator: Animator, tmp_path: Path
) -> None:
    loaded = Scene.load(scene.save(tmp_path / "sphere.cine"))
    assert loaded.wraps and np.array_equal(animator.render(loaded, mask=mask, **SHORT)[6], loop[6])
    preview = animator.preview(scene, size=64, mask=np.ones((H, W)), **SHORT)
    assert preview.scene.wraps and steps(preview[6][:32])[-1] < 1.5 * np.median(steps(preview[6][:32]))


def test_what_is_cut_out_of_it_is_a_flat_picture(animator: Animator, sphere: bytes) -> None:
    scene = animator.invert(sphere, size=(160, 80), latents=False)
    assert scene.source is not None and not scene.source.wraps and not scene.wraps


def test_weather_does_not_wrap_and_says_so(scene: Scene, mask: np.ndarray, animator: Animator) -> None:
    assert "360°" in animator.render(scene, mask=mask, weather="snow", **SHORT).warning


def test_plants_and_cloth_are_held_where_left_and_right_meet(scene: Scene, animator: Animator) -> None:
    painted = np.zeros((H, W))
    painted[20:80, :60] = 1
    loop = animator.render(scene.paint("cloth", painted), subject="auto", **SHORT)
    cloth = loop.overlay("cloth")
    assert cloth is not None and (loop[6] != loop[0])[30:70, 20:50].mean() > 0.3
    assert all(np.array_equal(frame[30:70, 0], loop[0][30:70, 0]) for frame in loop)


# --- files


def spherical(content: bytes) -> bytes:
    """The XML of an .mp4 that says that it shows all directions."""
    found = atoms(content).get(b"/moov/trak/uuid", b"")
    return found.removeprefix(bytes.fromhex("ffcc8263f8554a938814587a02521fdd"))


@pytest.mark.parametrize("options", [{}, {"silence": True}, {"sound": True}], ids=str)
def test_an_mp4_says_that_it_shows_all_directions(
    loop: Cinemagraph, tmp_path: Path, options: dict[str, Any]
) -> None:
    path = loop.save(tmp_path / "loop.mp4", **options).path
    content = path.read_bytes()
    assert b"<GSpherical:ProjectionType>equirectangular<" in spherical(content)
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(path)) as container:  # all frames, and nothing else in their place
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(shown) == len(loop) and np.abs(shown[6].astype(int) - loop[6]).mean() < 6
        assert [stream.type for stream in container.streams] == ["video", "audio"][: 1 + bool(options)]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["loop.png", "loop.webp", "loop.apng", "loop.MP.jpg"])
def test_images_keep_the_tag(loop: Cinemagraph, tmp_path: Path, name: str) -> None:
    content = loop.save(tmp_path / name).path.read_bytes()
    assert rb'GPano:FullPanoWidthPixels="192"' in content
    assert load_photo(tmp_path / name, None).shape == (H, W, 3)
    if name == "loop.MP.jpg":
        length = re.search(rb'Semantic="MotionPhoto"\s+Item:Length="(\d+)"', content)
        assert length and b"equirectangular" in spherical(content[-int(length[1]) :])


def test_a_crop_has_no_tag(loop: Cinemagraph, tmp_path: Path) -> None:
    assert not spherical(loop.save(tmp_path / "loop.mp4", crop="1:1").path.read_bytes())


@pytest.mark.browser
def test_a_page_is_turned_by_dragging(browser: Any, loop: Cinemagraph, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 96, "height": 96}, reduced_motion="reduce")
    page.goto(loop.save(tmp_path / "loop.html", quality=100).path.as_uri())
    page.get_by_role("button", name="Play").wait_for()

    def columns() -> np.ndarray:
        """The brightness of the first and last columns that are seen."""
        with Image.open(io.BytesIO(page.locator("canvas").first.screenshot())) as picture:
            return np.asarray(picture.convert("L"), float)[:60, [1, -2]]

    photo = np.asarray(Image.fromarray(loop.scene.photo).convert("L"), float)[:60]
    assert np.abs(columns() - photo[:, [1, 94]]).mean() < 4
    page.mouse.move(20, 50)
    page.mouse.down()
    page.mouse.move(70, 50)
    page.mouse.up()
    assert np.abs(columns() - photo[:, [143, 44]]).mean() < 4, "what is left of the photo's left edge"
    assert page.get_by_role("button", name="Play").count() == 1, "to drag is not to click"
    for _ in range(18):
        page.keyboard.press("ArrowRight")
    left = (142 + 18 * 192 / 36) % 192
    turned = np.abs(columns() - photo[:, [round(left) + 1, round(left) + 94]])
    assert turned[6:].mean() < 4, "half around; above is the outline of what has the focus"
    page.close()
