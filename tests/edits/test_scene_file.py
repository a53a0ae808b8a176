"""Scenes on disk: what comes back, and what a stranger may not do."""

import errno
import io
import json
import os
import stat
import struct
import sys
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from stylecine import Cancelled, OutputError, SceneError, StylecineError, TooLarge
from stylecine.edits.model import Area, Edit, Paint, to_json, values_of
from stylecine.edits.scene_file import (
    EDITS,
    JSON,
    MEMBERS,
    PHOTO,
    TENSORS,
    Cine,
    edit_cine,
    pack,
    read_cine,
    write_cine,
)

Members = dict[str, bytes]
SOURCE = {"name": "photo.jpg", "sha256": "ab" * 32, "warning": "", "wraps": False}
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")


@pytest.fixture(scope="module")
def scene() -> Cine:
    """Of 80 x 64 pixels, with an edit of each kind."""
    rng = np.random.default_rng(2)
    photo = rng.integers(0, 255, (64, 80, 3)).astype(np.uint8)
    layers = np.zeros((4, 64, 80), np.float32)
    layers[1, 30:] = rng.random((34, 80))
    weights = {"generator": {"sha256": "0" * 64, "licence": "CC0-1.0"}, "refiner": {"sha256": None, "licence": "MIT"}}
    texts = {"name": "small", "injection": "b64.conv1", "licence": "CC0-1.0", "source": "here"}
    cine = Cine(
        photo=photo,
        reconstruction=photo[::-1].copy(),
        layers=layers,
        motion=rng.normal(0, 1, (2, 32, 40)).astype(np.float32),
        w_plus=rng.normal(0, 1, (14, 512)).astype(np.float32),
        feature=rng.normal(0, 1, (8, 16, 20)).astype(np.float16).astype(np.float32),
        model=texts | {"resolution": 256, "weights": weights},
        source=SOURCE,
        settings={"size": "1024", "refine": 0, "seed": 7},
    )
    cine = cine.paint("falls", [[0.4, 0.7], [0.5, 0.7]]).paint("sky", np.eye(64, 80), "erase")
    cine = cine.paint(None, (0, 0), "freeze")
    cine = cine.push((0.5, 0.9, 0.6, 0.9)).anchor((0.3, 0.9)).speed("water", 2).speed((0.5, 0.5), 0.5)
    return cine.style("night", 0.7).style(photo, drift=True)


@pytest.fixture
def file(scene: Cine, tmp_path: Path) -> Path:
    return write_cine(scene, tmp_path / "x.cine")


def same(a: Cine, b: Cine) -> bool:
    for name in {field.name for field in fields(Cine)} - {"edits"}:
        mine, other = getattr(a, name), getattr(b, name)
        if isinstance(mine, np.ndarray):
            if mine.dtype != other.dtype or not np.array_equal(mine, other):
                return False
        elif mine != other:
            return False
    mine, other = ([to_json(edit) for edit in cine.edits] for cine in (a, b))
    mine_kept, other_kept = ([values_of(edit) for edit in cine.edits] for cine in (a, b))
    if not all(x is y or np.array_equal(x, y) for x, y in zip(mine_kept, other_kept, strict=True)):
        return False
    return mine == other and all(np.array_equal(x, y) for x, y in zip(a.edited, b.edited, strict=True))


def test_every_tensor_is_restored_bit_for_bit(scene: Cine, file: Path) -> None:
    assert same(read_cine(file), scene)


def test_features_beyond_half_precision_are_restored(scene: Cine, tmp_path: Path) -> None:
    feature = scene.feature * np.float32(1 / 3) + np.float32(1e5)
    exact = replace(scene, feature=feature)
    assert same(read_cine(write_cine(exact, tmp_path / "x.cine")), exact)


