"""Draws benchmarks/results/fps.json: frames a second by size, and photo to video by frames and by size.

    python benchmarks/plots.py

Needs matplotlib: pip install ".[bench]".
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "stylecine", "font.size": 9, "axes.grid": True}

MAIN, FRAMES = 1024, 120  # the size and the length at which the other one varies
Row = Mapping[str, Any]


def frames_per_second(result: Mapping[str, Any]) -> Figure:
    """Warm frames a second over the picture's side: ours, the PyTorch references and the published way."""
    figure, (axes,) = _figure("frames a second, warm", [("side in pixels", "frames a second")])
    threads = max(row["threads"] for row in result["warm"])
    warm = [row for row in result["warm"] if row["frames"] == FRAMES]
    for name, rows in {
        "stylecine": [row for row in warm if row["kernels"] == "native" and row["into"] == "memory"],
        "stylecine, frames stay on the GPU": [row for row in warm if row["into"] != "memory"],
        "its PyTorch references": [row for row in warm if row["kernels"] == "PyTorch"],
    }.items():
        _line(axes, [(row["size"], row["frames_per_second"]) for row in rows if row["threads"] == threads], name)
    for generator in ("default", "config F"):
        rows = [row for row in result["published"] if row["generator"] == generator and row["threads"] == threads]
        _line(axes, [(row["size"], 1 / row["seconds"]) for row in rows], f"published way, {generator} generator")
    axes.axhline(30, color="grey", linewidth=0.8, linestyle=":")  # real time
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
    figure.legend(frameon=False, title=f"threads: {threads}", loc="outside lower center", ncols=2)
    return figure


def photo_to_video(result: Mapping[str, Any]) -> Figure:
    """Seconds of a new process from photo to video: over frames at one size, over megapixels at one length."""
    figure, (left, right) = _figure(
        "photo to video, a new process",
        [(f"frames of {MAIN}x{MAIN}", "seconds"), (f"megapixels, {FRAMES} frames", "seconds")],
    )
    for threads in sorted({row["threads"] for row in result["video"]}):
        rows = [row for row in result["video"] if row["threads"] == threads]
        _line(left, [(row["frames"], row["total"]) for row in rows if row["size"] == MAIN], f"threads: {threads}")
        points = [(row["size"] ** 2 / 1e6, row["total"]) for row in rows if row["frames"] == FRAMES]
        _line(right, points, f"threads: {threads}")
    for axes in (left, right):
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    return figure


def _figure(title: str, labels: Sequence[tuple[str, str]]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(4 + 2.5 * len(labels), 4.3), layout="constrained")
    figure.suptitle(title)
    plots = [figure.add_subplot(1, len(labels), i + 1) for i in range(len(labels))]
    for axes, (x, y) in zip(plots, labels, strict=True):
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    return figure, plots


def _line(axes: Axes, points: Sequence[tuple[float, float]], name: str) -> None:
    if points:
        axes.plot(*zip(*sorted(points), strict=True), marker="o", markersize=4, label=name)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("result", type=Path, nargs="?", default=Path("benchmarks/results/fps.json"))
    path: Path = parser.parse_args().result
    result = json.loads(path.read_text())
    for draw in (frames_per_second, photo_to_video):
        figure = draw(result)
        figure.savefig(path.with_name(f"{draw.__name__}.svg"), metadata={"Date": None})  # the same file every time


if __name__ == "__main__":
    main()
