"""Quality of the loops of a folder of photos, animated with default options: a table and a JSON file.

    python -m benchmarks.quality PHOTOS --split PHOTOS/val.txt

`make quality` also measures speed (--speed). An interrupted run continues: rows measured with the same commit, weights,
size and labels are kept.
"""

import argparse
import json
import math
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.foreign_edges import GOAL, copies_of, foreign_edges
from benchmarks.lpips import score
from benchmarks.machine import machine
from benchmarks.mask_measures import false_positive_area, mask_iou, static_kept
from benchmarks.moving import FRAMES, moving_loop
from benchmarks.ouroworld import FIGURES, ouroworld, published_table
from benchmarks.photo_to_video import to_video
from benchmarks.photos import Photo, photo_parser, read_label, selected_photos, size_option
from benchmarks.tables import save, table, to_json, write
from benchmarks.warm import warm
from stylecine import Animator, Cinemagraph, NothingMoves, StylecineError
from stylecine.ops import native
from stylecine.ops.image import resize
from stylecine.options import CLASSES
from stylecine.output.preview import write_previews
from stylecine.output.video import read_video
from stylecine.quality import measures
from stylecine.quality.measures import measure_encoded, measure_loop, passes, returns, vivid_share
from stylecine.weights import find_model

GOALS = measures.GOALS | {  # with those that need labels, or the copies that a frame mixes
    "foreign_edges": (0.0, GOAL),
    "static_kept": (0.95, 1.0),
    "returns_sky": (0.0, 0.15),
    "returns_water": (0.0, 0.35),
}
MEAN_GOALS = {"lpips": (0.0, 0.20), "psnr": (25.0, math.inf), "mask_iou": (0.90, 1.0)}  # of the mean over the photos
NOTHING_LABELLED = 0.01  # of the area: photos with less labelled as moving are expected to raise NothingMoves
LIVELY = ("vividness_labelled", *(f"vividness_{name}" for name in CLASSES), "vividness", "malf", "returns")
ENCODED = ("vividness_encoded", "bytes_per_pixel")
TIMES = ("seconds_to_loop", "seconds_per_frame")
COLUMNS = (*GOALS, *MEAN_GOALS, *LIVELY, *ENCODED, *FIGURES, "false_positive_area", *TIMES)

SIDE = 1024  # pixels, for the speed
SPEED_GOALS = {"frames_per_second": (60.0, math.inf), "photo_to_mp4_seconds": (0.0, 12.0), "peak_mb": (0.0, 1500.0)}

Row = dict[str, Any]


def main() -> None:
    options = _options()
    photos = selected_photos(options)
    header = {"machine": machine(), "settings": _settings(options)}
    kept = {} if options.fresh else _valid_rows(options.out, header)
    rows = {photo.name: kept[photo.name] for photo in photos if photo.name in kept}
    todo = [photo for photo in photos if photo.name not in rows]
    for row in tqdm(_measured(todo, options), total=len(todo), desc="quality", disable=None):
        rows[row["photo"]] = row
        ordered = [rows[photo.name] for photo in photos if photo.name in rows]
        write(options.out, to_json(header | summary(ordered) | {"photos": ordered}))
    ordered = [rows[photo.name] for photo in photos]
    result, report = header | summary(ordered) | {"photos": ordered}, markdown(ordered)
    if options.speed:
        figures = speed(options.model)
        result["speed"] = figures
        report += "\n" + speed_table(figures)
    save(options.out, result, report)


def measure_photo(photo: Photo, model: str, size: int | None, sheets: Path | None) -> Row:
    """One row: figures, missed goals, seconds. Errors become rows as well."""
    try:
        row = _figures(photo, model, size, sheets)
    except StylecineError as error:
        row = {"outcome": f"{type(error).__name__}: {error}"}
    except Exception as error:
        traceback.print_exc()
        row = {"outcome": f"crashed: {type(error).__name__}: {error}"}
    return {"photo": photo.name} | row | {"failed": failed(row)}


