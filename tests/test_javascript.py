"""The player's and the studio's modules that need no page, in node's own test runner: *.test.mjs in tests/."""

import shutil
import subprocess
from pathlib import Path

import pytest

import stylecine
from stylecine.server.declared import declared_js

TESTS, PACKAGE = Path(__file__).parent, Path(stylecine.__file__).parent


def test_javascript_without_a_page(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node is installed, so JavaScript is tested in browsers only")
    for folder, pattern in ((PACKAGE, "*.js"), (TESTS, "*.mjs")):
        for path in folder.rglob(pattern):
            copy = tmp_path / folder.name / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "stylecine/server/studio/declared.js").write_text(declared_js())
    tests = sorted(str(path) for path in tmp_path.rglob("*.test.mjs"))
    run = subprocess.run([node, "--test", *tests], capture_output=True, text=True, encoding="utf-8", cwd=tmp_path)
    assert tests and run.returncode == 0, run.stdout + run.stderr
