"""Checks what `make demo` left (figures), what was compiled, and what is tracked (sizes, cards, no machine's paths)."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av

from stylecine.ops import native
from stylecine.quality.measures import passes

MB = 1_000_000
REPOSITORY = Path(__file__).resolve().parent.parent
# Written so that this line does not find itself.
MACHINE_PATH = r"(^|[^A-Za-z0-9_.-])/(roo[t]|hom[e]|wor[k]|mn[t]|User[s])/"


def tracked() -> list[Path]:
    listing = subprocess.check_output(["git", "ls-files", "-z"], cwd=REPOSITORY, text=True)
    return [REPOSITORY / name for name in listing.split("\0") if name]


def demo() -> Iterator[str]:
    videos = sorted((REPOSITORY / "examples/out").glob("*.mp4"))
    if not videos:
        yield "make demo left no video"
    for video in videos:
        told = json.loads(video.with_suffix(".json").read_text())
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            frames = sum(1 for _ in container.decode(stream))
            there = (stream.codec_context.width, stream.codec_context.height, frames)
        figures = {
            "seam": told["seam"],
            "moved_error": told["moved"]["error"],
            "travel": told["moved"]["travel"],
            "static_drift": told["static_drift"],
            "first_frame_error": told["first_frame_error"],
        }
        good = passes({name: math.nan if value is None else value for name, value in figures.items()}) | {
            "the video is what the JSON says": there == (told["width"], told["height"], told["frames"]),
            "the loop is 4 s long": told["frames"] == 120,
            "no pulse": told["pulse"]["global"] <= 0.05,
            "the inversion resembles the photo": told["inversion"]["psnr"] > 20,
            "the time was measured": 0 < told["seconds"]["total"] < 300,
            "memory": told["peak_rss_mb"] < 3000,
            "the default model": told["model"] == "default",
        }
        yield from (f"{video.name}: not so: {name} ({told})" for name, is_so in good.items() if not is_so)


def compiled() -> Iterator[str]:
    """Here nothing may be left out quietly: a compiler is promised, and where there is nvcc every .cu is compiled."""
    for kind in ("cpu", "cuda"):
        if kind == "cuda" and not shutil.which("nvcc"):
            print("no nvcc: no CUDA library")
            continue
        if not (native.folder() / native.LIBRARIES[kind]).exists() or not native.available(kind):
            yield f"the native library for {kind} was not built: {native.why(kind)}"
        for source in (REPOSITORY / "cuda_ops").glob("*.cu" if kind == "cuda" else "*_cpu.cpp"):
            pattern = f"{source.name}.o" if kind == "cuda" else f"{source.stem}.*.o"
            if not any((REPOSITORY / "build").glob(f"native-*/{pattern}")):
                yield f"{source.name} was not compiled"


def sizes() -> Iterator[str]:
    files = tracked()
    total = sum(path.stat().st_size for path in files)
    print(f"{len(files)} tracked files, {total / MB:.1f} MB")
    if total >= 36 * MB:
        yield f"tracked files are {total / MB:.1f} MB together; at most 36"
    for path in files:
        if path.suffix == ".safetensors" and path.stat().st_size > 15 * MB:
            yield f"{path.name} is {path.stat().st_size / MB:.1f} MB; at most 15"


def cards() -> Iterator[str]:
    """Each weight file is named by a model card."""
    text = "".join(card.read_text() for card in (REPOSITORY / "pretrained/cards").glob("*.md"))
    for weights in (path for path in tracked() if path.suffix == ".safetensors"):
        if weights.name not in text:
            yield f"no card in pretrained/cards names {weights.name}"


def machine_paths() -> Iterator[str]:
    for path in tracked():
        content = path.read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
            if re.search(MACHINE_PATH, line):
                yield f"{path.relative_to(REPOSITORY)}:{number} names a machine's own path: {line.strip()}"


def main() -> None:
    problems = [problem for check in (demo, compiled, sizes, cards, machine_paths) for problem in check()]
    for problem in problems:
        print("FAILED:", problem)
    if problems:
        raise SystemExit(1)
    print("demo, library, sizes, cards and paths are as they should be")


if __name__ == "__main__":
    main()
