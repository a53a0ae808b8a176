"""The three warps side by side: figures, and pictures of the middle of the loop.

    python benchmarks/warps.py PHOTO... --size 640 --pictures docs/images
"""

import sys
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from benchmarks.mixing import FIGURES, Variant, asked, figures, keep, mean, picture
from stylecine import Animator

WARPS: dict[str, dict[str, Any]] = {
    "pixel": {"warp": "pixel"},
    "msdfw": {"warp": "msdfw"},
    "msdfw, detail=0": {"warp": "msdfw", "detail": 0.0},
    "dfw": {"warp": "dfw"},
}
COLUMNS = (*FIGURES, "seconds_per_frame")


def main() -> None:
    options = asked(__doc__, "warps")
    animator, rows = Animator.from_pretrained(), []
    for path in tqdm(options.photos, disable=None):
        scene = animator.invert(path, size=options.size)
        loops = {name: animator.render(scene, **how) for name, how in WARPS.items()}
        ways = [Variant(name, len(loop), loop.__getitem__) for name, loop in loops.items()]
        for way in ways:
            start = perf_counter()
            way[7.5]
            taken = perf_counter() - start
            row = {"photo": path.stem, "warp": way.name, "seconds_per_frame": taken}
            rows.append(row | figures(way, loops["msdfw"]))
        if options.pictures:
            picture(loops["msdfw"], ways).save(options.pictures / f"warps_{path.stem}.jpg", quality=85)
    means = [{"photo": "mean", "warp": name} | mean(rows, COLUMNS, warp=name) for name in WARPS]
    keep(options, rows, means, ("photo", "warp", *COLUMNS))


if __name__ == "__main__":
    main()
