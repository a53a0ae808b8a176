"""Batch tasks of small photos and records of small loops, for tests of the worker pools and of pages."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stylecine.batch.journal import FIGURES, Record
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


def record_of(output: str, **changes: Any) -> Record:
    """Of a loop of ten frames of 96 x 64, without pictures."""
    told = {"state": "done", "output": output, "photo": f"in/{Path(output).stem}.jpg", "bytes": 1234, "warning": None}
    shape = {"width": 96, "height": 64, "frames": 10, "fps": 10.0, "seconds": {"total": 9.87}}
    figures = dict.fromkeys(FIGURES, 1.0) | {"moving": 0.5}
    return figures | told | shape | dict.fromkeys(("thumbnail", "mask_thumbnail"), "UklGRg==") | changes
