"""The name of a scene's file."""

import os
from pathlib import Path

from stylecine.errors import SceneError
from stylecine.machine.atomic import check_destination, check_path

SUFFIX = ".cine"


def check_suffix(path: str | os.PathLike[str]) -> Path:
    """The file that a scene will be written to. Raises SceneError for another suffix, OutputError if it cannot be."""
    check_path(path)
    if Path(path).suffix.lower() != SUFFIX:
        raise SceneError(f"'{os.fspath(path)}' does not end in {SUFFIX}; name the scene's file so.")
    return check_destination(path)
