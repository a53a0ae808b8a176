"""What pyproject.toml cannot express: which folders are packages, and the build of the native library.

The weights are in pretrained/ at the top of the repository, next to the recipes that trained them, and are installed
as stylecine.pretrained; the recipes are not. cuda_ops/build_native.py builds stylecine/lib; it needs no torch.
"""

import platform
import sys
from pathlib import Path
from typing import Any

from setuptools import Command, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "cuda_ops"))

import build_native  # noqa: E402


class native(Command):
    """Builds the native library into the package; for an editable install, into this tree."""

    user_options: list[tuple[str, str, str]] = []  # noqa: RUF012

    def initialize_options(self) -> None:
        self.build_lib: Any = None
        self.editable_mode = False
        self.built: list[str] = []

    def finalize_options(self) -> None:
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self) -> None:
        package = ROOT if self.editable_mode else Path(self.build_lib).resolve()
        try:
            self.built = build_native.build(package / "stylecine/lib")
        except build_native.NotBuilt as failure:
            raise CompileError(str(failure)) from failure

    def get_source_files(self) -> list[str]:
        return []  # MANIFEST.in has them

    def get_outputs(self) -> list[str]:
        return [str(Path(self.build_lib, "stylecine/lib", name)) for name in self.built]

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class build_with_native(build):
    sub_commands = [*build.sub_commands, ("native", None)]  # noqa: RUF012


class wheel(bdist_wheel):
    """Tagged for this platform if a library was compiled, and for any Python 3: the library does not use its API."""

    def get_tag(self) -> tuple[str, str, str]:
        command: Any = self.get_finalized_command("native")
        self.root_is_pure = command.editable_mode or not command.built
        tag = super().get_tag()
        # macOS: the library is for one processor, even under a universal Python.
        return tag if self.root_is_pure else ("py3", "none", tag[2].replace("universal2", platform.machine()))


setup(
    packages=[*find_packages(include=["stylecine", "stylecine.*"]), "stylecine.pretrained"],
    package_dir={"stylecine": "stylecine", "stylecine.pretrained": "pretrained"},
    cmdclass={"native": native, "build": build_with_native, "bdist_wheel": wheel},
)
