"""Animate a folder of photos, nothing given, and measure what comes out: tables and a JSON file.

    python benchmarks/quality.py PHOTOS --split PHOTOS/val.txt --out benchmarks/results/quality.json

`make quality` is this with its speed (--speed). Can be stopped and started again: rows made by the same commit,
weights, size and labels are kept.
"""

import argparse
import json
import math
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.moving import FRAMES, moving_loop
from benchmarks.photo_to_video import to_video
from benchmarks.photos import Photo, find_photos, read_label
from benchmarks.warm import warm
from stylecine import Animator, Cinemagraph, NothingMoves, StylecineError
from stylecine.ops import native
from stylecine.output.report import write_previews
from stylecine.output.video import read_video
from stylecine.quality.measures import (
    GOALS,
    false_positive_area,
    mask_iou,
    measure_loop,
    passes,
    seam,
    static_kept,
)
from stylecine.weights import find_model

OF_THE_MEAN = ("lpips", "psnr", "mask_iou")  # goals of the mean over the photos, not of each
NOTHING_LABELLED = 0.01  # photos labelled moving on less of their area are expected to raise NothingMoves
COLUMNS = (*GOALS, "false_positive_area", "seconds_to_loop", "seconds_per_frame")

SIDE = 1024  # that speed is measured at
SPEED_GOALS = {"frames_per_second": (60.0, math.inf), "photo_to_mp4_seconds": (0.0, 12.0), "peak_mb": (0.0, 1500.0)}

Row = dict[str, Any]


def main() -> None:
    options = _options()
    photos = find_photos(options.folder, options.split, options.labels)[: options.limit]
    header = {"machine": machine(), "settings": _settings(options)}
    kept = {} if options.fresh else _kept(options.out, header)
    rows = {photo.name: kept[photo.name] for photo in photos if photo.name in kept}
    todo = [photo for photo in photos if photo.name not in rows]
    for row in tqdm(_measured(todo, options), total=len(todo), desc="quality", disable=None):
        rows[row["photo"]] = row
        ordered = [rows[photo.name] for photo in photos if photo.name in rows]
        _write(options.out, json.dumps(header | summary(ordered) | {"photos": _plain(ordered)}, indent=1))
    ordered = [rows[photo.name] for photo in photos]
    report = markdown(ordered)
    if options.speed:
        figures = speed(options.model)
        result = header | summary(ordered) | {"speed": figures, "photos": _plain(ordered)}
        _write(options.out, json.dumps(result, indent=1))
        report += "\n" + speed_table(figures)
    _write(options.out.with_suffix(".md"), report)
    print(report)


def measure_photo(photo: Photo, model: str, size: int | None, sheets: Path | None) -> Row:
    """One row: figures, what failed, seconds. An error is a row too."""
    try:
        row = _figures(photo, model, size, sheets)
    except StylecineError as error:
        row = {"outcome": f"{type(error).__name__}: {error}"}
    except Exception as error:
        traceback.print_exc()
        row = {"outcome": f"crashed: {type(error).__name__}: {error}"}
    return {"photo": photo.name} | row | {"failed": failed(row)}


def failed(row: Mapping[str, Any]) -> list[str]:
    """Names of the goals that the row misses."""
    if row["outcome"] == "nothing moves" and row.get("labelled_moving", 1.0) < NOTHING_LABELLED:
        return []
    if row["outcome"] != "loop":
        return [row["outcome"]]
    figures = {name: value for name, value in row.items() if name not in OF_THE_MEAN}
    missed = [name for name, good in passes(figures).items() if not good]
    return ["should not move", *missed] if row.get("labelled_moving", 1.0) < NOTHING_LABELLED else missed


def _figures(photo: Photo, model: str, size: int | None, sheets: Path | None) -> Row:
    animator = _animator(model)
    start = perf_counter()
    scene = animator.invert(photo.path, size=size)
    height, width = scene.photo.shape[:2]
    row: Row = {"outcome": "nothing moves", "width": width, "height": height} | dict(scene.score)
    label = None if photo.label is None else read_label(photo.label, (height, width))
    if label is not None:
        share = float((label > 0).mean())
        row |= {
            "labelled_moving": share,
            "false_positive_area": false_positive_area(scene.mask, label),
        }
        row |= {"mask_iou": mask_iou(scene.mask, label)} if share >= NOTHING_LABELLED else {}
    try:
        loop = animator.render(scene)
    except NothingMoves:
        return row
    if label is not None:
        row["static_kept"] = static_kept(loop.mask, label)
    row |= {"outcome": "loop", "seconds_to_loop": perf_counter() - start, "seconds": dict(loop.timings)}
    frames = _Timed(loop)
    row |= measure_loop(frames, scene.photo, loop.mask, loop.motion, loop.fps, label)
    row["seam_encoded"] = _seam_encoded(loop)
    if sheets is not None:
        write_previews(sheets / photo.name, scene.photo, scene.layers, loop.motion, loop)
    return row | {"seconds_per_frame": frames.seconds / frames.asked}


def _seam_encoded(loop: Cinemagraph) -> float:
    """The seam of the loop as an .mp4 of default quality, decoded."""
    with TemporaryDirectory() as folder:
        loop.save(Path(folder) / "loop.mp4")
        return seam(read_video(Path(folder) / "loop.mp4")[0])


def speed(model: str) -> dict[str, float]:
    """Frames a second, seconds from photo to MP4 and memory of that process, on the moving loop of moving.py."""
    threads = os.cpu_count() or 1
    loop = moving_loop(_animator(model), SIDE, FRAMES)
    rows = warm(loop, [threads]) if native.available(loop.mask.device) else []
    video = to_video(SIDE, FRAMES, threads)
    figures = {"photo_to_mp4_seconds": video["total"], "peak_mb": video["peak_mb"]}
    return ({"frames_per_second": rows[0]["frames_per_second"]} if rows else {}) | figures


