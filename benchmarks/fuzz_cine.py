"""Damaged and forged .cine files: `make soak`, or python -m benchmarks.fuzz_cine --cases 10000

Each case is a small scene's file with bytes changed, cut, doubled, swapped or put in: in the archive itself, or in one
of its members with the archive whole around it, so that what reads JSON, PNG and tensors is reached. Opening it must
give a scene or a StylecineError, quickly; anything else is a failure, and ends the run with the number of the case.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from random import Random

import numpy as np

from stylecine.edits.scene_file import Cine, pack, read_cine
from stylecine.errors import StylecineError

SLOW = 5.0  # seconds


def small_scene() -> Cine:
    """64 x 64 pixels, with edits of each kind."""
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    weights = {"generator": {"sha256": "0" * 64, "licence": "CC0-1.0"}}
    texts = {"name": "small", "injection": "b64.conv1", "licence": "CC0-1.0", "source": "here"}
    scene = Cine(
        photo=photo,
        reconstruction=photo,
        layers=rng.random((4, 64, 64)).astype(np.float32),
        motion=rng.normal(0, 1, (2, 16, 16)).astype(np.float32),
        w_plus=np.zeros((4, 512), np.float32),
        feature=rng.normal(0, 1, (2, 4, 4)).astype(np.float32),
        model=texts | {"resolution": 256, "weights": weights},
        source={"name": "photo.jpg", "sha256": "ab" * 32},
        settings={"size": "1024", "refine": 0, "seed": 7},
    )
    scene = scene.paint("falls", [[0.4, 0.7], [0.5, 0.7]]).paint(None, np.eye(64), "freeze").push((0.5, 0.9, 0.6, 0.9))
    return scene.anchor((0.3, 0.9)).speed("water", 2).speed((0.5, 0.5), 0.5)


def mutated(content: bytes, random: Random) -> bytes:
    """The same with one to eight changes."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8))):
        at = random.randrange(len(changed) + 1)
        length = random.choice((1, 1, 2, 4, 8, 100))
        match random.randrange(6):
            case 0:
                changed[at : at + length] = random.randbytes(len(changed[at : at + length]))
            case 1:
                changed[at : at + 1] = random.choice((b"\0", b"\xff", b"\x7f", b"\x80", b"[", b"-", b"9", b'"', b"e"))
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = random.randbytes(length)
            case 4:
                changed[at:at] = changed[at : at + length]
            case 5:
                other = random.randrange(len(changed) + 1)
                changed[at : at + length] = changed[other : other + length]
    return bytes(changed)


def archived(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def forged(members: dict[str, bytes], random: Random) -> bytes:
    """An archive damaged as a whole, or with one member damaged; more often at its beginning, where headers are."""
    if random.random() < 0.3:
        return mutated(archived(members), random)
    name = random.choice(list(members))
    content = members[name]
    head = min(len(content), random.choice((200, 2000, len(content))))
    return archived(members | {name: mutated(content[:head], random) + content[head:]})


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cases", type=int, default=10_000)
    cases = options.parse_args().cases
    members, opened, slowest = pack(small_scene()), 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.cine"
        for case in range(cases):
            path.write_bytes(forged(members, Random(case)))
            start = time.perf_counter()
            try:
                _ = read_cine(path).edited
                opened += 1
            except StylecineError as error:
                if "\n" in str(error):
                    sys.exit(f"case {case}: an error of several lines: {error}")
            except BaseException:
                print(f"case {case} of benchmarks/fuzz_cine.py failed:", file=sys.stderr)
                raise
            slowest = max(slowest, time.perf_counter() - start)
            if slowest > SLOW:
                sys.exit(f"case {case} took {slowest:.1f} s")
    print(f"{cases} files: {opened} opened, {cases - opened} refused, none otherwise; the slowest took {slowest:.2f} s")


if __name__ == "__main__":
    main()
