"""What commands print: progress, figures, and errors in one line."""

import argparse
import atexit
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

from stylecine.errors import OptionError, OutputError, printable
from stylecine.machine.progress import STAGES, Share
from stylecine.output.formats import files_of

if TYPE_CHECKING:
    from stylecine.engine.cinemagraph import Cinemagraph
    from stylecine.output import VideoInfo

MEASURES = ("vividness", "vividness_moving", "malf", "static_drift", "first_frame_error")  # of --json


def print_result(
    loop: "Cinemagraph", info: "VideoInfo", output: Path, options: argparse.Namespace, imported: float, start: float
) -> int:
    """Prints the result in one line or as JSON, and writes the images of --preview and the files of --aov."""
    if loop.warning:
        complain(loop.warning, 0)
    seconds = {"import": imported} | loop.timings | {"total": perf_counter() - start}
    if options.preview:
        from stylecine.output.preview import write_previews

        write_previews(options.preview, loop.scene.photo, loop.tinted.cpu(), loop.motion.cpu(), loop)
    if options.aov:
        loop.save_aovs(options.aov)
    if options.json:
        say(json.dumps(figures(loop, info, seconds, output), allow_nan=False))
    else:
        frames = f"{info.frames} frame{'s' if info.frames > 1 else ''}"
        files = " and ".join(printable(file) for file in files_of(output))
        what = f"{info.width}x{info.height}, {frames}" if info.frames else file_size(info.bytes)
        say(f"{files}: {what}, {seconds['total']:.1f} s")
    return 0


def figures(loop: "Cinemagraph", info: "VideoInfo", seconds: dict[str, float], output: Path) -> dict[str, Any]:
    """The object that --json prints; figures that do not exist are null."""
    from stylecine.output.metadata import json_figures

    peak = peak_rss_mb()  # before the measures, which need more than the work
    return {
        "output": str(output),
        "width": info.width,
        "height": info.height,
        "frames": info.frames,
        "fps": info.fps,
        **json_figures({"seam": loop.seam, "pulse": loop.pulse, "moved": loop.moved}),
        **json_figures({name: loop.measures.get(name) for name in MEASURES}),
        **json_figures({"encoded": encoded_figures(loop, info)}),
        "warning": loop.warning or None,
        "seconds": {stage: round(taken, 3) for stage, taken in seconds.items()},
        "peak_rss_mb": peak,
        "model": loop.scene.model.name,
        "device": str(loop.motion.device),
    }


def encoded_figures(loop: "Cinemagraph", info: "VideoInfo") -> dict[str, float] | None:
    """What the file shows of the loop, decoded; None for a crop and for files that are not read back or too large."""
    from stylecine.errors import TooLarge, VideoError
    from stylecine.output.video import read_video
    from stylecine.quality.measures import measure_encoded

    if info.window is not None:
        return None
    try:
        frames, fps = read_video(info.path, len(loop))
    except (VideoError, TooLarge):
        return None
    return measure_encoded(frames, loop.mask.cpu(), fps) if len(frames) == len(loop) else None


def file_size(size: int) -> str:
    """A number of bytes, for people."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{max(1, round(size / 1e3))} kB"


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"'{folder}' cannot be created ({error.strerror}); choose another folder.") from None


@contextmanager
def progress_bar(stages: Mapping[str, float]) -> Iterator[Callable[[str, int, int], None]]:
    """Progress on standard error, one bar for the whole work; silent if that is not a terminal.

    stages: the work's, in their order, and about the seconds that each takes.
    """
    from tqdm import tqdm

    share = Share(stages)
    first = STAGES[next(iter(stages))].sentence
    form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}"
    with tqdm(total=1, desc=first, leave=False, disable=None, bar_format=form) as bar:

        def show(stage: str, done: int, total: int) -> None:
            bar.update(share(stage, done, total) - bar.n)
            if done == 0 and stage in STAGES:  # a server's job may wait in line
                bar.set_description_str(STAGES[stage].sentence)

        yield show


def peak_rss_mb() -> float | None:
    """Peak resident memory of this process so far, in MB; None if the system does not report it."""
    with suppress(OSError, StopIteration):  # Linux, where getrusage includes the parent's peak
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6, 1)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


class Unprinted(Exception):
    """Standard output does not take what is printed."""


def say(text: str, end: str = "\n") -> None:
    """Prints a result. Raises Unprinted, from an OSError."""
    try:
        print(text, end=end, flush=True)
    except OSError as error:
        raise Unprinted from error


def complain(message: str, code: int) -> int:
    """Prints an error in one line; returns the exit code."""
    with suppress(OSError):  # where standard error is full, nobody can be told
        print(f"stylecine: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code


def open_closed_streams() -> None:
    """Gives standard streams that the caller has closed, as `2>&-` does, to nowhere: the next file that is opened would
    otherwise get their number, and what libraries print would be written into it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


@contextmanager
def extra(name: str, command: str) -> Iterator[None]:
    """Imports inside may need an optional part of the package. Raises OptionError if that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        needs = f"{command} needs {error.name}, which is not installed"
        raise OptionError(f"{needs}; run pip install 'stylecine[{name}]'.") from None


def leave(code: int) -> NoReturn:
    """Ends the process with this exit code once other threads have ended, output is written, and what was registered
    with `atexit` has run.

    Python would then also free every object and library, PyTorch's among them, which takes a tenth of a second, aborts
    the process now and then after a Ctrl-C, and the system does it anyway. It may do so where it has something to
    complain about.
    """
    with suppress(OSError, ValueError, AttributeError):  # of a closed pipe, or none at all
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        with suppress(OSError):  # nobody can be told
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