def speed_table(figures: Mapping[str, float]) -> str:
    """What `speed` gave beside its goals."""
    lines = [_line([f"{SIDE}x{SIDE}, {FRAMES} frames", "figure", "goal"]), _line(["---"] * 3)]
    for name, value in figures.items():
        low, high = SPEED_GOALS[name]
        goal = f"≥ {low:g}" if math.isinf(high) else f"≤ {high:g}"
        lines.append(_line([name, _number(value) if low <= value <= high else f"**{_number(value)}**", goal]))
    return "\n".join(lines) + "\n"


class _Timed:
    """A loop that counts how long its frames take."""

    def __init__(self, loop: Any) -> None:
        self.loop, self.seconds, self.asked = loop, 0.0, 0

    def __len__(self) -> int:
        return len(self.loop)

    def __getitem__(self, t: int) -> np.ndarray:
        start = perf_counter()
        frame: np.ndarray = self.loop[t]
        self.seconds += perf_counter() - start
        self.asked += 1
        return frame


@cache
def _animator(model: str) -> Animator:
    return Animator.from_pretrained(model)


def _measured(photos: Sequence[Photo], options: argparse.Namespace) -> Iterator[Row]:
    common = (options.model, options.size, options.sheets)
    if options.jobs == 1:
        for photo in photos:
            yield measure_photo(photo, *common)
        return
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), torch.set_num_threads, (threads,)) as pool:
        for future in as_completed([pool.submit(measure_photo, photo, *common) for photo in photos]):
            yield future.result()


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Means over the rows that have a figure, worst figures, the means' goals and how many rows miss one of theirs."""
    columns = {name: [row[name] for row in rows if row.get(name) is not None] for name in COLUMNS}
    finite = {name: [v for v in values if math.isfinite(v)] for name, values in columns.items()}
    means = {name: float(np.mean(values)) for name, values in finite.items() if values}
    of_the_mean = passes({name: means[name] for name in OF_THE_MEAN if name in means})
    return {
        "count": len(rows),
        "mean": means,
        "lowest": {name: min(values) for name, values in finite.items() if values},
        "highest": {name: max(values) for name, values in finite.items() if values},
        "mean_passes": of_the_mean,
        "failing_photos": sum(bool(row["failed"]) for row in rows),
    }


def markdown(rows: Sequence[Row]) -> str:
    """The table, its means, and the rows that miss a goal."""
    columns = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    totals = summary(rows)
    lines = [_line(["photo", "size", *columns]), _line(["---"] * (len(columns) + 2))]
    for row in rows:
        size = f"{row['width']}×{row['height']}" if "width" in row else ""
        lines.append(_line([row["photo"], size, *(_cell(row, name) for name in columns)]))
    lines.append(_line(["**mean**", "", *(_number(totals["mean"].get(name)) for name in columns)]))
    lines += ["", *(f"- {row['photo']}: {', '.join(row['failed'])}" for row in rows if row["failed"])]
    missed = [name for name, good in totals["mean_passes"].items() if not good]
    lines += ["", f"{totals['failing_photos']} of {len(rows)} photos miss a goal."]
    return "\n".join(lines + ([f"Means that miss theirs: {', '.join(missed)}."] if missed else [])) + "\n"


def _cell(row: Row, name: str) -> str:
    text = _number(row.get(name))
    return f"**{text}**" if name in row["failed"] else text


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """All that figures depend on beside the commit and the machine."""
    files = find_model(options.model).files
    return {
        "size": options.size or "native",
        "split": options.split.name if options.split else None,
        "labels": (options.labels or options.folder / "labels").name,
        "model": options.model,
        "weights": {role: file.sha256 for role, file in files.items()},
    }


def _kept(path: Path, header: Mapping[str, Any]) -> dict[str, Row]:
    """Rows of an earlier run that still hold, by photo; rows that crashed are done again."""
    if not path.is_file():
        return {}
    earlier = json.loads(path.read_text())
    same = earlier["machine"]["commit"] == header["machine"]["commit"] and earlier["settings"] == header["settings"]
    rows = [_with_nan(row) for row in earlier["photos"]] if same and header["machine"]["commit"] else []
    return {row["photo"]: row for row in rows if not row["outcome"].startswith("crashed")}


def _plain(value: Any) -> Any:
    """JSON has no NaN: null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_nan(row: Row) -> Row:
    return {name: math.nan if value is None else value for name, value in row.items()}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="photos, or a folder with images/ and labels/")
    parser.add_argument("--split", type=Path, help="text file with the names of the photos to use")
    parser.add_argument("--labels", type=Path, help="folder of label PNGs (default: labels beside images)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/quality.json"))
    parser.add_argument("--size", type=_size, default=None, help="native (default) or the short side in pixels")
    parser.add_argument("--model", default="default")
    parser.add_argument("--limit", type=int, help="the first so many photos only")
    parser.add_argument("--jobs", type=int, default=1, help="photos at a time, each in a process of its own")
    parser.add_argument("--sheets", type=Path, help="write preview pictures of each photo into this folder")
    parser.add_argument("--speed", action="store_true", help=f"also measure the speed at {SIDE}x{SIDE}")
    parser.add_argument("--fresh", action="store_true", help="do rows again that are already there")
    return parser.parse_args()


def _size(text: str) -> int | None:
    return None if text == "native" else int(text)


if __name__ == "__main__":
    main()
