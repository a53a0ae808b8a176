"""Converts other projects' StyleGAN2 checkpoints to stylecine's .safetensors."""

import os
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from stylecine.checkpoints.nvidia import from_nvidia
from stylecine.checkpoints.rosinality import from_rosinality
from stylecine.errors import OptionError, OutputError, WeightsMalformed, WeightsNotFound
from stylecine.machine.atomic import atomic_write, translate_os_errors
from stylecine.networks.generator import Generator
from stylecine.weights import FOLDER, models

# How torch.save begins: a zip archive, or, in its older format, the pickled number 0x1950a86a20f9469cfc6c.
TORCH_MAGIC = (b"PK\x03\x04", b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
AVERAGED_STYLES = 10_000  # usual for StyleGAN2's average of w


def convert(in_path: str | os.PathLike[str], out_path: str | os.PathLike[str]) -> Path:
    """Converts a generator: NVIDIA's .pkl (PyTorch or TensorFlow), rosinality's or StyleCineGAN's .pt.

    out_path: a .safetensors file, or the name of a public model (`weights.models`), which is then found by that name.
    Values stay float32, names become NVIDIA's PyTorch ones. Nothing in the checkpoint is executed. The output
    appears complete or not at all, and its path is returned. Raises WeightsNotFound, WeightsMalformed, OptionError,
    OutputError.
    """
    public = {record.name: record for record in models() if record.checkpoint}.get(os.fspath(out_path))
    source, target = Path(in_path), public.files["generator"].path if public else Path(out_path)
    if target.suffix != ".safetensors":
        raise OptionError(
            f"The output '{target}' has to end in .safetensors, or be the name of a public model"
            " (`stylecine models` lists them)."
        )
    if source.suffix == ".safetensors":
        raise OptionError(f"'{source}' is in stylecine's format already; give its path as the model.")
    try:
        data = source.read_bytes()
    except OSError as error:
        raise WeightsNotFound(f"The checkpoint '{source}' cannot be read ({error.strerror}); check the path.") from None
    source_format = "rosinality" if data.startswith(TORCH_MAGIC) else "nvidia"
    tensors = _tensors(data, source_format)
    generator = _build(tensors)
    tensors["mapping.w_avg"] = generator.get_buffer("mapping.w_avg")
    if public and public.resolution != generator.resolution:
        raise WeightsMalformed(
            f"This generator has a resolution of {generator.resolution} pixels, '{public.name}' of {public.resolution};"
            f" give {public.file}, or another output."
        )
    metadata = {
        "resolution": str(generator.resolution),
        "source": public.source if public else source.name,
        "source_format": source_format,
        "licence": public.licence if public else "unknown",
    }
    if public:
        if target.parts[0].startswith("~"):
            raise OutputError(f"There is no home folder to keep models in; set {FOLDER} to a folder.")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"The folder {target.parent} cannot be created ({error.strerror})"
            raise OutputError(f"{reason}; set {FOLDER} to another.") from None
    content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata)
    with atomic_write(target) as part, translate_os_errors(target):
        part.write_bytes(content)
    return target


def _tensors(data: bytes, source_format: str) -> dict[str, Tensor]:
    try:
        tensors = from_rosinality(data) if source_format == "rosinality" else from_nvidia(data)
        broken = [name for name, t in tensors.items() if not torch.isfinite(t).all()]
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsMalformed(
            f"The checkpoint is not laid out as StyleGAN2 ({error}); give a generator's checkpoint."
        ) from None
    if broken:
        raise WeightsMalformed(f"The checkpoint has NaN or infinity in '{broken[0]}'; use an earlier one.")
    return tensors


def _build(tensors: dict[str, Tensor]) -> Generator:
    """The generator of these tensors, with an average of w; checks that names and shapes fit together."""
    average = tensors.get("mapping.w_avg")
    generator = Generator.from_tensors({"mapping.w_avg": torch.zeros(512), **tensors})
    if average is None:
        z = torch.randn(AVERAGED_STYLES, 512, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            generator.get_buffer("mapping.w_avg").copy_(generator.mapping(z).mean(0))
    return generator
