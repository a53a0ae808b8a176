import ctypes
import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from stylecine.ops import native
from stylecine.ops.recolour import Recolouring, _Args, recolour, recolour_
from tests.ops.kernels import agreement, apart, assert_alike


@dataclass(frozen=True)
class Sample:
    name: str
    h: int = 45
    w: int = 70
    depth: int = 8
    gh: int = 3
    gw: int = 5
    amount: float = 1.0
    change: float = 0.3  # size of the transforms
    still: str = ""  # parts: "given" as they are at an amount of 1, or "kept"
    lost: bool = False  # some transforms are no numbers
    strided: bool = False

    def arguments(self, device: str = "cpu") -> tuple[list[Any], dict[str, Any]]:
        noise = torch.Generator().manual_seed(5)
        frame = torch.randint(0, 256, (self.h, self.w, 3), generator=noise, dtype=torch.uint8)
        grid = torch.randn(self.depth, self.gh, self.gw, 4, 4, generator=noise) * self.change
        if self.lost:
            grid.flatten()[7::83] = math.nan
        keywords = {}
        if self.still:
            moving = torch.randint(0, 2, (self.h, self.w), generator=noise, dtype=torch.uint8)
            moving[: self.h // 3] = 0
            keywords = {"moving": moving}
            if self.still == "given":
                keywords["still"] = frame.flip(2).contiguous()
        tensors = [frame, grid]
        if self.strided:
            tensors = [apart(x) for x in tensors]
            keywords = {name: apart(x) for name, x in keywords.items()}
        keywords = {name: x.to(device) for name, x in keywords.items()}
        return [*(x.to(device) for x in tensors), self.amount], keywords


SAMPLES = [
    Sample("a usual one"),
    Sample("in part", amount=0.4),
    Sample("backwards", amount=-1.0),
    Sample("not at all", amount=0.0),
    Sample("far", change=30.0),
    Sample("with still parts", still="given"),
    Sample("in part with still parts", still="given", amount=0.4, w=67),
    Sample("with kept parts", still="kept", h=131, w=290),
    Sample("one transform", depth=1, gh=1, gw=1),
    Sample("by luma alone", gh=1, gw=1),
    Sample("by place alone", depth=1),
    Sample("few lumas", depth=5, still="kept"),
    Sample("nine lumas", depth=9, still="given", amount=0.4),
    Sample("large cells", h=40, w=600, gw=2, still="given", amount=0.7),
    Sample("one pixel", h=1, w=1),
    Sample("one row", h=1, w=300),
    Sample("one column", h=300, w=1),
    Sample("a grid finer than the frame", h=5, w=9, gh=40, gw=300),
    Sample("a deep grid", depth=256, gw=40),
    Sample("wide", h=3, w=1030, gw=33),
    Sample("lost transforms", lost=True),
    Sample("strided", strided=True, still="given"),
]


test_the_kernel_agrees_with_the_reference_and_with_itself_on_any_number_of_threads, test_the_gpu_agrees_with_the_cpu = (
    agreement(recolour, SAMPLES, assert_alike)
)


@pytest.mark.parametrize("depth", [8, 9])
def test_several_frames_are_each_changed_by_their_own_amount(either, depth):
    (frame, grid, _), keywords = Sample("several", h=70, w=140, depth=depth, still="given").arguments()
    frames, amounts = torch.stack((frame, frame.flip(0), frame.flip(1))), [0.0, 0.3, 1.0]
    each = [recolour(frame, grid, amount, **keywords) for frame, amount in zip(frames, amounts, strict=True)]
    assert torch.equal(recolour_(frames, Recolouring(grid, amounts, **keywords)), torch.stack(each))


def test_frames_and_amounts_are_as_many():
    frames, grid = torch.zeros(2, 4, 4, 3, dtype=torch.uint8), torch.zeros(2, 1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"frames are .* and amounts n"):
        recolour_(frames, Recolouring(grid, [1.0]))
    with pytest.raises(ValueError, match="frames that are changed in place have to be contiguous"):
        recolour_(apart(frames), Recolouring(grid, [1.0, 1.0]))


def test_an_amount_of_zero_keeps_the_bytes(either):
    tensors, keywords = Sample("still", still="given").arguments()
    assert torch.equal(recolour(*tensors[:2], 0.0, **keywords), tensors[0])


def test_a_transform_is_affine_in_red_green_blue_and_white(either):
    frame = torch.randint(0, 256, (16, 24, 3), dtype=torch.uint8)
    matrix = torch.zeros(4, 4)
    matrix[0, 0], matrix[1, 0], matrix[3, 2] = -0.5, 0.25, 0.1  # red: half of itself and a quarter of green; blue: more
    made = recolour(frame, matrix.expand(3, 2, 2, 4, 4).contiguous())
    red, green, blue = frame.float().unbind(-1)
    expected = torch.stack((red * 0.5 + green * 0.25, green, blue + 25.5), -1).clamp(0, 255)
    assert (made.float() - expected).abs().max() <= 1


def test_what_is_as_bright_changes_alike_and_edges_stay(either):
    """Black left, white right: a grid that lifts blacks leaves no halo on the white side."""
    frame = torch.zeros(8, 32, 3, dtype=torch.uint8)
    frame[:, 16:] = 255
    grid = torch.zeros(2, 1, 2, 4, 4)
    grid[0, :, :, 3, :3] = 0.2
    made = recolour(frame, grid)
    assert (made[:, 16:] == 255).all() and (made[:, :16] == 51).all()


def test_where_nothing_moves_the_given_bytes_are_shown(either):
    [frame, grid, _], keywords = Sample("still", still="given").arguments()
    still = keywords["moving"] == 0
    made = recolour(frame, grid, 1.0, **keywords)
    assert torch.equal(made[still], keywords["still"][still])
    assert torch.equal(made[~still], recolour(frame, grid, 1.0)[~still])


def test_in_part_what_is_still_looks_like_what_moves(either):
    """Also where colours are clamped: both go the same way from the photo's to those that are shown at last."""
    frame, grid = Sample("far", change=1.0).arguments()[0][:2]
    moving = torch.arange(frame.shape[0]).remainder(2)[:, None].expand(frame.shape[:2]).byte().contiguous()
    still = recolour(frame, grid)
    made = recolour(frame, grid, 0.4, moving=moving, still=still)
    assert (made.int() - recolour(frame, grid, 0.4).int()).abs().max() <= 1
    assert (still == 0).any() and (still == 255).any()


def test_where_nothing_moves_the_frame_may_stay(either):
    [frame, grid, _], keywords = Sample("kept", still="kept").arguments()
    kept = keywords["moving"] == 0
    made = recolour(frame, grid, 1.0, **keywords)
    assert torch.equal(made[kept], frame[kept])
    assert torch.equal(made[~kept], recolour(frame, grid, 1.0)[~kept])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frame": torch.zeros(4, 4, 3)}, "frame is uint8"),
        ({"grid": torch.zeros(2, 1, 1, 4, 3)}, "grid is float32"),
        ({"grid": torch.zeros(4, 4)}, r"grid is \[D,gh,gw,4,4\]"),
        ({"amount": math.nan}, "the amount is from -16 to 16"),
        ({"still": torch.zeros(4, 4, 3, dtype=torch.uint8)}, "still needs moving"),
        ({"moving": torch.zeros(4, 5), "still": torch.zeros(4, 4, 3, dtype=torch.uint8)}, "moving is uint8"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, says):
    usual = {"frame": torch.zeros(4, 4, 3, dtype=torch.uint8), "grid": torch.zeros(2, 1, 1, 4, 4), "amount": 1.0}
    with pytest.raises(ValueError, match=says):
        recolour(**usual | change)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"out": None}, "out is NULL"),
        ({"height": 0}, "height and width"),
        ({"height": 1 << 20}, r"height\*width is below 2\^31"),
        ({"frames": 0}, "frames is 1 to 65536"),
        ({"amount": None}, "amount or out is NULL"),
    ],
)
def test_the_c_interface_refuses_what_it_cannot_do(wrong, says):
    amount = (ctypes.c_float * 1)(1.0)
    usual = {"frame": 1, "frames": 1, "height": 4, "width": 1 << 11, "grid": 1, "depth": 2, "gh": 1, "gw": 1}
    args = _Args()
    for name, value in (usual | {"amount": ctypes.addressof(amount), "out": 1} | wrong).items():
        setattr(args, name, value)
    with pytest.raises(ValueError, match=says):
        native.run("recolour", args, torch.device("cpu"))
