"""Frames a second, warm, against the PyTorch references and the published way; and photo to video in new processes.

    python benchmarks/fps.py

All in one run, on the photo and motion of benchmarks/moving.py.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.baseline import Published, generators, measure
from benchmarks.machine import machine
from benchmarks.moving import FAST, FRAMES, fast_share, loop_of, moving_loop, setting
from benchmarks.photo_to_video import STAGES, to_video
from benchmarks.tables import table, write
from benchmarks.warm import Row, spread, warm, warm_references
from stylecine import Animator, Cinemagraph
from stylecine.ops import native

MAIN = 1024  # the size that all is compared at

WARM = ("size", "frames", "threads", "kernels", "into", "frames_per_second", "milliseconds")
WARM_COLUMNS = (*WARM, "largest_difference", "differing_share")
PUBLISHED_COLUMNS = ("size", "threads", "generator", "seconds", "without_integration")
VIDEO_COLUMNS = ("size", "frames", "threads", "total", *STAGES, "peak_mb", "video_mb")
LINEAR_COLUMNS = ("over", "threads", "points", "fixed_seconds", "seconds_each", "worst_deviation")


def main() -> None:
    options = _options()
    result: dict[str, Any] = {"machine": machine(), "warm": [], "published": [], "video": []}
    animator = Animator.from_pretrained(device=options.device)
    result["kernels"] = native.why(animator.device)
    for size in options.sizes:
        loop = moving_loop(animator, size, FRAMES)
        if native.available(animator.device):
            result["warm"] += warm(loop, options.threads)
        result["warm"] += warm_references(loop, options.threads)
        if size <= MAIN:
            result["published"] += published(loop, animator, options.threads)
        if size == MAIN:
            result["setting"] = setting(loop)
            assert fast_share(loop) >= 0.5, f"only {fast_share(loop):.2f} of the picture moves by {FAST} pixels a frame"
            for frames in sorted(set(options.frames) - {FRAMES}) if native.available(animator.device) else ():
                result["warm"] += warm(loop_of(animator, loop.scene, frames), options.threads)
        _keep(options.out, result)
    result["ratios"] = ratios(result["warm"], result["published"])
    for size, frames in cases(options.sizes, options.frames):
        for count in options.threads:
            result["video"].append(to_video(size, frames, count, options.device))
            _keep(options.out, result)
    result["linear"] = linear(result["video"])
    _keep(options.out, result)
    report = markdown(result)
    write(options.out.with_suffix(".md"), report)
    print(report)


def published(loop: Cinemagraph, animator: Animator, counts: Sequence[int]) -> list[Row]:
    """The published way over the same photo: with our generator, and at its own size with the large one too."""
    rows = []
    for name, generator in generators(animator).items():
        if name == "default" or loop.width == generator.resolution:
            way = Published.of(loop, generator)
            for count in counts:
                figures = measure(way, spread(len(loop), 4)[1:], count)
                rows.append({"size": loop.width, "threads": count, "generator": name} | figures)
    return rows


def ratios(warm_rows: Sequence[Row], published_rows: Sequence[Row]) -> list[Row]:
    """How many times as fast the native kernels are at the main size, with equal threads: than the references, and than
    the published way as it is and with its integration taken out."""
    here = [row for row in warm_rows if (row["size"], row["frames"], row["into"]) == (MAIN, FRAMES, "memory")]
    found = []
    for ours in (row for row in here if row["kernels"] == "native"):
        others = {f"{row['kernels']} references": row["milliseconds"] for row in here if row["kernels"] != "native"
                  and row["threads"] == ours["threads"]}  # fmt: skip
        for row in published_rows:
            if (row["size"], row["threads"]) == (MAIN, ours["threads"]):
                others[f"published, {row['generator']}"] = 1e3 * row["seconds"]
                others[f"published, {row['generator']}, no integration"] = 1e3 * row["without_integration"]
        times = {name: milliseconds / ours["milliseconds"] for name, milliseconds in others.items()}
        found.append({"threads": ours["threads"], "frames_per_second": ours["frames_per_second"]} | times)
    return found


def cases(sizes: Sequence[int], frames: Sequence[int]) -> list[tuple[int, int]]:
    """Every size at 120 frames, every number of frames at the main size."""
    return sorted({(size, FRAMES) for size in sizes} | {(MAIN, count) for count in frames if MAIN in sizes})


def linear(rows: Sequence[Row]) -> list[Row]:
    """Straight lines through the total seconds, over frames at the main size and over megapixels at 120 frames."""
    found = []
    for count in sorted({row["threads"] for row in rows}):
        mine = [row for row in rows if row["threads"] == count]
        lines = {
            "frames": [(row["frames"], row["total"]) for row in mine if row["size"] == MAIN],
            "megapixels": [(row["size"] ** 2 / 1e6, row["total"]) for row in mine if row["frames"] == FRAMES],
        }
        found += [{"over": over, "threads": count} | fit(points) for over, points in lines.items() if len(points) > 2]
    return found


def fit(points: Sequence[tuple[float, float]]) -> Row:
    """The straight line nearest to the points, and how far the furthest is from it, as a share of the largest."""
    x, y = np.array(points).T
    slope, fixed = np.polyfit(x, y, 1)
    worst = np.abs(slope * x + fixed - y).max() / y.max()
    figures = {"fixed_seconds": float(fixed), "seconds_each": float(slope), "worst_deviation": float(worst)}
    return {"points": len(points)} | figures


def markdown(result: Mapping[str, Any]) -> str:
    where = result["machine"]
    parts = {
        "Warm": table(result["warm"], WARM_COLUMNS),
        "Times as fast": table(result["ratios"], list(result["ratios"][0])) if result["ratios"] else "",
        "The published way, seconds a frame": table(result["published"], PUBLISHED_COLUMNS),
        "Photo to video, seconds": table(result["video"], VIDEO_COLUMNS),
        "Straight lines": table(result["linear"], LINEAR_COLUMNS),
    }
    header = f"{where['cpu']}, {where['cores']} cores; GPU: {where['gpu'] or 'none'}. {result['kernels']}.\n\n"
    return header + "\n".join(f"## {title}\n\n{text}" for title, text in parts.items() if text.count("\n") > 2)


def _keep(path: Path, result: Mapping[str, Any]) -> None:
    write(path, json.dumps(result, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/fps.json"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096], help="sides in pixels")
    parser.add_argument("--frames", type=int, nargs="+", default=[30, 120, 300, 600], help=f"at {MAIN}x{MAIN}")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
