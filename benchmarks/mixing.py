"""Ways to get from copy A to copy B within a sub-cycle: figures, and pictures of the middle of the loop.

    python benchmarks/mixing.py PHOTO... --size 640 --pictures docs/images
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import ndtri
from torch import Tensor
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.tables import table, write
from stylecine import Animator
from stylecine.cinemagraph import Cinemagraph
from stylecine.quality.measures import measure_loop
from stylecine.stages.loop import Loop

FIGURES = ("strange", "pulse_global", "pulse_tiles", "seam", "moved_error")
PATCH, SHRINK, PARTS, LOOKED_AT = 7, 2, 20, 3000  # of what `strange` compares
CROP, SHOWN = 200, 200  # pixels


@dataclass(frozen=True)
class Variant:
    """A way to mix: frames of it at any time."""

    name: str
    length: int
    at: Callable[[float], np.ndarray]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, t: float) -> np.ndarray:
        return self.at(t % self.length)


def variants(made: Cinemagraph) -> list[Variant]:
    """From the plainest to what the engine does."""
    whole = replace(made, loop=_changing(made.loop, *_whole(made.loop)))
    plain = replace(whole, loop=_without_gain(whole.loop))
    at_random = replace(made, loop=_changing(made.loop, *_random_halves(made.loop)))
    known = {"dissolve": plain, "variance kept": whole, "halves at random": at_random, "halves by likeness": made}
    found = [Variant(name, len(loop), loop.__getitem__) for name, loop in known.items()]
    return [*found[:2], Variant("histogram kept", len(made), _Histogram(made)), *found[2:]]


def strange(frame: np.ndarray, photo: np.ndarray, mask: np.ndarray) -> float:
    """How far patches of a frame are from the nearest of the photo's, in grey levels (RMS): ghosts have none near.

    Simakov et al. 2008 call it coherence. Patches of 7*7 pixels at half size, their first principal components.
    """
    there, where = _patches(photo), _shrunk_mask(mask)
    here = _patches(frame)[where]
    base = there[where]
    mean = base.mean(0)
    axes = np.linalg.svd((base - mean)[:: max(1, len(base) // 4000)], full_matrices=False)[2][:PARTS].T
    chosen = np.random.default_rng(0).permutation(len(base))
    tree = cKDTree((base[chosen[:30_000]] - mean) @ axes)
    away = tree.query((here[chosen[-LOOKED_AT:]] - mean) @ axes)[0]
    return float(np.sqrt((away**2).mean() / PATCH**2 / 3))


class _Histogram:
    """Histogram-preserving blending (Heitz and Neyret 2018) over the whole sub-cycle: both copies are made Gaussian,
    channel by channel along the colours' principal axes, mixed with their variance kept and given their histogram
    back."""

    def __init__(self, made: Cinemagraph) -> None:
        plain_gain = _without_gain(made.loop)
        ones = torch.ones_like(made.loop.crossfade[0])
        self.first = replace(made, loop=_changing(plain_gain, ones, ones))
        self.second = replace(made, loop=_changing(plain_gain, -ones, 1e6 * ones))
        self.made, self.mask = made, made.loop.moving.cpu().numpy()[..., None]
        colours = made.scene.photo[self.mask[..., 0] > 0.5].astype(np.float64)
        self.mean, self.axes = colours.mean(0), np.linalg.eigh(np.cov(colours.T))[1]
        self.sorted = np.sort((colours - self.mean) @ self.axes, axis=0)
        self.normal = ndtri((np.arange(len(colours)) + 0.5) / len(colours))

    def __call__(self, t: float) -> np.ndarray:
        share = t / len(self.made)
        a, b = self._gaussian(self.first[t]), self._gaussian(self.second[t])
        mixed = ((1 - share) * a + share * b) / np.hypot(1 - share, share)
        values = np.stack([np.interp(mixed[..., k], self.normal, self.sorted[:, k]) for k in range(3)], -1)
        back = values @ self.axes.T + self.mean
        photo = self.made.scene.photo
        return np.clip(np.rint(photo + self.mask * (back - photo)), 0, 255).astype(np.uint8)

    def _gaussian(self, frame: np.ndarray) -> np.ndarray:
        along = (frame.astype(np.float64) - self.mean) @ self.axes
        return np.stack([np.interp(along[..., k], self.sorted[:, k], self.normal) for k in range(3)], -1)


def _changing(loop: Loop, begin: Tensor, pace: Tensor) -> Loop:
    return replace(loop, crossfade=torch.stack((begin, pace)))


def _without_gain(loop: Loop) -> Loop:
    return replace(loop, angle=torch.zeros_like(loop.angle), contrast_gain=torch.ones_like(loop.contrast_gain))


def _whole(loop: Loop) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(loop.crossfade[0]), torch.ones_like(loop.crossfade[0])


def _random_halves(loop: Loop) -> tuple[Tensor, Tensor]:
    """Staggered phases without a look at the picture: blots as large as those by likeness."""
    shape = tuple(loop.crossfade.shape[1:])
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(shape), 0.03 * min(shape))
    later = ndimage.gaussian_filter((noise > np.median(noise)).astype(np.float32), 1.0)
    return torch.from_numpy(later * 0.5), torch.full(shape, 2.0)


def _patches(frame: np.ndarray) -> np.ndarray:
    height, width = (side // SHRINK for side in frame.shape[:2])
    small = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX), np.float32)
    views = np.lib.stride_tricks.sliding_window_view(small, (PATCH, PATCH), axis=(0, 1))
    return views.reshape(*views.shape[:2], -1)


def _shrunk_mask(mask: np.ndarray) -> np.ndarray:
    """Which patches lie wholly in what moves."""
    height, width = (side // SHRINK for side in mask.shape)
    small = np.asarray(Image.fromarray((mask > 0.5).astype(np.uint8)).resize((width, height), 0))
    return ndimage.minimum_filter(small, PATCH)[PATCH // 2 : -(PATCH // 2), PATCH // 2 : -(PATCH // 2)] > 0


def _liveliest(made: Cinemagraph) -> tuple[slice, slice]:
    """The square in which most changes within the first third."""
    change = np.abs(made[len(made) // 3].astype(np.float32) - made[0]).mean(-1)
    y, x = np.unravel_index(ndimage.uniform_filter(change, CROP).argmax(), change.shape)
    y, x = (int(np.clip(at - CROP // 2, 0, side - CROP)) for at, side in zip((y, x), change.shape, strict=True))
    return slice(y, y + CROP), slice(x, x + CROP)


def picture(made: Cinemagraph, ways: list[Variant]) -> Image.Image:
    """The photo and then each way in the middle of the loop, cut to where most changes."""
    where = _liveliest(made)
    shown = [("the photo", made[0]), *((way.name, way[len(way) / 2]) for way in ways)]
    sheet = Image.new("RGB", (len(shown) * (SHOWN + 4) - 4, SHOWN), "white")
    for i, (name, frame) in enumerate(shown):
        cut = Image.fromarray(frame[where]).resize((SHOWN, SHOWN), Image.Resampling.LANCZOS)
        ImageDraw.Draw(cut).text((6, 4), name, fill="white", stroke_width=1, stroke_fill="black")
        sheet.paste(cut, (i * (SHOWN + 4), 0))
    return sheet


def main() -> None:
    options = asked(__doc__, "mixing")
    animator, rows = Animator.from_pretrained(), []
    for path in tqdm(options.photos, disable=None):
        made = animator.render(animator.invert(path, size=options.size))
        ways = variants(made)
        rows += [{"photo": path.stem, "mixing": way.name} | figures(way, made) for way in ways]
        if options.pictures:
            picture(made, ways).save(options.pictures / f"mixing_{path.stem}.jpg", quality=85)
    names = dict.fromkeys(row["mixing"] for row in rows)
    means = [{"photo": "mean", "mixing": name} | mean(rows, FIGURES, mixing=name) for name in names]
    keep(options, rows, means, ("photo", "mixing", *FIGURES))


def asked(says: str | None, name: str) -> argparse.Namespace:
    """The command's options; results are called `name` unless it says otherwise."""
    parser = argparse.ArgumentParser(description=(says or "").splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--pictures", type=Path, help="folder for one picture a photo")
    parser.add_argument("--out", type=Path, default=Path(f"benchmarks/results/{name}.json"))
    return parser.parse_args()


def keep(
    options: argparse.Namespace, rows: list[dict[str, Any]], means: list[dict[str, Any]], columns: Sequence[str]
) -> None:
    """Writes JSON and a table, means first, and prints the table."""
    write(options.out, json.dumps({"machine": machine(), "size": options.size, "rows": rows, "mean": means}, indent=1))
    report = table(means + rows, columns)
    write(options.out.with_suffix(".md"), report)
    print(report)


def figures(way: Variant, made: Cinemagraph) -> dict[str, Any]:
    """What a way's frames look like, beside the photo and the motion of `made`."""
    photo, mask = made.scene.photo, made.mask.cpu().numpy()
    measured = measure_loop(way, photo, made.mask, made.motion, made.fps)
    looks = [strange(way[len(way) * part], photo, mask) for part in (0.25, 0.5, 0.75)]
    return {"strange": float(np.mean(looks))} | {name: measured[name] for name in FIGURES[1:]}


def mean(rows: list[dict[str, Any]], columns: Sequence[str], **of: str) -> dict[str, float]:
    """Means over the rows that are as `of` says."""
    chosen = [row for row in rows if of.items() <= row.items()]
    return {name: float(np.nanmean([row[name] for row in chosen])) for name in columns}


if __name__ == "__main__":
    main()
