"""How a loop's end meets its beginning once encoded: size, error, seam and time, plain and as stylecine does it.

    python benchmarks/encoding.py photos/*.jpg
    python benchmarks/encoding.py photos/*.jpg --size 512 --tried --out benchmarks/results/encoding-tried.json

All in one process, from the same frames; `seam` is of decoded frames, every one of them looked at. With --tried a table
of what else was tried follows, for the same photos.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from benchmarks.machine import machine
from benchmarks.tables import table, write
from stylecine import Animator
from stylecine.output.codecs import CODECS, FORMATS
from stylecine.output.video import read_video, write_video

Row = dict[str, Any]

COLUMNS = ("photo", "codec", "size", "psnr_plain", "psnr", "seam_plain", "seam", "over_plain", "over", "s_plain", "s")
TRIED_COLUMNS = ("codec", "what", "size", "psnr", "seam_median", "seam_worst", "over", "jerk", "s")

# What each encoder does by itself at the same quality: as stylecine wrote H.264 and VP9 before it closed loops.
PLAIN = {
    "h264": {"preset": "veryfast"},
    "h265": {"preset": "fast", "x265-params": "log-level=none"},
    "vp9": {"b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"},
    "av1": {"preset": "8"},
}
_PARAMS = "b-adapt=0:scenecut=0:weightb=1:bframes=16:ref=7:"
_REACH = {"preset": "veryfast", "x264-params": _PARAMS + "b-pyramid=none:keyint=infinite"}
_REACH_265 = {"preset": "fast", "x265-params": _PARAMS + "b-pyramid=0:keyint=-1:rc-lookahead=30:log-level=none"}
_GOOD = {"b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}
_DELAY = "keyint=-1:pred-struct=1:hierarchical-levels=2"
_FLAT = "use-fixed-qindex-offsets=1:qindex-offsets=[0,0,0,0,0,0]:key-frame-qindex-offset=-10:aq-mode=0"

# codec, what it is, options beside the quality, whether the last frames are pulled towards the decoded frame 0
TRIED: tuple[tuple[str, str, dict[str, str], bool], ...] = (
    ("h264", "plain, last frames pulled", PLAIN["h264"], True),
    ("h264", "preset fast", {"preset": "fast"}, False),
    ("h264", "tune grain", {"preset": "veryfast", "tune": "grain"}, False),
    ("h264", "no B frames", {"preset": "veryfast", "bf": "0"}, False),
    ("h264", "no macroblock tree", {"preset": "veryfast", "x264-params": "mbtree=0"}, False),
    ("h264", "one quantiser for I, P, B", {"preset": "veryfast", "x264-params": "ipratio=1:pbratio=1:mbtree=0"}, False),
    ("h264", "the I frame coarser", {"preset": "veryfast", "x264-params": "ipratio=0.7"}, False),
    ("h264", "intra refresh", {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=30"}, False),
    ("h264", "no adaptive quantiser", {"preset": "veryfast", "x264-params": "aq-mode=0"}, False),
    ("h264", "no psychovisual decisions", {"preset": "veryfast", "x264-params": "psy=0"}, False),
    ("h264", "no weighted prediction", {"preset": "veryfast", "x264-params": "weightp=0"}, False),
    ("h264", "small dead zones", {"preset": "veryfast", "x264-params": "deadzone-inter=6:deadzone-intra=4"}, False),
    ("h264", "16 B frames, 7 references", _REACH, False),
    ("h264", "and last frames pulled", _REACH, True),
    ("h264", "and a longer look ahead", _REACH | {"x264-params": _PARAMS + "b-pyramid=none:rc-lookahead=30"}, True),
    ("h265", "plain, last frames pulled", PLAIN["h265"], True),
    ("h265", "16 B frames, 7 references", _REACH_265, False),
    ("h265", "and last frames pulled", _REACH_265, True),
    ("vp9", "plain, last frames pulled", PLAIN["vp9"], True),
    ("vp9", "cpu-used 6", PLAIN["vp9"] | {"cpu-used": "6"}, False),
    ("vp9", "cpu-used 5", PLAIN["vp9"] | {"cpu-used": "5"}, False),
    ("vp9", "cpu-used 4", PLAIN["vp9"] | {"cpu-used": "4"}, False),
    ("vp9", "deadline good, cpu-used 5", _GOOD, False),
    ("vp9", "deadline good, alternate references", _GOOD | {"auto-alt-ref": "6", "lag-in-frames": "25"}, False),
    ("av1", "preset 6", {"preset": "6"}, False),
    ("av1", "preset 4", {"preset": "4"}, False),
    ("av1", "a hierarchy of 8 frames", {"preset": "8", "svtav1-params": "keyint=-1:hierarchical-levels=3"}, False),
    ("av1", "no temporal filter", {"preset": "8", "svtav1-params": "keyint=-1:enable-tf=0"}, False),
    ("av1", "no adaptive quantiser", {"preset": "8", "svtav1-params": "keyint=-1:aq-mode=0"}, False),
    ("av1", "variance boost", {"preset": "8", "svtav1-params": "keyint=-1:enable-variance-boost=1"}, False),
    ("av1", "low delay", {"preset": "8", "svtav1-params": _DELAY}, False),
    ("av1", "low delay, quantiser 10", {"preset": "8", "crf": "10", "svtav1-params": f"{_DELAY}:{_FLAT}"}, True),
)


def main() -> None:
    options = _options()
    os.environ.setdefault("SVT_LOG", "0")
    animator = Animator.from_pretrained()
    result: Row = {"machine": machine(), "size": options.size, "seconds": options.seconds, "rows": [], "tried": []}
    tried: list[Row] = []
    for path in options.photos:
        loop = animator.render(animator.invert(path, size=options.size), seconds=options.seconds)
        frames = [frame[: loop.height // 2 * 2, : loop.width // 2 * 2].copy() for frame in loop]
        for codec in options.codecs:
            before, after = compare(frames, codec)
            result["rows"].append({"photo": path.stem, "codec": codec} | joined(before, after))
            if options.tried:
                ways = {"plain": before, **others(frames, codec), "as stylecine does it": after}
                tried += [{"codec": codec, "what": what} | relative(before, row) for what, row in ways.items()]
        result["tried"] = summary(tried)
        write(options.out, json.dumps(result, indent=1) + "\n")
    report = markdown(result)
    write(options.out.with_suffix(".md"), report)
    print(report)


def compare(frames: Sequence[np.ndarray], codec: str) -> tuple[Row, Row]:
    """A loop as the encoder does it by itself, and as stylecine does it."""
    return (
        measured(frames, codec, partial(write_plainly, frames, codec=codec, told=PLAIN[codec])),
        measured(frames, codec, partial(write_video, frames, fps=30, codec=codec)),
    )


def others(frames: Sequence[np.ndarray], codec: str) -> dict[str, Row]:
    """What else was tried, by name."""
    rows = {}
    for _, what, told, pulled in (way for way in TRIED if way[0] == codec):
        encode = partial(pulling if pulled else write_plainly, frames, codec=codec, told=told)
        rows[what] = measured(frames, codec, encode)
    if codec == "h264":
        rows["frame 0 made from the end of a first turn"] = measured(frames, codec, partial(preroll, frames))
    return rows


def measured(frames: Sequence[np.ndarray], codec: str, encode: Callable[[Path], Any]) -> Row:
    """kB, PSNR in dB, seam, the step over the seam in levels, the largest step over the median one, seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"loop{next(ending for ending, form in FORMATS.items() if codec in form.codecs)}"
        start = time.perf_counter()
        encode(path)
        seconds = time.perf_counter() - start
        decoded, kilobytes = read_video(path)[0], path.stat().st_size / 1e3
    assert len(decoded) == len(frames)
    steps = [_step(decoded[t - 1], decoded[t]) for t in range(len(decoded))]  # the first is over the seam
    median = float(np.median(steps))
    error = np.mean([np.square(a.astype(np.float32) - b).mean() for a, b in zip(decoded, frames, strict=True)])
    return {
        "kb": kilobytes,
        "psnr": float(10 * np.log10(255**2 / error)),
        "seam": steps[0] / median if median else None,
        "over": steps[0],
        "jerk": max(steps[1:]) / median if median else None,
        "s": seconds,
    }


