"""Zip archives."""

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path


def write_zip(path: Path, files: Sequence[Path]) -> None:
    """An archive of files, uncompressed, which does not tell when they were written."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            member = zipfile.ZipInfo(file.name)  # of 1980
            member.external_attr = 0o644 << 16
            with file.open("rb") as source, archive.open(member, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)
