"""Whole loops on a GPU against those on the CPU: what animate() offers, photo by photo.

    python -m benchmarks.gpu_loops

Both devices render the same scene, inverted on the CPU: its frames agree if nearly none of their values are far apart.
Networks, which find plants and continue the picture, differ in their last bits, without TF32. The GPU inverts the photo
as well, and of that is told in what share of the photo it finds something else to move, and how long it takes from the
photo to the first frame, for the second time. Fails if one of the loops does not agree or cannot be made.
"""

import argparse
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import ROOT, machine
from benchmarks.tables import command_line, save, table, to_json, write
from benchmarks.timing import now
from stylecine import Animator, Cinemagraph, Scene
from stylecine.engine.wind_dial import WindDial

SECONDS = 2
TIMES = (0, 17, 41)  # of the frames that are compared
AWAY = 8  # levels: a value that differs by more is far away
MOST_AWAY = 0.002  # of all values, in loops that agree
COLUMNS = ("loop", "agrees", "within_a_level", "away", "largest", "other_mask", "cpu_seconds", "gpu_seconds", "says")

Row = dict[str, Any]


def cloth(size: int) -> np.ndarray:
    """A mask in the middle of the photo."""
    mask = np.zeros((size, size), bool)
    mask[size // 4 : size // 2, size // 4 : size // 2] = True
    return mask


def loops(size: int) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Of each loop the photo and the options of `Animator.render`."""
    in_wind = {"wind": (30, 0.8)}
    return {
        "sky and sea": ("sea", {}),
        "a lake": ("lake", {}),
        "a fall": ("waterfall", {}),
        "in the wind": ("lake", in_wind),
        "snow": ("lake", {"weather": "snow"} | in_wind),
        "rain": ("waterfall", {"weather": "rain"}),
        "fog at dusk": ("sea", {"weather": "fog", "style": "dusk"}),
        "night": ("lake", {"style": "night"}),
        "cloth": ("sea", {"subject": "cloth", "mask": cloth(size)} | in_wind),
        "arrows": ("sea", {"arrows": [(0.2, 0.2, 0.5, 0.25)]}),
        "generated anew": ("sea", {"warp": "dfw"}),
        "less detail": ("sea", {"detail": 0.5}),
        "splatting": ("sea", {"sampling": "splat"}),
    }


def main() -> None:
    options = _options()
    if not torch.cuda.is_available():
        raise SystemExit("There is no GPU here that PyTorch can use: nothing was compared.")
    torch.backends.cudnn.allow_tf32 = False
    cpu, gpu = (Animator.from_pretrained(device=name) for name in ("cpu", "cuda"))
    result: dict[str, Any] = {"machine": machine(), "size": options.size, "loops": []}
    for name, (photo, chosen) in loops(options.size).items():
        path = ROOT / f"examples/{photo}.jpg"
        result["loops"].append({"loop": name, "says": ""} | compared(cpu, gpu, path, chosen, options.size))
        write(options.out, to_json(result))
    report = f"{result['machine']['gpu']}, {options.size} pixels\n\n{table(result['loops'], COLUMNS)}"
    save(options.out, result, report)
    failed = [row["loop"] for row in result["loops"] if not row["agrees"]]
    if failed:
        raise SystemExit(f"Does not agree: {', '.join(failed)}.")


def compared(cpu: Animator, gpu: Animator, photo: Path, options: Mapping[str, Any], size: int) -> Row:
    """A row without its name; what failed, if it did."""
    row: Row = {}
    try:
        row["cpu_seconds"], scene, loop = timed_loop(cpu, photo, options, size)
        row["gpu_seconds"], own, _ = timed_loop(gpu, photo, options, size)
        row["other_mask"] = float(((own.mask.cpu() > 0.5) != (scene.mask > 0.5)).float().mean())
        other = gpu.render(scene, seconds=SECONDS, **options)
        a, b = (np.stack(list(each.frames(TIMES))).astype(np.int16) for each in (loop, other))
        use(other, gpu)
    except Exception as error:  # whatever it is, the others are to be compared
        traceback.print_exc()
        return row | {"agrees": False, "says": f"{type(error).__name__}: {error}"[:200]}
    apart = np.abs(a - b)
    away = float((apart > AWAY).mean())
    figures = {"within_a_level": float((apart <= 1).mean()), "away": away, "largest": int(apart.max())}
    return row | figures | {"agrees": away <= MOST_AWAY}


def timed_loop(
    animator: Animator, path: Path, options: Mapping[str, Any], size: int
) -> tuple[float, Scene, Cinemagraph]:
    """Seconds from the photo to a loop that is ready, when it is made for the second time; its scene and itself."""
    for _ in range(2):
        start = now(animator.device)
        scene = animator.invert(path, size=(size, size))
        loop = animator.render(scene, seconds=SECONDS, **options)
        loop[0]
    return now(animator.device) - start, scene, loop


def use(loop: Cinemagraph, animator: Animator) -> None:
    """What the studio asks of it: the web pack, a turned wind, measures."""
    if loop.settings["warp"] == "msdfw" and loop.settings["sampling"] == "gather":
        loop.live()
    if loop.settings.get("wind"):
        WindDial(loop, animator).turn((200, 0.5))
    assert np.isfinite(loop.seam)


def _options() -> argparse.Namespace:
    parser = command_line(__doc__, "gpu-loops")
    parser.add_argument("--size", type=int, default=512, help="side of the photos in pixels (default 512)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