def failed(row: Mapping[str, Any]) -> list[str]:
    """Names of the goals that a row misses."""
    if row["outcome"] == "nothing moves" and row.get("labelled_moving", 1.0) < NOTHING_LABELLED:
        return []
    if row["outcome"] != "loop":
        return [row["outcome"]]
    missed = [name for name, good in passes(row, GOALS).items() if not good]
    return ["should not move", *missed] if row.get("labelled_moving", 1.0) < NOTHING_LABELLED else missed


def _figures(photo: Photo, model: str, size: int | None, sheets: Path | None) -> Row:
    animator = _animator(model)
    start = perf_counter()
    scene = animator.invert(photo.path, size=size)
    height, width = scene.photo.shape[:2]
    row: Row = {"outcome": "nothing moves", "width": width, "height": height} | score(scene.reconstruction, scene.photo)
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
    row |= measure_loop(frames, scene.photo, loop.mask, loop.motion, loop.fps, loop.flowing)
    row["foreign_edges"] = foreign_edges(frames, partial(_copies, loop), loop.mask.cpu(), loop.fps)
    row |= {} if label is None else by_class(loop, label)
    row |= _encoded(loop)
    if sheets is not None:
        write_previews(sheets / photo.name, scene.photo, scene.layers, loop.motion, loop)
    return row | {"seconds_per_frame": frames.seconds / frames.rendered}


def by_class(loop: Any, label: np.ndarray) -> dict[str, float]:
    """Vividness of all that is labelled as moving; of each class, vividness and returns.

    label: uint8 [H,W], hand-labelled classes; 0 is static.
    """
    vivid = vivid_share(loop, loop.fps)
    figures = {"vividness_labelled": _mean_within(vivid, label > 0)}
    for name, place in ((name, label == k) for k, name in enumerate(CLASSES, start=1)):
        if place.any():
            figures[f"vividness_{name}"] = _mean_within(vivid, place)
            figures[f"returns_{name}"] = returns(loop, loop.fps, loop.flowing.cpu() * torch.from_numpy(place))
    return {name: figure for name, figure in figures.items() if not math.isnan(figure)}


def _mean_within(share: Tensor, place: np.ndarray) -> float:
    """Of [h,w], over a place of the photo, bool [H,W]."""
    weight = resize(torch.from_numpy(place)[None].float(), share.shape)[0]
    return float((share * weight).sum() / weight.sum())


def _copies(loop: Cinemagraph, t: int) -> list[np.ndarray]:
    """The frames that frame t mixes."""
    return list(copies_of(loop.loop, t).cpu().numpy())


def _encoded(loop: Cinemagraph) -> dict[str, float]:
    """What the loop is as an .mp4 of default quality, decoded, and the bytes of that per pixel of the frame."""
    with TemporaryDirectory() as folder:
        info = loop.save(Path(folder) / "loop.mp4")
        frames = read_video(info.path)[0]
    figures = measure_encoded(frames, loop.mask, loop.fps) | ouroworld(frames, loop.fps)
    return figures | {"bytes_per_pixel": info.bytes / (info.width * info.height)}


def speed(model: str) -> dict[str, float]:
    """Frames a second, seconds from photo to MP4 and memory of that process, on the moving loop of moving.py."""
    threads = os.cpu_count() or 1
    loop = moving_loop(_animator(model), SIDE, FRAMES)
    rows = warm(loop, [threads]) if native.available(loop.mask.device) else []
    video = to_video(SIDE, FRAMES, threads)
    figures = {"photo_to_mp4_seconds": video["total"], "peak_mb": video["peak_mb"]}
    return ({"frames_per_second": rows[0]["frames_per_second"]} if rows else {}) | figures


def speed_table(figures: Mapping[str, float]) -> str:
    """The figures of `speed` next to their goals."""
    title, rows = f"{SIDE}x{SIDE}, {FRAMES} frames", []
    for name, value in figures.items():
        low, high = SPEED_GOALS[name]
        figure = _number(value) if low <= value <= high else f"**{_number(value)}**"
        rows.append({title: name, "figure": figure, "goal": f"≥ {low:g}" if math.isinf(high) else f"≤ {high:g}"})
    return table(rows, (title, "figure", "goal"))


