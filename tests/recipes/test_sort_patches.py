"""Patches of what stands before the sky or in water: which are found, shown and sorted."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def patches(recipe):  # type: ignore[no-untyped-def]
    return recipe("sort_patches")


def test_small_places_that_stand_with_sky_or_water_around_are_patches(patches) -> None:  # type: ignore[no-untyped-def]
    moves = np.ones((200, 300), bool)
    moves[150:] = False  # land
    moves[60:70, 100:110] = moves[20:40, 200:215] = False  # in the sky
    moves[140:150, 50:54] = False  # joined to the land
    moves[0:12, 10:20] = False  # at the frame
    moves[100, 40] = False  # tiny
    moves[110:120, 250:260] = False  # in water
    sky = np.ones_like(moves)
    sky[105:] = False

    def middles(around: np.ndarray) -> list[list[float]]:
        numbers, found = patches.patches_in(moves, around)
        return [np.argwhere(numbers == number).mean(0).tolist() for number in found]

    assert middles(sky) == [[29.5, 207], [64.5, 104.5]], "the largest first"
    assert middles(~sky) == [[114.5, 254.5]]


def test_a_patch_is_shown_as_it_is_and_outlined(patches) -> None:  # type: ignore[no-untyped-def]
    photo, patch = np.full((400, 600, 3), 120, np.uint8), np.zeros((400, 600), bool)
    patch[2:12, 580:590] = True  # in a corner
    photo[patch] = 250
    plain, outlined = np.split(np.asarray(patches.shown(photo, patch)).astype(int), 2, axis=1)
    assert plain.max() > 240 and np.ptp(plain, axis=-1).max() < 5
    differs = np.argwhere(np.abs(outlined - plain).max(-1) > 60)
    top, left, bottom, right = *differs.min(0), *differs.max(0)
    assert top < 10 and bottom < 40 and left > 100 and right < 160, "around the patch alone"


def test_letters_become_codes(patches, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    numbers = np.zeros((40, 60), np.int32)
    for number in range(1, 5):
        numbers[10:15, 10 * number : 10 * number + 5] = number
    np.savez(tmp_path / "a.npz", numbers=numbers, patches=[2, 3, 4])  # 1 is land
    (tmp_path / "000.json").write_text(json.dumps([["a", 3], ["a", 2]]))
    (tmp_path / "000.txt").write_text("m\nt\n")
    patches.apply(tmp_path, tmp_path / "out")
    with Image.open(tmp_path / "out/a.png") as image:
        assert np.array(image)[12, [12, 22, 32, 42]].tolist() == [0, 2, 1, 3]
    in_water = np.roll(numbers, 15, 0)
    in_water[10:15, 30:35] = 4  # one that was sorted before, and now is not
    np.savez(tmp_path / "a.npz", numbers=in_water, patches=[1, 4])
    (tmp_path / "000.json").write_text(json.dumps([["a", 1]]))
    (tmp_path / "000.txt").write_text("g")
    patches.apply(tmp_path, tmp_path / "out")
    with Image.open(tmp_path / "out/a.png") as image:
        assert np.array(image)[[12, 27], [32, 12]].tolist() == [1, 2], "those in water join those in the sky"
    (tmp_path / "000.txt").write_text("mt")
    with pytest.raises(SystemExit, match="has to have 1 letters"):
        patches.apply(tmp_path, tmp_path / "out")
