"""The declared formats: which of them a path selects, and what they say."""

from pathlib import Path

import pytest

from stylecine.output.codecs import CODECS, CONTAINERS
from stylecine.output.formats import ENDINGS, FORMATS, SERVED, describe_endings, ending_of, files_of, find_format


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a/b.mp4", ".mp4"),
        ("B.GIF", ".gif"),
        ("loop.livephoto", ".livephoto"),
        ("loop.LivePhoto.Zip", ".livephoto.zip"),
        ("PXL_2026.mp.JPG", ".MP.jpg"),
        ("loop.jpg", ".jpg"),
        ("loop.zip", ".zip"),
        ("frames", ""),
        (".livephoto", ""),
    ],
)
def test_the_ending_decides_in_any_case(name: str, ending: str) -> None:
    assert ending_of(name) == ending


def test_a_live_photo_is_two_files_and_anything_else_one() -> None:
    assert [path.name for path in files_of("a/my.livephoto")] == ["my.livephoto.jpg", "my.livephoto.mov"]
    assert files_of("a/my.livephoto.zip") == (Path("a/my.livephoto.zip"),)


def test_nothing_but_a_path_without_an_ending_is_a_folder() -> None:
    assert find_format("frames") is find_format("a.b/frames") is FORMATS[""]
    assert find_format(".mp4") is find_format("loop.avi") is find_format("loop.zip") is None


def test_each_ending_is_in_the_help_once() -> None:
    words = describe_endings().replace(";", "").replace(",", "").split()
    assert [word for word in words if word.startswith(".")] == list(ENDINGS)


def test_the_service_has_a_name_for_each_format() -> None:
    assert {form.id for form in FORMATS.values()} == set(SERVED)
    assert all(not form.parts for form in SERVED.values()), "one file can be sent, not two"


def test_each_of_three_qualities_is_better_than_the_one_before() -> None:
    scales = [form.qualities for form in FORMATS.values() if form.qualities]
    for qualities in (*scales, *(codec.qualities for codec in CODECS.values())):
        small, good, best = qualities
        assert small < good < best or small > good >= best >= 0  # ProRes 4444 is at its best by default
    assert FORMATS[".avif"].qualities[:2] == CODECS[CONTAINERS[".avif"].codecs[0]].qualities[:2]
