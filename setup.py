"""What pyproject.toml cannot say: which folders are packages, and later the build of the native kernels.

The weights lie in pretrained/ at the top of the repository, beside the recipes that made them, and are
installed as stylecine.pretrained; the recipes are not. The build needs setuptools only, never torch.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["stylecine", "stylecine.*"]), "stylecine.pretrained"],
    package_dir={"stylecine": "stylecine", "stylecine.pretrained": "pretrained"},
)
