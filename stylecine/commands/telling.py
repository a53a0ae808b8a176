"""What commands tell: progress, figures, and complaints in one line."""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from stylecine.errors import OutputError, printable

if TYPE_CHECKING:
    from stylecine.cinemagraph import Cinemagraph
    from stylecine.output import VideoInfo


def tell(
    loop: "Cinemagraph", info: "VideoInfo", output: Path, options: argparse.Namespace, imported: float, start: float
) -> int:
    """What became of it, and the preview's pictures."""
    if loop.warning:
        print(f"stylecine: {loop.warning}", file=sys.stderr)
    seconds = {"import": imported} | loop.timings | {"total": perf_counter() - start}
    if options.preview:
        from stylecine.output.report import write_previews

        write_previews(options.preview, loop.scene.photo, loop.tinted.cpu(), loop.motion.cpu(), loop)
    if options.json:
        print(json.dumps(figures(loop, info, seconds, output), allow_nan=False))
    else:
        frames = f"{info.frames} frame{'s' if info.frames > 1 else ''}"
        print(f"{printable(output)}: {info.width}x{info.height}, {frames}, {seconds['total']:.1f} s")
    return 0


def figures(loop: "Cinemagraph", info: "VideoInfo", seconds: dict[str, float], output: Path) -> dict[str, Any]:
    """The one object that --json prints; a figure that cannot be had is null."""
    from stylecine.cinemagraph import plain

    peak = peak_rss_mb()  # before the measures, which hold more than the work did
    return {
        "output": str(output),
        "width": info.width,
        "height": info.height,
        "frames": info.frames,
        "fps": info.fps,
        "seam": plain(loop.seam),
        "pulse": plain(loop.pulse),
        "moved": plain(loop.moved),
        "static_drift": plain(loop.measures["static_drift"]),
        "first_frame_error": plain(loop.measures["first_frame_error"]),
        "inversion": plain(loop.scene.score),
        "warning": loop.warning or None,
        "seconds": {stage: round(taken, 3) for stage, taken in seconds.items()},
        "peak_rss_mb": peak,
        "model": loop.scene.model.name,
        "device": str(loop.motion.device),
    }


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"'{folder}' cannot be made ({error.strerror}); choose another folder.") from None


class Bar:
    """Progress on standard error, one bar a stage; silent when that is not a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> Callable[[str, int, int], None]:
        return self._show

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _show(self, stage: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if self._bar is None or self._bar.desc != stage:
            if self._bar is not None:
                self._bar.close()
            self._bar = tqdm(desc=stage, total=total, leave=False, disable=None)
            self._bar.desc = stage  # tqdm appends a colon
        self._bar.update(done - self._bar.n)


def peak_rss_mb() -> float | None:
    """Most memory this process has held so far, in MB; None where the system does not say."""
    with suppress(OSError, StopIteration):  # Linux; getrusage there begins with what the parent held
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6, 1)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def complain(message: str, code: int) -> int:
    printable = "".join(c if c.isprintable() else " " for c in message)  # a terminal obeys what is not
    print(f"stylecine: {' '.join(printable.split())}", file=sys.stderr)
    return code
