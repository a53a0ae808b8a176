"""Ranges of bytes: players ask for a preview, as for every other file that they may keep, in parts."""

from collections.abc import Iterator

import pytest

from stylecine.server.ranges import Recent
from tests.server.conftest import RANGES, Served

PREVIEW = bytes(range(250)) * 4  # of a quick worker


@pytest.fixture
def links(quick: Served) -> Iterator[dict[str, str]]:
    """Of a scene whose preview nobody has asked for."""
    links = quick.scene()["links"]
    yield links
    quick.client.delete(links["self"])


def times_made(served: Served, links: dict[str, str]) -> int:
    starts = served.data / f"{links['self'].rpartition('/')[2]}.starts"
    return len(starts.read_text().splitlines()) if starts.exists() else 0


@pytest.mark.parametrize(("ranges", "status", "begin", "end"), RANGES)
def test_a_preview_is_read_in_parts(
    quick: Served, links: dict[str, str], ranges: str, status: int, begin: int, end: int
) -> None:
    response = quick.client.get(links["preview"], headers={"Range": ranges})
    assert (response.status_code, response.content) == (status, PREVIEW[begin:end])
    assert response.headers["accept-ranges"] == "bytes" and response.headers["content-type"] == "video/mp4"
    assert response.headers["content-length"] == str(end - begin)
    if status == 206:
        assert response.headers["content-range"] == f"bytes {begin}-{end - 1}/1000"


@pytest.mark.parametrize("ranges", ["bytes=1000-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_past_the_end_of_a_preview_is_refused(quick: Served, links: dict[str, str], ranges: str) -> None:
    response = quick.client.get(links["preview"], headers={"Range": ranges})
    assert (response.status_code, response.headers["content-range"]) == (416, "bytes */1000")
    assert response.json()["detail"] == "The file has 1000 bytes; ask for a range inside of it."


def test_a_preview_that_is_read_in_parts_is_made_once(quick: Served, links: dict[str, str]) -> None:
    ranges = [f"bytes={begin}-{begin + 99}" for begin in range(0, 1000, 100)]
    parts = [quick.client.get(links["preview"], headers={"Range": part}).content for part in ranges]
    assert b"".join(parts) == PREVIEW and times_made(quick, links) == 1
    other = quick.client.get(f"{links['preview']}?size=128", headers={"Range": "bytes=0-1"})
    assert other.status_code == 206 and times_made(quick, links) == 2, "of another size"


def test_a_part_of_another_version_is_not_sent(quick: Served, links: dict[str, str]) -> None:
    first = quick.client.get(links["preview"], headers={"Range": "bytes=0-1"})
    kept = {"Range": "bytes=2-3", "If-Range": first.headers["etag"]}
    assert quick.client.get(links["preview"], headers=kept).status_code == 206
    assert quick.client.get(links["preview"], headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    quick.client.patch(links["self"], json={"edits": []})
    after = quick.client.get(links["preview"], headers=kept)
    assert (after.status_code, after.content) == (200, PREVIEW) and after.headers["etag"] != first.headers["etag"]


def test_files_of_different_formats_are_different(quick: Served, links: dict[str, str]) -> None:
    asked = [links["preview"], f"{links['preview']}?format=webp", f"{links['live']}?size=256"]
    tags = {quick.client.get(path, headers={"Range": "bytes=0-1"}).headers["etag"] for path in asked}
    assert len(tags) == 3


def test_head_says_that_parts_can_be_had(quick: Served, links: dict[str, str]) -> None:
    for name in ("preview", "file", "live", "explanation"):
        head = quick.client.head(links[name])
        assert head.status_code == 200 and head.headers["accept-ranges"] == "bytes", name
    assert not times_made(quick, links)


def test_a_scene_s_file_is_read_in_parts(quick: Served, links: dict[str, str]) -> None:
    whole = quick.client.get(links["file"]).content
    part = quick.client.get(links["file"], headers={"Range": "bytes=1-4"})
    assert part.status_code == 206 and len(part.content) == 4 < len(whole)


def test_few_files_are_kept() -> None:
    recent = Recent(10)
    for name in "abc":
        recent.keep(name, bytes(5))
    assert [recent.get(name) for name in "abc"] == [None, bytes(5), bytes(5)]
    recent.keep("large", bytes(11))
    assert recent.get("large") == bytes(11) and recent.get("c") is None
