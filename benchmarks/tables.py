"""Results as files: rounded JSON, Markdown tables, and text that appears whole or not at all."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def command_line(doc: str | None, result: str) -> argparse.ArgumentParser:
    """The options of a program with that description, so far --out: by default results/`result`.json."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / f"{result}.json")
    return parser


def save(path: Path, result: Mapping[str, Any], report: str) -> None:
    """Writes a result as JSON to `path` and its report as Markdown next to it, and prints the report."""
    write(path, to_json(result))
    write(path.with_suffix(".md"), report)
    print(report)


def to_json(result: Mapping[str, Any]) -> str:
    """JSON with four significant digits; what is not finite becomes null."""
    return json.dumps(_rounded(result), indent=1) + "\n"


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """A Markdown table of `columns`; missing values stay empty."""
    lines = [columns, ["---"] * len(columns), *([cell(row.get(name)) for name in columns] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(value: Any) -> str:
    """A float with three significant digits; anything else as it is."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value
