"""The service's settings: where it stores data, who may use it, and its limits."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from stylecine.errors import OptionError
from stylecine.picture.size import MIN_SIDE

MAX_POINTS = 20_000  # of all strokes of a scene together, which every response about it contains
MAX_VALUE = 10_000_000  # of any setting
IMPRESSION = 320  # pixels: short side of the copy of which the first loop is made
MAX_PICTURES = 2_000_000  # characters of all style photos of a scene together, in base64, which it contains too
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Settings:
    """All settings; a settings file (TOML) has the same names.

    Attributes:
        data: folder of the database, the scenes and the results, and of nothing else.
        host, port: where it listens; port 0 is any free one.
        names: further host names under which clients reach it, for example through a proxy.
        workers: processes, 2 or more; half of them, rounded down, are for clients that wait.
        ray: address of the Ray cluster on which they work; None: on this machine.
        model: name or path. device: cpu or cuda.
        upload_mb: maximum megabytes of an upload. size: maximum short side of a scene in pixels.
        seconds, frames: maximum length of a loop. repeat: maximum repetitions of it in a video.
        scene_seconds, wait_seconds, animation_seconds: maximum time for making a scene, for tasks that clients wait
            for (edits, live, preview), and for an animation.
        queue, waiting: maximum number of animations, and of other tasks, that wait for a worker.
        scenes: maximum number of scenes. disk_mb: maximum megabytes of all files together.
        keep_hours: after which results and unused scenes are deleted.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8350
    names: tuple[str, ...] = ()
    workers: int = 2
    ray: str | None = None
    model: str = "default"
    device: str | None = None
    upload_mb: float = 50
    size: int = 2048
    seconds: float = 60
    frames: int = 1800
    repeat: int = 20
    scene_seconds: float = 180
    wait_seconds: float = 60
    animation_seconds: float = 1800
    queue: int = 64
    waiting: int = 64
    scenes: int = 1000
    disk_mb: float = 20_000
    keep_hours: float = 24

    def __post_init__(self) -> None:
        if self.workers < 2:
            raise OptionError(f"workers must be 2 or more, not {self.workers}: one for animations, one for the rest.")
        if self.size < MIN_SIDE:
            raise OptionError(f"size must be {MIN_SIDE} or more, not {self.size}.")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and field.name != "port" and not 0 < value <= MAX_VALUE:
                raise OptionError(f"{field.name} must be above 0 and at most {MAX_VALUE}, not {value:g}.")

    @property
    def local(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host in LOOPBACK

    def updated(self, changes: Mapping[str, Any]) -> Self:
        """A copy with changes, checked by name and type. Raises OptionError."""
        types: dict[str, Any] = {field.name: field.type for field in fields(self)}
        types |= {"data": str, "device": str, "ray": str, "names": tuple}
        values: dict[str, Any] = {}
        for name, value in changes.items():
            if name not in types:
                raise OptionError(f"There is no setting {name!r}; there are {', '.join(types)}.")
            kind = types[name]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            texts = isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)
            if kind is float and number:
                values[name] = float(value)
            elif kind is tuple and texts:
                values[name] = tuple(value)
            elif kind is int and number and float(value).is_integer():
                values[name] = int(value)
            elif kind is str and isinstance(value, str | Path):
                values[name] = Path(os.path.expanduser(value)) if name == "data" else str(value)
            else:
                wanted = {float: "a number", int: "a whole number", tuple: "a list of texts", str: "a text"}[kind]
                raise OptionError(f"The setting {name} is {wanted}, not {value!r}.")
        return replace(self, **values)


def read_settings(path: Path) -> dict[str, Any]:
    """The contents of a settings file. Raises OptionError if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"The settings '{path}' cannot be read ({error.strerror}); check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"The settings '{path}' are not TOML ({error}); correct them.") from None
