"""How well an encoded loop closes: size, error, seam and time by the encoder alone and by stylecine.

    python -m benchmarks.studies.encoding photos/*.jpg

Both encode the same frames in one process; the seam is measured on all decoded frames. Settings that were rejected are
in results/encoding-tried.md.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from benchmarks.machine import machine
from benchmarks.tables import RESULTS, save, table
from stylecine import Animator
from stylecine.output.codecs import CODECS, FORMATS
from stylecine.output.video import read_video, write_video

Row = dict[str, Any]

COLUMNS = ("photo", "codec", "size", "psnr_plain", "psnr", "seam_plain", "seam", "over_plain", "over", "s_plain", "s")

# The encoders' own behaviour at the same quality, as stylecine wrote H.264 and VP9 before it closed loops.
PLAIN = {
    "h264": {"preset": "veryfast"},
    "h265": {"preset": "fast", "x265-params": "log-level=none"},
    "vp9": {"b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"},
    "av1": {"preset": "8"},
}


def main() -> None:
    options = _options()
    os.environ.setdefault("SVT_LOG", "0")
    animator = Animator.from_pretrained()
    rows = []
    for path in options.photos:
        loop = animator.render(animator.invert(path, size=options.size), seconds=options.seconds)
        frames = [frame[: loop.height // 2 * 2, : loop.width // 2 * 2].copy() for frame in loop]
        for codec in options.codecs:
            plain = measure(frames, codec, partial(write_plain, frames, codec=codec))
            ours = measure(frames, codec, partial(write_video, frames, fps=30, codec=codec))
            row = {f"{name}_plain": value for name, value in plain.items()} | ours | {"size": ours["kb"] / plain["kb"]}
            rows.append({"photo": path.stem, "codec": codec} | row)
    result = {"machine": machine(), "size": options.size, "seconds": options.seconds, "rows": rows}
    save(options.out, result, markdown(result))


def measure(frames: Sequence[np.ndarray], codec: str, encode: Callable[[Path], Any]) -> Row:
    """kB, PSNR in dB, seam, the step over the seam in levels, and seconds."""
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
    psnr, seam = float(10 * np.log10(255**2 / error)), steps[0] / median if median else None
    return {"kb": kilobytes, "psnr": psnr, "seam": seam, "over": steps[0], "s": seconds}


def write_plain(frames: Sequence[np.ndarray], path: Path, codec: str) -> None:
    """By the encoder alone, at the default quality; colours are converted as stylecine does."""
    with av.open(str(path), "w", format=FORMATS[path.suffix].container) as container:
        options = {"crf": str(CODECS[codec].quality)} | PLAIN[codec]
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


def markdown(result: Mapping[str, Any]) -> str:
    where = result["machine"]
    return (
        f"{where['cpu']}, {where['cores']} cores; av {where['versions']['av']}; commit {where['commit']},"
        f" {where['date']}. Short side {result['size']}, {result['seconds']:g} s.\n\n"
        "`size`: of stylecine's file relative to the plain one. `seam`: the decoded step from the last frame to the"
        " first over the median step; empty if that is 0. `over`: that step, in levels of 255. `s`: seconds to"
        " encode.\n\n"
        + table(result["rows"], COLUMNS)
    )


def _step(a: np.ndarray, b: np.ndarray) -> float:
    return float((np.maximum(a, b) - np.minimum(a, b)).mean(dtype=np.float64))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS / "encoding.json")
    parser.add_argument("--size", type=int, default=1024, help="short side in pixels")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--codecs", nargs="+", choices=list(CODECS), default=list(CODECS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
