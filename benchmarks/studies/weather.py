"""Whether falling snow, rain and drifting fog show a period shorter than the loop, or a seam, also in the video file.

    python -m benchmarks.studies.weather PHOTOS --split photos.txt

Each photo's loop is rendered with and without each weather in one wind; their difference is the weather alone, of which
every pixel's mean is taken away. Per photo and weather:

- again: the highest correlation of the weather with itself at a later time, past the first minimum: 1 if it starts
  again within the loop.
- seam: the step from the last frame to the first relative to the median step (`seam` of quality/measures.py).
- decoded: the same of the frames of an MP4, whose steps are the smaller the nearer they are to the end of one of the
  encoder's groups of B-frames; the loop's end is one. The frames of fog differ by a quarter of a level of 255.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, photo_parser, selected_photos
from benchmarks.tables import save, table
from stylecine import Animator
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.options import WEATHERS
from stylecine.output.video import read_video
from stylecine.quality.measures import seam

SIZE = 384
WIND = (20, 0.5)
REDUCED = 2  # pixels a side are averaged before frames are compared

Row = dict[str, Any]
Frames = NDArray[np.float32]  # [T,h,w]


def main() -> None:
    options = photo_parser(__doc__, "weather").parse_args()
    torch.set_num_threads(1)
    animator = Animator.from_pretrained(options.model)
    photos = tqdm(selected_photos(options), desc="weather", disable=None)
    rows = [row for photo in photos for row in measure(animator, photo)]
    worst = {weather: extremes([row for row in rows if row["weather"] == weather]) for weather in WEATHERS}
    found = {"machine": machine(), "photos": len(rows) // len(WEATHERS), "size": SIZE, "worst": worst, "rows": rows}
    columns = ("photo", "weather", "again", "seam", "decoded")
    summary = [{"photo": "worst", "weather": weather, **figures} for weather, figures in worst.items()]
    save(options.out, found, table([*rows, *summary], columns))


def measure(animator: Animator, photo: Photo) -> list[Row]:
    scene = animator.invert(photo.path, size=SIZE)
    plain: Frames | None = None
    rows = []
    for weather in WEATHERS:
        loop = animator.render(scene, wind=WIND, weather=weather)
        frames = all_frames(loop)
        if plain is None:
            plain = reduced(all_frames(replace(loop, weather=None)))
        figures = {"again": again(reduced(frames) - plain), "seam": seam(frames), "decoded": seam(through_a_file(loop))}
        rows.append({"photo": photo.name, "weather": weather, **figures})
    return rows


def all_frames(loop: Cinemagraph) -> NDArray[np.uint8]:
    return np.stack(list(loop.frames(range(loop.period))))


def reduced(frames: NDArray[np.uint8]) -> Frames:
    """Grey, of uint8 [T,H,W,3]."""
    grey = torch.from_numpy(frames.astype(np.float32).mean(-1))
    return torch.nn.functional.avg_pool2d(grey[:, None], REDUCED)[:, 0].numpy()


def through_a_file(loop: Cinemagraph) -> NDArray[np.uint8]:
    with TemporaryDirectory() as folder:
        loop.save(path := Path(folder) / "loop.mp4")
        return read_video(path)[0]


def again(weather: Frames) -> float:
    """Highest correlation with itself at a later time of the loop, past the first minimum."""
    moving = weather - weather.mean(0)
    spectrum = np.fft.rfft(moving, axis=0)
    correlation = np.fft.irfft(np.square(np.abs(spectrum)).sum((1, 2)), len(moving))
    correlation = correlation[: len(moving) // 2 + 1] / max(float(correlation[0]), 1e-9)
    rising = np.flatnonzero(np.diff(correlation) > 0)
    return float(correlation[rising[0] :].max()) if len(rising) else float(correlation[-1])


def extremes(rows: list[Row]) -> Row:
    """The worst of each figure: of `seam` and `decoded`, what is farthest from 1."""
    if not rows:
        return {}
    farthest = {name: max((row[name] for row in rows), key=lambda x: abs(x - 1)) for name in ("seam", "decoded")}
    return {"again": max(row["again"] for row in rows), **farthest}


if __name__ == "__main__":
    main()
