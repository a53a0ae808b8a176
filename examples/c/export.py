"""Saves a loop's arrays for a program without Python: python examples/c/export.py PHOTO FOLDER"""

import sys
from pathlib import Path

import numpy as np
import torch

import stylecine
from stylecine.engine.cinemagraph import Cinemagraph


def export(cinemagraph: Cinemagraph, folder: Path) -> None:
    """Writes loop.txt and the .npy files that render_loop reads. For sampling="gather" without warp="dfw"."""
    loop = cinemagraph.loop
    if loop.sampling != "gather" or loop.feature is not None:
        raise SystemExit('only loops with sampling="gather" and warp="msdfw" or "pixel" are one call a frame')
    displacement = loop.displacement
    arrays = {
        "photo": loop.photo,
        "moving": loop.moving,
        "positions": displacement.positions,
        "rates": displacement.rates,
        "sub_cycle": displacement.sub_cycle,
        "length": torch.tensor(displacement.lengths),
        "ramp": torch.tensor(displacement.ramps),
        "angle": loop.angle,
        "contrast_gain": loop.contrast_gain,
        "crossfade": loop.crossfade,
    } | {f"level_{i}": spline for i, spline in enumerate(loop.splines)}
    if displacement.swell is not None:
        arrays |= {"swell": displacement.swell, "swell_cycles": torch.tensor(displacement.swell_cycles).float()}
    arrays |= {} if displacement.stagger is None else {"stagger": displacement.stagger}
    if displacement.standing is not None:
        arrays |= {"standing": displacement.standing, "standing_share": torch.tensor(loop.standing_shares)}
    arrays |= {} if loop.light is None else {"light": loop.light}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.npy"):
        old.unlink()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array.cpu().contiguous().numpy())
    (folder / "loop.txt").write_text(
        f"frames {len(cinemagraph)}\nmargin {displacement.margin}\ncell {displacement.cell}\n"
        f"stride {displacement.stride:.9g}\nclocks {len(displacement.swell_cycles)}\n"
        f"staggered {int(displacement.stagger is not None)}\nstanding {int(displacement.standing is not None)}\n"
        f"lit {int(loop.light is not None)}\n"
    )


if __name__ == "__main__":
    photo, target = sys.argv[1:]
    export(stylecine.animate(photo), Path(target))
