"""Loops in a browser: how far its frames are from the engine's, how large packs and pages are, how long it all takes.

    python -m benchmarks.player examples/sea.jpg examples/waterfall.jpg

The browser is a Chromium without a screen whose WebGL is SwiftShader, a renderer that runs on the CPU. So times say how
a machine without graphics fares, and nothing of one that has it; differences are those of its arithmetic.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.browser import Stage, chromium
from benchmarks.machine import ROOT, machine
from stylecine import Animator, Cinemagraph

TIMES = (0.0, 1.0, 7.3, 30.0, 45.5, 60.0, 90.0, 113.0, 119.9)  # of 120 frames
RUNS = 3
FRAMES = 10

RENDERER = """() => {
  const gl = canvas.getContext("webgl2"), info = gl.getExtension("WEBGL_debug_renderer_info");
  return gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
}"""
# Reading a pixel waits for all that has been asked for before.
FIRST = """async () => {
  const pack = await (await fetch("pack")).arrayBuffer(), gl = canvas.getContext("webgl2"), start = performance.now();
  await player.load(pack);
  player.render(1);
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return performance.now() - start;
}"""
LATER = """times => times.map(t => {
  const gl = canvas.getContext("webgl2"), start = performance.now();
  player.render(t);
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return performance.now() - start;
})"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("photos", metavar="PHOTO", type=Path, nargs="+")
    options.add_argument("--size", type=int, default=1024, help="both sides; photos are cropped to fill it")
    options.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/player.json")
    given = options.parse_args()
    animator = Animator.from_pretrained(device="cpu")
    with chromium() as browser:
        rows = []
        for photo in given.photos:
            loop = animator.render(animator.invert(photo, size=(given.size, given.size)))
            stage = Stage(browser)
            rows.append({"photo": photo.name} | sizes(loop) | times(stage, loop) | {"frames": differences(stage, loop)})
            stage.page.close()
            print(json.dumps(rows[-1], indent=1))
        header = {"machine": machine(), "browser": browser.version, "renderer": renderer(browser), "size": given.size}
    given.out.write_text(json.dumps(header | {"rows": rows}, indent=1) + "\n")


def sizes(loop: Cinemagraph) -> dict[str, Any]:
    """Bytes of the pack and of the page, and how long each takes to make."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "loop.html"
        page_ms = took(lambda: loop.save(page))
        return {
            "moving": round(float((loop.mask > 0).float().mean()), 3),
            "pack_bytes": len(loop.live()),
            "pack_ms": took(loop.live),
            "page_bytes": page.stat().st_size,
            "page_ms": page_ms,
        }


def times(stage: Stage, loop: Cinemagraph) -> dict[str, Any]:
    """Milliseconds from load() to the first frame that is not the photo, of a frame, and of one of the engine's."""
    stage.packs["pack"] = loop.live()
    first = stage.page.evaluate(FIRST)
    later = stage.page.evaluate(LATER, [7 + 11 * k for k in range(FRAMES)])
    return {
        "first_frame_ms": round(first),
        "frame_ms": round(median(later), 1),
        "engine_frame_ms": took(lambda: loop[7.3]),
    }


def differences(stage: Stage, loop: Cinemagraph) -> list[dict[str, Any]]:
    """Levels between the player's pixels and the engine's."""
    moves, rows = loop.loop.moving.numpy() > 0, []
    for t in TIMES:
        off = np.abs(stage.frame(t).astype(int) - loop[t])
        rows.append(
            {
                "t": t,
                "mean": round(float(off[moves].mean()), 4),
                "p99": float(np.percentile(off[moves], 99)),
                "max": int(off[moves].max()),
                "static_max": int(off[~moves].max(initial=0)),
            }
        )
    return rows


def took(work: Callable[[], Any]) -> float:
    """Median milliseconds."""
    taken = []
    for _ in range(RUNS):
        start = perf_counter()
        work()
        taken.append(1000 * (perf_counter() - start))
    return round(median(taken), 1)


def renderer(browser: Any) -> str:
    return str(Stage(browser).page.evaluate(RENDERER))


if __name__ == "__main__":
    main()
