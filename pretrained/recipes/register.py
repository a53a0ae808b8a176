"""Writes the checksums and sizes of the weight files into models.toml.

    python pretrained/recipes/register.py [models.toml]

Run it after a weight file has been replaced; everything else in models.toml, comments included, stays.
"""

import argparse
import hashlib
import re
from pathlib import Path
from typing import Any

KEY = re.compile(r'^(?P<key>path|sha256|bytes)\s*=\s*"?(?P<value>[^"#]*?)"?\s*$')


def register(models: Path) -> list[str]:
    """Rewrites `models` in place; returns one line a file. A file that is not there keeps its entry."""
    lines = models.read_text(encoding="utf-8").splitlines()
    report: list[str] = []
    facts: dict[str, Any] = {}
    for number, line in enumerate(lines):
        if line.startswith("["):
            facts = {}
        match = KEY.match(line)
        if match is None:
            continue
        key, value = match["key"], match["value"]
        if key == "path":
            facts = _facts(models.parent / value)
            report.append(f"{value}: {facts.get('bytes', 'not there, entry kept')}")
        elif key in facts:
            lines[number] = f"{key} = {facts[key]}"
    part = models.with_name(models.name + ".part")
    part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    part.replace(models)
    return report


def _facts(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    content = path.read_bytes()
    return {"sha256": f'"{hashlib.sha256(content).hexdigest()}"', "bytes": str(len(content))}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the weights' checksums and sizes into models.toml.")
    default = Path(__file__).resolve().parent.parent / "models.toml"
    parser.add_argument("models", nargs="?", type=Path, default=default)
    print("\n".join(register(parser.parse_args().models)))
