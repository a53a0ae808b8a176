import ctypes
import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.displacement import Displacement, Moment
from stylecine.ops.pyramid import split
from stylecine.ops.recolour import Recolouring, arguments, recolour_
from stylecine.ops.render import _Args, _Level, composite, moving_region, on_level, reference, render
from stylecine.ops.spline import coefficients
from tests.ops.kernels import SETS, agreement, apart


def displaced(
    positions: Tensor,
    rates: Tensor,
    sub_cycle: Tensor,
    stagger: Tensor | None = None,
    standing: Tensor | None = None,
    swell: Tensor | None = None,
    **numbers: Any,
) -> Displacement:
    """Over knots that are 4 frames apart."""
    counts, period = tuple(range(1, 1 + numbers.pop("kinds", 1))), 4 * (len(positions) - 1)
    fields = {"stagger": stagger, "standing": standing, "swell": swell}
    return Displacement(positions, rates, sub_cycle, counts, period, stride=4, **fields, **numbers)


@dataclass(frozen=True)
class Sample:
    """Frames of a loop of noise; see ops.render.Rendering for what its arrays are."""

    name: str
    height: int = 45
    width: int = 70
    margin: int = 16
    cell: int = 4
    levels: int = 5
    kinds: int = 1
    dtype: torch.dtype = torch.float16
    moving: str = "disc"  # "disc", "all", "none" or "corner"
    travel: float = 3.0  # pixels of the grid, from knot to knot
    generated: bool = False
    clocks: int = 0  # of a swell
    stagger: bool = False
    standing: bool = False
    light: bool = False
    strided: bool = False
    share: float = 0.3
    frames: int = 1
    style: str = ""  # "drifting", with what is still given at an amount of 1, or "fixed"

    def arguments(self, device: str = "cpu") -> tuple[list[Any], dict[str, Any]]:
        noise = torch.Generator().manual_seed(7)
        height, width = self.height + 2 * self.margin, self.width + 2 * self.margin
        grid = -(-height // self.cell), -(-width // self.cell)
        plate = torch.rand(3, height, width, generator=noise) - 0.5
        splines = [coefficients(level) for level in split(plate, self.levels - 1)]
        levels = [torch.nn.functional.pad(x, (0, 0, 0, 0, 0, 1)).permute(1, 2, 0).to(self.dtype) for x in splines]
        steps = torch.randn(2, 4, 2, 2, *grid, generator=noise) * self.travel
        positions, rates = steps[0].cumsum(0), steps[1] / 4
        sub_cycle = torch.randint(0, self.kinds, grid, generator=noise, dtype=torch.uint8)
        angle = torch.rand(self.levels, 3, *grid, generator=noise) * 2.0
        angle[-1] = 0  # the low-pass
        contrast_gain = 0.9 + 0.2 * torch.rand(self.levels, 2, 3, *grid, generator=noise)
        begin = torch.rand(grid, generator=noise) * 0.5
        crossfade = torch.stack((begin, 1 / (1 - begin)))
        swell = torch.randn(2 * self.clocks, 2, *grid, generator=noise) * self.travel if self.clocks else None
        photo = torch.randint(0, 256, (self.height, self.width, 3), generator=noise, dtype=torch.uint8)
        generated = torch.rand(self.frames, 3, height, width, generator=noise) - 0.5 if self.generated else None
        stagger = torch.rand(grid, generator=noise) * 2 - 1 if self.stagger else None
        standing = torch.rand(grid, generator=noise) if self.standing else None
        coarsest = splines[-1].shape[1] // 2, splines[-1].shape[2] // 2
        light = 0.3 * torch.randn(*coarsest, 4, generator=noise) if self.light else None
        tensors = [photo, self.mask(), angle, contrast_gain, crossfade, light, generated]
        fields = [positions, rates, sub_cycle, stagger, standing, swell]
        if self.strided:
            tensors, fields = ([x if x is None else apart(x) for x in some] for some in (tensors, fields))
            levels = [apart(x) for x in levels]
        tensors, fields = ([x if x is None else x.to(device) for x in some] for some in (tensors, fields))
        shares = [(self.share + 0.17 * n) % 1 for n in range(self.frames)]
        displacement = displaced(*fields, kinds=self.kinds, cell=self.cell, margin=self.margin)
        moments = [
            Moment(
                tuple((share * (k + 1)) % 1 for k in range(self.kinds)),
                tuple((0.9 - 0.5 * share) / (k + 1) for k in range(self.kinds)),
                self.swell_weights(share),
            )
            for share in shares
        ]
        keywords = {
            "generated": tensors.pop(),
            "light": tensors.pop(),
            "standing_shares": [0.0, 0.3, 0.0, 0.6, 1.0, 0.0, 1.0, 0.5][: self.levels],
            "recolouring": self.recolouring(shares, device) if self.style else None,
        }
        return [*tensors[:2], [x.to(device) for x in levels], displacement, moments, *tensors[2:]], keywords

    def swell_weights(self, share: float) -> tuple[float, ...]:
        angles = [2.0 * (k + 1) * share for k in range(self.clocks)]
        return tuple(weight for angle in angles for weight in (math.cos(angle) - 1, math.sin(angle)))

    def recolouring(self, shares: list[float], device: str) -> Recolouring:
        noise = torch.Generator().manual_seed(9)
        grid = torch.randn(6, 3, 5, 4, 4, generator=noise) * 0.02
        grid[..., :3, :3] -= 0.3 * torch.eye(3)  # less contrast: no difference of a level grows
        moves = (self.mask() > 0).byte()
        if self.style == "fixed":
            return Recolouring(grid.to(device), [0.8] * self.frames, moves.to(device))
        still = torch.randint(0, 256, (self.height, self.width, 3), generator=noise, dtype=torch.uint8)
        return Recolouring(grid.to(device), shares, moves.to(device), still.to(device))

    def mask(self) -> Tensor:
        y, x = torch.meshgrid(torch.arange(self.height), torch.arange(self.width), indexing="ij")
        away = ((y - self.height / 2).square() + (x - self.width / 2).square()).sqrt()
        disc = (1 - away / max(1.0, 0.4 * self.height)).clamp(0, 0.5) * 2
        corner = ((y < 1) & (x >= self.width - 1)).float()
        masks = {"disc": disc, "all": torch.ones_like(disc), "none": torch.zeros_like(disc), "corner": corner}
        return masks[self.moving]


SAMPLES = [
    Sample("a usual one"),
    Sample("float32", dtype=torch.float32),
    Sample("bfloat16", dtype=torch.bfloat16),
    Sample("one pixel", height=1, width=1, margin=0, cell=1, levels=1, moving="all"),
    Sample("one row, no margin", height=1, width=131, margin=0, moving="all"),
    Sample("several tiles", height=70, width=300, moving="all", travel=1.0),
    Sample("odd, no margin", height=37, width=41, margin=0, moving="all"),
    Sample("as large as its canvas", height=64, width=128, margin=0, moving="all", levels=3),
    Sample("nothing moves", moving="none"),
    Sample("one corner moves", moving="corner"),
    Sample("one level", levels=1),
    Sample("eight levels", levels=8, height=130, width=140, moving="all"),
    *(Sample(f"cell {cell}", cell=cell, moving="all") for cell in (1, 2, 8, 16, 32)),
    Sample("three lengths of sub-cycle", kinds=3, moving="all"),
    Sample("a generated image below", generated=True, moving="all"),
    Sample("a swell", clocks=1, moving="all"),
    Sample("a swell of four clocks", clocks=4, moving="all", frames=2),
    Sample("staggered", stagger=True, moving="all"),
    Sample("staggered, three lengths", stagger=True, kinds=3, moving="all", share=0.6),
    Sample("what is coarse stands", standing=True, moving="all"),
    Sample("what is coarse stands, cells of 8", cell=8, standing=True, stagger=True, clocks=1, moving="all"),
    Sample("light", light=True),
    Sample("light of one level", levels=1, light=True, moving="all"),
    Sample("light of eight levels", levels=8, height=130, width=140, light=True, moving="all"),
    Sample("strided", strided=True, generated=True, clocks=1, stagger=True, standing=True, light=True),
    Sample("far outside", travel=1e6, moving="all"),
    Sample("six frames", frames=6, kinds=2, generated=True, clocks=1, stagger=True),
    Sample("a style", height=150, width=300, frames=2, style="fixed"),
    Sample("a style, nothing moves", moving="none", frames=2, style="drifting"),
    Sample("a drifting style", height=70, width=300, frames=6, style="drifting", generated=True),
    Sample("more frames than are made together", height=9, width=11, levels=2, moving="all", frames=35),
    *(Sample(f"at {share}", share=share) for share in (0.0, 0.1, 0.5, 0.75, 0.99)),
]


def assert_alike(made: list[Tensor], expected: list[Tensor], sample: Sample | None = None) -> None:
    """At most one level apart, on at most one byte in 500: where a sum lies on the edge between two levels."""
    for ours, theirs in zip(made, expected, strict=True):
        apart = (ours.int() - theirs.int()).abs()
        assert ours.dtype == torch.uint8 and ours.shape == theirs.shape and int(apart.max()) <= 1
        assert int((apart > 0).sum()) <= max(1, apart.numel() // 500)
        assert sample is None or len(ours) == sample.frames


test_the_kernel_agrees_with_the_reference_and_with_itself_on_any_number_of_threads, test_the_gpu_agrees_with_the_cpu = (
    agreement(render, SAMPLES, assert_alike)
)


def alone(tensors: list[Any], keywords: dict[str, Any], n: int) -> Tensor:
    """Frame n by itself."""
    generated, whole = keywords["generated"], keywords["recolouring"]
    mine = {
        "generated": None if generated is None else generated[n : n + 1],
        "recolouring": whole and whole._replace(amounts=whole.amounts[n : n + 1]),
    }
    return render(*tensors[:4], tensors[4][n : n + 1], *tensors[5:], **keywords | mine)[0]


def test_frames_made_together_are_those_made_one_by_one():
    tensors, keywords = Sample("together", frames=9, kinds=3, generated=True, clocks=1, stagger=True).arguments()
    together = render(*tensors, **keywords)
    for n, frame in enumerate(together):
        assert torch.equal(alone(tensors, keywords, n), frame)


@pytest.mark.parametrize("instructions", SETS)
def test_a_style_is_that_of_finished_frames(instructions):
    tensors, keywords = Sample("styled", height=150, width=333, frames=5, style="drifting").arguments()
    with native.using(instructions=instructions):
        made, plain = render(*tensors, **keywords), render(*tensors, **keywords | {"recolouring": None})
        assert torch.equal(made, recolour_(plain, keywords["recolouring"]))


def test_a_frame_after_one_that_reads_outside_of_the_plate_is_as_it_is_alone():
    """Narrow stripes leave places of a vector unused; in many pixels, as sums are rounded otherwise in very few."""
    sample = Sample("stripes", 768, 1536, levels=4, travel=0.2, frames=8, clocks=1)
    tensors, keywords = sample.arguments()
    tensors[1] = ((torch.arange(1536) - 54) % 128 < 22).float().expand(768, -1).contiguous()
    tensors[3] = replace(tensors[3], swell=torch.full_like(tensors[3].swell, 1e4))
    outside_then_inside = [(-2.0, 0.0), (0.0, 0.0)] * 4
    tensors[4] = [Moment((0.3 + 0.05 * n,), (), weights) for n, weights in enumerate(outside_then_inside)]
    together = render(*tensors, **keywords)
    for n in (1, 3, 5, 7):
        assert torch.equal(alone(tensors, keywords, n), together[n])


def still(sample: Sample) -> tuple[list[Any], dict[str, Any]]:
    """The sample with a plate that is the photo where that lies, and nothing displaced."""
    tensors, keywords = sample.arguments()
    m = sample.margin
    image = tensors[0].permute(2, 0, 1).float() / 127.5 - 1
    plate = torch.nn.functional.pad(image[None], (m, m, m, m), mode="replicate")[0]
    splines = [coefficients(level) for level in split(plate, sample.levels - 1)]
    tensors[2] = [torch.nn.functional.pad(x, (0, 0, 0, 0, 0, 1)).permute(1, 2, 0).contiguous() for x in splines]
    displacement = replace(tensors[3], positions=tensors[3].positions * 0, rates=tensors[3].rates * 0)
    return [*tensors[:3], displacement, tensors[4], tensors[5] * 0, tensors[6] * 0 + 1, tensors[7]], keywords


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_plate_at_rest_shows_the_photo_to_the_byte(share):
    tensors, keywords = still(Sample("at rest", moving="all", share=share))
    assert torch.equal(render(*tensors, **keywords)[0], tensors[0])


def test_a_plate_moved_by_whole_pixels_shows_the_photo_moved():
    tensors, keywords = still(Sample("moved", moving="all", share=0.0, levels=1))
    forward = torch.tensor([5.0, -3.0]).view(1, 1, 2, 1, 1) / tensors[3].cell
    positions = forward * torch.tensor([1.0, -1.0]).view(1, 2, 1, 1, 1) * torch.ones_like(tensors[3].positions)
    tensors[3] = replace(tensors[3], positions=positions)
    [moved] = render(*tensors, **keywords)
    assert torch.equal(moved[:-3, 5:], tensors[0][3:, :-5])


def one_copy_that_shows() -> tuple[list[Any], dict[str, Any]]:
    """Copy A, which is the photo, everywhere; copy B would be read at the border, where no number is."""
    tensors, keywords = still(Sample("one copy", moving="all", share=0.0, levels=1))
    far = torch.full_like(tensors[3].positions, 1e6) * torch.tensor([1.0, 0.0]).view(1, 2, 1, 1, 1)
    tensors[3] = replace(tensors[3], positions=far)
    for border in (tensors[2][0][-8:], tensors[2][0][:, -8:]):
        border[:] = torch.nan
    return tensors, keywords


def test_a_copy_that_does_not_show_is_not_read():
    tensors, keywords = one_copy_that_shows()
    assert torch.equal(render(*tensors, **keywords)[0], tensors[0])


def test_halfway_two_unlike_copies_have_equal_power_and_like_ones_are_averaged():
    level = torch.full((1, 8, 8), 0.5)
    spline = torch.nn.functional.pad(level.expand(3, -1, -1), (0, 0, 0, 0, 0, 1)).permute(1, 2, 0).contiguous()
    photo, moving, knots = torch.zeros(4, 4, 3, dtype=torch.uint8), torch.ones(4, 4), torch.zeros(2, 2, 2, 4, 4)
    sub_cycle, no_gain = torch.zeros(4, 4, dtype=torch.uint8), torch.ones(1, 2, 3, 4, 4)
    crossfade = torch.stack((torch.zeros(4, 4), torch.ones(4, 4)))
    moved = displaced(knots, knots, sub_cycle, cell=1, margin=0), [Moment((0.5,), (), ())]
    for angle, gain in ((0.0, 1.0), (math.pi / 2, math.sqrt(2)), (math.pi / 3, 2 / math.sqrt(3))):
        made = render(photo, moving, [spline], *moved, no_gain[:, 0] * angle, no_gain, crossfade)
        assert (made.float() - (0.5 * gain + 1) * 127.5).abs().max() <= 1
        weaker = render(photo, moving, [spline], *moved, no_gain[:, 0] * angle, 0.8 * no_gain, crossfade)
        assert (weaker.float() - (0.4 * gain + 1) * 127.5).abs().max() <= 1


def test_nan_displacements_read_the_corner_or_are_black():
    tensors, keywords = Sample("lost", moving="all", levels=2).arguments()
    tensors[3] = replace(tensors[3], positions=torch.full_like(tensors[3].positions, torch.nan))
    with native.disabled():
        expected = render(*tensors, **keywords)
    assert_alike(render(*tensors, **keywords), expected)
    tensors[2] = [torch.full_like(level, torch.nan) for level in tensors[2]]
    assert (render(*tensors, **keywords) == 0).all()


def test_alpha_is_clamped_and_nan_counts_as_zero():
    tensors, keywords = Sample("odd masks", moving="all").arguments()
    tensors[1][:, ::3], tensors[1][:, 1::3], tensors[1][:, 2::3] = torch.nan, 7.0, -2.0
    [made] = render(*tensors, **keywords)
    assert torch.equal(made[:, ::3], tensors[0][:, ::3]) and torch.equal(made[:, 2::3], tensors[0][:, 2::3])
    tensors[1] = torch.ones_like(tensors[1])
    assert torch.equal(made[:, 1::3], render(*tensors, **keywords)[0, :, 1::3])


def test_only_moving_pixels_differ_from_the_photo():
    sample = Sample("disc")
    tensors, keywords = sample.arguments()
    [made], standing = render(*tensors, **keywords), tensors[1] == 0
    assert torch.equal(made[standing], tensors[0][standing])
    assert (made[~standing] != tensors[0][~standing]).float().mean() > 0.9


def test_arguments_that_do_not_fit_are_named():
    tensors, keywords = Sample("bad").arguments()
    bad = {
        "photo": (0, tensors[0][:, 1:]),
        "moving": (1, tensors[1].double()),
        "level 0": (2, [tensors[2][1], *tensors[2][1:]]),
        "positions": (3, replace(tensors[3], positions=tensors[3].positions[:1])),
        "angle": (5, tensors[5][:, :2]),
    }
    for name, (place, tensor) in bad.items():
        with pytest.raises(ValueError, match=f"render: {name} is"):
            render(*[tensor if i == place else x for i, x in enumerate(tensors)], **keywords)
    for change in ({"cell": 0}, {"cell": 3}, {"period": 13}, {"counts": (3, 3)}, {"stride": -1}):
        with pytest.raises(ValueError, match="render"), native.disabled():
            render(*tensors[:3], replace(tensors[3], **change), *tensors[4:], **keywords)
    for phases in ([(1.1,)], [], [(0.1,), (0.2, 0.3)]):
        moments = [Moment(each, (), ()) for each in phases]
        with pytest.raises(ValueError, match="render"), native.disabled():
            render(*tensors[:4], moments, *tensors[5:], **keywords)


def test_the_c_interface_refuses_a_grid_that_32_bits_cannot_count():
    place, number = torch.zeros(1).data_ptr(), 1.0
    args = _Args(place, place, 4, 4, 0, 4, 1 << 16, 1 << 15, place, 1, 2, place, place, number, 1, place, place, 1,
                 place, place, place, place, 0, None, None, None, None, None, None, None, None, place)  # fmt: skip
    with pytest.raises(ValueError, match=r"gh\*gw is below 2\^31"):
        native.run("render", args, torch.device("cpu"))


def test_the_c_interface_refuses_a_recolouring_of_other_frames():
    level = _Level(torch.zeros(8, 8, 4).data_ptr(), 4, 4, native.DTYPES[torch.float32], 1)
    place, frames = (torch.full((64,), 0.5) for _ in range(2))
    other = arguments(torch.zeros(1, 4, 4, 3, dtype=torch.uint8), Recolouring(torch.zeros(2, 1, 1, 4, 4), [1.0]))
    args = _Args(*[place.data_ptr()] * 2, 4, 4, 0, 4, 1, 1, ctypes.addressof(level), 1, 2, *[place.data_ptr()] * 2,
                 1.0, 1, *[place.data_ptr()] * 2, 1, *[place.data_ptr()] * 4, 0, *[None] * 7,
                 ctypes.addressof(other), frames.data_ptr())  # fmt: skip
    with pytest.raises(ValueError, match="recolouring changes the frames in out"):
        native.run("render", args, torch.device("cpu"))


def test_a_swell_has_two_parts_for_each_of_at_most_four_clocks():
    tensors, keywords = Sample("too many", clocks=5).arguments()
    swell, moments = tensors[3].swell, tensors[4]
    odd = swell[:3], [replace(each, swell=each.swell[:3]) for each in moments]
    few = swell[:4], moments
    for (waves, times), why in (((swell, moments), "5 clocks"), (odd, "swell is"), (few, "two weights for each clock")):
        with pytest.raises(ValueError, match=f"render: .*{why}"):
            render(*tensors[:3], replace(tensors[3], swell=waves), times, *tensors[5:], **keywords)


def test_fields_are_read_at_the_pixel_centres_of_any_level():
    cell, grid = 4, 16
    ramp = ((torch.arange(grid) + 0.5) * cell).expand(1, grid, grid)
    for scale in (1, 2, 4, 8, 16):
        fields = on_level(ramp, cell=cell, scale=scale, region=(16, 16, 48, 48))
        expected = (torch.arange(32 // scale) + 0.5) * scale + 16
        torch.testing.assert_close(fields, expected.expand(1, 32 // scale, -1))


def test_composite_blends_photo_and_plate():
    photo = torch.randint(0, 256, (20, 24, 3), dtype=torch.uint8)
    moving = torch.zeros(20, 24)
    moving[5:9, 6:12] = 1
    moving[7, 7] = 0.5
    frame = composite(photo, moving, torch.ones(3, 16, 16), margin=8, region=(8, 8, 24, 24))
    assert torch.equal(frame[moving == 0], photo[moving == 0])
    assert (frame[moving == 1] == 255).all()
    assert (frame[7, 7] - (photo[7, 7] + 255.0) / 2).abs().max() < 1


def test_the_reference_renders_a_part_as_it_renders_the_whole():
    sample = Sample("part", height=64, width=96, margin=32, moving="all")
    tensors, keywords = sample.arguments()
    part = torch.zeros_like(tensors[1])
    part[20:40, 30:60] = 1
    assert moving_region(part, 32, 16) == (32, 32, 96, 112)
    [whole] = reference(*tensors, **keywords)
    assert_alike(reference(tensors[0], part, *tensors[2:], **keywords)[0, 20:40, 30:60], whole[20:40, 30:60])
