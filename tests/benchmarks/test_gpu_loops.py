"""The comparison of loops on two devices, here of a device with itself."""

from pathlib import Path

import pytest

from benchmarks.gpu_loops import compared, loops
from stylecine import Animator

MADE = loops(64)
NEEDS_MORE = {"mask", "wind", "style"}  # than any photo
SIMPLE = [name for name, (_, options) in MADE.items() if NEEDS_MORE.isdisjoint(options)]


@pytest.mark.slow
@pytest.mark.parametrize("name", SIMPLE)
def test_a_device_agrees_with_itself(animator: Animator, photo_file: Path, name: str) -> None:
    row = compared(animator, animator, photo_file, MADE[name][1], 64)
    assert row["agrees"] and row["largest"] == 0 and row["other_mask"] == 0, row


def test_what_cannot_be_made_does_not_agree(animator: Animator, photo_file: Path) -> None:
    row = compared(animator, animator, photo_file, {"seconds": "long"}, 64)
    assert not row["agrees"] and row["says"]
