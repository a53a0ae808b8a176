"""The command `stylecine`. Heavy modules are imported inside the commands, so --help is instant.

Exit codes: 0 done; 2 a user's error, told in one line on standard error, no output left behind;
130 interrupted, 143 terminated, nothing half-written left; 1 anything else.
"""

import argparse
import io
import json
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

from stylecine import __version__
from stylecine.errors import OutputError, StylecineError, StylecineWarning
from stylecine.interrupts import Interrupts

if TYPE_CHECKING:
    from stylecine.cinemagraph import Cinemagraph
    from stylecine.files import VideoInfo
    from stylecine.scene import Scene
    from stylecine.weights import ModelRecord

Size = int | tuple[int, int] | None

PHOTOS = "JPEG, PNG, WebP, TIFF or HEIC"
INTERRUPTED = "Interrupted; nothing half-written is left. Run the command again."
LOOP = ("mask", "motion", "arrows", "seconds", "fps", "speed", "warp", "sampling", "detail")  # of animate and render


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    start = perf_counter()
    _wait_briefly()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be more than the terminal can show
    with Interrupts() as interrupts:
        try:
            options = parser().parse_args(argv)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # libraries talk to programmers; errors are told below
                return int(options.run(options, start))
        except (Exception, KeyboardInterrupt) as error:
            if interrupts.code:  # a library may have made another error of it
                return _complain(INTERRUPTED, interrupts.code)
            return _told(error)


def _told(error: BaseException) -> int:
    """Tells of what went wrong; the exit code."""
    if isinstance(error, _Usage | StylecineError):
        return _complain(str(error), 2)
    if isinstance(error, KeyboardInterrupt):
        return _complain(INTERRUPTED, 130)
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; keep the exit quiet
        return 1
    if os.environ.get("STYLECINE_DEBUG"):
        traceback.print_exception(error)
    first = (str(error).splitlines() or [""])[0]
    return _complain(f"Internal error: {type(error).__name__}: {first} (STYLECINE_DEBUG=1 shows where)", 1)


def _wait_briefly() -> None:
    """Has PyTorch's threads sleep soon when they wait for each other, unless PyTorch has been loaded already.

    GNU OpenMP has them spin for milliseconds, after each of thousands of small operations; as soon as another program
    uses a core they mostly spin.
    """
    if "torch" not in sys.modules and not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        os.environ["GOMP_SPINCOUNT"] = "1000"


