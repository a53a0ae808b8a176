"""How alike our loops and real footage move: optical flow in a loop of a film's first frame beside the film's own.

    python -m benchmarks.studies.life FILMS

FILMS has films.csv, and of each film its first frame NAME.jpg and, measured in the next five seconds, NAME.npz: the
mean flow between neighbouring frames, and how steady that is (`recipes/evaluate_eye.py` reads the same). The loop is
rendered at the defaults, and its flow measured on a grid of the same size. Where both move, each place has a length of
flow, in short sides in four seconds, and a steadiness, from 0 (to and fro) to 1. `alike` is the share that the two
distributions of length and steadiness have in common, from 0 to 1: one figure a kind.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.tables import command_line, save, table
from stylecine import Animator, Cinemagraph, StylecineError
from stylecine.ops.image import resize
from stylecine.quality.opticalflow import optical_flow

KINDS = ("falls", "river", "sea", "lake")  # skies of most films are time-lapses
SECONDS, FPS = 4.0, 30.0
PAIRS = 24  # of neighbouring frames, evenly spaced over the loop
LEAST_CHANGE = 2.5  # of grey levels, standard deviation over a film: less does not move
LENGTHS = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, np.inf])  # short sides in four seconds
STEADINESS = np.linspace(0, 1, 6)
FIGURES = ("films", "real travel", "our travel", "real steadiness", "our steadiness", "alike")

Flow = tuple[np.ndarray, np.ndarray]  # length and steadiness of each place, [h,w]


def main() -> None:
    parser = command_line(__doc__, "life")
    parser.add_argument("films", type=Path)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    torch.set_num_threads(1)
    animator = Animator.from_pretrained(options.model)
    with (options.films / "films.csv").open(newline="") as file:
        films = [row for row in csv.DictReader(file) if row["kind"] in KINDS]
    rows = [row for film in tqdm(films, desc="life", disable=None) if (row := measure(film, options.films, animator))]
    kinds = [summary(kind, rows) for kind in KINDS]
    report = {"machine": machine(), "settings": {"model": options.model}, "films": rows, "kinds": kinds}
    tables = table(kinds, ("kind", *FIGURES)), table(rows, ("film", "kind", *FIGURES[1:]))
    save(options.out, report, "\n\n".join(tables))


def measure(film: dict[str, str], folder: Path, animator: Animator) -> dict[str, Any] | None:
    """None for a film whose first frame is refused."""
    real, moves = flow_of_film(folder / f"{film['name']}.npz")
    try:
        loop = animator.render(animator.invert(folder / f"{film['name']}.jpg"), seconds=SECONDS, fps=FPS)
    except StylecineError:
        return None
    ours, mask = flow_of_loop(loop, moves.shape), resize(loop.mask[None].float(), moves.shape)[0].numpy() > 0.5
    both = moves & mask
    if not both.any():
        return None
    return {"film": film["name"], "kind": film["kind"], **compared([x[both] for x in real], [x[both] for x in ours])}


def flow_of_film(path: Path) -> tuple[Flow, np.ndarray]:
    """And what moves, bool [h,w]."""
    with np.load(path) as film:
        flow, steady = film["flow"].astype(np.float32), film["steady"].astype(np.float32) / 255
        moves = ndimage.binary_closing(film["change"] / 2.0 > LEAST_CHANGE, iterations=2)
    length = np.hypot(*flow) / np.maximum(steady, 0.05)  # of the flow, not of its mean
    return (length * SECONDS * FPS / min(steady.shape), steady), moves


def flow_of_loop(loop: Cinemagraph, size: tuple[int, ...]) -> Flow:
    times = np.linspace(0, len(loop) - 1, PAIRS, endpoint=False).astype(int)
    flows = np.stack([optical_flow(_grey(loop[t], size), _grey(loop[t + 1], size)).numpy() for t in times.tolist()])
    length = np.hypot(flows[:, 0], flows[:, 1]).mean(0)
    steady = np.hypot(*flows.mean(0)) / np.maximum(length, 1e-6)
    return length * SECONDS * FPS / min(size), steady


def _grey(frame: np.ndarray, size: tuple[int, ...]) -> torch.Tensor:
    small = Image.fromarray(frame).convert("L").resize((size[1], size[0]), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small, np.float32))


def compared(real: Sequence[np.ndarray], ours: Sequence[np.ndarray]) -> dict[str, float]:
    shares = [np.histogram2d(flow[0], flow[1], [LENGTHS, STEADINESS])[0] / len(flow[0]) for flow in (real, ours)]
    medians = (float(np.median(flow[i])) for i in (0, 1) for flow in (real, ours))
    return dict(zip(FIGURES[1:5], medians, strict=True)) | {"alike": float(np.minimum(*shares).sum())}


def summary(kind: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the films of a kind."""
    own = [row for row in rows if row["kind"] == kind]
    return {"kind": kind, "films": len(own)} | {name: float(np.median([r[name] for r in own])) for name in FIGURES[1:]}


if __name__ == "__main__":
    main()
