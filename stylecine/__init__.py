"""One landscape photo in, one seamless video loop out.

    import stylecine
    stylecine.animate("holiday.jpg").save("holiday.mp4")

`animate` does everything in one call. `Animator` keeps the networks for more photos and splits the work in two:
`invert` once per photo (slow), `render` once per change of options (fast). Every deliberate error is a
`StylecineError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stylecine.errors import (
    Cancelled,
    ChecksumMismatch,
    DiskFull,
    KernelUnavailable,
    LicenceNotAccepted,
    MaskError,
    MotionError,
    NothingMoves,
    OptionError,
    OutputError,
    PhotoError,
    SceneError,
    ServiceError,
    StylecineError,
    StylecineWarning,
    TooLarge,
    VideoError,
    WeightsError,
    WeightsMalformed,
    WeightsNotFound,
    WriterUnavailable,
)
from stylecine.version import __version__

if TYPE_CHECKING:
    from stylecine.engine.animator import Animator
    from stylecine.engine.cinemagraph import Cinemagraph
    from stylecine.engine.pipeline import animate
    from stylecine.engine.scene import Scene
    from stylecine.explanation.explain import explain

__all__ = [
    "Animator",
    "Cancelled",
    "ChecksumMismatch",
    "Cinemagraph",
    "DiskFull",
    "KernelUnavailable",
    "LicenceNotAccepted",
    "MaskError",
    "MotionError",
    "NothingMoves",
    "OptionError",
    "OutputError",
    "PhotoError",
    "Scene",
    "SceneError",
    "ServiceError",
    "StylecineError",
    "StylecineWarning",
    "TooLarge",
    "VideoError",
    "WeightsError",
    "WeightsMalformed",
    "WeightsNotFound",
    "WriterUnavailable",
    "__version__",
    "animate",
    "explain",
]

# These need torch, which takes seconds to import: each is imported on first use.
_MODULES = {
    "animate": "engine.pipeline",
    "Animator": "engine.animator",
    "Scene": "engine.scene",
    "Cinemagraph": "engine.cinemagraph",
    "explain": "explanation.explain",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
