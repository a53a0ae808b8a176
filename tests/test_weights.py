"""Model records and weight files: which models are found, which files are refused, and with which message."""

import hashlib
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from stylecine import weights
from stylecine.errors import (
    ChecksumMismatch,
    LicenceNotAccepted,
    WeightsError,
    WeightsMalformed,
    WeightsNotFound,
)
from stylecine.weights import ROLES, find_model, models, models_folder, read_tensors, role_tensors

REGISTER = Path(__file__).parent.parent / "pretrained" / "recipes" / "register.py"
GENERATOR = {"synthesis.b64.torgb.weight": torch.ones(3, 4, 1, 1)}

MODELS = """
[default]
resolution = 1024
injection = "b256.conv1"
licence = "CC-BY-4.0"  # of the weights
source = "here"

[default.files.generator]
path = "generator.safetensors"
sha256 = ""

[default.files.normals]
path = "normals.safetensors"
sha256 = ""
licence = "BSD-2-Clause"

[borrowed]
resolution = 256
injection = "b64.conv1"
licence = "CC-BY-NC-4.0"
source = "elsewhere"
accept = "no commercial use"

[borrowed.files.generator]
path = "missing.safetensors"
sha256 = "00"
"""

PUBLIC = """
[church]
resolution = 64
about = "churches"
licence = "NC"
accept = "research only"
source = "https://example.org/project"
checkpoint = "https://example.org/files/church.pkl"
file = "church.pkl"

[lakes]
resolution = 64
about = "lakes"
licence = "MIT"
source = "https://example.org/lakes"
checkpoint = "https://example.org/folder"
file = "lakes.pt"
"""


