"""Photos whose end is missing: what is there is shown, and what is not is counted."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylecine import Animator, Scene
from stylecine.errors import PhotoError
from stylecine.picture.photo import load_photo, read_photo

ROWS, COLUMNS = 240, 160
JPEGS = [
    {},
    {"subsampling": 0},
    {"optimize": True},
    {"restart_marker_rows": 1},
    {"progressive": True},
    {"progressive": True, "subsampling": 0},
]


def picture() -> np.ndarray:
    """uint8 [240,160,3] with fine texture everywhere, so that each row takes many bytes."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    smooth = np.stack([y, x, 200 - y / 2], axis=-1)
    return (smooth + rng.normal(0, 12, (ROWS, COLUMNS, 1))).clip(0, 255).astype(np.uint8)


def saved(kind: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture()).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def warning_of(content: bytes) -> str:
    file = read_photo(content)[1]
    assert file is not None
    return file.warning


def differing_rows(content: bytes, whole: bytes) -> int:
    return int((load_photo(content) != load_photo(whole)).any(axis=(1, 2)).sum())


@pytest.mark.parametrize("options", JPEGS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_without_its_end_marker_is_whole(options: dict, mode: str) -> None:
    whole = saved("JPEG", mode, quality=90, **options)
    for cut in (1, 2):
        assert np.array_equal(load_photo(whole[:-cut]), load_photo(whole)) and warning_of(whole[:-cut]) == ""


@pytest.mark.parametrize("options", JPEGS[:4], ids=str)
def test_a_jpeg_that_lacks_rows_says_how_many(options: dict) -> None:
    whole = saved("JPEG", quality=90, **options)
    for share in (0.005, 0.02, 0.06):
        part = whole[: -int(share * len(whole))]
        lost = differing_rows(part, whole)
        assert 0 < lost <= ROWS / 10 + 1
        assert f"{lost} of its {ROWS} rows are missing" in warning_of(part)


@pytest.mark.parametrize("options", JPEGS, ids=str)
def test_more_than_a_tenth_is_too_much(options: dict) -> None:
    whole = saved("JPEG", quality=90, **options)
    with pytest.raises(PhotoError, match=f"of its {ROWS} rows are missing; copy or download it again"):
        load_photo(whole[: len(whole) // 4])


@pytest.mark.parametrize("options", JPEGS[4:], ids=str)
def test_a_progressive_jpeg_lacks_detail_rather_than_rows(options: dict) -> None:
    whole = saved("JPEG", quality=90, **options)
    part = whole[: -len(whole) // 10]
    assert f"{differing_rows(part, whole)} of its {ROWS} rows lack their finest detail" in warning_of(part)
    assert np.abs(load_photo(part).astype(int) - load_photo(whole)).mean() < 3


def test_the_size_that_is_asked_for_does_not_matter() -> None:
    """Even where the JPEG is decoded at half its size."""
    whole = saved("JPEG", quality=90, subsampling=0)
    part = whole[: -len(whole) // 25]
    small, file = read_photo(part, 64)
    assert small.shape == (96, 64, 3) and file is not None
    assert file.warning == warning_of(part) != ""


def test_a_gain_map_that_is_cut_off_is_no_loss() -> None:
    """It comes after the picture itself."""
    buffer = io.BytesIO()
    map_of_gains = Image.fromarray(picture()).convert("L")
    Image.fromarray(picture()).save(buffer, "MPO", save_all=True, append_images=[map_of_gains], quality=90)
    content = buffer.getvalue()
    assert np.array_equal(load_photo(content[:-500]), load_photo(content)) and warning_of(content[:-500]) == ""


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("RGB", "RGBA", "L", "P")),
        *((kind, "RGB") for kind in ("BMP", "PPM", "TIFF")),
        ("GIF", "L"),
    ],
)
def test_other_formats_that_are_decoded_row_by_row(kind: str, mode: str) -> None:
    whole = saved(kind, mode)
    part = whole[: -len(whole) // 25]
    lost = differing_rows(part, whole)
    assert 0 < lost < ROWS / 10 and f"{lost} of its {ROWS} rows are missing" in warning_of(part)
    with pytest.raises(PhotoError, match="rows are missing"):
        load_photo(whole[: len(whole) // 2])


def test_a_png_without_its_end_is_whole() -> None:
    whole = saved("PNG")
    for cut in (1, 4, 12, 16):
        assert np.array_equal(load_photo(whole[:-cut]), picture()) and warning_of(whole[:-cut]) == ""


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "JPEG2000"])
def test_formats_that_are_whole_or_nothing(kind: str) -> None:
    with pytest.raises(PhotoError):
        load_photo(saved(kind)[:-100])


def test_a_gif_whose_missing_pixels_would_seem_transparent() -> None:
    used = int(np.asarray(Image.fromarray(picture()).convert("P"))[0, 0])
    whole = saved("GIF", "P", transparency=used)
    with pytest.raises(PhotoError, match="damaged or cut short"):
        load_photo(whole[: -len(whole) // 25])


def test_nothing_but_a_header() -> None:
    whole = saved("JPEG")
    with pytest.raises(PhotoError, match="damaged or cut short"):
        load_photo(whole[: whole.index(b"\xff\xda")])


def test_loops_and_scenes_say_what_is_missing(animator: Animator, tmp_path: Path) -> None:
    whole = saved("JPEG", quality=90)
    scene = animator.invert(whole[: -len(whole) // 50])
    assert "rows are missing" in scene.photo_warning
    scene.save(tmp_path / "scene.cine")
    loaded = Scene.load(tmp_path / "scene.cine")
    assert loaded.photo_warning == scene.photo_warning
    mask = np.ones((ROWS, COLUMNS), bool)
    loop = animator.render(loaded, mask=mask, motion=np.full((2, 4, 6), 0.5, np.float32), seconds=0.5)
    assert loop.warning.startswith(scene.photo_warning)
    assert animator.invert(whole).photo_warning == ""
