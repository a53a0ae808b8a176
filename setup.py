"""What pyproject.toml cannot say: which folders are packages, and that the native library is built.

The weights lie in pretrained/ at the top of the repository, beside the recipes that made them, and are installed as
stylecine.pretrained; the recipes are not. cuda_ops/build_native.py makes stylecine/lib; no torch is needed for that.
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
    """Puts the native library where the package is put together; for an editable install that is here."""

    user_options: list[tuple[str, str, str]] = []  # noqa: RUF012

    def initialize_options(self) -> None:
        self.build_lib: Any = None
        self.editable_mode = False
        self.made: list[str] = []

    def finalize_options(self) -> None:
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self) -> None:
        package = ROOT if self.editable_mode else Path(self.build_lib).resolve()
        try:
            self.made = build_native.build(package / "stylecine/lib")
        except build_native.Unbuilt as failure:
            raise CompileError(str(failure)) from failure

    def get_source_files(self) -> list[str]:
        return []  # MANIFEST.in has them

    def get_outputs(self) -> list[str]:
        return [str(Path(self.build_lib, "stylecine/lib", name)) for name in self.made]

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class build_with_native(build):
    sub_commands = [*build.sub_commands, ("native", None)]  # noqa: RUF012


class wheel(bdist_wheel):
    """For this platform if something was compiled into it, and for every Python: nothing in it knows Python."""

    def get_tag(self) -> tuple[str, str, str]:
        command: Any = self.get_finalized_command("native")
        self.root_is_pure = command.editable_mode or not command.made
        tag = super().get_tag()
        # macOS: nothing is compiled for the other processor of a universal Python.
        return tag if self.root_is_pure else ("py3", "none", tag[2].replace("universal2", platform.machine()))


setup(
    packages=[*find_packages(include=["stylecine", "stylecine.*"]), "stylecine.pretrained"],
    package_dir={"stylecine": "stylecine", "stylecine.pretrained": "pretrained"},
    cmdclass={"native": native, "build": build_with_native, "bdist_wheel": wheel},
)
