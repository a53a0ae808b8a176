"""Checks the figures of `make demo`, what was compiled, and the tracked files: sizes, model cards, no local paths."""

import json
import math
import os
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
TRACKED_MB = 80
WEIGHTS_MB = 20
RESULT_KB = 40
PYTHON_LINES = 30_809  # of stylecine/: what is deleted makes room, and this is lowered with it
NVCC = [os.environ["NVCC"]] if os.environ.get("NVCC") else ["nvcc", "/usr/local/cuda/bin/nvcc"]
# Home and working directories, and temporary folders of test runs; written so that this line does not match itself.
MACHINE_PATH = rb"(?:^|[^A-Za-z0-9_.-])/(?:(?:roo[t]|hom[e]|wor[k]|mn[t]|User[s])/|tm[p]/(?:pytest|bash)[-_])"


def tracked() -> list[Path]:
    listing = subprocess.check_output(["git", "ls-files", "-z"], cwd=REPOSITORY, text=True)
    return [REPOSITORY / name for name in listing.split("\0") if name]


def demo() -> Iterator[str]:
    videos = sorted((REPOSITORY / "examples/out").glob("*.mp4"))
    if not videos:
        yield "make demo left no video"
    for video in videos:
        report = json.loads(video.with_suffix(".json").read_text())
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            frames = sum(1 for _ in container.decode(stream))
            actual = (stream.codec_context.width, stream.codec_context.height, frames)
        figures = {
            "seam": report["seam"],
            "moved_error": report["moved"]["error"],
            "travel": report["moved"]["travel"],
            "static_drift": report["static_drift"],
            "first_frame_error": report["first_frame_error"],
        }
        good = passes({name: math.nan if value is None else value for name, value in figures.items()}) | {
            "the video matches the JSON": actual == (report["width"], report["height"], report["frames"]),
            "the loop is 4 s long": report["frames"] == 120,
            "the loop does not pulse": report["pulse"]["global"] <= 0.05,
            "less than five minutes": 0 < report["seconds"]["total"] < 300,
            "less than 3 GB of memory": report["peak_rss_mb"] < 3000,
            "the default model": report["model"] == "default",
        }
        yield from (f"{video.name}: does not hold: {name} ({report})" for name, holds in good.items() if not holds)


def compiled() -> Iterator[str]:
    """A C++ compiler is required here; wherever there is nvcc, every .cu has to compile too."""
    for kind in ("cpu", "cuda"):
        if kind == "cuda" and not any(map(shutil.which, NVCC)):
            print("no nvcc: no CUDA library")
            continue
        if not (native.folder() / native.LIBRARIES[kind]).exists() or not native.available(kind):
            yield f"the native library for {kind} was not built: {native.why(kind)}"
        for source in (REPOSITORY / "cuda_ops").glob("*.cu" if kind == "cuda" else "*_cpu.cpp"):
            pattern = f"{source.name}.o" if kind == "cuda" else f"{source.stem}.*.o"
            if not any((REPOSITORY / "build").glob(f"native-*/{pattern}")):
                yield f"{source.name} was not compiled"


def sizes() -> Iterator[str]:
    size = {path: path.stat().st_size for path in tracked()}
    total = sum(size.values())
    print(f"{len(size)} tracked files, {total / MB:.1f} MB")
    if total > TRACKED_MB * MB:
        yield f"tracked files are {total / MB:.1f} MB together; at most {TRACKED_MB}"
    for path, length in size.items():
        if path.suffix == ".safetensors" and length > WEIGHTS_MB * MB:
            yield f"{path.name} is {length / MB:.1f} MB; at most {WEIGHTS_MB}"
        if path.is_relative_to(REPOSITORY / "benchmarks/results") and length > RESULT_KB * 1000:
            yield f"benchmarks/results/{path.name} is {length / 1000:.0f} kB; at most {RESULT_KB}: keep the table"


def lines() -> Iterator[str]:
    package = [path for path in tracked() if path.is_relative_to(REPOSITORY / "stylecine") and path.suffix == ".py"]
    total = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in package)
    print(f"{total} lines of Python in stylecine")
    if total > PYTHON_LINES:
        yield f"stylecine has {total} lines of Python; at most {PYTHON_LINES}: make it do the same with fewer"


def cards() -> Iterator[str]:
    """Each weight file is named by a model card."""
    folders = REPOSITORY / "pretrained/cards", REPOSITORY / "benchmarks"
    text = "".join(card.read_text() for folder in folders for card in folder.glob("*.md"))
    for weights in (path for path in tracked() if path.suffix == ".safetensors"):
        if weights.name not in text:
            yield f"no card names {weights.name}"


def machine_paths() -> Iterator[str]:
    """Text and the metadata of weights, images and videos alike."""
    for path in tracked():
        for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
            if found := re.search(MACHINE_PATH + rb"[ -~]*", line):
                yield f"{path.relative_to(REPOSITORY)}:{number} names a local path: {found[0].decode()}"


def main() -> None:
    problems = [problem for check in (demo, compiled, sizes, lines, cards, machine_paths) for problem in check()]
    for problem in problems:
        print("FAILED:", problem)
    if problems:
        raise SystemExit(1)
    print("demo, library, sizes, cards and paths: all good")


if __name__ == "__main__":
    main()
