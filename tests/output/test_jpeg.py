"""JPEG with metadata."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from stylecine.output.jpeg import MAX_SEGMENT, XMP, encode_jpeg, read_xmp
from stylecine.quality.measures import psnr
from tests.output.test_video import chart


def test_the_pixels_survive() -> None:
    with Image.open(io.BytesIO(encode_jpeg(chart()))) as picture:
        assert picture.format == "JPEG" and psnr(np.asarray(picture)[None], chart()[None]) > 45


@pytest.mark.parametrize("text", ["<x/>", "größe", "x" * (MAX_SEGMENT - len(XMP))])
def test_xmp_is_read_back_by_us_and_by_pillow(text: str) -> None:
    content = encode_jpeg(chart(), xmp=text)
    assert read_xmp(content).decode() == text
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        assert picture.info["xmp"].decode() == text


def test_exif_and_xmp_go_together() -> None:
    tags = Image.Exif()
    tags[0x010E] = "a chart"
    content = encode_jpeg(chart(), tags.tobytes(), "<x/>")
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.getexif()[0x010E] == "a chart" and picture.info["xmp"] == b"<x/>"


def test_files_without_xmp_have_none() -> None:
    for content in (b"", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", encode_jpeg(chart())):
        assert read_xmp(content) == b""


def test_damaged_headers_are_no_error() -> None:
    rng, whole = random.Random(2), encode_jpeg(chart(), xmp="<x/>")
    for _ in range(300):
        damaged = bytearray(whole[: rng.randrange(len(whole))])
        for _ in range(min(len(damaged), 8)):
            damaged[rng.randrange(min(len(damaged), 120))] = rng.randrange(256)
        assert isinstance(read_xmp(bytes(damaged)), bytes)
