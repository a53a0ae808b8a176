"""Rates, and H.264 as players have to be able to decode it: levels, reference frames, bit rates."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stylecine.options import FileOptions, parse_rate
from stylecine.output.codecs import check_encoding, h264_limits
from tests.outputs import write


def sps_of(path: Path) -> tuple[int, int]:
    """Level and number of reference frames in the sequence parameter set of a High profile H.264 file."""
    with av.open(str(path)) as container:
        extradata = container.streams.video[0].codec_context.extradata
    assert extradata is not None
    length = int.from_bytes(extradata[6:8], "big")
    sps = extradata[8 : 8 + length].replace(b"\0\0\3", b"\0\0")
    assert sps[1] == 100, "High"
    bits = "".join(f"{byte:08b}" for byte in sps[4:])

    def number() -> int:
        """An Exp-Golomb code."""
        nonlocal bits
        zeros = bits.index("1")
        code, bits = int(bits[zeros : 2 * zeros + 1], 2), bits[2 * zeros + 1 :]
        return code - 1

    number(), number(), number(), number()  # its id, the chroma format, two depths
    bits = bits[2:]  # lossless, scaling
    number(), number(), number()  # frame numbers, order of pictures
    return sps[3], number()


@pytest.mark.parametrize(
    ("size", "fps", "level"),
    [
        ((512, 340), 30, "3"),
        ((1024, 1024), 30, "3.2"),
        ((1536, 1024), 30, "4.1"),
        ((1920, 1080), 30, "4.1"),
        ((1080, 1920), 30, "4.1"),
        ((1920, 1080), 60, "4.2"),
        ((1080, 1920), 60, "4.2"),
        ((2560, 1440), 30, "5"),
        ((3840, 2160), 30, "5.1"),
        ((3840, 2160), 60, "5.2"),
        ((7680, 4320), 30, "6"),
        ((4240, 64), 30, "5"),  # a narrow one is as long as only higher levels allow
    ],
)
def test_the_lowest_level_that_fits(size: tuple[int, int], fps: float, level: str) -> None:
    assert h264_limits(*size, fps, False) == {"level": level}


def test_what_fits_no_level_has_none() -> None:
    assert h264_limits(16384, 16384, 30, True) == {}


@pytest.mark.parametrize(("size", "level"), [((1920, 1080), 41), ((64, 96), 30)])
def test_a_file_says_its_level(tmp_path: Path, size: tuple[int, int], level: int) -> None:
    frames = [np.full((size[1], size[0], 3), k, np.uint8) for k in range(2)]
    write(frames, tmp_path / "loop.mp4", 30)
    assert sps_of(tmp_path / "loop.mp4")[0] == level


@pytest.mark.parametrize(("count", "references"), [(17, 2), (69, 4), (70, 4), (300, 4)])
def test_no_loop_needs_more_than_four_references(tmp_path: Path, count: int, references: int) -> None:
    frames = [np.full((32, 32, 3), k % 200, np.uint8) for k in range(count)]
    write(frames, tmp_path / "loop.mp4", 30)
    assert sps_of(tmp_path / "loop.mp4")[1] == references


def test_the_finest_quality_keeps_to_its_level_s_bit_rate_and_is_the_same_each_time(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 192, 256, 3), dtype=np.uint8)
    made = []
    for name in ("one.mp4", "two.mp4"):
        write(list(noise), tmp_path / name, 120, quality=0)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    with av.open(str(tmp_path / "one.mp4")) as container:
        sizes = [packet.size * 8 for packet in container.demux(video=0)]
    assert sps_of(tmp_path / "one.mp4")[0] == 30
    assert sum(sizes) < 12.5e6 * (1 + 40 / 120), "a full buffer, and what comes in meanwhile"


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (119.88, Fraction(120000, 1001)),
        (parse_rate("30000/1001"), Fraction(30000, 1001)),
        (30, Fraction(30)),
        (24, Fraction(24)),
        (12.5, Fraction(25, 2)),
        (14.99, Fraction(1499, 100)),
        (24.98, Fraction(1249, 50)),
        (0.5, Fraction(1, 2)),
    ],
)
def test_rates_of_television_are_exact(fps: float, rate: Fraction) -> None:
    assert check_encoding("loop.mp4", fps, FileOptions()).rate == rate
