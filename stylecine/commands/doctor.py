"""Checks the installation."""

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from stylecine.commands.console import say
from stylecine.errors import KernelUnavailable, StylecineError
from stylecine.version import __version__
from stylecine.weights import find_model, role_tensors


@dataclass(frozen=True)
class Finding:
    what: str
    says: str
    good: bool = True


def add_arguments(doctor: argparse.ArgumentParser) -> None:
    doctor.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, start: float) -> int:
    findings = examine()
    if options.json:
        say(json.dumps([asdict(finding) for finding in findings]))
    for finding in [] if options.json else findings:
        say(f"{'ok     ' if finding.good else 'PROBLEM'} {finding.what}: {finding.says}")
    return 0 if all(finding.good for finding in findings) else 1


def examine() -> list[Finding]:
    """All findings, most general first; `good` is False for a problem."""
    checks: dict[str, Callable[[], str]] = {
        "stylecine": lambda: f"{__version__}, Python {platform.python_version()}, {platform.platform()}",
        "PyTorch": _torch,
        "native library": lambda: _native("cpu"),
        "native library, CUDA": lambda: _native("cuda"),
        "video writer": _video,
        "HEIC photos": _heic,
        "raw files, JPEG XL": lambda: _extra("photos", "rawpy", "pillow-jxl-plugin"),
        "studio and service": lambda: _extra("studio", "fastapi", "uvicorn"),
        "MCP server": lambda: _extra("mcp", "mcp"),
        "client of a service": lambda: _extra("client", "httpx"),
        "default model": _weights,
    }
    findings = []
    for what, check in checks.items():
        try:
            findings.append(Finding(what, check()))
        except (StylecineError, ImportError, OSError) as error:
            findings.append(Finding(what, " ".join(str(error).split()), good=False))
    return findings


def _torch() -> str:
    import torch

    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    return f"{torch.__version__}, {torch.get_num_threads()} threads, {cuda}"


def _native(kind: str) -> str:
    """What runs and why. A library that exists but does not load, or is older than its sources, is a problem."""
    from stylecine.ops import native

    says, library = native.why(kind), native.folder() / native.LIBRARIES[kind]
    if not library.exists():
        return says
    if not native.available(kind):
        raise KernelUnavailable(says)
    changed = max((source.stat().st_mtime for source in native.sources()), default=0)
    if changed > library.stat().st_mtime:
        raise KernelUnavailable(f"{library} is older than its sources; {native.rebuild()}")
    record = native.built().get(kind, {})
    parts = record.get("instructions", record.get("architectures", []))
    return f"{says} (built by {record.get('compiler', 'an unknown compiler')} for {', '.join(parts)})"


def _video() -> str:
    import av
    from av.codec import Codec

    Codec("libx264", "w")
    return f"PyAV {av.__version__}, H.264 (libx264)"


def _heic() -> str:
    import pillow_heif

    return f"pillow-heif {pillow_heif.__version__}"


def _extra(name: str, *packages: str) -> str:
    """An optional part of the package: that it is missing is no problem."""
    try:
        return ", ".join(f"{package} {version(package)}" for package in packages)
    except PackageNotFoundError:
        return f"not installed: pip install 'stylecine[{name}]'"


def _weights() -> str:
    """Reads every file of the default model and so verifies its checksums."""
    record = find_model("default")
    for role in record.files:
        role_tensors(record, role)
    return f"{record.name}: {', '.join(record.files)} present, checksums right"
