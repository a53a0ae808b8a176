"""Labelled photos, read from a folder or a pack, which is one small file.

    python pretrained/recipes/data.py PHOTOS --out .pack/train.npz --split train.txt [--long-side 1024 --max-mb 26]

PHOTOS contains images/ID.jpg, labels/ID.png (0 static, 1 sky, 2 water, 3 falls, 4 smoke), hints/ID.json (arrows) and
the split files. A label in labels/ beside this file overrides the folder's.
"""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

OWN_LABELS = Path(__file__).parent / "labels"


@dataclass(frozen=True)
class Sample:
    """One labelled photo."""

    id: str
    photo: torch.Tensor  # uint8 [3,H,W]
    label: torch.Tensor  # uint8 [H,W]
    arrows: tuple[dict[str, Any], ...]  # {class, at: [x,y], to: [x,y]} in fractions of the sides


def load(path: Path, split: str = "train.txt") -> list[Sample]:
    """All samples of a pack (.npz), or of one split of a folder, decoded into memory."""
    entries = packed_entries(path) if path.suffix == ".npz" else folder_entries(path, split)
    return [decode(*entry) for entry in entries]


def folder_entries(folder: Path, split: str) -> list[tuple[str, bytes, bytes, str]]:
    return [(name, (folder / "images" / f"{name}.jpg").read_bytes(), label_of(folder, name).read_bytes(),
             (folder / "hints" / f"{name}.json").read_text()) for name in (folder / split).read_text().split()]


def label_of(folder: Path, name: str) -> Path:
    own = OWN_LABELS / f"{name}.png"
    return own if own.exists() else folder / "labels" / f"{name}.png"


def packed_entries(path: Path) -> list[tuple[str, bytes, bytes, str]]:
    with np.load(path, allow_pickle=False) as pack:
        names = str(pack["names"]).split()
        return [(n, pack[f"photo/{n}"].tobytes(), pack[f"label/{n}"].tobytes(), str(pack[f"hint/{n}"])) for n in names]


def decode(name: str, photo: bytes, label: bytes, hint: str) -> Sample:
    with Image.open(io.BytesIO(photo)) as image:
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()
    with Image.open(io.BytesIO(label)) as image:
        classes = torch.from_numpy(np.array(image.resize((pixels.shape[2], pixels.shape[1]), Image.Resampling.NEAREST)))
    return Sample(name, pixels, classes, tuple(json.loads(hint).get("arrows", ())))


def reduced(photo: bytes, long_side: int, quality: int, kind: str = "WEBP") -> bytes:
    with Image.open(io.BytesIO(photo)) as file:
        image = file.convert("RGB")
        image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, kind, quality=quality, method=4)
        return buffer.getvalue()


def pack(folder: Path, split: str, out: Path, long_side: int, max_bytes: int) -> None:
    """Writes the split as WebP photos, PNG labels and JSON arrows, in the best quality that stays below max_bytes."""
    entries = folder_entries(folder, split)
    for quality in (90, 85, 80, 70, 60, 50, 40):
        arrays: dict[str, Any] = {"names": np.array(" ".join(name for name, *_ in entries))}
        for name, photo, label, hint in entries:
            arrays[f"photo/{name}"] = np.frombuffer(reduced(photo, long_side, quality), np.uint8)
            arrays[f"label/{name}"] = np.frombuffer(label, np.uint8)
            arrays[f"hint/{name}"] = np.array(json.dumps({"arrows": json.loads(hint).get("arrows", [])}))
        if sum(a.nbytes for a in arrays.values()) < max_bytes:
            out.parent.mkdir(parents=True, exist_ok=True)
            np.savez(out, **arrays)
            print(f"{out}: {len(entries)} photos, quality {quality}, {out.stat().st_size / 1e6:.1f} MB")
            return
    raise SystemExit("The photos do not fit; choose a smaller --long-side.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, default=Path(".pack/train.npz"))
    parser.add_argument("--split", default="train.txt")
    parser.add_argument("--long-side", type=int, default=1024)
    parser.add_argument("--max-mb", type=float, default=26)
    options = parser.parse_args()
    pack(options.photos, options.split, options.out, options.long_side, int(options.max_mb * 1e6))


if __name__ == "__main__":
    main()
