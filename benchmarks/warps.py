"""The three warps side by side: figures, and pictures of the middle of the loop.

    python benchmarks/warps.py PHOTO... --size 640 --pictures docs/images
"""

import argparse
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.mixing import FIGURES, Variant, figures, mean, picture
from benchmarks.tables import table, write
from stylecine import Animator

WARPS: dict[str, dict[str, Any]] = {
    "pixel": {"warp": "pixel"},
    "msdfw": {"warp": "msdfw"},
    "msdfw, detail=0": {"warp": "msdfw", "detail": 0.0},
    "dfw": {"warp": "dfw"},
}
COLUMNS = (*FIGURES, "seconds_per_frame")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--pictures", type=Path, help="folder for one picture a photo")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/warps.json"))
    options = parser.parse_args()
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
    write(options.out, json.dumps({"machine": machine(), "size": options.size, "rows": rows, "mean": means}, indent=1))
    report = table(means + rows, ("photo", "warp", *COLUMNS))
    write(options.out.with_suffix(".md"), report)
    print(report)


if __name__ == "__main__":
    main()
