"""Frames per second, warm, against the PyTorch references and the published method; photo to video in new processes.

    python -m benchmarks.fps

Everything in one run, on the photo and motion of benchmarks/moving.py.
"""

if __name__ == "__main__":  # tests, and the servers that they start, are not alone on the machine
    import benchmarks.spinning  # noqa: F401 - before PyTorch

# isort: split
import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.baseline import PARTS, Published, generators, measure
from benchmarks.machine import machine
from benchmarks.moving import FRAMES, loop_of, moving_loop, setting
from benchmarks.photo_to_video import STAGES, to_video
from benchmarks.tables import command_line, save, table, to_json, write
from benchmarks.warm import Row, spread, warm, warm_references
from stylecine import Animator, Cinemagraph
from stylecine.ops import native

MAIN = 1024  # the size at which everything is compared

WARM = ("size", "frames", "threads", "kernels", "into", "frames_per_second", "milliseconds")
WARM_COLUMNS = (*WARM, "largest_difference", "differing_share")
PUBLISHED_COLUMNS = ("size", "threads", "generator", "seconds", *PARTS, "without_integration")
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
            for frames in sorted(set(options.frames) - {FRAMES}) if native.available(animator.device) else ():
                result["warm"] += warm(loop_of(animator, loop.scene, frames), options.threads)
        write(options.out, to_json(result))
    result["ratios"] = ratios(result["warm"], result["published"])
    for size, frames in cases(options.sizes, options.frames):
        for count in options.threads:
            result["video"].append(to_video(size, frames, count, options.device))
            write(options.out, to_json(result))
    result["linear"] = linear(result["video"])
    save(options.out, result, markdown(result))


def published(loop: Cinemagraph, animator: Animator, counts: Sequence[int]) -> list[Row]:
    """The published method on the same photo: with our generator, and at its resolution with the large one as well."""
    rows = []
    for name, generator in generators(animator).items():
        if name == "default" or loop.width == generator.resolution:
            method = Published.of(loop, generator)
            for count in counts:
                figures = measure(method, spread(len(loop), 4)[1:], count)
                rows.append({"size": loop.width, "threads": count, "generator": name} | figures)
    return rows


def ratios(warm_rows: Sequence[Row], published_rows: Sequence[Row]) -> list[Row]:
    """Speed of the native kernels relative to the references and to the published method, with and without its
    integration; at the main size, with equal threads."""
    here = [row for row in warm_rows if (row["size"], row["frames"], row["into"]) == (MAIN, FRAMES, "memory")]
    rows = []
    for ours in (row for row in here if row["kernels"] == "native"):
        others = {f"{row['kernels']} references": row["milliseconds"] for row in here if row["kernels"] != "native"
                  and row["threads"] == ours["threads"]}  # fmt: skip
        for row in published_rows:
            if (row["size"], row["threads"]) == (MAIN, ours["threads"]):
                others[f"published, {row['generator']}"] = 1e3 * row["seconds"]
                others[f"published, {row['generator']}, no integration"] = 1e3 * row["without_integration"]
        times = {name: milliseconds / ours["milliseconds"] for name, milliseconds in others.items()}
        rows.append({"threads": ours["threads"], "frames_per_second": ours["frames_per_second"]} | times)
    return rows


def cases(sizes: Sequence[int], frames: Sequence[int]) -> list[tuple[int, int]]:
    """Every size at 120 frames, every number of frames at the main size."""
    return sorted({(size, FRAMES) for size in sizes} | {(MAIN, count) for count in frames if MAIN in sizes})


def linear(rows: Sequence[Row]) -> list[Row]:
    """Linear fits of the total seconds, over frames at the main size and over megapixels at 120 frames."""
    fits = []
    for count in sorted({row["threads"] for row in rows}):
        mine = [row for row in rows if row["threads"] == count]
        lines = {
            "frames": [(row["frames"], row["total"]) for row in mine if row["size"] == MAIN],
            "megapixels": [(row["size"] ** 2 / 1e6, row["total"]) for row in mine if row["frames"] == FRAMES],
        }
        fits += [{"over": over, "threads": count} | fit(points) for over, points in lines.items() if len(points) > 2]
    return fits


def fit(points: Sequence[tuple[float, float]]) -> Row:
    """Least-squares line, and the largest deviation from it relative to the largest value."""
    x, y = np.array(points).T
    slope, fixed = np.polyfit(x, y, 1)
    worst = np.abs(slope * x + fixed - y).max() / y.max()
    figures = {"fixed_seconds": float(fixed), "seconds_each": float(slope), "worst_deviation": float(worst)}
    return {"points": len(points)} | figures


def markdown(result: Mapping[str, Any]) -> str:
    where = result["machine"]
    parts = {
        "Speed-up": table(result["ratios"], list(result["ratios"][0])) if result["ratios"] else "",
        "Warm": table(result["warm"], WARM_COLUMNS),
        "The published method, seconds per frame": table(result["published"], PUBLISHED_COLUMNS),
        "Photo to video, seconds": table(result["video"], VIDEO_COLUMNS),
        "Linear fits": table(result["linear"], LINEAR_COLUMNS),
    }
    header = f"{where['cpu']}, {where['cores']} cores; GPU: {where['gpu'] or 'none'}. {result['kernels']}.\n\n"
    return header + "\n".join(f"## {title}\n\n{text}" for title, text in parts.items() if text.count("\n") > 2)


def _options() -> argparse.Namespace:
    parser = command_line(__doc__, "fps")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096], help="sides in pixels")
    parser.add_argument("--frames", type=int, nargs="+", default=[30, 120, 300, 600], help=f"at {MAIN}x{MAIN}")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", help="cpu or cuda (default: cuda if available)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
