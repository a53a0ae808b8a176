"""The player in a browser: difference to the engine's frames, size of packs and pages, and times.

    python -m benchmarks.player examples/sea.jpg examples/waterfall.jpg

The browser is headless Chromium whose WebGL is SwiftShader, a renderer on the CPU. So the times are those of a machine
without a GPU, and the differences those of its arithmetic.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.browser import Stage, chromium
from benchmarks.machine import machine
from benchmarks.tables import command_line
from stylecine import Animator, Cinemagraph

TIMES = (0.0, 1.0, 7.3, 30.0, 45.5, 60.0, 90.0, 113.0, 119.9)  # of 120 frames
RUNS = 3
FRAMES = 10

RENDERER = """() => {
  const gl = canvas.getContext("webgl2"), info = gl.getExtension("WEBGL_debug_renderer_info");
  return gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
}"""
# Reading a pixel waits for all drawing before it.
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
    options = command_line(__doc__, "player")
    options.add_argument("photos", metavar="PHOTO", type=Path, nargs="+")
    options.add_argument("--size", type=int, default=1024, help="both sides; photos are cropped to fill it")
    args = options.parse_args()
    animator = Animator.from_pretrained(device="cpu")
    with chromium() as browser:
        rows = []
        for photo in args.photos:
            loop = animator.render(animator.invert(photo, size=(args.size, args.size)))
            stage = Stage(browser)
            rows.append({"photo": photo.name} | sizes(loop) | times(stage, loop) | {"frames": differences(stage, loop)})
            stage.page.close()
            print(json.dumps(rows[-1], indent=1))
        header = {"machine": machine(), "browser": browser.version, "renderer": renderer(browser), "size": args.size}
    args.out.write_text(json.dumps(header | {"rows": rows}, indent=1) + "\n")


def sizes(loop: Cinemagraph) -> dict[str, Any]:
    """Bytes of the pack and of the page, and the milliseconds each takes to make."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "loop.html"
        page_ms = median_ms(lambda: loop.save(page))
        return {
            "moving": round(float((loop.mask > 0).float().mean()), 3),
            "pack_bytes": len(loop.live()),
            "pack_ms": median_ms(loop.live),
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
        "engine_frame_ms": median_ms(lambda: loop[7.3]),
    }


def differences(stage: Stage, loop: Cinemagraph) -> list[dict[str, Any]]:
    """Difference between the player's pixels and the engine's, in levels of 255."""
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


def median_ms(work: Callable[[], Any]) -> float:
    """Median duration of a few runs, in milliseconds."""
    times = []
    for _ in range(RUNS):
        start = perf_counter()
        work()
        times.append(1000 * (perf_counter() - start))
    return round(median(times), 1)


def renderer(browser: Any) -> str:
    return str(Stage(browser).page.evaluate(RENDERER))


if __name__ == "__main__":
    main()