@pytest.fixture
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models.toml, its small registered weights and public.toml; converted models go into a subfolder."""
    (tmp_path / "models.toml").write_text(MODELS)
    (tmp_path / "public.toml").write_text(PUBLIC)
    monkeypatch.setenv("STYLECINE_MODELS", str(tmp_path / "converted"))
    save(tmp_path / "generator.safetensors", GENERATOR)
    save(tmp_path / "normals.safetensors", {"linear.0": torch.ones(3)})
    subprocess.run([sys.executable, REGISTER, tmp_path / "models.toml"], check=True, capture_output=True)
    monkeypatch.setattr(weights, "PRETRAINED", tmp_path)
    return tmp_path


def save(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    safetensors.torch.save_file(tensors, path, metadata)
    return path


# --- the package's own records


def test_the_default_model_is_listed_with_all_its_roles() -> None:
    record = find_model("default")
    assert record in models()
    assert (record.resolution, set(record.files)) == (1024, set(ROLES))
    assert re.fullmatch(r"b(128|256)\.conv1", record.injection)


@pytest.mark.parametrize("role", ROLES)
def test_every_weight_file_of_the_package_matches_its_record(role: str) -> None:
    file = find_model("default").files[role]
    assert file.sha256, f"run pretrained/recipes/register.py: {role} has no checksum"
    assert file.path.stat().st_size <= 15_000_000
    dtypes = {t.dtype for t in role_tensors(find_model("default"), role).values()}
    assert dtypes <= {torch.float32, torch.uint8}  # uint8: 4-bit codes


# --- finding models


def test_an_unknown_name_lists_the_known_ones(pretrained: Path) -> None:
    with pytest.raises(WeightsNotFound, match=r"file 'sea'; use default, borrowed, church, lakes, or the path"):
        find_model("sea")
    with pytest.raises(WeightsNotFound, match=r"'defualt'; did you mean default\?"):
        find_model("defualt")
    with pytest.raises(WeightsNotFound, match="no model or file"):
        find_model("a" * 300)  # too long for a file name


def test_a_licence_has_to_be_accepted(pretrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LicenceNotAccepted, match=r"no commercial use.*STYLECINE_ACCEPT_LICENCE=borrowed"):
        find_model("borrowed")
    for names in ("other,borrowed", "other, borrowed "):
        monkeypatch.setenv("STYLECINE_ACCEPT_LICENCE", names)
        assert find_model("borrowed").licence == "CC-BY-NC-4.0"


def test_a_file_has_the_licence_of_its_model_or_its_own(pretrained: Path) -> None:
    files = find_model("default").files
    assert (files["generator"].licence, files["normals"].licence) == ("CC-BY-4.0", "BSD-2-Clause")


@pytest.mark.parametrize("by_folder", [True, False], ids=["folder", "file"])
def test_a_users_own_model(pretrained: Path, tmp_path: Path, by_folder: bool) -> None:
    """Its own files take precedence; networks that do not depend on the generator come from the default model."""
    generator = save(tmp_path / "mine" / "generator.safetensors", GENERATOR, {"licence": "mine"})
    save(generator.parent / "encoder.safetensors", {"a": torch.zeros(1)})
    record = find_model(generator.parent if by_folder else generator)
    assert (record.resolution, record.injection, record.licence) == (64, "b16.conv1", "mine")
    assert record.files["normals"] == find_model("default").files["normals"]
    assert role_tensors(record, "encoder").keys() == {"a"}
    with pytest.raises(WeightsNotFound, match="has no eye"):
        role_tensors(record, "eye")


def test_what_corrects_the_eye_is_not_borrowed_for_another(tmp_path: Path) -> None:
    generator = save(tmp_path / "generator.safetensors", GENERATOR)
    for role in ("finder", "plants"):
        assert find_model(generator).files[role] == find_model("default").files[role]
    save(tmp_path / "eye.safetensors", {"a": torch.zeros(1)})
    assert not {"finder", "plants"} & set(find_model(generator).files)
    with pytest.raises(WeightsNotFound, match=r"has no finder .*put finder\.safetensors beside"):
        role_tensors(find_model(generator), "finder")
    save(tmp_path / "finder.safetensors", {"a": torch.zeros(1)})
    assert find_model(generator).files["finder"].path.parent == tmp_path


def test_metadata_names_the_injection_layer(pretrained: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "g.safetensors", GENERATOR, {"injection": "b32.conv1"})
    assert find_model(path).injection == "b32.conv1"


def test_paths_without_a_generator(pretrained: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "network.pkl").write_bytes(b"x")
    with pytest.raises(WeightsNotFound, match=r"generator\.safetensors"):
        find_model(tmp_path / "empty")
    with pytest.raises(WeightsMalformed, match="stylecine convert"):
        find_model(tmp_path / "network.pkl")
    with pytest.raises(WeightsMalformed, match="no StyleGAN2 generator"):
        find_model(save(tmp_path / "other.safetensors", {"a": torch.zeros(1)}))


def test_a_malformed_list_of_models(pretrained: Path) -> None:
    for text in ("[default", "default = 3", "[default]\nresolution = 4"):
        (pretrained / "models.toml").write_text(text)
        with pytest.raises(WeightsMalformed):
            models()
    (pretrained / "models.toml").write_text(MODELS)
    (pretrained / "public.toml").write_text("[lakes]")
    with pytest.raises(WeightsMalformed, match=r"public\.toml"):
        models()
    (pretrained / "models.toml").unlink()
    with pytest.raises(WeightsNotFound):
        models()


# --- public models


def test_a_public_model_explains_how_to_download_it(pretrained: Path) -> None:
    with pytest.raises(
        WeightsNotFound, match=r"open https://example\.org/folder and download lakes\.pt, then stylecine convert lakes"
    ):
        find_model("lakes")
    record = next(model for model in models() if model.name == "church")
    assert record.steps == ["curl -LO https://example.org/files/church.pkl", "stylecine convert church.pkl church"]
    assert not record.installed


def test_a_downloaded_public_model_shares_networks_of_the_default_one(pretrained: Path) -> None:
    save(pretrained / "converted" / "lakes.safetensors", GENERATOR)
    record = find_model("lakes")
    assert (record.name, record.resolution, record.injection) == ("lakes", 64, "b16.conv1")
    assert set(record.files) == {"generator", "normals"}
    assert record.files["normals"] == find_model("default").files["normals"]
    assert role_tensors(record, "generator").keys() == GENERATOR.keys()


def test_a_non_commercial_model_has_to_be_accepted_before_and_after_download(
    pretrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for downloaded in (False, True):
        if downloaded:
            save(pretrained / "converted" / "church.safetensors", GENERATOR)
        with pytest.raises(LicenceNotAccepted, match=r"research only.*STYLECINE_ACCEPT_LICENCE=church"):
            find_model("church")
    monkeypatch.setenv("STYLECINE_ACCEPT_LICENCE", "church")
    assert find_model("church").licence == "NC"


def test_public_models_are_in_the_cache_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLECINE_MODELS", "")
    assert models_folder() == Path.home() / ".cache/stylecine/models"


def test_a_user_without_a_home_has_no_folder_of_models(pretrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STYLECINE_MODELS")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert find_model("default").resolution == 1024
    with pytest.raises(WeightsNotFound, match="stylecine convert"):
        find_model("lakes")


def test_the_packages_public_records() -> None:
    public = [model for model in models() if model.checkpoint]
    assert {"lhq-1024", "stylegan2-church-256"} <= {model.name for model in public}
    for model in public:
        assert model.source.startswith("https://") and model.checkpoint.startswith("https://")
        assert Path(model.file).suffix in (".pkl", ".pt")
        assert set(model.files) == set(ROLES) - {"encoder", "styles"}
        assert bool(model.accept) == ("nvidia source" in model.licence.lower()), model.name


# --- reading files


def test_half_precision_is_converted_to_single(tmp_path: Path) -> None:
    stored = {"a": torch.tensor([1.5, -2.25]).half(), "n": torch.tensor([3])}
    tensors = read_tensors(save(tmp_path / "a.safetensors", stored))
    assert tensors["a"].dtype == torch.float32 and tensors["a"].tolist() == [1.5, -2.25]
    assert tensors["n"].dtype == torch.int64


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    save(tmp_path / "generator.safetensors", GENERATOR)
    with pytest.raises(WeightsNotFound, match=r"its folder has generator\.safetensors"):
        read_tensors(tmp_path / "genrator.safetensors")


def test_where_no_model_is_the_error_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsNotFound, match=r"name a model .* or give the path of a generator\.safetensors"):
        find_model(tmp_path)
    for empty in ("", None):
        with pytest.raises(WeightsNotFound, match=f"{empty!r} is no model; give a name"):
            find_model(empty)  # type: ignore[arg-type]


def test_a_modified_file_does_not_match_its_checksum(pretrained: Path) -> None:
    save(pretrained / "normals.safetensors", {"linear.0": torch.zeros(3)})
    with pytest.raises(ChecksumMismatch, match=r"normals\.safetensors"):
        role_tensors(find_model("default"), "normals")


def header(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


VALID = safetensors.torch.save({"a": torch.ones(100)})
HOSTILE = {
    "empty": b"",
    "garbage": bytes(range(256)) * 4,
    "a pickle": b"\x80\x04N.",
    "truncated header": VALID[:20],
    "truncated data": VALID[:-1],
    "trailing data": VALID + b"\0",
    "header longer than the file": struct.pack("<Q", 2**62) + b"{}",
    "header not JSON": header(b"{"),
    "unknown type": header(b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}') + bytes(4),
    "offsets out of bounds": header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}') + bytes(4),
    "shape larger than data": header(b'{"a":{"dtype":"F32","shape":[9999],"data_offsets":[0,4]}}') + bytes(4),
    "NaN": safetensors.torch.save({"a": torch.tensor([1.0, torch.nan])}),
    "infinity": safetensors.torch.save({"a": torch.tensor([1.0, torch.inf])}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_damaged_and_hostile_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsMalformed, match=r"a\.safetensors"):
        read_tensors(path)
    with pytest.raises(WeightsError):
        find_model(path)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsNotFound):
        read_tensors(tmp_path)


# --- registering files


def test_register_changes_checksums_only(pretrained: Path) -> None:
    content = (pretrained / "generator.safetensors").read_bytes()
    text = (pretrained / "models.toml").read_text()
    assert f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n' in text
    assert 'sha256 = "00"\n' in text, "an entry whose file is missing stays"
    blank = re.sub(r'sha256 = ".*"', "", text)
    assert blank == re.sub(r'sha256 = ".*"', "", MODELS), "comments and order stay"
