"""Batch tasks of small photos, for tests of the worker pools."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stylecine.batch.tasks import Task

LOOP = {"seconds": 0.5, "fps": 12, "pace": "natural", "speed": 1.0} | {
    "warp": "pixel",
    "sampling": "gather",
    "detail": 1.0,
}
FILE = {"quality": None, "codec": None, "repeat": 1, "duration": None, "keyframes": "first"} | {
    "crop": None,
    "embed_report": False,
    "keep_metadata": False,
}
GIVEN = {"subject": "landscape", "mask": None, "motion": None, "arrows": (), "wind": None}
STYLE = {"style": None, "style_strength": 1.0, "style_drift": False}
PLAIN: dict[str, Any] = GIVEN | STYLE | {"size": 1024, "refine": 0, "seed": 0} | LOOP | FILE


def three_tasks(folder: Path, photo: np.ndarray, options: dict[str, Any]) -> list[Task]:
    """Three small photos in a folder, for loops of six frames."""
    tasks = []
    for number, name in enumerate(("a", "b", "c")):
        Image.fromarray(photo[:, number:]).save(folder / f"{name}.png")
        tasks.append(Task(folder / f"{name}.png", f"{name}.mp4", PLAIN | options))
    return tasks
