from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from benchmarks.foreign_edges import copies_of
from stylecine.errors import NothingMoves
from stylecine.movement.displacement import integrate
from stylecine.networks.generator import Generator
from stylecine.networks.generator import merge as merge_rgb
from stylecine.networks.modulated import ModulatedSynthesis
from stylecine.ops.mixing import copy_b_share
from stylecine.ops.pyramid import merge, upsample
from stylecine.ops.render import _mix
from stylecine.ops.spline import coefficients
from stylecine.picture.loop import (
    Level,
    Loop,
    frames,
    laplacian_levels,
    make_loop,
    splat_level,
)
from tests.loops import frame
from tests.networks import stylegan2_literal as literal
from tests.transfers import NoTransfers, Operations

SIZE, MARGIN, PERIOD = 128, 32, 40


def texture(h: int, w: int, seed: int = 0) -> torch.Tensor:
    """A natural-looking texture in whole byte values: [3,h,w] in [-1,1]."""
    noise = torch.Generator().manual_seed(seed)
    image = sum(
        torch.nn.functional.interpolate(
            torch.randn(1, 3, h // s + 2, w // s + 2, generator=noise), size=(h, w), mode="bicubic"
        )[0]
        * 0.04
        * s**0.5
        for s in (1, 2, 4, 8, 16)
    )
    return (image.clamp(-1, 1) * 127.5 + 127.5).round() / 127.5 - 1


def scene(
    speed: float = 0.18, *, sampling: str = "gather", moving: torch.Tensor | None = None, fps: float = 60
) -> tuple[Loop, np.ndarray]:
    """A loop of a texture whose upper quarter stands still, and its photo.

    At 60 fps everything crossfades all the time, at 30 half of the picture at a time.
    """
    plate = texture(SIZE + 2 * MARGIN, SIZE + 2 * MARGIN)
    inside = plate[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    photo = ((inside + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    if moving is None:
        moving = torch.ones(SIZE, SIZE)
        moving[: SIZE // 4] = 0
    flow = torch.tensor([speed, speed / 4])[:, None, None].expand(2, 32, 32) / 4
    displacement = integrate(flow, moving, period=PERIOD, fps=30, margin=MARGIN)
    return make_loop(photo, moving, laplacian_levels(plate), displacement, fps=fps, sampling=sampling), photo


@pytest.mark.parametrize("cell", [16, 32])
@pytest.mark.parametrize("size", [(150, 170), (136, 200), (161, 129)], ids=str)
def test_large_photos_have_cells_wider_than_blocks(cell, size):
    moving = torch.ones(size)
    displacement = integrate(torch.full((2, 8, 8), 0.02), moving, period=PERIOD, fps=30, margin=MARGIN)
    wide = tuple(-(-(n + 2 * MARGIN) // cell) for n in size)
    knots = [
        torch.nn.functional.interpolate(x.flatten(1, 2), wide).unflatten(1, (2, 2)) / cell
        for x in (displacement.positions, displacement.rates)
    ]
    fields = {"positions": knots[0], "rates": knots[1], "sub_cycle": torch.zeros(wide, dtype=torch.uint8)}
    coarse = replace(displacement, **fields, stagger=None, cell=cell)
    plate = texture(size[0] + 2 * MARGIN, size[1] + 2 * MARGIN)
    photo = ((plate[:, MARGIN:-MARGIN, MARGIN:-MARGIN] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    loop = make_loop(photo, moving, laplacian_levels(plate), coarse)
    assert loop.angle.shape[2:] == wide
    assert np.array_equal(frame(loop, 0).numpy(), photo)


def contrast(image: np.ndarray) -> float:
    moving = image[SIZE // 4 + 8 :].astype(float)
    return float((moving - ndimage.gaussian_filter(moving, (4, 4, 0))).std())


@pytest.mark.parametrize("sampling", ["gather", "splat"])
def test_frame_0_and_frame_n_are_the_photo(sampling):
    loop, photo = scene(sampling=sampling)
    assert np.array_equal(frame(loop, 0).numpy(), photo)
    assert np.array_equal(frame(loop, PERIOD).numpy(), photo)


@pytest.mark.parametrize("sampling", ["gather", "splat"])
def test_frames_of_16_bits_are_those_of_8_without_their_dither(sampling):
    loop, photo = scene(sampling=sampling)
    fine, coarse = frames(loop, [0, 11.3], fine=True) / 257, frames(loop, [0, 11.3])
    assert (fine - coarse).abs().max() < 1 and abs(float((fine - coarse).mean())) < 0.05
    assert torch.equal(fine[:, : SIZE // 4], coarse[:, : SIZE // 4].float()), "where it stands still"
    assert (fine[0] - torch.from_numpy(photo)).abs().max() < 0.1
    assert len(fine[1, SIZE // 2 :].unique()) > 2000


@pytest.mark.parametrize("sampling", ["gather", "splat"])
def test_static_pixels_keep_the_photos_bytes(sampling):
    loop, photo = scene(sampling=sampling)
    moved = frame(loop, 17.3).numpy()
    assert np.array_equal(moved[: SIZE // 4], photo[: SIZE // 4])
    assert (moved[SIZE // 4 + 4 :] != photo[SIZE // 4 + 4 :]).mean() > 0.5


def test_frames_depend_on_nothing_but_their_time():
    loop, _ = scene()
    first = frame(loop, 11)
    frame(loop, 29.5)
    assert torch.equal(first, frame(loop, 11))
    assert torch.equal(first, frame(loop, 11 + PERIOD))
    assert torch.equal(first, frame(loop, 11 - PERIOD))
    assert torch.equal(frame(loop, -1e-12), frame(loop, 0))


def test_the_seam_is_a_step_like_any_other():
    loop, _ = scene()
    frames = np.stack([frame(loop, t).numpy() for t in range(PERIOD)]).astype(float)
    steps = [np.abs(frames[(t + 1) % PERIOD] - frames[t]).mean() for t in range(PERIOD)]
    assert 0.95 < steps[-1] / np.median(steps) < 1.05
    assert 0.95 < steps[0] / np.median(steps) < 1.05


def test_contrast_holds_over_the_loop():
    loop, photo = scene()
    relative = [contrast(frame(loop, t).numpy()) / contrast(photo) for t in range(0, PERIOD, 5)]
    assert max(abs(1 - r) for r in relative) < 0.05


def test_a_dissolve_without_gain_would_haze_over():
    loop, photo = scene()
    plain = Loop(**{**loop.__dict__, "angle": torch.zeros_like(loop.angle)})
    assert contrast(frame(plain, PERIOD / 2).numpy()) / contrast(photo) < 0.8


def test_zero_flow_shows_the_photo_in_every_frame():
    loop, photo = scene(speed=0.0)
    assert np.abs(frame(loop, PERIOD / 2).numpy().astype(int) - photo).max() <= 1


def test_early_in_the_loop_the_texture_moves_with_the_flow():
    loop, photo = scene(speed=0.18)
    after = frame(loop, 11).numpy().astype(float)  # 2 px to the right, half a pixel down
    rows = slice(SIZE // 4 + 16, -16)
    detail = [x - ndimage.gaussian_filter(x, (2, 2, 0)) for x in (after, photo.astype(float))]
    here = np.corrcoef(detail[0][rows, 16:-16].ravel(), detail[1][rows, 16:-16].ravel())[0, 1]
    there = np.corrcoef(detail[0][rows, 16:-16].ravel(), detail[1][rows, 14:-18].ravel())[0, 1]
    assert there > 0.6 and there > 2 * abs(here)


def test_in_long_sub_cycles_half_of_the_picture_crossfades_first_and_then_the_rest():
    loop, photo = scene(fps=30)
    moments = [loop.displacement.uniform(phase) for phase in (0.25, 0.5, 0.75)]
    shares = [copy_b_share(loop.displacement.phase_map(moment)[0], loop.crossfade) for moment in moments]
    mixed = [((share > 0.02) & (share < 0.98)).float().mean() for share in shares]
    assert max(mixed) < 0.7
    relative = [contrast(frame(loop, t).numpy()) / contrast(photo) for t in range(0, PERIOD, 5)]
    assert max(abs(1 - r) for r in relative) < 0.05


def test_at_the_border_a_place_shows_the_copy_that_the_photo_knows():
    loop, _ = scene(fps=30)  # 7 pixels to the right: B comes from past the right border, A from past the left one
    begin = loop.crossfade[0, 3 * MARGIN // 2 + SIZE // 4 : -MARGIN]
    assert begin[:, MARGIN : MARGIN + 3].mean() < 0.15 < 0.35 < begin[:, -MARGIN - 3 : -MARGIN].mean()


def test_in_short_sub_cycles_everything_crossfades_all_the_time():
    loop, _ = scene()
    share = copy_b_share(loop.displacement.phase_map(loop.displacement.uniform(0.5))[0], loop.crossfade)
    assert (share == 0.5).all()


@pytest.mark.parametrize("sampling", ["gather", "splat"])
def test_a_swell_leaves_frame_0_the_photo_and_repeats_as_often_as_it_has_cycles(sampling):
    still, photo = scene(speed=0.0, sampling=sampling)
    swell = torch.zeros(2, 2, *still.displacement.sub_cycle.shape)
    swell[1, 0] = 1.5  # with the sine, to the left and right
    loop = replace(still, displacement=replace(still.displacement, swell=swell, swell_cycles=(2,)))
    frames = [frame(loop, t).numpy()[SIZE // 4 + 8 :, 8:-8].astype(int) for t in (0, 5, 10, 15, 20)]
    assert np.array_equal(frame(loop, 0).numpy(), photo)
    assert np.abs(frames[0] - frames[1]).mean() > 3 and np.abs(frames[1] - frames[3]).mean() > 3
    assert np.abs(frames[0] - frames[2]).max() <= 1 and np.abs(frames[0] - frames[4]).max() <= 1
    assert np.abs(frames[1][:, :-3] - frames[3][:, 3:]).mean() < 0.3 * np.abs(frames[1] - frames[3]).mean()


def test_the_feather_stays_inside_the_mask():
    moving = torch.zeros(SIZE, SIZE)
    moving[40:90, 40:90] = 1
    loop, photo = scene(moving=moving)
    assert loop.moving[40:90, 40].max() < 0.5 and (loop.moving[43:87, 43:87] == 1).all()
    changed = (frame(loop, 20).numpy() != photo).any(axis=2)
    assert changed.any() and not changed[(moving == 0).numpy()].any()


def test_nothing_moving_is_an_error():
    with pytest.raises(NothingMoves):
        scene(moving=torch.zeros(SIZE, SIZE))


def test_features_are_warped_and_synthesised():
    loop, photo = scene()
    h = (SIZE + 2 * MARGIN) // 4
    feature = torch.randn(5, h, h)
    seen = []

    def resynthesise(warped: torch.Tensor, top: int, left: int) -> torch.Tensor:
        seen.append(warped)
        assert (top, left) == (13, 5)
        return upsample(upsample(warped[:3])) * 0.01

    changed = {"feature": coefficients(feature), "feature_region": (13, 5, 43, 43), "resynthesise": resynthesise}
    made = replace(loop, **changed)
    at_start, later = frame(made, 0), frame(made, 10)
    part = feature[:, 13:43, 5:43]
    torch.testing.assert_close(seen[0], part, atol=1e-4, rtol=0)
    assert seen[1].shape == part.shape and not torch.equal(seen[1], part)
    expected = (
        torch.from_numpy(photo).float() + upsample(upsample(feature[:3]))[:, 32:-32, 32:-32].permute(1, 2, 0) * 1.275
    )
    assert (at_start[40:] - expected[40:].clamp(0, 255)).abs().max() < 1
    assert not torch.equal(later, frame(loop, 10))


def generated_scene(detail: float = 0.1, whole: bool = True) -> Loop:
    """A loop of what a small generator makes of warped features, in the middle of the picture."""
    generator = Generator.from_tensors(literal.random_tensors({4: 8, 8: 8, 16: 6, 32: 4}), "b8.conv1").seeded(5)
    moving = torch.zeros(SIZE, SIZE)
    moving[40:70, 50:110] = 1
    plate = texture(SIZE + 2 * MARGIN, SIZE + 2 * MARGIN)
    photo = ((plate[:, MARGIN:-MARGIN, MARGIN:-MARGIN] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    displacement = integrate(torch.full((2, 32, 32), 0.02), moving, period=PERIOD, fps=30, margin=MARGIN)
    noise = torch.Generator().manual_seed(3)
    side = (SIZE + 2 * MARGIN) // generator.stride
    feature, w_plus = torch.randn(8, side, side, generator=noise), torch.randn(8, 512, generator=noise)
    synthesis = ModulatedSynthesis(generator, w_plus, (side, side), torch.float32)
    image = synthesis(feature)[:, : plate.shape[1], : plate.shape[2]].clamp(-1, 1) + plate * detail
    levels = {"levels": laplacian_levels(plate * detail), "whole": laplacian_levels(image) if whole else None}
    return make_loop(photo, moving, displacement=displacement, feature=feature, resynthesise=synthesis, **levels)


def test_copies_of_features_are_compared_by_what_is_shown_of_them():
    """Without a residual nothing else tells where they differ."""
    loop, untold = generated_scene(detail=0), generated_scene(detail=0, whole=False)
    begins = loop.crossfade[0][loop.displacement.sub_cycle >= 0]
    assert begins.min() < 0.05 and begins.max() > 0.45, "some places change early, others late"
    assert untold.crossfade[0].std() < 0.01 < loop.crossfade[0].std()
    again = generated_scene(detail=0.1)
    assert (again.crossfade[0] - loop.crossfade[0]).abs().mean() < 0.1, "a faint residual decides little"


def test_only_the_features_on_which_the_moving_image_depends_are_warped():
    loop = generated_scene()
    assert loop.feature_region == (15, 17, 29, 39)  # (18, 20, 26, 36) with three cells around
    h, w = (n // 2 for n in loop.feature.shape[1:])
    everything = replace(loop, feature_region=(0, 0, h, w))
    for t in (0, 7, 20.5):
        torch.testing.assert_close(frame(loop, t), frame(everything, t), rtol=0, atol=1)
    too_few = replace(loop, feature_region=(18, 20, 26, 36))
    assert (frame(too_few, 7).int() - frame(everything, 7).int()).abs().max() > 1
    assert (frame(loop, 7).int() - frame(loop, 0).int()).abs().max() > 20


def test_a_gpu_would_not_wait_for_the_host_to_generate_a_frame():
    loop = generated_scene()
    frame(loop, 3)  # what is computed once may be copied
    with NoTransfers():
        frame(loop, 7)


def test_a_generated_frame_is_of_few_operations():
    """A GPU takes less time for most of them than Python, about 5 µs."""
    loop = generated_scene()
    frame(loop, 3)
    with Operations() as operations:
        frame(loop, 7)
    assert 50 < operations.count <= 110


@pytest.mark.parametrize("sampling", ["gather", "splat"])
def test_warping_rgb_contributions_equals_warping_the_features_that_feed_to_rgb(sampling):
    """ToRGB, a modulated 1*1 convolution without demodulation, commutes with look-ups and with a normalised splat."""
    generator = Generator.from_tensors(literal.random_tensors({4: 8, 8: 8, 16: 6, 32: 4}, noise=False), "b8.conv1")
    noise = torch.Generator().manual_seed(3)
    w_plus = torch.randn(1, 8, 512, generator=noise)
    side = (SIZE + 2 * MARGIN) // 4
    features = generator.trunk_from_feature(torch.randn(1, 8, side, side, generator=noise), w_plus)
    scales = 4, 2, 1
    loop, _ = scene(sampling=sampling)
    moment = loop.displacement.moment(0.4 * PERIOD)
    share = copy_b_share(loop.displacement.phase_map(moment)[0], loop.crossfade)
    shares = torch.cat((1 - share, share))

    def warp(image: torch.Tensor, scale: int) -> torch.Tensor:
        if sampling == "splat":
            fields = torch.ones_like(share), loop.displacement.targets(moment), shares
            return splat_level(loop, Level(image, scale, False), *fields)
        sources, canvas = loop.displacement.sources(moment), (0, 0, *(scale * n for n in image.shape[1:]))
        return _mix(coefficients(image), sources, shares, cell=loop.displacement.cell, scale=scale, region=canvas)

    contributions = generator.to_rgb(features, w_plus)
    commuted = [warp(x[0], scale) for x, scale in zip(contributions, scales, strict=True)]
    warped = [warp(x[0], scale)[None] for x, scale in zip(features, scales, strict=True)]
    expected = merge_rgb(generator.to_rgb(warped, w_plus))[0]
    assert (expected - merge_rgb(contributions)[0]).std() > 0.1 * expected.std()  # it has moved
    torch.testing.assert_close(merge(commuted[::-1]) / expected.std(), expected / expected.std(), atol=1e-4, rtol=0)


def test_levels_and_loops_can_be_compared_and_hashed():
    loop, _ = scene()
    level = Level(torch.ones(3, 4, 4), 1, True)
    for thing in (loop, level, loop.displacement):
        assert thing in {thing} and thing != replace(thing)


@pytest.mark.parametrize("sampling", ["gather", "splat"])
def test_a_frame_shows_the_first_copy_before_the_crossfade_and_the_second_after_it(sampling):
    """On the right, at frame 31 in the next sub-cycle, where the copies have swapped names, as well."""
    loop, _ = scene(sampling=sampling)
    begin = torch.full_like(loop.crossfade[0], 0.5)
    ahead = torch.linspace(0, 0.7, begin.shape[1]).expand_as(begin).contiguous()
    displacement = replace(loop.displacement, stagger=ahead)
    loop = replace(loop, displacement=displacement, crossfade=torch.stack((begin, torch.full_like(begin, 1e6))))
    _, swapped = displacement.phase_map(displacement.moment(31))
    assert swapped.any() and not swapped.all()
    for t in (3, 31):
        first, second = copies_of(loop, t)
        assert (first.float() - second.float()).abs().mean() > 2
        assert torch.equal(frame(loop, t), first if t == 3 else second)