class _Timed:
    """A loop that measures the time its frames take."""

    def __init__(self, loop: Any) -> None:
        self.loop, self.seconds, self.rendered = loop, 0.0, 0

    def __len__(self) -> int:
        return len(self.loop)

    def __getitem__(self, t: int) -> np.ndarray:
        start = perf_counter()
        frame: np.ndarray = self.loop[t]
        self.seconds += perf_counter() - start
        self.rendered += 1
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
    """Means, lowest and highest figures, which means pass their goals, and how many rows miss one of theirs."""
    columns = {name: [row[name] for row in rows if row.get(name) is not None] for name in COLUMNS}
    finite = {name: [v for v in values if math.isfinite(v)] for name, values in columns.items()}
    means = {name: float(np.mean(values)) for name, values in finite.items() if values}
    mean_passes = passes(means, MEAN_GOALS)
    return {
        "count": len(rows),
        "mean": means,
        "lowest": {name: min(values) for name, values in finite.items() if values},
        "highest": {name: max(values) for name, values in finite.items() if values},
        "mean_passes": mean_passes,
        "failing_photos": sum(bool(row["failed"]) for row in rows),
    }


def markdown(rows: Sequence[Row]) -> str:
    """The table with its means, and the goals that rows miss."""
    columns = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    totals = summary(rows)
    cells = [
        {"photo": row["photo"], "size": f"{row['width']}×{row['height']}" if "width" in row else ""}
        | {name: _cell(row, name) for name in columns}
        for row in rows
    ]
    cells.append({"photo": "**mean**"} | {name: _number(totals["mean"].get(name)) for name in columns})
    lines = [f"- {row['photo']}: {', '.join(row['failed'])}" for row in rows if row["failed"]]
    lines += ["", f"{totals['failing_photos']} of {len(rows)} photos miss a goal."]
    if missed := [name for name, good in totals["mean_passes"].items() if not good]:
        lines.append(f"Means that miss theirs: {', '.join(missed)}.")
    lines += ["", "As OuroWorld measures, of other scenes and with another optical flow (benchmarks/ouroworld.py):", ""]
    report = table(cells, ("photo", "size", *columns)) + "\n" + "\n".join(lines) + "\n"
    return report + published_table(totals["mean"])


def _cell(row: Row, name: str) -> str:
    text = _number(row.get(name))
    return f"**{text}**" if name in row["failed"] else text


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """Everything figures depend on besides the commit and the machine."""
    files = find_model(options.model).files
    return {
        "size": options.size or "native",
        "split": options.split.name if options.split else None,
        "labels": (options.labels or options.folder / "labels").name,
        "model": options.model,
        "weights": {role: file.sha256 for role, file in files.items()},
    }


def _valid_rows(path: Path, header: Mapping[str, Any]) -> dict[str, Row]:
    """Rows of an earlier run that are still valid, by photo; crashed ones are measured again."""
    if not path.is_file():
        return {}
    earlier = json.loads(path.read_text())
    same = earlier["machine"]["commit"] == header["machine"]["commit"] and earlier["settings"] == header["settings"]
    rows = [_with_nan(row) for row in earlier["photos"]] if same and header["machine"]["commit"] else []
    return {row["photo"]: row for row in rows if not row["outcome"].startswith("crashed")}


def _with_nan(row: Row) -> Row:
    return {name: math.nan if value is None else value for name, value in row.items()}


def _options() -> argparse.Namespace:
    parser = photo_parser(__doc__, "quality")
    parser.add_argument("--size", type=size_option, default=None, help="native (default) or the short side in pixels")
    parser.add_argument("--jobs", type=int, default=1, help="photos at a time, each in its own process")
    parser.add_argument("--sheets", type=Path, help="write preview pictures of each photo into this folder")
    parser.add_argument("--speed", action="store_true", help=f"also measure the speed at {SIDE}x{SIDE}")
    parser.add_argument("--fresh", action="store_true", help="discard the rows of an earlier run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