def parser() -> argparse.ArgumentParser:
    top = _Parser(prog="stylecine", description="Turns one landscape photo into a seamless video loop.")
    top.add_argument("--version", action="version", version=f"stylecine {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)

    animate = commands.add_parser("animate", help="make a loop from a photo", description="Makes a loop from a photo.")
    animate.set_defaults(run=run_animate)
    animate.add_argument("photo", metavar="PHOTO", type=Path, help=PHOTOS)
    _add_output(animate, "the photo's name with .mp4, here")
    _add_motion_options(animate, "found in the photo")
    _add_inversion_options(animate)
    _add_loop_options(animate)
    _add_model_options(animate, "default")
    _add_file_options(animate)

    scene = commands.add_parser(
        "scene",
        help="save what is found in a photo, to touch it up",
        description="Saves what is found in a photo as a .cine file, to be edited and rendered.",
    )
    scene.set_defaults(run=run_scene)
    scene.add_argument("photo", metavar="PHOTO", type=Path, help=PHOTOS)
    scene.add_argument(
        "-o", "--output", metavar="SCENE", type=Path, help="(default: the photo's name with .cine, here)"
    )
    _add_inversion_options(scene)
    _add_model_options(scene, "default")

    edit = commands.add_parser(
        "edit",
        help="touch up a scene",
        description="Adds edits to a scene, in the order in which they are given. A STROKE is 'X,Y X,Y ... [@RADIUS]',"
        " in fractions of width and height and of the short side, or a picture that is white where it is meant.",
    )
    edit.set_defaults(run=run_edit, steps=[])
    edit.add_argument("scene", metavar="SCENE", type=Path, help=".cine file")
    edit.add_argument("-o", "--output", metavar="OUT", type=Path, help="another .cine file (default: the same)")
    for name, metavar, read, says in (
        ("--add", "CLASS:STROKE", _added, "sky, water, falls or smoke moves there"),
        ("--erase", "[CLASS:]STROKE", _erased, "it, or nothing, moves there"),
        ("--freeze", "STROKE", _frozen, "the photo stands still there, to the byte"),
        ("--arrow", "X0,Y0,X1,Y1", _pushed, "where matter travels in one second"),
        ("--anchor", "X,Y[@RADIUS]", _anchored, "matter rests there"),
        ("--speed", "WHAT=FACTOR", _sped, "a class or a STROKE, times as fast, 0 to 10"),
    ):
        edit.add_argument(name, metavar=metavar, type=read, action="append", dest="steps", help=says)
    edit.add_argument(
        "--undo", action="append_const", const=("undo", (), {}), dest="steps", help="take the last edit back"
    )
    edit.add_argument("--list", action="store_true", help="print the edits")

    render = commands.add_parser(
        "render", help="make a loop from a scene", description="Makes a loop from a scene, its edits included."
    )
    render.set_defaults(run=run_render)
    render.add_argument("scene", metavar="SCENE", type=Path, help=".cine file")
    _add_output(render, "the scene's name with .mp4, here")
    render.add_argument("--size", metavar="SIZE", type=int, help="a small, quick loop: its short side (default: whole)")
    _add_motion_options(render, "the scene's, edits included")
    _add_loop_options(render)
    _add_model_options(render, None)
    _add_file_options(render)

    models = commands.add_parser("models", help="list the models", description="Lists the models, and how to get them.")
    models.set_defaults(run=run_models)
    models.add_argument("--json", action="store_true", help="print JSON")

    convert = commands.add_parser(
        "convert",
        help="convert a StyleGAN2 checkpoint",
        description="Converts a StyleGAN2 checkpoint to .safetensors; nothing in it is executed.",
    )
    convert.set_defaults(run=run_convert)
    convert.add_argument("checkpoint", metavar="IN", type=Path, help="NVIDIA's .pkl or rosinality's .pt")
    convert.add_argument("output", metavar="OUT", type=Path, help=".safetensors file, or a name that `models` lists")

    measure = commands.add_parser("measure", help="measure a video loop", description="Measures a video loop.")
    measure.set_defaults(run=run_measure)
    measure.add_argument("video", metavar="VIDEO", type=Path)
    measure.add_argument("--json", action="store_true", help="print JSON")

    report = commands.add_parser(
        "report",
        help="print the report that a file carries",
        description="Prints the report that --embed-report left in a file, as JSON.",
    )
    report.set_defaults(run=run_report)
    report.add_argument("file", metavar="FILE", type=Path, help="video or picture")

    doctor = commands.add_parser("doctor", help="check the installation", description="Checks the installation.")
    doctor.set_defaults(run=run_doctor)
    doctor.add_argument("--json", action="store_true", help="print JSON")
    return top


def _add_output(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        help="a video, .mp4 or .webm; a picture that plays, .gif, .webp, .avif or .apng; a folder of PNG, without an"
        f" ending; or .png, the first frame (default: {default})",
    )


def _add_motion_options(command: argparse.ArgumentParser, default: str) -> None:
    what = command.add_argument_group(f"what moves, and how (default: {default})")
    what.add_argument("--mask", metavar="FILE", type=Path, help="picture, white moves")
    what.add_argument("--motion", metavar="FILE", type=Path, help=".npy [2,h,w]: pixels of its own grid per 1/30 s")
    what.add_argument(
        "--arrow",
        metavar="X0,Y0,X1,Y1",
        type=_arrow,
        action="append",
        default=[],
        dest="arrows",
        help="where matter travels in one second, in fractions of width and height; may be repeated",
    )


def _add_inversion_options(command: argparse.ArgumentParser) -> None:
    photo = command.add_argument_group("how the photo is read")
    photo.add_argument(
        "--size",
        metavar="SIZE",
        type=_size,
        default=1024,
        help="short side (never enlarged), WxH (cropped to fill) or own, the photo's; default 1024",
    )
    photo.add_argument(
        "--refine", metavar="K", type=int, default=0, help="optimisation steps of the inversion (default 0)"
    )
    photo.add_argument("--seed", metavar="N", type=int, default=0, help="of the noise that some foreign models use")


def _add_loop_options(command: argparse.ArgumentParser) -> None:
    loop = command.add_argument_group("the loop")
    loop.add_argument("--seconds", metavar="S", type=float, default=4.0, help="length of one loop (default 4)")
    loop.add_argument("--fps", metavar="F", type=float, default=30.0, help="frames per second (default 30)")
    loop.add_argument("--speed", metavar="S", type=float, default=1.0, help="times as fast (default 1)")
    loop.add_argument("--warp", metavar="NAME", default="msdfw", help="msdfw (default), dfw or pixel (no generator)")
    loop.add_argument("--sampling", metavar="NAME", default="gather", help="gather (default) or splat")
    loop.add_argument(
        "--detail", metavar="D", type=float, default=1.0, help="share of what the generator misses, 0 to 1"
    )


def _add_model_options(command: argparse.ArgumentParser, default: str | None) -> None:
    """default: the model's name; None for the scene's own."""
    works = command.add_argument_group("what it works with")
    own = "" if default else " (default: the one that the scene was made with)"
    works.add_argument(
        "--model",
        metavar="NAME",
        default=default,
        help=f"its name, or the path of a generator.safetensors or its folder{own}",
    )
    works.add_argument("--device", metavar="NAME", help="cpu or cuda (default: cuda where there is one)")


def _add_file_options(command: argparse.ArgumentParser) -> None:
    file = command.add_argument_group("the file and what is told")
    file.add_argument("--quality", metavar="Q", type=int, help="as the format counts it: docs/formats.md")
    file.add_argument("--codec", metavar="NAME", help="of a video, where its container takes several")
    file.add_argument("--repeat", metavar="N", type=int, default=1, help="times a video holds the loop (default 1)")
    file.add_argument("--crop", metavar="W:H[@X,Y]", help="the largest window of that shape; its middle, in fractions")
    file.add_argument("--embed-report", action="store_true", help="put what made the loop into the file's metadata")
    file.add_argument("--c2pa-cert", metavar="FILE", type=Path, help="sign by C2PA with this certificate chain (PEM)")
    file.add_argument("--c2pa-key", metavar="FILE", type=Path, help="and this private key (PEM)")
    file.add_argument("--preview", metavar="DIR", type=Path, help="also write mask, flow and contact sheet there")
    file.add_argument("--json", action="store_true", help="print figures and measures as one JSON object")


def run_animate(options: argparse.Namespace, start: float) -> int:
    output = options.output or Path(options.photo.stem + ".mp4")
    if output.exists() and options.photo.exists() and output.samefile(options.photo):
        raise OutputError(f"{output} is the photo itself; choose another output.")
    c2pa = _credentials(options)

    from stylecine.pipeline import animate

    imported = perf_counter() - start
    _check_files(output, options, c2pa)
    names = ("size", "refine", "seed", "model", "device", *LOOP)
    with _Bar() as bar:
        loop = animate(options.photo, **{name: getattr(options, name) for name in names}, progress=bar)
        info = _save(loop, output, options, c2pa)
    return _tell(loop, info, output, options, imported, start)


def run_scene(options: argparse.Namespace, start: float) -> int:
    output = options.output or Path(options.photo.stem + ".cine")

    from stylecine.cine import check_ending
    from stylecine.pipeline import Animator

    check_ending(output)
    with _Bar() as bar:
        animator = Animator.from_pretrained(options.model, options.device)
        scene = animator.invert(
            options.photo, size=options.size, refine=options.refine, seed=options.seed, progress=bar
        )
    scene.save(output)
    height, width = scene.photo.shape[:2]
    print(f"{output}: {width}x{height}, {float(scene.mask.mean()):.0%} moves, {perf_counter() - start:.1f} s")
    return 0


def run_edit(options: argparse.Namespace, start: float) -> int:
    from stylecine.cine import Cine, edit_cine, read_cine
    from stylecine.touchup import told

    def edited(scene: Cine) -> Cine:
        for name, values, named in options.steps:
            scene = getattr(scene, name)(*values, **named)
        return scene

    output = options.output or options.scene
    if options.steps or output != options.scene:
        scene = edit_cine(options.scene, edited, output)
    else:
        scene = read_cine(options.scene)
    if options.list:
        print("".join(f"{told(edit)}\n" for edit in scene.edits), end="")
    else:
        print(f"{output}: {len(scene.edits)} edit{'' if len(scene.edits) == 1 else 's'}")
    return 0


def run_render(options: argparse.Namespace, start: float) -> int:
    output = options.output or Path(options.scene.stem + ".mp4")
    c2pa = _credentials(options)

    from stylecine.pipeline import Animator
    from stylecine.scene import Scene

    imported = perf_counter() - start
    _check_files(output, options, c2pa)
    scene = Scene.load(options.scene)
    with warnings.catch_warnings(record=True) as doubts, _Bar() as bar:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", StylecineWarning)
        animator = Animator.from_pretrained(options.model or _model_of(scene), options.device)
        make = animator.render if options.size is None else partial(animator.preview, size=options.size)
        loop = make(scene, **{name: getattr(options, name) for name in LOOP}, progress=bar)
        info = _save(loop, output, options, c2pa)
    for doubt in doubts:
        _complain(str(doubt.message), 0)
    return _tell(loop, info, output, options, imported, start)


def _model_of(scene: "Scene") -> str:
    """The model that a scene was made with, or the default one where that is not installed."""
    from stylecine.weights import models

    return scene.model.name if any(m.name == scene.model.name and m.installed for m in models()) else "default"


def _credentials(options: argparse.Namespace) -> tuple[Path, Path] | None:
    if (options.c2pa_cert is None) != (options.c2pa_key is None):
        raise _Usage("--c2pa-cert and --c2pa-key go together; give both")
    return (options.c2pa_cert, options.c2pa_key) if options.c2pa_cert else None


def _check_files(output: Path, options: argparse.Namespace, c2pa: tuple[Path, Path] | None) -> None:
    """Says what cannot be written before any work."""
    from stylecine.formats import check_output
    from stylecine.signing import signer_for

    check_output(
        output,
        fps=options.fps,
        comment=options.embed_report,
        **_file_options(options),
    )
    if c2pa:
        signer_for(output, c2pa)
    if options.preview:
        _make_folder(options.preview)


def _save(
    loop: "Cinemagraph", output: Path, options: argparse.Namespace, c2pa: tuple[Path, Path] | None
) -> "VideoInfo":
    return loop.save(
        output,
        embed_report=options.embed_report,
        c2pa=c2pa,
        **_file_options(options),
    )


def _file_options(options: argparse.Namespace) -> dict[str, Any]:
    """What is both checked before the work and used after it."""
    return {name: getattr(options, name) for name in ("quality", "codec", "repeat", "crop")}


def _tell(
    loop: "Cinemagraph", info: "VideoInfo", output: Path, options: argparse.Namespace, imported: float, start: float
) -> int:
    """What became of it, and the preview's pictures."""
    if loop.warning:
        print(f"stylecine: {loop.warning}", file=sys.stderr)
    seconds = {"import": imported} | loop.timings | {"total": perf_counter() - start}
    if options.preview:
        from stylecine.preview import write_previews

        write_previews(options.preview, loop.scene.photo, loop.layers.cpu(), loop.motion.cpu(), loop)
    if options.json:
        print(json.dumps(figures(loop, info, seconds, output), allow_nan=False))
    else:
        frames = f"{info.frames} frame{'s' if info.frames > 1 else ''}"
        print(f"{output}: {info.width}x{info.height}, {frames}, {seconds['total']:.1f} s")
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


def run_models(options: argparse.Namespace, start: float) -> int:
    from stylecine.weights import models, models_folder

    found = models()
    if options.json:
        print(json.dumps([_model_facts(model) for model in found]))
        return 0
    for model in found:
        facts = _model_facts(model)
        terms = ", NON-COMMERCIAL" if model.accept else ""
        print(f"{model.name}: {model.resolution}x{model.resolution}, {model.licence}{terms}, {model.source}")
        state = "installed" if facts["installed"] else "not fetched yet"
        print(f"    {', '.join(filter(None, [model.about, state, 'inversion by ' + facts['inversion']]))}")
        for step in model.steps:
            print(f"    $ {step}")
    print(f"Converted models are kept in {models_folder()}.")
    return 0


def _model_facts(model: "ModelRecord") -> dict[str, Any]:
    return {
        "name": model.name,
        "resolution": model.resolution,
        "injection": model.injection,
        "about": model.about,
        "licence": model.licence,
        "non_commercial": bool(model.accept),
        "accept": model.accept,
        "source": model.source,
        "inversion": "encoder" if "encoder" in model.files else "optimisation",
        "installed": model.installed,
        "steps": model.steps,
    }


def run_convert(options: argparse.Namespace, start: float) -> int:
    from stylecine.convert import convert

    print(convert(options.checkpoint, options.output).path)
    return 0


def run_measure(options: argparse.Namespace, start: float) -> int:
    from stylecine.cinemagraph import plain
    from stylecine.measures import measure_video
    from stylecine.video import read_video

    frames, fps = read_video(options.video)
    found = {"frames": len(frames), "fps": fps} | measure_video(frames, fps)
    if options.json:
        print(json.dumps(plain(found), allow_nan=False))
    for name, figure in {} if options.json else found.items():
        print(f"{name:14}{figure:.4g}")
    return 0


def run_report(options: argparse.Namespace, start: float) -> int:
    from stylecine.provenance import read_report

    print(json.dumps(read_report(options.file), indent=2))
    return 0


def run_doctor(options: argparse.Namespace, start: float) -> int:
    from stylecine.doctor import examine

    findings = examine()
    if options.json:
        print(json.dumps([finding.__dict__ for finding in findings]))
    for finding in [] if options.json else findings:
        print(f"{'ok     ' if finding.good else 'PROBLEM'} {finding.what}: {finding.says}")
    return 0 if all(finding.good for finding in findings) else 1


class _Usage(Exception):
    """The command line itself is wrong."""


class _Parser(argparse.ArgumentParser):
    """Full option names only, and errors in one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise _Usage(f"{message} ({self.prog} --help tells more)")


class _Bar:
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


def _size(text: str) -> Size:
    if text == "own":
        return None
    try:
        numbers = [int(part) for part in text.lower().split("x")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    raise argparse.ArgumentTypeError(f"{text!r} is not a size like 1024, 1024x768 or own")


def _arrow(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not four numbers like 0.2,0.3,0.4,0.3")
    return numbers


Step = tuple[str, tuple[Any, ...], dict[str, Any]]  # a method of a scene, and what it is given


def _added(text: str) -> Step:
    what, where, named = _class_and_stroke(text)
    if what is None:
        raise argparse.ArgumentTypeError(f"{text!r} does not say what to add; put a class before it, like water:")
    return "paint", (what, where), named


def _erased(text: str) -> Step:
    what, where, named = _class_and_stroke(text)
    return "paint", (what, where), {"mode": "erase"} | named


def _frozen(text: str) -> Step:
    what, where, named = _class_and_stroke(text)
    if what not in (None, "all"):
        raise argparse.ArgumentTypeError(f"{text!r} names a class, but all is frozen; leave it out, or use --erase")
    return "paint", (None, where), {"mode": "freeze"} | named


def _pushed(text: str) -> Step:
    return "push", (_arrow(text),), {}


def _anchored(text: str) -> Step:
    points, named = _line(text)
    if len(points) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a point like 0.4,0.6, or 0.4,0.6@0.1 with its radius")
    return "anchor", (points[0],), named


def _sped(text: str) -> Step:
    what, _, factor = text.rpartition("=")
    try:
        times = float(factor)
    except ValueError:
        what = ""
    if not what:
        raise argparse.ArgumentTypeError(f"{text!r} is not like water=0.5")
    where, named = (what, {}) if what.isalpha() else _stroke(what)
    return "speed", (where, times), named


def _class_and_stroke(text: str) -> tuple[str | None, Any, dict[str, float]]:
    named = re.match(r"([A-Za-z]{2,}):", text)  # one letter is a drive, C:\
    return (named[1] if named else None), *_stroke(text[named.end() if named else 0 :])


def _stroke(text: str) -> tuple[Any, dict[str, float]]:
    """The points and the radius of a stroke, or the name of a mask's file."""
    points, named = _line(text)
    if not points and not os.path.exists(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a stroke like '0.4,0.6 0.5,0.6 @0.03', where no space follows a comma,"
            " nor a file that exists"
        )
    return points or text, named


def _line(text: str) -> tuple[list[list[float]], dict[str, float]]:
    """The points and the radius of 'X,Y X,Y ... [@RADIUS]'; no points for anything else."""
    line, at, radius = text.partition("@")
    try:
        points = [[float(number) for number in pair.split(",")] for pair in line.split()]
        named = {"radius": float(radius)} if at else {}
    except ValueError:
        return [], {}
    return (points, named) if all(len(point) == 2 for point in points) else ([], {})


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"'{folder}' cannot be made ({error.strerror}); choose another folder.") from None


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


def _complain(message: str, code: int) -> int:
    printable = "".join(c if c.isprintable() else " " for c in message)  # a terminal obeys what is not
    print(f"stylecine: {' '.join(printable.split())}", file=sys.stderr)
    return code
