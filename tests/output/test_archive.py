"""Zip archives."""

import zipfile
from pathlib import Path

from stylecine.output.archive import write_zip


def test_an_archive_contains_its_files_but_not_their_times(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name * 1000)
    write_zip(tmp_path / "x.zip", [tmp_path / "b", tmp_path / "a"])
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        members = archive.infolist()
        assert [(member.filename, member.file_size, member.compress_type) for member in members] == [
            ("b", 1000, zipfile.ZIP_STORED),
            ("a", 1000, zipfile.ZIP_STORED),
        ]
        assert archive.read("a") == b"a" * 1000
        assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
