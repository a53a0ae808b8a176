"""Model records, checksums, licences; reads tensors, builds no networks.

A model is a record in pretrained/models.toml: facts about it and one weight file for each role. Well-known public
generators have records in pretrained/public.toml, without files: `stylecine convert` puts theirs into the folder of
models. A user's own model is a folder with generator.safetensors and other files named by role, or a generator file
with those beside it. Roles that do not depend on the generator (all but the encoder) are borrowed from the default
model where missing; those that correct the eye's backbone only together with it. Only safetensors are read here: they
hold tensors and text, no code.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from stylecine.errors import ChecksumMismatch, LicenceNotAccepted, WeightsMalformed, WeightsNotFound, instead_of

if TYPE_CHECKING:
    from torch import Tensor  # reading tensors imports it: records do without

EYE = "eye"  # sees what moves, what stands, and which way it goes
REFINER = "refiner"  # corrects what the eye says stands, at the photo's own pixels
FINDER = "finder"  # of cloth; models with an eye of their own may lack it
PLANTS = "plants"  # which of them sway: a decoder of the finder's features, so models may lack it too
ROLES = ("generator", "encoder", EYE, REFINER, "normals", "cloth", FINDER, PLANTS, "styles")
CLOTH = ("normals", "cloth", FINDER)  # used only when cloth moves: no scene depends on them
STYLES = "styles"  # w+ of appearances by name; no scene depends on them either
BORROWED = (EYE, REFINER, *CLOTH, PLANTS)
OF_EYE = (FINDER, PLANTS)  # they correct its backbone, and would find anything in another's
CONSENT = "STYLECINE_ACCEPT_LICENCE"
FOLDER = "STYLECINE_MODELS"


_HERE = Path(__file__).resolve().parent
PRETRAINED = (_HERE if (_HERE / "pretrained/models.toml").is_file() else _HERE.parent) / "pretrained"
"""Folder of models.toml: stylecine/pretrained when installed, pretrained/ at the top of a checkout."""


@dataclass(frozen=True)
class FileRecord:
    """One weight file; `sha256` (hexadecimal) is None for a user's own: not checked."""

    path: Path
    licence: str
    sha256: str | None = None


@dataclass(frozen=True)
class ModelRecord:
    """A model: `resolution` of its square output, `injection` the layer whose output is F.

    `files` are by role; `accept`, where not empty, is what the user has to agree to before using the weights.
    A public model that does not come with the package has `checkpoint`, where its `file` is fetched from.
    """

    name: str
    resolution: int
    injection: str
    licence: str
    source: str
    files: Mapping[str, FileRecord]
    accept: str = ""
    about: str = ""
    checkpoint: str = ""
    file: str = ""

    @property
    def steps(self) -> list[str]:
        """Commands to install this model, once; none for one that comes with the package."""
        if not self.checkpoint:
            return []
        direct = self.checkpoint.endswith("/" + self.file)
        fetch = f"curl -LO {self.checkpoint}" if direct else f"open {self.checkpoint} and download {self.file}"
        return [fetch, f"stylecine convert {self.file} {self.name}"]

    @property
    def installed(self) -> bool:
        """Whether all its files are there."""
        return all(file.path.is_file() for file in self.files.values())


def models_folder() -> Path:
    """Where converted public models are kept: the environment's STYLECINE_MODELS, else ~/.cache/stylecine/models.

    Without a home directory the ~ stays, and `convert` reports that there is no such folder.
    """
    return Path(os.path.expanduser(os.environ.get(FOLDER) or "~/.cache/stylecine/models"))


def models() -> list[ModelRecord]:
    """All records: models.toml's, then public.toml's. Raises WeightsNotFound or WeightsMalformed."""
    own = _records("models.toml", _files, "injection")

    def files(name: str, table: Mapping[str, Any]) -> dict[str, FileRecord]:
        generator = FileRecord(models_folder() / f"{name}.safetensors", str(table["licence"]))
        return {"generator": generator, **(_borrowed(own[0]) if own else {})}

    return own + _records("public.toml", files, "about", "checkpoint", "file")


def find_model(name_or_path: str | os.PathLike[str]) -> ModelRecord:
    """The record of a model by name, or by path: a generator's .safetensors file or a folder holding one.

    Raises WeightsNotFound (naming what exists, or the steps to fetch a public model), LicenceNotAccepted,
    WeightsMalformed.
    """
    if not isinstance(name_or_path, str | os.PathLike) or not os.fspath(name_or_path):  # "": the current folder
        raise WeightsNotFound(
            f"{name_or_path!r} is no model; give a name (`stylecine models` lists them) or a path, or leave it out."
        )
    known = {record.name: record for record in models()}
    record = known.get(os.fspath(name_or_path))
    if record is None:
        return _record_from_path(Path(name_or_path), known)
    accepted = {name.strip() for name in os.environ.get(CONSENT, "").split(",")}
    if record.accept and record.name not in accepted:
        raise LicenceNotAccepted(
            f"The model '{record.name}' asks you to accept: {record.accept};"
            f" if you do, set {CONSENT}={record.name} in the environment."
        )
    if record.steps and not record.installed:
        raise WeightsNotFound(
            f"The model '{record.name}' does not come with stylecine; fetch and convert it, once:"
            f" {', then '.join(record.steps)}."
        )
    return record


