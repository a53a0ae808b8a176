"""What a report can say of a photo's file, a model and its data; and reading a report back."""

import json
import os
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stylecine.errors import VideoError
from stylecine.ops import native
from stylecine.output.images import ENCODERS
from stylecine.output.metadata import model_facts, read_report, versions
from stylecine.weights import PRETRAINED, ROLES, find_model
from tests.outputs import write

# --- the model


def test_the_default_models_facts_include_checksums_and_data() -> None:
    facts = model_facts(find_model("default"))
    assert facts["name"] == "default" and facts["licence"] and facts["source"]
    assert list(facts["weights"]) == list(ROLES)
    for role, weights in facts["weights"].items():
        assert weights["sha256"] == sha256((PRETRAINED / weights["file"]).read_bytes()).hexdigest()
        assert weights["licence"]
        assert weights["file"] in (PRETRAINED / weights["card"]).read_text(encoding="utf-8"), role
        assert weights["data"] and "`" not in weights["data"]


def test_a_users_own_weights_are_hashed_without_naming_their_folder(small_model: Path) -> None:
    facts = model_facts(find_model(small_model))
    generator = facts["weights"]["generator"]
    assert generator["sha256"] == sha256((small_model / "generator.safetensors").read_bytes()).hexdigest()
    assert generator["card"] is generator["data"] is None
    assert str(small_model.parent) not in json.dumps(facts)


def test_a_source_in_words_is_unchanged(small_model: Path) -> None:
    words = "trained by somebody, " * 30  # longer than any file name
    assert model_facts(replace(find_model(small_model), source=words))["source"] == words


def test_a_source_named_by_a_file_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    record = replace(find_model("default"), source=r"\\evil.example\share")
    looked_at: list[str] = []
    stat = os.stat

    def watched(path: Any, *rest: Any, **named: Any) -> os.stat_result:
        looked_at.append(str(path))
        return stat(path, *rest, **named)

    monkeypatch.setattr(os, "stat", watched)
    monkeypatch.setattr(os.path, "exists", watched)
    assert model_facts(record)["source"] == r"\\evil.example\share"
    assert not any("evil" in path for path in looked_at)


def test_deleted_weights_have_no_hash(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = find_model(small_model)

    def gone(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "open", gone)
    assert model_facts(record)["weights"]["encoder"]["sha256"] is None


# --- the versions


def test_versions_need_no_package_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen program has none, and a package may be another one's replacement."""
    monkeypatch.setattr(sys, "path", [])
    assert {"torch", "numpy", "Pillow", "av"} <= versions(torch.device("cpu")).keys()


def test_versions_say_whether_the_native_library_ran() -> None:
    told = versions(torch.device("cpu"))
    assert told["torch"] == torch.__version__.split("+")[0] or told["torch"] == torch.__version__
    assert told["native"].startswith("libstylecine" if native.available("cpu") else "PyTorch references")
    with native.disabled():
        assert versions(torch.device("cpu"))["native"].startswith("PyTorch references")


# --- a report read back

REPORT = {"stylecine": "0.1.0", "name": "größe"}


PICTURES = [ending for ending in ENCODERS if ending != ".avif"]  # which has no place for one


@pytest.mark.parametrize("name", ["loop.mp4", "loop.webm", "loop.mov", *(f"loop{e}" for e in PICTURES), "LOOP.PNG"])
def test_a_report_is_read_back(photo: np.ndarray, tmp_path: Path, name: str) -> None:
    comment = json.dumps(REPORT)
    if Path(name).suffix.lower() in ENCODERS:
        write([photo] * 2, tmp_path / name, 30, comment=comment)
    else:
        write([photo] * 2, tmp_path / name, 30, comment=comment)
    assert read_report(tmp_path / name) == REPORT


def test_a_png_of_another_program_may_have_a_comment(photo: np.ndarray, tmp_path: Path) -> None:
    text = PngInfo()
    text.add_text("comment", "taken at dawn")
    Image.fromarray(photo).save(tmp_path / "a.png", pnginfo=text)
    with pytest.raises(VideoError, match="no report"):
        read_report(tmp_path / "a.png")


def test_files_without_a_report(photo: np.ndarray, tmp_path: Path) -> None:
    video, poster = tmp_path / "loop.mp4", tmp_path / "poster.png"
    animated = [tmp_path / f"loop{ending}" for ending in ENCODERS]
    for path in animated:
        write([photo] * 2, path, 30, comment="taken at dawn")
    no_json = ('{"stylecine": NaN}', '{"stylecine": 1e999}', "[" * 200_000)
    for comment in ("", "taken at dawn", "[1]", '{"other": 1}', *no_json):
        write([photo] * 2, video, 30, comment=comment)
        write([photo], poster, 0, comment=comment)
        for path in (video, poster):
            with pytest.raises(VideoError, match="no report"):
                read_report(path)
    for path in (video, poster, *animated):
        with pytest.raises(VideoError, match="no report"):
            read_report(path)
        path.write_bytes(path.read_bytes()[:60])
        with pytest.raises(VideoError, match="no report"):
            read_report(path)
    with pytest.raises(VideoError, match="no file"):
        read_report(tmp_path / "missing.mp4")


def test_other_programs_find_the_report(photo: np.ndarray, tmp_path: Path) -> None:
    write([photo] * 2, tmp_path / "loop.mp4", 30, comment=json.dumps(REPORT))
    with av.open(str(tmp_path / "loop.mp4")) as container:
        assert json.loads(container.metadata["comment"]) == REPORT
    write([photo], tmp_path / "loop.png", 0, comment=json.dumps(REPORT))
    with Image.open(tmp_path / "loop.png") as poster:
        assert json.loads(poster.text["Comment"]) == REPORT  # type: ignore[attr-defined]
    assert b"iTXtComment\0" in (tmp_path / "loop.png").read_bytes()
