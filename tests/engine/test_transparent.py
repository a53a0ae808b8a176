"""Photos of which a part is transparent: it stands still, and files keep it or say what lies under it."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from stylecine import Animator, Cinemagraph, NothingMoves, OptionError, Scene
from stylecine.output.video import EXACT

HOLE = slice(50, 60), slice(20, 50)  # in the water, transparent
SOFT = 50, slice(20, 50)  # its edge, half so


@pytest.fixture(scope="module")
def clear(photo: np.ndarray) -> np.ndarray:
    """uint8 [72,96,4]: the small photo without its sky, and with a hole in the water."""
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    alpha[:30], alpha[HOLE], alpha[SOFT] = 0, 0, 128
    return np.dstack([photo, alpha])


@pytest.fixture(scope="module")
def scene(animator: Animator, clear: np.ndarray) -> Scene:
    return animator.invert(clear)


@pytest.fixture(scope="module")
def loop(scene: Scene, drift: np.ndarray, animator: Animator) -> Cinemagraph:
    return animator.render(scene, mask=np.ones(scene.photo.shape[:2]), motion=drift, seconds=0.8, fps=10)


def shown(path: Path, decoder: str = "") -> np.ndarray:
    """Frames of a file as others decode them: uint8 [N,H,W,4]."""
    if path.is_dir():
        return np.stack([np.asarray(Image.open(file)) for file in sorted(path.iterdir())])
    if path.suffix in (".webm", ".mov", ".mp4"):
        with av.open(str(path)) as container:
            stream: Any = container.streams.video[0]
            if not decoder:
                return np.stack([f.to_ndarray(format="rgba", interpolation=EXACT) for f in container.decode(stream)])
            context: Any = av.CodecContext.create(decoder, "r")
            packets = (packet if packet.size else None for packet in container.demux(stream))
            pictures = (picture for packet in packets for picture in context.decode(packet))
            return np.stack([f.to_ndarray(format="rgba", interpolation=EXACT) for f in pictures])
    with Image.open(path) as picture:
        return np.stack([np.asarray(part.convert("RGBA")) for part in ImageSequence.Iterator(picture)])


# --- what moves


def test_what_is_transparent_stands_still_whatever_the_mask_says(loop: Cinemagraph, clear: np.ndarray) -> None:
    places = clear[..., 3] < 255
    frames = np.stack(loop[:])
    assert not loop.mask[places].any() and (frames[:, places] == frames[0, places]).all()
    assert (frames[3] != frames[0])[45:, 55:].any(), "the water around it moves"


def test_paint_weather_and_plants_do_not_move_it_either(scene: Scene, animator: Animator, clear: np.ndarray) -> None:
    places = clear[..., 3] < 255
    painted = scene.paint("water", np.ones(places.shape))
    assert not painted.edited_layers[:, places].any() and (painted.frozen[places] == 1).all()
    loop = animator.render(painted, weather="snow", wind=(0, 1), seconds=0.8, fps=10)
    frames = np.stack(loop[:])
    assert (frames[:, places] == frames[0, places]).all() and (frames[1] != frames[0]).any()


def test_nothing_is_left_that_moves(scene: Scene, animator: Animator) -> None:
    with pytest.raises(NothingMoves, match="frozen or transparent"):
        animator.render(scene, mask=scene.transparent, seconds=0.8, fps=10)


def test_a_preview_and_a_scene_file_know_it_too(scene: Scene, animator: Animator, tmp_path: Path) -> None:
    scene.save(tmp_path / "a.cine")
    again = Scene.load(tmp_path / "a.cine")
    assert again.alpha is not None and np.array_equal(again.alpha, scene.alpha)
    assert np.array_equal(again.photo, scene.photo)
    small = animator.preview(again, size=64, mask=np.ones((72, 96)), seconds=0.8, fps=10)
    assert small.scene.transparent is not None and not small.mask[small.scene.transparent].any()


# --- what files show


LOSSLESS = [("a.apng", 0, 0), ("frames", 0, 0), ("a.png", 0, 0)]


@pytest.mark.parametrize(
    ("name", "off", "alpha_off"),
    [*LOSSLESS, ("a.webp", 8, 0), ("a.mov", 1, 1), ("a.webm", 8, 3), ("a.avif", 8, 0)],
)
def test_the_transparency_is_kept(
    loop: Cinemagraph, clear: np.ndarray, tmp_path: Path, name: str, off: int, alpha_off: int, caplog: Any
) -> None:
    loop.save(tmp_path / name)
    seen, frames = shown(tmp_path / name, "libvpx-vp9" if name == "a.webm" else ""), np.stack(loop[:])
    frames = frames[: len(seen)]
    visible = clear[..., 3] > 0
    assert np.abs(seen[..., 3].astype(int) - clear[..., 3]).max() <= alpha_off
    error = np.abs(seen[..., :3].astype(int) - frames)[:, visible]
    assert (error.max() if off <= 1 else error.mean()) <= off
    assert not caplog.records


@pytest.mark.parametrize("repeat", [1, 2])
def test_every_repeat_of_a_webm_has_it(loop: Cinemagraph, clear: np.ndarray, tmp_path: Path, repeat: int) -> None:
    loop.save(tmp_path / "a.webm", repeat=repeat)
    seen = shown(tmp_path / "a.webm", "libvpx-vp9")
    assert len(seen) == repeat * len(loop) and np.abs(seen[..., 3].astype(int) - clear[..., 3]).max() <= 3


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.html", "a.MP.jpg", "a.livephoto.zip"])
def test_other_files_say_which_colour_lies_under_it(loop: Cinemagraph, tmp_path: Path, name: str, caplog: Any) -> None:
    loop.save(tmp_path / name)
    assert f"{tmp_path / name} cannot keep what is transparent in the photo; white lies under it." in caplog.messages
    if name in ("a.mp4", "a.gif"):
        assert shown(tmp_path / name)[:, :28].mean() > 250


@pytest.mark.parametrize("weather", [None, "snow"])
def test_a_page_shows_neither_a_style_nor_weather_there(
    scene: Scene, animator: Animator, clear: np.ndarray, tmp_path: Path, weather: Any
) -> None:
    loop = animator.render(scene, weather=weather, style=clear[..., :3], seconds=0.8, fps=10)
    loop.save(tmp_path / "a.html")
    image = re.search(r"data:image/webp;base64,([^\"']+)", (tmp_path / "a.html").read_text())
    assert image is not None
    with Image.open(io.BytesIO(base64.b64decode(image[1]))) as picture:
        assert np.asarray(picture)[:28].min() > 250


def test_a_codec_without_alpha_says_so_too(loop: Cinemagraph, tmp_path: Path, caplog: Any) -> None:
    loop.save(tmp_path / "a.mov", codec="prores422hq")
    assert "white lies under it" in caplog.text and shown(tmp_path / "a.mov")[:, :28].min() > 240


def test_an_apng_whose_moving_part_is_translucent(animator: Animator, photo: np.ndarray, tmp_path: Path) -> None:
    """Frames are then stored instead of blended."""
    translucent = np.dstack([photo, np.full(photo.shape[:2], 200, np.uint8)])
    motion = np.full((2, 36, 48), 0.3, np.float32)
    scene = animator.invert(translucent)
    loop = animator.render(scene, mask=np.ones(photo.shape[:2]), motion=motion, seconds=0.4, fps=10)
    loop.save(tmp_path / "a.apng")
    seen = shown(tmp_path / "a.apng")
    assert (seen[..., 3] == 200).all() and np.array_equal(seen[..., :3], np.stack(loop[:]))


# --- the moving part alone


def over(layer: np.ndarray, still: np.ndarray) -> np.ndarray:
    alpha = layer[..., 3:] / 255
    return np.rint(alpha * layer[..., :3] + (1 - alpha) * still).astype(int)


@pytest.fixture(scope="module")
def opaque(animator: Animator, photo: np.ndarray, water: np.ndarray, drift: np.ndarray) -> Cinemagraph:
    return animator.render(animator.invert(photo), mask=water, motion=drift, seconds=0.8, fps=10)


@pytest.mark.parametrize(("name", "off"), [("frames", 0), ("a.apng", 0), ("a.mov", 1)])
def test_the_layer_over_the_photo_is_the_loop(
    opaque: Cinemagraph, photo: np.ndarray, tmp_path: Path, name: str, off: int
) -> None:
    opaque.save(tmp_path / name, layer="moving")
    layer, frames = shown(tmp_path / name), np.stack(opaque[:])
    made, still = over(layer, photo), opaque.mask.numpy() == 0
    assert np.abs(made - frames).max() <= off
    assert not layer[:, still, 3].any() and (made[:, still] == photo[still]).all()
    assert layer[:, 55:65, 20:70, 3].min() == 255


def test_the_layer_of_a_styled_loop_lies_over_its_first_frame(
    opaque: Cinemagraph, animator: Animator, photo: np.ndarray, tmp_path: Path
) -> None:
    loop = opaque.in_weather("rain", 1.0, None)
    loop.save(tmp_path / "frames", layer="moving")
    assert np.array_equal(over(shown(tmp_path / "frames"), loop[0]), np.stack(loop[:]))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", None), ("a.gif", None), ("a.mov", "prores422hq"), ("a.webm", "av1"), ("a.html", None)]
)
def test_a_layer_needs_a_place_for_its_matte(opaque: Cinemagraph, tmp_path: Path, name: str, codec: str | None) -> None:
    with pytest.raises(OptionError, match=r"no place for the matte of a layer; write \.webm, \.mov"):
        opaque.save(tmp_path / name, codec=codec, layer="moving")
    with pytest.raises(OptionError, match="layer is all or moving"):
        opaque.save(tmp_path / name, layer="still")
    assert not list(tmp_path.iterdir())
