import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.drape import TILE, _Args, bspline_at_pixels, drape_
from tests.ops.kernels import agreement, apart, assert_alike, smooth


def drape(frames: Tensor, *others: Tensor, **keywords: Any) -> Tensor:
    """drape_() of a copy."""
    return drape_(frames.clone(memory_format=torch.contiguous_format), *others, **keywords)


def drawn(frames: Tensor, *others: Tensor, **keywords: Any) -> Tensor:
    """The first of its frames."""
    return drape(frames, *others, **keywords)[0]


@dataclass(frozen=True)
class Sample:
    name: str
    h: int = 45
    w: int = 70
    cell: int = 4
    travel: float = 3.0  # pixels
    matte: str = "soft"  # or "all", "none"
    active: str = "all"  # or "some", "none"
    moving: bool = False  # a landscape around the cloth
    more: int = 0  # points of the grid past the frame
    lost: bool = False  # some places and gains are no numbers
    strided: bool = False
    fine: bool = False
    frames: int = 1
    keys: int = 1

    def arguments(self, device: str = "cpu") -> tuple[list[Tensor], dict[str, Any]]:
        noise = torch.Generator().manual_seed(5)

        def picture() -> Tensor:
            return torch.randint(0, 256, (self.h, self.w, 3), generator=noise, dtype=torch.uint8)

        photo, background = picture(), picture()
        shape = smooth(1, self.h, self.w, seed=11)[0]
        soft = (shape * 600 + 128).clamp(0, 255).to(torch.uint8)
        matte = {"soft": soft, "all": torch.full_like(soft, 255), "none": torch.zeros_like(soft)}[self.matte]
        away = (shape < -0.3)[..., None]  # further from the cloth the background is the photo
        background = torch.where(away, photo, background)
        below = [torch.where(away, picture(), photo) if self.moving else photo for _ in range(self.frames)]
        grid = (-(-n // self.cell) + self.more for n in (self.h, self.w))
        fields = smooth(3 * self.keys, *grid).unflatten(0, (self.keys, 3))
        keyframes = fields * torch.tensor([self.travel, self.travel, 1.0])[:, None, None]
        weights = torch.ones(1, 1) if self.frames == self.keys == 1 else smooth(1, self.frames, self.keys)[0]
        if self.lost:
            keyframes.flatten()[7::83] = math.nan
        tiles = torch.ones(-(-self.h // TILE), -(-self.w // TILE), dtype=torch.uint8)
        tiles.flatten()[:: {"all": 10**9, "some": 2, "none": 1}[self.active]] = 0
        if self.active == "all":
            tiles[:] = 1
        tensors = [torch.stack(below), photo, background, matte, keyframes, weights, tiles]
        if self.strided:
            tensors = [apart(x) for x in tensors]
        return [x.to(device) for x in tensors], {"cell": self.cell, "fine": self.fine}


SAMPLES = [
    Sample("a usual one"),
    Sample("over a landscape", moving=True),
    Sample("all cloth", matte="all"),
    Sample("no cloth", matte="none"),
    Sample("some tiles", h=130, w=150, active="some"),
    Sample("no tiles", active="none"),
    Sample("one pixel", h=1, w=1, cell=1),
    Sample("one row", h=1, w=300),
    Sample("one column", h=300, w=1),
    Sample("whole tiles", h=64, w=128),
    *(Sample(f"cells of {cell}", h=67, w=97, cell=cell) for cell in (1, 2, 8, 64, 256)),
    Sample("a larger grid", more=3),
    Sample("hardly moved", travel=0.4),
    Sample("far outside", travel=1e9),
    Sample("lost places", lost=True),
    Sample("strided", strided=True),
    Sample("fine", fine=True, moving=True),
    Sample("fine, hardly moved", fine=True, travel=0.4, matte="all", h=70),
    Sample("fine, lost places", fine=True, lost=True, h=67, w=97),
    Sample("six frames", frames=6, keys=3, moving=True, h=67, w=330),
    Sample("frames that lie far apart", frames=3, keys=2, travel=60.0, w=330, cell=2, active="some"),
]


test_the_kernel_agrees_with_the_reference_and_with_itself_on_any_number_of_threads, test_the_gpu_agrees_with_the_cpu = (
    agreement(drape, SAMPLES, assert_alike)
)


def scene(**change: Any) -> tuple[list[Tensor], dict[str, Any]]:
    """A usual sample with some of its tensors replaced by name."""
    tensors, keywords = Sample("of parts", **{n: change.pop(n) for n in ("matte", "h", "w") if n in change}).arguments()
    names = ("frames", "photo", "background", "soft", "keyframes", "weights", "active")
    return [change.get(name, tensor) for name, tensor in zip(names, tensors, strict=True)], keywords


def still(dx: float = 0.0, dy: float = 0.0, gain: float = 0.0) -> Tensor:
    return torch.tensor([dx, dy, gain])[None, :, None, None].expand(1, 3, 12, 18).contiguous()


@pytest.mark.parametrize("fine", [False, True])
def test_zero_displacement_keeps_the_photos_bytes_even_under_a_soft_matte(either, fine):
    tensors, keywords = scene(keyframes=still())
    assert torch.equal(drawn(*tensors, **keywords | {"fine": fine}), tensors[1])


def test_fine_texture_keeps_more_of_its_contrast(either):
    """Half a pixel aside; and in a smooth gradient a hundredth of a pixel is seen at once."""
    waves = (127.5 + 100 * torch.sin(torch.arange(70) * 1.6)).round().to(torch.uint8)
    waves = waves[None, :, None].expand(45, 70, 3).contiguous()
    tensors, keywords = scene(matte="all", photo=waves, frames=waves[None], keyframes=still(0.5))
    soft, crisp = (drawn(*tensors, **keywords | {"fine": fine})[:, 4:-4].float().std() for fine in (False, True))
    own = waves[:, 4:-4].float().std()
    assert soft < 0.93 * own and abs(crisp - own) < 0.05 * own
    ramp = (torch.arange(70) * 3).to(torch.uint8)[None, :, None].expand(45, 70, 3).contiguous()
    tensors, keywords = scene(matte="all", photo=ramp, frames=ramp[None], keyframes=still(0.02))
    rounded, dithered = (drawn(*tensors, **keywords | {"fine": fine}) != ramp for fine in (False, True))
    assert not rounded[:, 4:-4].any() and dithered[:, 4:-4].float().mean() == pytest.approx(0.06, abs=0.03)


def test_cloth_moves_by_whole_pixels_against_the_displacement(either):
    tensors, keywords = scene(matte="all", keyframes=still(3, -2))
    made, photo = drawn(*tensors, **keywords), tensors[1]
    assert torch.equal(made[2:, :-3], photo[:-2, 3:])
    assert (made[:2, :-3] == photo[0, 3:]).all(), "the border is replicated"
    assert (made[2:, -3:] == photo[:-2, -1:]).all()


def test_uncovered_pixels_show_the_background(either):
    matte = torch.zeros(45, 70, dtype=torch.uint8)
    matte[10:30, 20:50] = 255
    tensors, keywords = scene(soft=matte, keyframes=still(-5, 0))
    made, (_, photo, background, *_) = drawn(*tensors, **keywords), tensors
    assert torch.equal(made[10:30, 20:25], background[10:30, 20:25])
    assert torch.equal(made[10:30, 25:55], photo[10:30, 20:50])


def test_a_landscape_continues_behind_the_cloth(either):
    """Where the background is the photo, there is the frame; nothing else is drawn there."""
    tensors, keywords = Sample("over a landscape", h=130, w=150, moving=True, travel=2.0).arguments()
    (frame,), photo, background, matte, *_ = tensors
    made = drawn(*tensors, **keywords)
    far = torch.nn.functional.max_pool2d((matte > 0).float()[None], 17, 1, 8)[0] == 0
    same = far & (photo == background).all(-1)
    assert same.any() and (frame != photo)[same].any()
    assert torch.equal(made[same], frame[same])


@pytest.mark.parametrize("stops", [-1.0, -0.5, 0.5, 1.0])
def test_the_gain_is_one_of_linear_light(either, stops):
    grey = torch.full((45, 70, 3), 100, dtype=torch.uint8)
    tensors, keywords = scene(matte="all", photo=grey, frames=grey[None], keyframes=still(gain=stops))
    made = drawn(*tensors, **keywords).float() / 255
    linear = (made**2.2).mean() / (100 / 255) ** 2.2
    assert math.log2(linear) == pytest.approx(stops, abs=0.02)


def test_a_gain_beyond_its_bounds_is_held(either):
    bright, dark = (scene(matte="all", keyframes=still(gain=x)) for x in (7.0, math.nan))
    most, least = (scene(matte="all", keyframes=still(gain=x)) for x in (1.0, -1.0))
    for beyond, bound in ((bright, most), (dark, least)):
        assert torch.equal(drawn(*beyond[0], **beyond[1]), drawn(*bound[0], **bound[1]))


def test_inactive_tiles_are_unchanged(either):
    tensors, keywords = Sample("some tiles", h=100, w=100, matte="all", active="some").arguments()
    made, tiles = drawn(*tensors, **keywords), tensors[-1]
    for row, column in [(0, 0), (1, 1), (3, 3)]:
        part = slice(TILE * row, TILE * (row + 1)), slice(TILE * column, TILE * (column + 1))
        assert torch.equal(made[part], tensors[0][0][part]) == (not tiles[row, column])


def test_a_field_between_its_points_has_no_creases():
    """Of a cubic B-spline even the second derivative has no jumps, and a ramp stays one."""
    ramp = torch.arange(12.0).expand(1, 10, 12)
    wide = bspline_at_pixels(ramp, 8)[0, 40, 20:-20]
    torch.testing.assert_close(wide.diff(), torch.full_like(wide.diff(), 1 / 8), rtol=0, atol=1e-5)
    bumps = bspline_at_pixels(torch.randn(1, 10, 12, generator=torch.Generator().manual_seed(1)), 64)[0, 300]
    bends = bumps.diff().diff()
    assert bends.diff().abs().max() < 0.2 * bends.abs().max()


def test_frames_are_drawn_into_in_place_if_they_are_contiguous(either):
    (frames, *others), keywords = Sample("over a landscape", moving=True).arguments()
    made = drape(frames, *others, **keywords)
    assert drape_(frames, *others, **keywords) is frames and torch.equal(frames, made)
    with pytest.raises(ValueError, match="have to be contiguous"):
        drape_(apart(frames), *others, **keywords)


@pytest.mark.parametrize("cell", [1, 2, 4, 64])
def test_each_frame_has_its_own_mix_of_the_keyframes(either, cell):
    """As if it were alone with that field, to the byte where only one keyframe has weight."""
    several = Sample("several", h=67, w=330, cell=cell, active="some", frames=5, keys=4, moving=True)
    (frames, *still, keyframes, _, tiles), keywords = several.arguments()
    weights = torch.tensor([[1, 0, 0, 0], [0.5, 0.25, 0.25, 0], [0, 0, 1, 0], [8, 0, -9, 0], [0, 0.1, 0, 0.9]])
    made = drape(frames, *still, keyframes, weights, tiles, **keywords)
    for i, own in enumerate(weights):
        field = torch.tensordot(own, keyframes, 1)[None]
        alone = drawn(frames[i : i + 1], *still, field, torch.ones(1, 1), tiles, **keywords)
        off = (made[i].int() - alone.int()).abs()
        assert off.max() <= (i in (1, 3, 4)) and (off > 0).float().mean() < 1e-3


def test_a_frame_is_the_same_whatever_is_drawn_with_it(either):
    (frames, *still, weights, tiles), keywords = Sample("six", frames=6, keys=3, moving=True, w=200).arguments()
    made = drape(frames, *still, weights, tiles, **keywords)
    for i in range(6):
        assert torch.equal(drawn(frames[i : i + 1], *still, weights[i : i + 1], tiles, **keywords), made[i])


def test_arguments_that_do_not_fit_are_named():
    tensors, keywords = Sample("bad").arguments()
    names = "frame", "photo", "background", "matte", "keyframes", "weights", "active"
    for i, name in enumerate(names):
        for bad in (tensors[i].double(), tensors[i].int(), tensors[i][:0]):
            wrong = [*tensors[:i], bad, *tensors[i + 1 :]]
            with pytest.raises(ValueError, match=f"drape: {name} is (uint8|float32)"):
                drape(*wrong, **keywords)
    for bad in (tensors[4][:, :2], tensors[4][0], tensors[4][0, 0]):
        with pytest.raises(ValueError, match="drape: keyframes is float32"):
            drape(*tensors[:4], bad, *tensors[5:], **keywords)
    with pytest.raises(ValueError, match=r"drape: frames are \[n,H,W,3\]"):
        drape(tensors[0][0], *tensors[1:], **keywords)
    with pytest.raises(ValueError, match="drape: weights is float32"):
        drape(*tensors[:5], torch.ones(1, 2), tensors[6], **keywords)
    for cell in (0, 3, 2):
        with pytest.raises(ValueError, match="do not cover"):
            drape(*tensors, cell=cell)
    place = tensors[0].data_ptr()
    good = [place, place, place, 1, 4, 1 << 10, 1, place, place, 4, 1, 1 << 10, place, place]
    for words, i, bad in (
        ("NULL", 13, None),
        ("frames is", 3, 0),
        ("frames is", 3, 1 << 30),
        ("height and width", 4, 0),
        (r"height\*width is below 2\^31", 4, 1 << 22),
        ("keys is", 6, 65),
        ("power of two", 9, 3),
        (r"gh\*gw is below 2\^31", 10, 1 << 22),
        ("cover", 9, 2),
    ):
        with pytest.raises(ValueError, match=words):
            native.run("drape", _Args(*good[:i], bad, *good[i + 1 :]), tensors[0].device)