def role_tensors(record: ModelRecord, role: str) -> "dict[str, Tensor]":
    """The tensors of one of a model's roles (see ROLES), float32, checksum verified.

    Raises WeightsNotFound, ChecksumMismatch, WeightsMalformed.
    """
    file = record.files.get(role)
    if file is None:
        present = ", ".join(record.files) or "none"
        raise WeightsNotFound(
            f"The model '{record.name}' has no {role} (only {present}); put {role}.safetensors beside its generator."
        )
    return read_tensors(file.path, file.sha256)


def read_tensors(path: str | os.PathLike[str], sha256: str | None = None) -> "dict[str, Tensor]":
    """All tensors of a .safetensors file by name, on the CPU; floating-point ones become float32.

    sha256: its checksum, if known. Raises WeightsNotFound for a missing file, ChecksumMismatch, and WeightsMalformed
    for all but finite tensors in that format.
    """
    import safetensors.torch
    import torch

    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise WeightsNotFound(f"The file {path} cannot be read ({error.strerror}); check its path.") from None
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise ChecksumMismatch(
            f"The weight file {path} is not the one that models.toml names (its SHA-256 differs);"
            " install stylecine again or fetch the file again."
        )
    try:
        stored = safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsMalformed(
            f"The weight file {path} is damaged or not in safetensors format ({error});"
            " fetch it again, or convert a foreign checkpoint with `stylecine convert`."
        ) from None
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in stored.items()}
    # The sum is not finite if any value is not; it takes a fraction of the time.
    broken = [name for name, t in tensors.items() if not (torch.isfinite(t.sum()) or torch.isfinite(t).all())]
    if broken:
        raise WeightsMalformed(f"The file {path} has NaN or infinity in '{broken[0]}'; fetch it again.")
    return tensors


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missing(path: Path) -> WeightsNotFound:
    names = ", ".join(sorted(p.name for p in path.parent.glob("*.safetensors"))[:8])
    what_to_do = "name a model (`stylecine models` lists them), or give the path of a generator.safetensors"
    return WeightsNotFound(f"There is no weight file {path}; {f'its folder has {names}' if names else what_to_do}.")


def _records(
    file: str, files: Callable[[str, Mapping[str, Any]], dict[str, FileRecord]], *needed: str
) -> list[ModelRecord]:
    """The records in a list. files: of a model, by its name and table; needed: what a table has to have, too."""
    path = PRETRAINED / file
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for name, table in tables.items():
            if missing := set(needed) - set(table):
                raise ValueError(f"'{name}' lacks {', '.join(sorted(missing))}")
        return [_record(name, table, files(name, table)) for name, table in tables.items()]
    except OSError:
        raise WeightsNotFound(f"The list {path} cannot be read; install stylecine again.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsMalformed(f"The list {path} is broken ({error}); install stylecine again.") from None


def _record(name: str, table: Mapping[str, Any], files: Mapping[str, FileRecord]) -> ModelRecord:
    resolution = int(table["resolution"])
    return ModelRecord(
        name=name,
        resolution=resolution,
        # by default the layer at a quarter of the resolution
        injection=str(table.get("injection", f"b{max(resolution // 4, 8)}.conv1")),
        licence=str(table["licence"]),
        source=str(table["source"]),
        files=files,
        **{key: str(table.get(key, "")) for key in ("accept", "about", "checkpoint", "file")},
    )


def _files(name: str, table: Mapping[str, Any]) -> dict[str, FileRecord]:
    unknown = set(table["files"]) - set(ROLES)
    if unknown:
        raise ValueError(f"'{name}' has unknown roles: {', '.join(sorted(unknown))}")
    return {
        role: FileRecord(PRETRAINED / file["path"], str(file.get("licence", table["licence"])), file["sha256"] or None)
        for role, file in table["files"].items()
    }


def _borrowed(default: ModelRecord) -> dict[str, FileRecord]:
    return {role: file for role, file in default.files.items() if role in BORROWED}


def _record_from_path(path: Path, known: Mapping[str, ModelRecord]) -> ModelRecord:
    if not os.path.exists(path):  # Path.exists would raise for a name too long
        raise WeightsNotFound(
            f"There is no model or file '{path}'; "
            + instead_of(str(path), known, ", or the path of a generator.safetensors")
        )
    if path.is_file() and path.suffix != ".safetensors":
        raise WeightsMalformed(f"'{path}' is not a .safetensors file; run `stylecine convert` on it first.")
    folder, generator = (path, path / "generator.safetensors") if path.is_dir() else (path.parent, path)
    beside = {role: folder / f"{role}.safetensors" for role in ROLES[1:]}
    own = {role: FileRecord(file, "unknown") for role, file in beside.items() if file.is_file()}
    foreign = OF_EYE if EYE in own else ()
    borrowed = {role: file for role, file in _borrowed(known["default"]).items() if role not in foreign}
    files = {"generator": FileRecord(generator, "unknown"), **borrowed, **own}
    in_order = {role: files[role] for role in ROLES if role in files}
    if not generator.is_file():
        raise _missing(generator)
    try:
        with safetensors.safe_open(generator, framework="pt") as file:
            names, notes = list(file.keys()), file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsMalformed(
            f"The weight file {generator} is damaged or not in safetensors format ({error}); fetch it again."
        ) from None
    # of the finest ToRGB layer
    found = [int(match[1]) for name in names if (match := re.match(r"synthesis\.b(\d+)\.torgb\.", name))]
    if not found:
        raise WeightsMalformed(
            f"The file {generator} holds no StyleGAN2 generator (no synthesis.bN.torgb); give a generator's file."
        )
    told = {key: notes[key] for key in ("injection", "licence", "source") if key in notes}
    return _record(path.stem, {"resolution": max(found), "licence": "unknown", "source": str(path)} | told, in_order)
