"""Damaged and forged .cine files: `make soak`, or python -m benchmarks.fuzz_cine --cases 10000

Each case is the file of a small scene with parts overwritten, removed, inserted or copied from elsewhere: in the
archive itself, or in one member of an intact archive, so that the readers of JSON, PNG and tensors are reached. Opening
it must soon give a scene or a StylecineError of one line. Anything else is a failure, which Hypothesis reduces and
prints.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
import zipfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stylecine.edits.scene_file import Cine, pack, read_cine
from stylecine.errors import StylecineError

TIME_LIMIT = timedelta(seconds=5)
REPRODUCIBLE = settings(derandomize=True, database=None, suppress_health_check=list(HealthCheck))
MARKS = (b"\0", b"\xff", b"\x7f", b"\x80", b"[", b"-", b"9", b'"', b"e")  # that formats give a meaning to


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
        source={"name": "photo.jpg", "sha256": "ab" * 32, "warning": "", "wraps": False},
        settings={"size": "1024", "refine": 0, "seed": 7},
    )
    scene = scene.paint("falls", [[0.4, 0.7], [0.5, 0.7]]).paint(None, np.eye(64), "freeze").push((0.5, 0.9, 0.6, 0.9))
    return scene.anchor((0.3, 0.9)).speed("water", 2).speed((0.5, 0.5), 0.5)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with one to eight changes, often near its beginning, where headers are."""
    end = draw(st.sampled_from((64, 512, 4096, len(content))))
    for _ in range(draw(st.sampled_from((1, 1, 2, 8)))):
        at, source = (draw(st.integers(0, min(end, len(content)))) for _ in range(2))
        length = draw(st.sampled_from((1, 1, 2, 4, 8, 100)))
        copied = st.just(content[source : source + length])
        new = draw(st.sampled_from(MARKS) | st.binary(min_size=length, max_size=length) | copied | st.just(b""))
        removed = draw(st.sampled_from((len(new), 0))) if new else length
        content = content[:at] + new + content[at + removed :]
    return content


def archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as container:
        for name, content in members.items():
            container.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


@st.composite
def forged(draw: st.DrawFn, members: dict[str, bytes]) -> bytes:
    """An archive damaged as a whole, or with one damaged member."""
    if draw(st.integers(0, 9)) < 3:
        return draw(damaged(archive(members)))
    name = draw(st.sampled_from(sorted(members)))
    return archive(members | {name: draw(damaged(members[name]))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    options = parser.parse_args()
    counts, seconds = Counter[str](), [0.0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.cine"

        @settings(REPRODUCIBLE, max_examples=options.cases, deadline=TIME_LIMIT)
        @given(forged(pack(small_scene())))
        def is_opened_or_refused(content: bytes) -> None:
            path.write_bytes(content)
            start = time.perf_counter()
            try:
                _ = read_cine(path).edited
                counts["opened"] += 1
            except StylecineError as error:
                assert "\n" not in str(error)
                counts["refused"] += 1
            seconds.append(time.perf_counter() - start)

        is_opened_or_refused()
    print(f"{dict(counts)}; the slowest took {max(seconds):.2f} s")


if __name__ == "__main__":
    main()
