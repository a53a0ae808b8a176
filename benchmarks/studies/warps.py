"""The warps side by side: figures, and pictures of the middle of the loop.

    python -m benchmarks.studies.warps PHOTO... --size 640 --pictures docs/images

`novelty` is the distance of patches of a frame from the most similar patches of the photo, RMS in grey levels (after
Simakov et al., "Summarizing Visual Data Using Bidirectional Similarity", CVPR 2008): ghosts have no similar patch.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import cKDTree
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.tables import RESULTS, save, table
from stylecine import Animator
from stylecine.cinemagraph import Cinemagraph
from stylecine.quality.measures import measure_loop

WARPS: dict[str, dict[str, Any]] = {
    "pixel": {"warp": "pixel"},
    "msdfw": {"warp": "msdfw"},
    "msdfw, detail=0": {"warp": "msdfw", "detail": 0.0},
    "dfw": {"warp": "dfw"},
}
FIGURES = ("novelty", "pulse_global", "pulse_tiles", "seam", "moved_error", "seconds_per_frame")
PATCH, SCALE, COMPONENTS, SAMPLES = 7, 2, 20, 3000  # of `novelty`
CROP = 200  # pixels


def main() -> None:
    options = _options()
    animator, rows = Animator.from_pretrained(), []
    for path in tqdm(options.photos, disable=None):
        scene = animator.invert(path, size=options.size)
        loops = {name: animator.render(scene, **settings) for name, settings in WARPS.items()}
        rows += [{"photo": path.stem, "warp": name} | measure(loop, loops["msdfw"]) for name, loop in loops.items()]
        if options.pictures:
            comparison(loops).save(options.pictures / f"warps_{path.stem}.jpg", quality=85)
    means = [{"photo": "mean", "warp": name} | _means([row for row in rows if row["warp"] == name]) for name in WARPS]
    result = {"machine": machine(), "size": options.size, "rows": rows, "mean": means}
    save(options.out, result, table(means + rows, ("photo", "warp", *FIGURES)))


def measure(loop: Cinemagraph, reference: Cinemagraph) -> dict[str, float]:
    """Figures of a loop; mask and motion are those of `reference`."""
    start = perf_counter()
    loop[7.5]
    seconds = perf_counter() - start
    photo, mask = reference.scene.photo, reference.mask.cpu().numpy()
    measures = measure_loop(loop, photo, reference.mask, reference.motion, reference.fps)
    distances = [novelty(loop[len(loop) * part], photo, mask) for part in (0.25, 0.5, 0.75)]
    figures = {"novelty": float(np.mean(distances))} | measures | {"seconds_per_frame": seconds}
    return {name: figures[name] for name in FIGURES}


def novelty(frame: np.ndarray, photo: np.ndarray, mask: np.ndarray) -> float:
    """Compares patches of 7x7 pixels at half size by their first principal components."""
    candidates, inside = _patches(photo), _patch_mask(mask)
    patches, candidates = _patches(frame)[inside], candidates[inside]
    mean = candidates.mean(0)
    axes = np.linalg.svd((candidates - mean)[:: max(1, len(candidates) // 4000)], full_matrices=False)[2][:COMPONENTS].T
    order = np.random.default_rng(0).permutation(len(candidates))
    tree = cKDTree((candidates[order[:30_000]] - mean) @ axes)
    distance = tree.query((patches[order[-SAMPLES:]] - mean) @ axes)[0]
    return float(np.sqrt((distance**2).mean() / PATCH**2 / 3))


def _patches(frame: np.ndarray) -> np.ndarray:
    height, width = (side // SCALE for side in frame.shape[:2])
    small = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX), np.float32)
    views = np.lib.stride_tricks.sliding_window_view(small, (PATCH, PATCH), axis=(0, 1))
    return views.reshape(*views.shape[:2], -1)


def _patch_mask(mask: np.ndarray) -> np.ndarray:
    """Which patches lie entirely in what moves."""
    height, width = (side // SCALE for side in mask.shape)
    small = np.asarray(Image.fromarray((mask > 0.5).astype(np.uint8)).resize((width, height), 0))
    return ndimage.minimum_filter(small, PATCH)[PATCH // 2 : -(PATCH // 2), PATCH // 2 : -(PATCH // 2)] > 0


def comparison(loops: Mapping[str, Cinemagraph]) -> Image.Image:
    """The photo and the middle frame of each loop, cropped to the square in which most changes."""
    loop = loops["msdfw"]
    change = np.abs(loop[len(loop) // 3].astype(np.float32) - loop[0]).mean(-1)
    centre = np.unravel_index(ndimage.uniform_filter(change, CROP).argmax(), change.shape)
    y, x = (int(np.clip(c - CROP // 2, 0, side - CROP)) for c, side in zip(centre, change.shape, strict=True))
    frames = {"the photo": loop[0]} | {name: loop[len(loop) / 2] for name, loop in loops.items()}
    sheet = Image.new("RGB", (len(frames) * (CROP + 4) - 4, CROP), "white")
    for i, (name, frame) in enumerate(frames.items()):
        crop = Image.fromarray(frame[y : y + CROP, x : x + CROP])
        ImageDraw.Draw(crop).text((6, 4), name, fill="white", stroke_width=1, stroke_fill="black")
        sheet.paste(crop, (i * (CROP + 4), 0))
    return sheet


def _means(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {name: float(np.nanmean([row[name] for row in rows])) for name in FIGURES}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--pictures", type=Path, help="folder for one picture of each photo")
    parser.add_argument("--out", type=Path, default=RESULTS / "warps.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