def write_plainly(frames: Sequence[np.ndarray], path: Path, codec: str, told: Mapping[str, str]) -> None:
    """By the encoder alone, at the default quality; colours converted as stylecine does."""
    with av.open(str(path), "w", format=FORMATS[path.suffix].container) as container:
        options = {"crf": str(CODECS[codec].quality)} | dict(told)
        stream: Any = container.add_stream(CODECS[codec].encoder, rate=30, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = Colorspace.ITU709, ColorRange.MPEG
        for t, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.AREA,
            )
            picture.pts = t
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def pulling(frames: Sequence[np.ndarray], path: Path, codec: str, told: Mapping[str, str]) -> None:
    """As stylecine does it, but with other options for the encoder, and no hidden frames."""
    usual = CODECS[codec]
    options = {"crf": str(usual.quality)} | dict(told)
    CODECS[codec] = replace(usual, options=lambda quality, count: options, hidden=False)
    try:
        write_video(frames, path, 30, codec=codec)
    finally:
        CODECS[codec] = usual


def preroll(frames: Sequence[np.ndarray], path: Path) -> None:
    """The beginning of a second turn, decoded, stands for frame 0, finely coded: both ends have come the same way."""
    first = path.with_stem("first")
    write_plainly([*frames, frames[0]], first, "h264", PLAIN["h264"])
    again = read_video(first)[0][-1]
    write_plainly([again, *frames[1:]], path, "h264", PLAIN["h264"] | {"x264-params": "zones=0,0,q=8"})