def test_the_same_scene_is_the_same_file(
    scene: Cine, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on another day: a ZIP file's dates are in steps of two seconds."""
    now = time.time() + 100 * 86_400
    monkeypatch.setattr(time, "time", lambda: now)
    assert write_cine(scene, tmp_path / "y.cine").read_bytes() == file.read_bytes()


def test_saving_can_be_cancelled_at_every_step(scene: Cine, tmp_path: Path) -> None:
    calls: list[None] = []
    path = write_cine(scene, tmp_path / "whole.cine", lambda: calls.append(None))
    assert len(calls) > 10
    for allowed in range(len(calls)):
        left = [None] * allowed  # a list's pop is atomic, and two threads encode

        def check(left: list[None] = left) -> None:
            if not left:
                raise Cancelled("Cancelled.")
            left.pop()

        with pytest.raises(Cancelled):
            write_cine(scene, tmp_path / "stopped.cine", check)
        assert os.listdir(tmp_path) == [path.name]


def test_other_programs_can_read_the_members(scene: Cine, file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        assert tuple(archive.namelist()) == MEMBERS and archive.testzip() is None
        assert json.loads(archive.read(JSON))["edits"][3] == {"edit": "push", "arrow": [0.5, 0.9, 0.6, 0.9]}
        with Image.open(io.BytesIO(archive.read(PHOTO))) as photo:
            assert np.array_equal(np.asarray(photo), scene.photo)
        assert archive.getinfo(TENSORS).compress_size < archive.getinfo(TENSORS).file_size


def test_editing_changes_only_the_edits(scene: Cine, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.cine"
    edited = edit_cine(file, lambda cine: cine.undo().anchor((0.1, 0.2)), other)
    assert same(read_cine(file), scene)
    assert same(read_cine(other), edited) and same(edited, replace(scene, edits=edited.edits))
    edit_cine(other, lambda cine: cine.undo(), other)
    assert len(read_cine(other).edits) == len(scene.edits) - 1


def test_a_failed_edit_leaves_the_file(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(StylecineError):
        edit_cine(file, lambda cine: cine.anchor((0.1, 0.2)).anchor((7, 7)), file)
    assert file.read_bytes() == before and os.listdir(file.parent) == ["x.cine"]


def test_an_unwritable_destination_is_reported(scene: Cine, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"does not end in \.cine"):
        write_cine(scene, tmp_path / "x.zip")
    with pytest.raises(OutputError, match="no folder"):
        write_cine(scene, tmp_path / "nowhere" / "x.cine")
    with pytest.raises(SceneError, match="There is no scene"):
        read_cine(tmp_path / "x.cine")
    with pytest.raises(OutputError, match="None is not a path"):
        write_cine(scene, None)  # type: ignore[arg-type]
    with pytest.raises(SceneError, match="3 is not a path"):
        read_cine(3)  # type: ignore[arg-type]
    with pytest.raises(SceneError, match="is a folder"):
        read_cine(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space"), KeyboardInterrupt()], ids=["full", "interrupt"])
def test_a_scene_is_written_completely_or_not_at_all(
    scene: Cine, file: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    before, write = file.read_bytes(), zipfile.ZipFile.writestr

    def fail(archive: zipfile.ZipFile, info: zipfile.ZipInfo, *rest: Any) -> None:
        if info.filename == TENSORS:
            raise failure
        write(archive, info, *rest)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
    with pytest.raises(OutputError if isinstance(failure, OSError) else KeyboardInterrupt):
        write_cine(scene.undo(), file)
    assert file.read_bytes() == before and os.listdir(file.parent) == ["x.cine"]


def test_a_photo_too_large_for_memory_is_refused_by_its_size(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylecine.edits.scene_file.available_bytes", lambda device: 1e5)
    with pytest.raises(TooLarge, match=r"80x64, needs about .* free some memory first"):
        read_cine(file)


@pytest.mark.parametrize("masks", [0, 60])
def test_a_scene_that_takes_more_memory_than_is_free_is_refused(
    scene: Cine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, masks: int
) -> None:
    paint = Paint(None, "freeze", Area((), 0.0, 0, 0, np.ones((512, 512), np.uint8)))
    plain, flat = np.zeros((512, 512, 3), np.uint8), np.zeros((4, 512, 512), np.float32)
    large = replace(scene, photo=plain, reconstruction=plain, layers=flat, edits=(paint,) * masks)
    path = write_cine(large, tmp_path / "x.cine")
    tracemalloc.start()
    read_cine(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    monkeypatch.setattr("stylecine.edits.scene_file.available_bytes", lambda device: 2.5 * peak)
    read_cine(path)
    monkeypatch.setattr("stylecine.edits.scene_file.available_bytes", lambda device: 0.99 * peak)
    with pytest.raises(TooLarge, match="512x512, needs about"):
        read_cine(path)


def test_a_scene_is_saved_even_if_memory_does_not_suffice_to_open_it(
    scene: Cine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr("stylecine.edits.scene_file.available_bytes", lambda device: 1e5)
        write_cine(scene, tmp_path / "x.cine")
    assert same(read_cine(tmp_path / "x.cine"), scene)


def long_strokes(count: int) -> tuple[Edit, ...]:
    points = np.random.default_rng(5).random((10_000, 2)).tolist()
    area = Area(tuple((x, y) for x, y in points), 0.03, 0, 0, np.ones((64, 80), np.uint8))
    return (Paint(None, "freeze", area),) * count


def cut(scene: Cine, height: int) -> Cine:
    photo, alone, layers = scene.photo[:height], scene.reconstruction[:height], scene.layers[:, :height]
    return replace(scene, photo=photo, reconstruction=alone, layers=layers, edits=())


UNOPENABLE: dict[str, Callable[[Cine], Cine]] = {
    "more-points-than-are-read": lambda s: replace(s, edits=long_strokes(12)),
    "more-edits-than-are-read": lambda s: replace(s, edits=s.edits[4:5] * 1001),
    "layers-above-1": lambda s: replace(s, layers=s.layers * 3),
    "smaller-than-a-photo": lambda s: cut(s, 63),
}


@pytest.mark.parametrize("case", UNOPENABLE)
def test_a_scene_that_could_not_be_opened_does_not_replace_one_that_can(scene: Cine, file: Path, case: str) -> None:
    before = file.read_bytes()
    with pytest.raises(SceneError, match=r"was not saved, because it could not be opened again.*undo some edits"):
        write_cine(UNOPENABLE[case](scene), file)
    assert file.read_bytes() == before and os.listdir(file.parent) == ["x.cine"]


def test_an_edit_after_which_it_could_not_be_opened_is_refused(scene: Cine, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(SceneError, match="was not saved"):
        edit_cine(file, lambda cine: replace(cine, edits=cine.edits[4:5] * 1001), file)
    assert file.read_bytes() == before and os.listdir(file.parent) == ["x.cine"]


def test_strokes_of_90_000_points_are_read(scene: Cine, file: Path) -> None:
    assert len(read_cine(write_cine(replace(scene, edits=long_strokes(9)), file)).edits) == 9


@POSIX
def test_of_two_edits_at_a_time_none_is_lost(scene: Cine, file: Path) -> None:
    def slowly(cine: Cine) -> Cine:
        with pytest.raises(OutputError, match="Another run is writing"):
            edit_cine(file, lambda cine: cine.speed("water", 3), file)
        return cine.speed("sky", 3)

    edit_cine(file, slowly, file)
    assert len(read_cine(file).edits) == len(scene.edits) + 1


@POSIX
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.cine")
    assert "is a pipe or a device" in refused(tmp_path / "x.cine")


def test_names_are_escaped_when_saved(scene: Cine, tmp_path: Path) -> None:
    odd, shown = "a\nb\x1b[31m\udc80", r"a\nb\x1b[31m\udc80"
    renamed = replace(scene, source=SOURCE | {"name": odd}, model={**scene.model, "name": odd})
    saved = read_cine(write_cine(renamed, tmp_path / "x.cine"))
    assert saved.source == SOURCE | {"name": shown} and saved.model == {**scene.model, "name": shown}


# --- hostile archives


def archive(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]], packed: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", packed) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def refused(path: Path) -> str:
    with pytest.raises(SceneError) as caught:
        read_cine(path)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    return message


def named(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    "name",
    ["../escaped", "/etc/passwd", "C:\\escaped", "..\\escaped", "folder/", "folder/photo.png", "evil.py", "photo.PNG"],
)
def test_unknown_members_are_refused_and_nothing_is_unpacked(scene: Cine, tmp_path: Path, name: str) -> None:
    members = list(pack(scene).items())
    path = archive(tmp_path / "x.cine", [*members, (zipfile.ZipInfo(name), b"boo")])
    assert "does not contain what a scene does" in refused(path)
    path = archive(tmp_path / "x.cine", [*members[1:], (zipfile.ZipInfo(name), members[0][1])])
    refused(path)
    assert os.listdir(tmp_path) == ["x.cine"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_and_missing_members_are_refused(scene: Cine, tmp_path: Path) -> None:
    members = list(pack(scene).items())
    for wrong in ([*members, members[0]], members[:-1], [*members[:-1], members[0]], []):
        refused(archive(tmp_path / "x.cine", list(wrong)))


def test_huge_directories_are_refused_unread(scene: Cine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = archive(tmp_path / "x.cine", [*pack(scene).items(), *((f"{n}", b"") for n in range(2000))])
    infos = [(named(name), content) for name, content in pack(scene).items()]
    for info, _ in infos:
        info.comment = bytes(60_000)
    long = archive(tmp_path / "long.cine", [*infos])
    few = write_cine(scene, tmp_path / "few.cine")
    content = few.read_bytes()
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    (tmp_path / "large.cine").write_bytes(content[:-22] + locator + content[-22:])
    (tmp_path / "comment.cine").write_bytes(content[:-2] + b"\x03\x00boo")
    monkeypatch.setattr(zipfile, "ZipFile", None)
    for path in (many, long, tmp_path / "large.cine", tmp_path / "comment.cine"):
        refused(path)


def test_links_are_refused(scene: Cine, tmp_path: Path) -> None:
    members = pack(scene) | {PHOTO: b"/etc/passwd"}
    infos = [(named(name, stat.S_IFLNK | 0o777 if name == PHOTO else 0), content) for name, content in members.items()]
    assert "does not contain what a scene does" in refused(archive(tmp_path / "x.cine", list(infos)))


def test_encrypted_members_are_refused(file: Path) -> None:
    content = bytearray(file.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 8] |= 1
    file.write_bytes(content)
    assert "does not contain what a scene does" in refused(file)


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(scene: Cine, tmp_path: Path, packed: int) -> None:
    path = archive(tmp_path / "x.cine", list(pack(scene).items()), packed)
    assert "compressed in another way" in refused(path)


def test_bombs_are_refused_by_their_directory(scene: Cine, tmp_path: Path) -> None:
    members = pack(scene)
    many = b'{"version": 1, "x": [' + b"{}," * 1_300_000 + b"0]}"
    for name, content in {EDITS: bytes(64 << 20), JSON: many, PHOTO: bytes(2 << 20)}.items():
        bomb = list((members | {name: content}).items())
        path = archive(tmp_path / "x.cine", bomb, zipfile.ZIP_DEFLATED)
        assert path.stat().st_size < 1 << 20
        assert "too large for its photo" in refused(path) or "would grow" in refused(path)


def test_bombs_that_claim_to_be_of_a_large_photo_are_refused_by_their_directory(scene: Cine, tmp_path: Path) -> None:
    members = with_facts(scene, height=1024, width=1024) | {TENSORS: bytes(32 << 20)}
    path = archive(tmp_path / "x.cine", list(members.items()), zipfile.ZIP_DEFLATED)
    assert "would grow to 32 MB" in refused(path)


def test_bombs_with_a_false_directory_are_refused(scene: Cine, tmp_path: Path) -> None:
    path = archive(tmp_path / "x.cine", list((pack(scene) | {PHOTO: bytes(64 << 20)}).items()), zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    for header, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = -1
        while (at := content.find(header, at + 1)) >= 0:
            if content[at + offset : at + offset + 4] == struct.pack("<I", 64 << 20):
                content[at + offset : at + offset + 4] = struct.pack("<I", 1000)
    path.write_bytes(content)
    refused(path)


def test_a_small_file_takes_little_memory(scene: Cine, tmp_path: Path) -> None:
    """Whatever is in it, within what is read at all: here tensors of zeros, and JSON of many small things."""
    found = {"layers": np.zeros((4, 512, 768), np.float32), "motion": np.zeros((2, 512, 768), np.float32)}
    junk = json.dumps({"version": 1, "height": 512, "width": 768})[:-1].encode() + b',"x":[' + b"{}," * 350_000 + b"0]}"
    members = with_tensors(scene, **found) | {JSON: junk}
    path = archive(tmp_path / "x.cine", list(members.items()), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def with_facts(scene: Cine, **facts: Any) -> Members:
    members = pack(scene)
    return members | {JSON: json.dumps(json.loads(members[JSON]) | facts).encode()}


def with_style(scene: Cine, picture: np.ndarray | None = None, **facts: Any) -> Members:
    style = {"edit": "style", "name": "x.jpg", "strength": 1, "drift": False, "photo": picture is not None} | facts
    kept = {} if picture is None else {"0": picture}
    return with_facts(scene, edits=[style]) | {EDITS: safetensors.numpy.save(kept)}


def with_tensors(scene: Cine, **tensors: Any) -> Members:
    members = pack(scene)
    found = safetensors.numpy.load(members[TENSORS]) | tensors
    return members | {TENSORS: safetensors.numpy.save({k: v for k, v in found.items() if v is not None})}


def with_picture(scene: Cine, image: Image.Image, kind: str = "PNG") -> Members:
    file = io.BytesIO()
    image.save(file, kind)
    return pack(scene) | {PHOTO: file.getvalue()}


def tall_png() -> bytes:
    """Says that it is 60000 x 60000."""
    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


NAN = float("nan")
CASES: dict[str, Callable[[Cine], Members]] = {
    "json-none": lambda s: pack(s) | {JSON: b""},
    "json-cut": lambda s: pack(s) | {JSON: pack(s)[JSON][:-9]},
    "json-list": lambda s: pack(s) | {JSON: b"[]"},
    "json-deep": lambda s: pack(s) | {JSON: b"[" * 200_000},
    "json-deeper": lambda s: pack(s) | {JSON: b'{"a":' * 200_000 + b"1" + b"}" * 200_000},
    "json-bytes": lambda s: pack(s) | {JSON: b"\xff\xfe\x00"},
    "json-digits": lambda s: with_facts(s) | {JSON: b'{"version": ' + b"1" * 10_000 + b"}"},
    "stylecine": lambda s: with_facts(s, stylecine=[]),
    "version-none": lambda s: with_facts(s, version=None),
    "version-new": lambda s: with_facts(s, version=99),
    "version-old": lambda s: with_facts(s, version=0),
    "version-text": lambda s: with_facts(s, version="1"),
    "version-true": lambda s: with_facts(s, version=True),
    "size-huge": lambda s: with_facts(s, height=10**9, width=10**9),
    "size-large": lambda s: with_facts(s, height=200, width=300),
    "size-other": lambda s: with_facts(s, height=63),
    "size-small": lambda s: pack(cut(s, 63)),
    "size-negative": lambda s: with_facts(s, height=-64, width=-80),
    "size-text": lambda s: with_facts(s, height="64"),
    "size-fraction": lambda s: with_facts(s, height=64.0),
    "model-none": lambda s: with_facts(s, model=None),
    "model-less": lambda s: with_facts(s, model={"name": "default"}),
    "model-name": lambda s: with_facts(s, model=dict(s.model) | {"name": 5}),
    "model-escape": lambda s: with_facts(s, model=dict(s.model) | {"name": "x\n\x1b[31mall is lost"}),
    "model-backwards": lambda s: with_facts(s, model=dict(s.model) | {"licence": "\u202egpj"}),
    "model-long": lambda s: with_facts(s, model=dict(s.model) | {"name": "n" * 5000}),
    "model-weights": lambda s: with_facts(s, model=dict(s.model) | {"weights": {"generator": "0" * 64}}),
    "model-digest": lambda s: with_facts(
        s, model=dict(s.model) | {"weights": {"refiner": {"sha256": "../x", "licence": ""}}}
    ),
    "source": lambda s: with_facts(s, source=SOURCE | {"name": ["x"]}),
    "source-escape": lambda s: with_facts(s, source=SOURCE | {"name": "\x07.jpg"}),
    "source-path": lambda s: with_facts(s, source=SOURCE | {"path": "/etc/passwd"}),
    "settings": lambda s: with_facts(s, settings={"size": "1024", "refine": -1, "seed": 0}),
    "settings-size": lambda s: with_facts(s, settings=dict(s.settings) | {"size": 1024}),
    "settings-more": lambda s: with_facts(s, settings=dict(s.settings) | {"model": "evil"}),
    "edits-none": lambda s: with_facts(s, edits=None),
    "edits-fewer": lambda s: with_facts(s, edits=[]),
    "edits-many": lambda s: with_facts(s, edits=[{"edit": "anchor", "point": [0, 0], "radius": 1}] * 1001),
    "edits-nan": lambda s: with_facts(s, edits=[{"edit": "anchor", "point": [0, NAN], "radius": 1}]),
    "more": lambda s: with_facts(s, run="rm -rf /"),
    "style-unknown": lambda s: with_style(s, name="dusc", photo=False),
    "style-without-its-picture": lambda s: with_style(s, name="beach.jpg", photo=True),
    "style-with-a-picture-it-denies": lambda s: with_style(s, np.ones((64, 192), np.uint8), photo=False),
    "style-of-no-pixels": lambda s: with_style(s, np.ones((64, 193), np.uint8)),
    "style-large": lambda s: with_style(s, np.ones((129, 3 * 129), np.uint8)),
    "style-long": lambda s: with_style(s, np.ones((2049, 3), np.uint8)),
    "style-floats": lambda s: with_style(s, np.ones((64, 192), np.float32)),
    "style-escape": lambda s: with_style(s, np.ones((64, 192), np.uint8), name="\x1b[31m"),
    "style-strong": lambda s: with_style(s, np.ones((64, 192), np.uint8), strength=1e9),
    "areas-other-type": lambda s: pack(s) | {EDITS: safetensors.numpy.save({"0": np.ones((4, 4), np.float32)})},
    "areas-name": lambda s: pack(s) | {EDITS: safetensors.numpy.save({"x": np.ones((4, 4), np.uint8)})},
    "areas-large": lambda s: pack(s) | {EDITS: safetensors.numpy.save({"0": np.ones((1, 6000), np.uint8)})},
    "areas-outside": lambda s: pack(s) | {EDITS: safetensors.numpy.save({"0": np.ones((400, 4), np.uint8)})},
    "areas-more": lambda s: pack(s) | {EDITS: safetensors.numpy.save({"99": np.ones((4, 4), np.uint8)})},
    "layers-none": lambda s: with_tensors(s, layers=None),
    "layers-other-size": lambda s: with_tensors(s, layers=s.layers[:, 1:]),
    "layers-more": lambda s: with_tensors(s, layers=np.zeros((5, 64, 80), np.float32)),
    "layers-above-1": lambda s: with_tensors(s, layers=s.layers + np.float32(0.01)),
    "layers-below-0": lambda s: with_tensors(s, layers=s.layers - np.float32(0.01)),
    "layers-nan": lambda s: with_tensors(s, layers=np.full_like(s.layers, NAN)),
    "layers-half": lambda s: with_tensors(s, layers=s.layers.astype(np.float16)),
    "layers-integers": lambda s: with_tensors(s, layers=s.layers.astype(np.int64)),
    "motion-infinite": lambda s: with_tensors(s, motion=np.full_like(s.motion, np.inf)),
    "motion-half": lambda s: with_tensors(s, motion=s.motion.astype(np.float16)),
    "motion-larger-than-the-photo": lambda s: with_tensors(s, motion=np.zeros((2, 65, 80), np.float32)),
    "motion-flat": lambda s: with_tensors(s, motion=s.motion[0]),
    "motion-empty": lambda s: with_tensors(s, motion=np.zeros((2, 0, 5), np.float32)),
    "motion-large": lambda s: with_tensors(s, motion=np.zeros((2, 2000, 1000), np.float32)),
    "motion-fast": lambda s: with_tensors(s, motion=s.motion * 1e6),
    "w-plus-half": lambda s: with_tensors(s, w_plus=s.w_plus.astype(np.float16)),
    "w-plus-wide": lambda s: with_tensors(s, w_plus=np.zeros((14, 1000), np.float32)),
    "w-plus-long": lambda s: with_tensors(s, w_plus=np.zeros((65, 512), np.float32)),
    "feature-large": lambda s: with_tensors(s, feature=np.zeros((1, 1200, 1200), np.float16)),
    "feature-flat": lambda s: with_tensors(s, feature=s.feature[0]),
    "feature-nan": lambda s: with_tensors(s, feature=np.full_like(s.feature, NAN)),
    "tensors-more": lambda s: with_tensors(s, code=np.zeros(3, np.uint8)),
    "tensors-none": lambda s: pack(s) | {TENSORS: b""},
    "tensors-header-long": lambda s: pack(s) | {TENSORS: header(b"{}", 1 << 60)},
    "tensors-header-cut": lambda s: pack(s) | {TENSORS: header(b"{", 1)},
    "tensors-type": lambda s: (
        pack(s) | {TENSORS: header(b'{"layers":{"dtype":"BF16","shape":[0],"data_offsets":[0,0]}}')}
    ),
    "tensors-shape": lambda s: (
        pack(s) | {TENSORS: header(b'{"layers":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}')}
    ),
    "picture-none": lambda s: pack(s) | {PHOTO: b""},
    "picture-jpeg": lambda s: with_picture(s, Image.fromarray(s.photo), "JPEG"),
    "picture-grey": lambda s: with_picture(s, Image.fromarray(s.photo).convert("L")),
    "picture-other-size": lambda s: with_picture(s, Image.fromarray(s.photo).resize((81, 64))),
    "picture-cut": lambda s: pack(s) | {PHOTO: pack(s)[PHOTO][:-4000]},
    "picture-huge": lambda s: pack(s) | {PHOTO: tall_png()},
}


def test_the_forged_style_is_opened_without_its_faults(scene: Cine, tmp_path: Path) -> None:
    members = with_style(scene, np.ones((64, 192), np.uint8))
    assert len(read_cine(archive(tmp_path / "x.cine", list(members.items()))).edits) == 1


@pytest.mark.parametrize("case", CASES)
def test_invalid_metadata_are_refused(scene: Cine, tmp_path: Path, case: str) -> None:
    refused(archive(tmp_path / "x.cine", list(CASES[case](scene).items())))


def test_a_file_of_another_kind_is_no_scene(tmp_path: Path) -> None:
    for content in (b"", b"PK", b"PK\x03\x04", b"GIF89a", os.urandom(1000), b"PK\x05\x06" + bytes(18)):
        (tmp_path / "x.cine").write_bytes(content)
        refused(tmp_path / "x.cine")


def test_damaged_files_are_opened_or_refused(file: Path, tmp_path: Path) -> None:
    content, random, refusals = file.read_bytes(), Random(4), 0
    for _ in range(150):
        start = random.randrange(len(content))
        end = start + random.choice((0, 1, 8, 100))  # 0: insert without removing anything
        (tmp_path / "y.cine").write_bytes(content[:start] + random.randbytes(random.choice((0, 1, 8))) + content[end:])
        try:
            read_cine(tmp_path / "y.cine")
        except StylecineError:
            refusals += 1
    assert refusals > 75


def test_a_wrong_value_makes_no_long_message(scene: Cine, tmp_path: Path) -> None:
    long = with_facts(scene, edits=[{"edit": "speed", "what": "sky", "factor": "9" * 100_000, "area": None}])
    assert len(refused(archive(tmp_path / "x.cine", list(long.items())))) < 1000


def test_an_older_file_says_nothing_of_its_photo(scene: Cine, tmp_path: Path) -> None:
    """What is missing of it, and that it wraps, used to be written only if so."""
    source = {name: value for name, value in dict(scene.source or {}).items() if name in ("name", "sha256")}
    old = archive(tmp_path / "x.cine", list(with_facts(scene, source=source).items()))
    assert read_cine(old).source == source | {"warning": "", "wraps": False}
