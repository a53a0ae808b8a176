"""Looks over an installation: what is there, what is missing, and why."""

import platform
from collections.abc import Callable
from dataclasses import dataclass

import torch

from stylecine import __version__
from stylecine.errors import StylecineError
from stylecine.weights import find_model, role_tensors


@dataclass(frozen=True)
class Finding:
    what: str
    says: str
    good: bool = True


def examine() -> list[Finding]:
    """Every finding, in the order a reader would ask; what is not good needs mending."""
    checks: dict[str, Callable[[], str]] = {
        "stylecine": lambda: f"{__version__}, Python {platform.python_version()}, {platform.platform()}",
        "PyTorch": _torch,
        "native library": lambda: "none in this version; the PyTorch references run",
        "video writer": _video,
        "HEIC photos": _heic,
        "default model": _weights,
    }
    return [_finding(what, check) for what, check in checks.items()]


def _finding(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, check())
    except (StylecineError, ImportError, OSError) as error:
        return Finding(what, " ".join(str(error).split()), good=False)


def _torch() -> str:
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    return f"{torch.__version__}, {torch.get_num_threads()} threads, {cuda}"


def _video() -> str:
    import av
    from av.codec import Codec

    Codec("libx264", "w")
    return f"PyAV {av.__version__}, H.264 (libx264)"


def _heic() -> str:
    import pillow_heif

    return f"pillow-heif {pillow_heif.__version__}"


def _weights() -> str:
    """Reads every file of the default model, which checks its checksum."""
    record = find_model("default")
    for role in record.files:
        role_tensors(record, role)
    return f"{record.name}: {', '.join(record.files)} present, checksums right"