def joined(before: Row, after: Row) -> Row:
    row = {f"{name}_plain": before[name] for name in before} | after
    return row | {"size": after["kb"] / before["kb"]}


def relative(before: Row, figures: Row) -> Row:
    return figures | {"size": figures["kb"] / before["kb"], "psnr": figures["psnr"] - before["psnr"]}


def summary(tried: Sequence[Row]) -> list[Row]:
    """Over all photos: means, and of the seam the median and the worst, infinite where all else stands still."""
    rows = []
    for codec, what in dict.fromkeys((row["codec"], row["what"]) for row in tried):
        mine = [row for row in tried if (row["codec"], row["what"]) == (codec, what)]
        seams = [np.inf if row["seam"] is None else row["seam"] for row in mine]
        jerks = [row["jerk"] for row in mine if row["jerk"] is not None]
        means = {name: float(np.mean([row[name] for row in mine])) for name in ("size", "psnr", "over", "s")}
        ends = {"seam_median": _finite(np.median(seams)), "seam_worst": _finite(max(seams))}
        rows.append(
            {"codec": codec, "what": what} | means | ends | {"jerk": float(np.median(jerks)) if jerks else None}
        )
    return rows


def markdown(result: Mapping[str, Any]) -> str:
    where = result["machine"]
    lines = [
        f"{where['cpu']}, {where['cores']} cores; av {where['versions']['av']}; commit {where['commit']},",
        f" {where['date']}. Short side {result['size']}, {result['seconds']:g} s.\n\n",
        "`size`: of stylecine's file over the plain one. `seam`: the decoded step from the last frame to the first",
        " over the median step; empty where that is 0. `over`: that step, in levels of 255. `s`: seconds to encode.",
        "\n\n",
        table(result["rows"], COLUMNS),
    ]
    if result["tried"]:
        lines += [
            "\n## What was tried\n\nMeans over the photos; `size` and `psnr` against the plain file; `jerk`: the",
            " largest step inside the loop over the median one, median over the photos. An empty seam: infinite.\n\n",
            table(result["tried"], TRIED_COLUMNS),
        ]
    return "".join(lines)


def _step(a: np.ndarray, b: np.ndarray) -> float:
    return float((np.maximum(a, b) - np.minimum(a, b)).mean(dtype=np.float64))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/encoding.json"))
    parser.add_argument("--size", type=int, default=1024, help="short side in pixels")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--codecs", nargs="+", choices=list(CODECS), default=list(CODECS))
    parser.add_argument("--tried", action="store_true", help="what else was tried, too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
