"""Finding cloth, with a stand-in for the network that takes what is red for cloth."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine import Animator, Cancelled, NothingMoves, Scene, StylecineWarning, TooLarge, animate
from stylecine.cloth.find import SHORT_SIDES, find_cloth, grow_regions, sure_pieces
from stylecine.machine import memory
from stylecine.ops.image import to_tensor
from stylecine.perception.refine import mean_probability
from tests.cloths import FLAG, STAND_INS, flag_mask, flag_photo, with_stand_ins

CLOTH: dict[str, Any] = {"subject": "cloth", "wind": (0, 0.8), "seconds": 2.0, "fps": 8}


def red_is_cloth(photos: Tensor) -> Tensor:
    return 12 * F.avg_pool2d(torch.sign(photos[:, :1] - photos[:, 2:]), 8)


def nothing_is_cloth(photos: Tensor) -> Tensor:
    return F.avg_pool2d(photos[:, :1], 8) - 9


@pytest.fixture(scope="module")
def animator(small_model: Path) -> Animator:
    return with_stand_ins(Animator.from_pretrained(small_model, "cpu"), finder=red_is_cloth)


@pytest.fixture(scope="module")
def flag(animator: Animator) -> Scene:
    return animator.invert(flag_photo())


def plain_flag() -> np.ndarray:
    photo = np.full((96, 128, 3), (120, 160, 215), np.uint8)
    photo[FLAG] = (170, 60, 60)
    return photo


# --- from a photo to a mask


def test_the_mask_follows_the_flag() -> None:
    found = find_cloth(to_tensor(plain_flag()), red_is_cloth)
    assert found is not None
    ours = found.mask.numpy() > 0.5
    assert (ours & flag_mask()).sum() / (ours | flag_mask()).sum() > 0.95
    assert 0.9 < found.confidence <= 1


def test_where_there_is_none_nothing_is_found() -> None:
    assert find_cloth(to_tensor(plain_flag()), nothing_is_cloth) is None


def test_a_mirrored_photo_gives_the_mirrored_probability() -> None:
    def left_is_cloth(photos: Tensor) -> Tensor:
        ramp = torch.linspace(3, -3, photos.shape[3] // 8)
        return red_is_cloth(photos) + ramp

    photo = to_tensor(plain_flag())
    ours = mean_probability(photo, left_is_cloth, SHORT_SIDES)
    assert torch.allclose(ours.flip(1), mean_probability(photo.flip(2), left_is_cloth, SHORT_SIDES), atol=1e-4)


def piece(*shares: float) -> np.ndarray:
    """Probabilities [40,60], 0.01 but for a row of squares of 10x10 with these."""
    probability = np.full((40, 60), 0.01, np.float32)
    for i, share in enumerate(shares):
        probability[5:15, 2 + 14 * i : 12 + 14 * i] = share
    return probability


def test_pieces_that_are_only_likely_are_left_out() -> None:
    assert np.array_equal(sure_pieces(piece(0.98, 0.8, 0.6)), piece(0.98) > 0.5)


def test_a_sure_piece_grows_to_what_is_possible_beside_it() -> None:
    probability = piece(0.98, 0.3)
    probability[15:20, 2:12] = 0.2
    expected = probability > 0.1
    expected[:, 15:] = False
    assert np.array_equal(grow_regions(sure_pieces(probability), probability), expected)


def test_lettering_leaves_no_holes() -> None:
    probability = piece(0.98)
    probability[8:11, 5:8] = 0.01
    assert np.array_equal(grow_regions(probability > 0.5, probability), piece(0.98) > 0.5)


def test_stripes_leave_no_gaps() -> None:
    probability = piece(0.98)
    probability[:, 6] = 0.01
    assert grow_regions(probability > 0.5, probability)[8:12, 2:12].all()


def test_specks_are_left_out() -> None:
    probability = np.full((40, 60), 0.1, np.float32)
    probability[3:6, 3:6] = 0.99
    assert not sure_pieces(probability).any()


# --- in a loop


def test_cloth_that_is_found_moves_and_is_reported(animator: Animator, flag: Scene) -> None:
    loop = animator.render(flag, **CLOTH)
    changed = (loop[6].astype(int) != loop[0]).any(-1)
    assert changed[FLAG].mean() > 0.5 and changed.sum() < 1.5 * flag_mask().sum()
    assert loop.report()["settings"]["mask"] == "found"
    assert "found automatically" in loop.warning and "% sure" in loop.warning


def test_auto_says_that_cloth_stands_still(animator: Animator, flag: Scene) -> None:
    auto = CLOTH | {"subject": "auto"}
    still = animator.render(flag.paint("sky", [[0.5, 0.05]]), **auto)
    assert "stand still" in still.warning and not still.overlays
    assert animator.render(flag.paint("cloth", flag_mask()), **auto).warning == ""


@pytest.mark.parametrize("subject", ["landscape", "auto"])
def test_where_nothing_else_moves_the_error_says_that_cloth_was_found(
    animator: Animator, flag: Scene, subject: str
) -> None:
    still = replace(flag, layers=torch.zeros_like(flag.layers), mask=torch.zeros_like(flag.mask))
    options = {name: value for name, value in CLOTH.items() if name != "wind"} | {"subject": subject}
    with pytest.raises(NothingMoves, match=r"Nothing in this photo .* give subject cloth"):
        animator.render(still, **options)
    frozen = still.paint(None, [[0.5, 0.5]], "freeze", radius=0.01)
    with pytest.raises(NothingMoves, match="give subject cloth"):
        animator.render(frozen, **options)


def test_a_mask_or_paint_comes_first(animator: Animator, flag: Scene) -> None:
    half = flag_mask()
    half[:, 68:] = False
    for loop in (animator.render(flag, mask=half, **CLOTH), animator.render(flag.paint("cloth", half), **CLOTH)):
        assert loop.warning == "" and loop.report()["settings"]["mask"] != "found"
        assert np.array_equal(loop[6][:, 80:96], loop[0][:, 80:96])


def test_what_is_erased_of_found_cloth_stays_still(animator: Animator, flag: Scene) -> None:
    right = np.zeros((96, 128), bool)
    right[:, 60:] = True
    loop = animator.render(flag.paint("cloth", right, mode="erase"), **CLOTH)
    assert np.array_equal(loop[6][:, 80:96], loop[0][:, 80:96])
    assert not np.array_equal(loop[6], loop[0])
    with pytest.raises(NothingMoves, match="erased"):
        animator.render(flag.paint("cloth", np.ones((96, 128), bool), mode="erase"), **CLOTH)


def test_a_landscape_is_not_searched_for_cloth(animator: Animator, flag: Scene) -> None:
    def refuse(photos: Tensor) -> Tensor:
        raise AssertionError("looked for cloth")

    layers = torch.zeros_like(flag.layers)
    layers[0] = 1
    sky = replace(flag, layers=layers, mask=layers[0], motion=torch.full((2, 48, 64), 0.2))
    loop = with_stand_ins(animator, finder=refuse).render(sky, seconds=2, fps=8)
    assert not loop.overlays


def test_animate_looks_for_cloth_only_where_the_photo_fits_into_memory(
    small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(photos: Tensor) -> Tensor:
        raise AssertionError("looked for cloth")

    monkeypatch.setattr(Animator, "finder", property(lambda _: refuse))
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1e6)
    with pytest.raises(TooLarge):
        animate(flag_photo(), model=small_model, **CLOTH)


def test_looking_for_cloth_is_reported_and_can_be_cancelled(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = counted(monkeypatch)
    with pytest.raises(Cancelled, match="while finding what moves"):
        animate(flag_photo(), model=small_model, progress=lambda stage, *_: not (looked and stage == "mask"), **CLOTH)


def test_cloth_is_looked_for_once_per_photo(animator: Animator, flag: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = counted(monkeypatch)
    monkeypatch.setattr(Animator, "cloth_nets", property(lambda _: STAND_INS))
    scene = replace(flag, photo=flag.photo.copy())  # of which nothing is known yet
    first = animator.render(scene, **CLOTH)
    frozen = animator.render(scene.paint(None, [(0.5, 0.5)], "freeze", radius=0.1), **CLOTH)
    assert len(looked) == 2, "the photo and its mirror image"
    assert not np.array_equal(first[5], frozen[5])


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What a finder that takes red for cloth was asked about, at the first of its sizes."""
    looked: list[Tensor] = []

    def finder(photos: Tensor) -> Tensor:
        if not looked or looked[0].shape == photos.shape:
            looked.append(photos)
        return red_is_cloth(photos)

    monkeypatch.setattr(Animator, "finder", property(lambda _: finder))
    return looked


def test_animate_warns_that_nobody_marked_the_cloth(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Animator, "finder", property(lambda _: red_is_cloth))
    monkeypatch.setattr(Animator, "cloth_nets", property(lambda _: STAND_INS))
    with pytest.warns(StylecineWarning, match="found automatically"):
        loop = animate(flag_photo(), model=small_model, **CLOTH)
    assert loop.overlay("cloth")
