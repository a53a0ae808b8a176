"""Batch tasks of small photos, for tests of the worker pools."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stylecine.batch.tasks import Task
from stylecine.options import ALL_OPTIONS

PLAIN: dict[str, Any] = {name: option["default"] for name, option in ALL_OPTIONS.items()}
PLAIN |= {"seconds": 0.5, "fps": 12, "warp": "pixel"}


def three_tasks(folder: Path, photo: np.ndarray, options: dict[str, Any]) -> list[Task]:
    """Three small photos in a folder, for loops of six frames."""
    tasks = []
    for number, name in enumerate(("a", "b", "c")):
        Image.fromarray(photo[:, number:]).save(folder / f"{name}.png")
        tasks.append(Task(folder / f"{name}.png", f"{name}.mp4", PLAIN | options))
    return tasks
