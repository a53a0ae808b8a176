"""Masks that a user gives: their forms, what is refused, and what is said of them."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stylecine.errors import MaskError, NothingMoves, TooLarge
from stylecine.options import Size
from stylecine.picture.given_mask import read_mask
from stylecine.picture.photo import cropped_alike


def half() -> np.ndarray:
    """Its right half moves."""
    return np.repeat(np.arange(40)[None] >= 20, 30, axis=0)


FORMS = {
    "bool": half(),
    "float": half().astype(np.float64),
    "bytes": half().astype(np.uint8) * 255,
    "bytes of 0 and 1": half().astype(np.uint8),
    "integers": half().astype(np.int64) * 255,
    "[h,w,1]": half()[..., None],
    "[1,h,w]": half()[None],
    "[1,1,h,w]": half()[None, None],
    "colour": np.repeat(half()[..., None], 3, 2).astype(np.uint8) * 255,
    "alpha": np.dstack([np.full((30, 40, 3), 255, np.uint8), half().astype(np.uint8) * 255]),
    "tensor": torch.from_numpy(half()).float(),
    "list": half().astype(float).tolist(),
    "image": Image.fromarray(half().astype(np.uint8) * 255),
    "black and white image": Image.fromarray(half().astype(np.uint8) * 255).convert("1"),
    "16-bit image": Image.fromarray(half().astype(np.uint16) * 65535),
    "palette image": Image.fromarray(half().astype(np.uint8) * 255).convert("RGB").convert("P"),
}


@pytest.mark.parametrize("form", FORMS)
def test_masks_come_in_many_forms(form: str) -> None:
    mask = read_mask(FORMS[form], (60, 80))
    assert mask.shape == (60, 80) and mask.dtype == torch.float32
    assert (mask[:, :38] == 0).all() and (mask[:, 42:] == 1).all()


def test_masks_come_from_files(tmp_path: Path) -> None:
    Image.fromarray(half().astype(np.uint8) * 255).save(tmp_path / "mask.png")
    np.save(tmp_path / "mask.npy", half())
    assert torch.equal(read_mask(tmp_path / "mask.png", (30, 40)), read_mask(str(tmp_path / "mask.npy"), (30, 40)))


GREEN, GREY, CLEAR = (0, 255, 0), (153, 153, 153), 128


def painted(*colour: int) -> np.ndarray:
    """Colour, or colour and alpha, on the left half; white on the right."""
    picture = np.full((8, 16, len(colour)), 255, np.uint8)
    picture[:, :8] = colour
    return picture


@pytest.mark.parametrize(("colour", "luminance"), [(GREEN, 0.587), (GREY, 0.6), ((255, 0, 0), 0.299)])
def test_colour_is_converted_to_luminance_in_every_form(
    tmp_path: Path, colour: tuple[int, ...], luminance: float
) -> None:
    for name, pixels in (("rgb", painted(*colour)), ("rgba", painted(*colour, 255))):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    np.save(tmp_path / "mask.npy", painted(*colour))
    forms = [
        *(tmp_path / name for name in ("rgb.png", "rgba.png", "mask.npy")),
        Image.fromarray(painted(*colour)),
        painted(*colour),
        painted(*colour, 255),
        painted(*colour) / 255,
        torch.from_numpy(painted(*colour)),
    ]
    masks = [read_mask(form, (8, 16)) for form in forms]
    for mask in masks:
        torch.testing.assert_close(mask[:, :8], torch.full((8, 8), luminance))
        assert (mask[:, 8:] == 1).all()


def test_transparent_pixels_count_less() -> None:
    mask = read_mask(painted(*GREEN, CLEAR), (8, 16))
    torch.testing.assert_close(mask[:, :8], torch.full((8, 8), 0.587 * CLEAR / 255))
    assert torch.equal(mask, read_mask(Image.fromarray(painted(*GREEN, CLEAR)), (8, 16)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_picture_as_good_as_black_is_black(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(half().astype(np.uint8)).convert(mode)
    picture.save(tmp_path / "mask.png")
    for mask in (picture, tmp_path / "mask.png"):
        with pytest.raises(NothingMoves):
            read_mask(mask, (30, 40))


def test_integers_of_0_and_1_are_a_binary_mask(tmp_path: Path) -> None:
    """As labelling tools write them, in files as well."""
    assert torch.equal(read_mask(half().astype(np.uint8), (30, 40)), read_mask(half(), (30, 40)))
    Image.fromarray(half().astype(np.uint8)).save(tmp_path / "labels.png")
    assert torch.equal(read_mask(tmp_path / "labels.png", (30, 40)), read_mask(half(), (30, 40)))
    with pytest.raises(NothingMoves):
        read_mask(2 * half().astype(np.uint8), (30, 40))


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (200, 0, 90)])
def test_paint_of_any_colour_on_black_counts(colour: tuple[int, int, int]) -> None:
    picture = np.where(half()[..., None], np.uint8(colour), 0).astype(np.uint8)
    expected = half() * np.float32(max(colour) / 255)
    assert np.allclose(read_mask(picture, (30, 40)), expected, atol=1e-6)


def test_paint_that_has_only_alpha_counts() -> None:
    picture = np.zeros((30, 40, 4), np.uint8)
    picture[..., 3] = 255 * half()
    assert torch.equal(read_mask(Image.fromarray(picture), (30, 40)), read_mask(half(), (30, 40)))
    picture[..., 3] = 255
    with pytest.raises(NothingMoves):  # an empty mask as editors write it
        read_mask(Image.fromarray(picture), (30, 40))


WRONG: dict[str, Any] = {
    "NaN": np.full((4, 4), np.nan),
    "negative": np.full((4, 4), -1.0),
    "floats to 255": np.full((4, 4), 255.0),
    "too large integers": np.full((4, 4), 4000),
    "complex": np.ones((4, 4), np.complex64),
    "text": "no such file.png",
    "words": np.array([["a", "b"]]),
    "one dimension": np.ones(5),
    "two channels": np.ones((4, 4, 2)),
    "a batch": np.ones((2, 5, 5)),
    "empty": np.ones((0, 4)),
    "ragged": [[1, 2], [3]],
    "object": object(),
}


@pytest.mark.parametrize("kind", WRONG)
def test_unusable_masks(kind: str) -> None:
    with pytest.raises(MaskError):
        read_mask(WRONG[kind], (8, 8))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n\0\0"])
@pytest.mark.parametrize("suffix", ["png", "npy"])
def test_broken_mask_files(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"mask.{suffix}"
    path.write_bytes(content)
    with pytest.raises(MaskError):
        read_mask(path, (8, 8))


def test_the_ending_of_an_array_may_be_in_capitals(tmp_path: Path) -> None:
    with open(tmp_path / "MASK.NPY", "wb") as file:
        np.save(file, half())
    assert torch.equal(read_mask(tmp_path / "MASK.NPY", (30, 40)), torch.from_numpy(half()).float())


def test_a_heic_mask_needs_no_heic_photo_before_it(tmp_path: Path) -> None:
    """In a process of its own, as the reader of HEIC is registered once for all images."""
    heif = pytest.importorskip("pillow_heif")
    large = np.uint8(half().repeat(2, 0).repeat(2, 1)) * 255
    heif.from_pillow(Image.fromarray(large).convert("RGB")).save(tmp_path / "mask.heic", quality=95)
    code = "import sys; from stylecine.picture.given_mask import read_mask; "
    code += "print(float(read_mask(sys.argv[1], (60, 80)).mean()))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "mask.heic")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(0.5, abs=0.02)


def test_a_mask_is_opened_as_carefully_as_a_photo(tmp_path: Path) -> None:
    """Only in formats of photos, as Pillow starts other programs for some; and not with any number of pixels."""
    for kind in ("PCX", "EPS"):
        Image.fromarray(half().astype(np.uint8) * 255).save(tmp_path / "mask.png", kind)
        with pytest.raises(MaskError, match="give a PNG"):
            read_mask(tmp_path / "mask.png", (8, 8))
    (tmp_path / "bomb.pgm").write_bytes(b"P5 20000 20000 255\n")
    with pytest.raises(TooLarge, match="million pixels"):
        read_mask(tmp_path / "bomb.pgm", (8, 8))


def test_a_large_mask_takes_little_memory(tmp_path: Path) -> None:
    Image.new("RGBA", (1000, 2000), (255, 255, 255, 255)).save(tmp_path / "mask.png")
    tracemalloc.start()
    try:
        read_mask(tmp_path / "mask.png", (64, 64))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000 * 20, "bytes"
    finally:
        tracemalloc.stop()


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(MaskError):
        read_mask(tmp_path / "mask.npy", (8, 8))


@pytest.mark.parametrize(
    ("shape", "said"), [((72, 96), False), ((9, 12), False), ((7, 9), False), ((500, 667), False), ((30, 100), True)]
)
def test_a_mask_of_another_shape_is_said_to_be_stretched(
    shape: tuple[int, int], said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    read_mask(np.ones(shape, bool), (72, 96))
    told = "The mask is 100x30 and the photo 96x72, so the mask is stretched; give one of the photo's shape."
    assert caplog.messages == ([told] if said else [])


@pytest.mark.parametrize(
    ("size", "columns"), [((36, 72), (30, 66)), ((36, 72, (0.2, 0.5)), (2, 38)), ((36, 72, (1.0, 0.5)), (60, 96))]
)
def test_a_mask_of_the_whole_photo_is_cropped_like_it(
    size: Size, columns: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    """A photo of 96x72 of which a part is asked for, as presets do; a mask of that part's own shape stays as it is."""
    ramp = np.tile(np.linspace(0.2, 1, 96, dtype=np.float32), (72, 1))
    part, crop = ramp[:, slice(*columns)], partial(cropped_alike, photo=np.zeros((72, 96, 3), np.uint8), size=size)
    assert torch.allclose(read_mask(ramp, (72, 36), crop), torch.from_numpy(part), atol=0.02)
    assert torch.allclose(read_mask(part, (72, 36), crop), torch.from_numpy(part), atol=1e-6)
    assert not caplog.messages
    assert crop(np.ones((2, 8, 8))).shape == (2, 8, 8), "of any other shape it is about the part"


@pytest.mark.parametrize("empty", [np.zeros((4, 4)), np.zeros((4, 4), bool), np.zeros((4, 4), np.uint8)])
def test_an_empty_mask_moves_nothing(empty: np.ndarray) -> None:
    with pytest.raises(NothingMoves):
        read_mask(empty, (8, 8))


def test_an_empty_mask_of_another_shape_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NothingMoves):
        read_mask(np.zeros((30, 100), bool), (72, 96))
    assert not caplog.messages
