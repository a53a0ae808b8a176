"""Writes the checksums of the weight files into models.toml.

    python pretrained/recipes/register.py [models.toml]

Run it after replacing a weight file. Everything else in models.toml stays, comments included, and so do the entries of
files that do not exist. An entry has `path` and `sha256` on successive lines.
"""

import argparse
import hashlib
import re
from pathlib import Path

ENTRY = re.compile(r'^path = "(.+)"\nsha256 = ".*"$', re.MULTILINE)


def register(models: Path) -> None:
    """Rewrites `models` in place."""

    def updated(entry: re.Match[str]) -> str:
        path = models.parent / entry[1]
        if not path.is_file():
            print(f"{entry[1]}: not found, entry kept")
            return entry[0]
        content = path.read_bytes()
        print(f"{entry[1]}: {len(content)}")
        return f'path = "{entry[1]}"\nsha256 = "{hashlib.sha256(content).hexdigest()}"'

    text = ENTRY.sub(updated, models.read_text(encoding="utf-8"))
    models.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the weights' checksums into models.toml.")
    default = Path(__file__).resolve().parent.parent / "models.toml"
    parser.add_argument("models", nargs="?", type=Path, default=default)
    register(parser.parse_args().models)
