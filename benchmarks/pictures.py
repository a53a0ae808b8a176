"""Loops as pictures that play: bytes, seconds, how near to the frames, the seam, whether what stands still does.

    python -m benchmarks.pictures PHOTO [PHOTO ...] --size 1024

Each loop is rendered and kept first: `cpu_seconds` are the writing alone, all threads together. `psnr` is of all frames
together; `seam` the decoded step from the last frame to the first over the median step; `crawl` the mean step, in
levels, of pixels that the loop leaves alone.
"""

import argparse
import json
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from benchmarks.machine import ROOT, machine
from stylecine import animate
from stylecine.output.formats import shown, write

QUALITIES = {".gif": 80, ".webp": 80, ".avif": 28, ".apng": None, "": None}  # the defaults


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("photos", metavar="PHOTO", type=Path, nargs="+")
    options.add_argument("--size", type=int, default=1024)
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    rows = []
    for photo in given.photos:
        loop = animate(photo, size=given.size)
        for ending, quality in QUALITIES.items():
            times, rate = shown(f"loop{ending}", len(loop), loop.fps)
            width, height = loop.width // 2 * 2, loop.height // 2 * 2  # AVIF wants even sides
            frames = np.stack([loop[t][:height, :width] for t in times])
            rows.append({"photo": photo.stem} | row(frames, rate, ending, quality))
            print(json.dumps(rows[-1]), flush=True)
    out = given.out or ROOT / f"benchmarks/results/pictures-{given.size}.json"
    header = {"machine": machine(), "settings": {"size": given.size, "seconds": 4, "fps": 30}}
    out.write_text(json.dumps(header | {"rows": rows}, indent=1) + "\n")


def row(frames: np.ndarray, rate: float, ending: str, quality: int | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"loop{ending}"
        start = process_time()
        info = write(frames, path, rate, quality=quality)  # type: ignore[arg-type]
        seconds = process_time() - start
        figures = {"width": info.width, "height": info.height, "bytes": info.bytes, "cpu_seconds": round(seconds, 1)}
        told = {"ending": ending or "folder", "quality": quality}
        return told | figures | (compared(path, frames) if ending else {})


def compared(path: Path, frames: np.ndarray) -> dict[str, float | None]:
    still = (frames == frames[0]).all(axis=(0, 3))
    error, steps, crawl, before, first = 0.0, [], [], None, None
    with Image.open(path) as picture:
        for frame, part in zip(frames, ImageSequence.Iterator(picture), strict=True):
            now = np.asarray(part.convert("RGB")).astype(np.int16)
            error += float(((now - frame) ** 2).mean(dtype=float)) / len(frames)
            if before is not None:
                steps.append(float(np.abs(now - before).mean()))
                crawl.append(float(np.abs(now - before)[still].mean()) if still.any() else 0.0)
            first = now if first is None else first
            before = now
    seam = float(np.abs(first - before).mean()) / float(np.median(steps))  # type: ignore[operator]
    return {
        "psnr": round(10 * np.log10(255**2 / error), 2) if error else None,
        "seam": round(seam, 2),
        "crawl": round(float(np.mean(crawl)), 4),
    }


if __name__ == "__main__":
    main()
