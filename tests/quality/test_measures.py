"""What each measure lets pass and what it must not, on loops whose truth is known."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from stylecine.quality import measures
from stylecine.quality.measures import measure_loop, passes

SIZE, FRAMES, FPS = 128, 32, 30.0
VELOCITY = (4.0, -4.0)  # pixels per frame: once round the picture in a loop, so there is no seam


def texture(seed: int, size: int = SIZE) -> np.ndarray:
    """Random picture without edges at its borders, detail of every scale down to 3 pixels: uint8 [H,W,3]."""
    noise = np.random.default_rng(seed).standard_normal((3, size, size))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    shaped = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((frequency * 3) ** 2)) / (frequency + 0.1)).real
    return np.clip(128 + 40 * shaped / shaped.std(), 0, 255).astype(np.uint8).transpose(1, 2, 0)


def shifted(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """The picture moved by x, y pixels, wrapping round, exact below the pixel (by its Fourier series)."""
    v, u = np.meshgrid(np.fft.fftfreq(picture.shape[0]), np.fft.fftfreq(picture.shape[1]), indexing="ij")
    phase = np.exp(-2j * np.pi * (u * x + v * y))[..., None]
    moved = np.fft.ifft2(np.fft.fft2(picture, axes=(0, 1)) * phase, axes=(0, 1)).real
    return np.clip(moved.round(), 0, 255).astype(np.uint8)


def travelling(picture: np.ndarray, velocity: tuple[float, float], frames: int = FRAMES) -> np.ndarray:
    return np.stack([shifted(picture, velocity[0] * t, velocity[1] * t) for t in range(frames)])


def dissolve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """There and back between two stills."""
    share = np.abs(np.linspace(-1, 1, FRAMES, endpoint=False))[:, None, None, None]
    return (a * share + b * (1 - share)).round().astype(np.uint8)


def flow(velocity: tuple[float, float]) -> torch.Tensor:
    """Uniform motion field on a coarser, anisotropic grid."""
    vx, vy = velocity
    return torch.tensor([vx / 4, vy / 8]).view(2, 1, 1).expand(2, SIZE // 8, SIZE // 4)


EVERYWHERE = torch.ones(SIZE, SIZE)


@pytest.fixture(scope="module")
def perfect() -> np.ndarray:
    return travelling(texture(0), VELOCITY)


def measured(frames: np.ndarray) -> dict[str, float]:
    return measure_loop(frames, frames[0], EVERYWHERE, flow(VELOCITY), FPS)


def figures_of(meter: Any, frames: Any, fps: float = FPS) -> dict[str, float]:
    return measures._run(frames, [meter], fps)


def moved(frames: Any, velocity: torch.Tensor, mask: torch.Tensor, fps: float = FPS) -> dict[str, float]:
    return figures_of(measures._Moved(len(frames), mask, fps, velocity), frames)


def pulse(frames: Any, mask: torch.Tensor) -> dict[str, float]:
    return figures_of(measures._Pulse(mask), frames)


def small(frames: Any, fps: float) -> measures._ShrunkFrames:
    kept = measures._ShrunkFrames(len(frames), fps)
    measures._run(frames, [kept], fps)
    return kept


def vividness(frames: Any, mask: torch.Tensor, fps: float = FPS) -> dict[str, float]:
    return small(frames, fps).vividness(mask)


def malf(frames: Any, *, closed: bool = True) -> float:
    return small(frames, FPS).malf(closed=closed)


def returns(frames: Any, mask: torch.Tensor) -> float:
    return measures.returns(frames, FPS, mask)


def unchanged(frames: Any, photo: np.ndarray, mask: torch.Tensor) -> dict[str, float]:
    return figures_of(measures._Unchanged(photo, mask == 0), frames)


def test_a_perfect_loop_reaches_every_goal(perfect: np.ndarray) -> None:
    figures = measured(perfect)
    assert all(passes(figures).values()), figures
    assert figures["moved_error"] < 0.05
    assert figures["travel"] == pytest.approx(math.hypot(*VELOCITY) * FRAMES / SIZE, rel=0.05)
    assert figures["seam"] == pytest.approx(1, abs=0.03)


def test_a_file_is_measured_by_what_its_encoder_has_left_of_the_loop(perfect: np.ndarray) -> None:
    assert all(passes(measures.measure_encoded(perfect, EVERYWHERE, FPS)).values())
    softened = measures.blur(torch.from_numpy(perfect).float().permute(0, 3, 1, 2), 1.0).permute(0, 2, 3, 1)
    key_frame_kept = np.concatenate([perfect[:1], softened[1:].round().byte().numpy()])
    figures = measures.measure_encoded(key_frame_kept, EVERYWHERE, FPS)
    assert figures["pulse_encoded"] > 0.1  # grain that is there in the key frame alone blinks
    assert not passes(figures)["pulse_encoded"]


def test_a_file_may_lack_the_last_row_and_column_of_its_loop(perfect: np.ndarray) -> None:
    figures = measures.measure_encoded(perfect[:, :-1, :-1], EVERYWHERE, FPS)
    assert figures["vividness_encoded"] > 0.9


@pytest.mark.parametrize("velocity", [(0.3, 0.1), (-1.3, 0.45), (0.0, 6.7), (9.5, -3.25)])
def test_motion_is_measured_below_the_pixel_and_over_many(velocity: tuple[float, float]) -> None:
    frames = travelling(texture(1), velocity, 8)
    figures = moved(frames, flow(velocity), EVERYWHERE, FPS)
    assert figures["moved_error"] < 0.1


def test_motion_is_per_thirtieth_of_a_second_at_any_frame_rate(perfect: np.ndarray) -> None:
    twice_as_fast = moved(perfect, flow(VELOCITY) / 2, EVERYWHERE, fps=15.0)
    assert twice_as_fast["moved_error"] < 0.05
    assert moved(perfect, flow(VELOCITY) / 2, EVERYWHERE, fps=30.0)["moved_error"] > 0.9


def test_motion_the_other_way_fails(perfect: np.ndarray) -> None:
    assert moved(perfect, -flow(VELOCITY), EVERYWHERE, FPS)["moved_error"] == pytest.approx(2, abs=0.1)


def test_a_frozen_clip_fails() -> None:
    figures = measured(np.stack([texture(0)] * FRAMES))
    assert figures["moved_error"] == pytest.approx(1, abs=0.02)
    assert figures["travel"] == pytest.approx(0, abs=1e-3)
    assert math.isnan(figures["seam"])
    failed = {name for name, good in passes(figures).items() if not good}
    assert failed == {"moved_error", "travel", "vividness_moving", "seam"}
    assert figures["vividness"] == 0 and figures["malf"] == pytest.approx(0, abs=1e-6)


def test_a_frozen_clip_with_noise_fails() -> None:
    noise = np.random.default_rng(0).normal(0, 3, (FRAMES, SIZE, SIZE, 3))
    frames = np.clip(texture(0) + noise, 0, 255).astype(np.uint8)
    figures = measured(frames)
    assert figures["moved_error"] > 0.9
    assert figures["travel"] < 0.02
    assert figures["vividness_moving"] < 0.01


def test_a_cross_dissolve_between_two_shifted_stills_fails() -> None:
    """It has no seam, changes everywhere and its brightness is right; nothing in it travels."""
    figures = measured(dissolve(texture(0), shifted(texture(0), *(16 * v for v in VELOCITY))))
    assert figures["moved_error"] > 0.5
    assert figures["pulse_global"] > 0.1  # two unlike pictures mixed lose contrast
    assert not passes(figures)["moved_error"] and not passes(figures)["pulse_global"]


def test_boiling_texture_without_a_match_counts_as_static() -> None:
    figures = measured(np.stack([texture(seed) for seed in range(FRAMES)]))
    assert figures["moved_error"] == pytest.approx(1, abs=0.2)


def test_stripes_are_compared_across_and_say_nothing_along() -> None:
    """The aperture problem: vertical stripes show motion in x only."""
    stripes = texture(3)
    stripes[:] = stripes[:1]
    right = travelling(stripes, (2.0, 0.0), 8)
    assert moved(right, flow((2.0, 1.0)), EVERYWHERE, FPS)["moved_error"] < 0.1
    along = np.stack([stripes] * 8)
    assert math.isnan(moved(along, flow((0.0, 2.0)), EVERYWHERE, FPS)["moved_error"])


def test_two_copies_that_mix_while_they_move_still_count_as_moving() -> None:
    """What a loop is made of: copy A fades out and copy B, elsewhere in its travel, fades in."""
    share = np.arange(FRAMES)[:, None, None, None] / FRAMES
    a, b = (travelling(texture(seed), VELOCITY) for seed in (0, 9))
    mixed = (a * (1 - share) + b * share).round().astype(np.uint8)
    assert moved(mixed, flow(VELOCITY), EVERYWHERE, FPS)["moved_error"] < 0.1


def test_static_objects_inside_the_masks_box_do_not_matter(perfect: np.ndarray) -> None:
    mask = torch.zeros(SIZE, SIZE)
    mask[:, 40:88] = 1
    still = texture(7)
    frames = np.where(mask.numpy()[None, :, :, None] > 0, perfect, still)
    figures = moved(frames, flow(VELOCITY), mask, FPS)
    assert figures["moved_error"] < 0.1
    assert pulse(frames, mask) == pulse(perfect, mask)
    assert unchanged(frames, frames[0], mask)["static_drift"] == 0


def test_nothing_moving_is_nan_and_nan_fails(perfect: np.ndarray) -> None:
    figures = measure_loop(perfect, perfect[0], torch.zeros(SIZE, SIZE), flow(VELOCITY), FPS)
    for name in ("moved_error", "travel", "vividness_moving", "pulse_tiles", "pulse_excess", "pulse_global"):
        assert math.isnan(figures[name])
        assert not passes(figures).get(name, False)


def test_motion_without_texture_cannot_be_measured() -> None:
    flat = np.full((8, SIZE, SIZE, 3), 130, np.uint8)
    assert math.isnan(moved(flat, flow((2.0, 0.0)), EVERYWHERE, FPS)["moved_error"])


def test_a_jump_at_the_seam_fails_only_the_seam() -> None:
    frames = travelling(texture(0), (0.75, 0.0))  # 24 of 128 pixels round
    figures = measure_loop(frames, frames[0], EVERYWHERE, flow((0.75, 0.0)), FPS)
    assert figures["seam"] > 1.5
    assert {name for name, good in passes(figures).items() if not good} == {"seam"}


def test_a_frame_shown_twice_fails_the_seam(perfect: np.ndarray) -> None:
    assert measures.seam(np.concatenate([perfect, perfect[:1]])) == 0


def test_a_pulse_fails_where_it_is(perfect: np.ndarray) -> None:
    """Haze in the middle of the loop, in one tile's place of four."""
    hazy = perfect.astype(np.float32)
    depth = 0.4 * np.sin(np.pi * np.arange(FRAMES) / FRAMES)[:, None, None, None]
    corner = hazy[:, :64, :64]
    hazy[:, :64, :64] = corner + depth * (corner.mean((1, 2), keepdims=True) - corner)
    figures = measured(hazy.round().astype(np.uint8))
    assert figures["pulse_tiles"] > 0.25
    assert figures["pulse_excess"] > 0.15
    assert 0.05 < figures["pulse_global"] < 0.2
    assert passes(figures)["moved_error"]


def test_texture_that_comes_and_goes_with_the_flow_is_no_excess() -> None:
    uneven = texture(0).astype(np.float32)
    uneven[:, 32:96] = uneven.mean() + 0.2 * (uneven[:, 32:96] - uneven.mean())
    frames = travelling(uneven.round().astype(np.uint8), (5.0 / FRAMES, 0.0))  # 4% of the picture in the loop
    figures = measure_loop(frames, frames[0], EVERYWHERE, flow((5.0 / FRAMES, 0.0)), FPS)
    assert figures["pulse_excess"] < 0.3 * figures["pulse_tiles"]
    assert figures["pulse_tiles"] > 0.05


def test_noise_below_one_grey_level_does_not_pulse() -> None:
    random = np.random.default_rng(0)
    blank = np.stack([np.full((SIZE, SIZE, 3), 130, np.uint8)] * 4)
    blank[2] += (random.random((SIZE, SIZE, 1)) < 0.001).astype(np.uint8)
    assert pulse(blank, EVERYWHERE)["pulse_global"] < 0.04


def test_a_static_pixel_that_changes_once_is_drift(perfect: np.ndarray) -> None:
    mask = torch.ones(SIZE, SIZE)
    mask[100:] = 0
    frames = np.where(mask.numpy()[None, :, :, None] > 0, perfect, perfect[0])
    frames[FRAMES // 2, 110, 5, 1] ^= 4
    figures = measure_loop(frames, frames[0], mask, flow(VELOCITY), FPS)
    assert figures["static_drift"] == pytest.approx(4 / 255)
    assert not passes(figures)["static_drift"]


def test_first_frame_error_allows_one_level(perfect: np.ndarray) -> None:
    photo = perfect[0]
    off = np.where(photo < 255, photo + 1, photo)
    assert unchanged(perfect, off, EVERYWHERE)["first_frame_error"] == 1 / 255
    assert passes({"first_frame_error": 1 / 255})["first_frame_error"]
    assert not passes({"first_frame_error": 2 / 255})["first_frame_error"]


def test_nan_never_passes_and_figures_without_a_goal_are_left_out() -> None:
    assert passes({"seam": math.nan, "pulse_global": 0.0, "seconds": 3.0}) == {"seam": False, "pulse_global": True}


@pytest.mark.parametrize("count", [1, 2, 5, 40, 41, 120, 1000])
def test_the_sample_of_frames(count: int) -> None:
    times = measures.sample_times(count, FPS)
    assert times[0] == 0 and times[-1] == count - 1 and len(times) <= 44
    assert times == sorted(set(times))
    pairs = sum(b == a + 1 for a, b in pairwise(times))
    assert count <= 40 or pairs >= 20


def test_a_loop_of_one_or_two_frames_gives_figures_not_errors() -> None:
    for count in (1, 2):
        frames = np.stack([texture(0)] * count)
        assert not all(passes(measured(frames)).values())


def test_each_frame_is_requested_once(perfect: np.ndarray) -> None:
    class Counting:
        def __init__(self) -> None:
            self.asked: list[int] = []

        def __len__(self) -> int:
            return FRAMES

        def __getitem__(self, t: int) -> np.ndarray:
            self.asked.append(t)
            return perfect[t]

    frames = Counting()
    measure_loop(frames, perfect[0], EVERYWHERE, flow(VELOCITY), FPS)
    assert frames.asked == sorted(set(frames.asked))


def test_a_video_without_a_mask_is_segmented_by_its_motion(perfect: np.ndarray) -> None:
    frames = perfect.copy()
    frames[:, 64:] = perfect[0, 64:]
    moving = measures.changing(frames)
    assert moving[:56].mean() > 0.95 and moving[72:].max() == 0
    figures = measures.measure_video(frames, FPS)
    assert figures["travel"] == pytest.approx(math.hypot(*VELOCITY) * FRAMES / SIZE, rel=0.1)
    assert figures["seam"] == pytest.approx(1, abs=0.03)


def test_vividness_is_the_share_that_is_fast_enough() -> None:
    """Above, one and a half times the threshold: 0.3% of the short side in a third of a second; below, half of it."""
    threshold = 0.003 * SIZE * 3 / FPS
    fast, slow = (travelling(texture(4), (factor * threshold, 0.0)) for factor in (1.5, 0.5))
    frames = fast.copy()
    frames[:, 64:] = slow[:, 64:]
    upper = torch.zeros(SIZE, SIZE)
    upper[:56] = 1
    figures = vividness(frames, upper)
    assert figures["vividness"] == pytest.approx(0.5, abs=0.05) and figures["vividness_moving"] > 0.95
    assert vividness(frames, 1 - upper)["vividness_moving"] < 0.25
    share = measures.vivid_share(frames, FPS)
    assert share.shape == (SIZE, SIZE) and float(share[:56].mean()) > 0.95 > 0.25 > float(share[72:].mean())
    assert float(share.mean()) == pytest.approx(figures["vividness"]), "of which vividness is the mean"


def test_vividness_is_per_second_at_any_frame_rate() -> None:
    """At 20 fps the frames that are compared are 7 / 20 s apart."""
    threshold = 0.003 * SIZE * 3 / 20
    for factor, expected in ((1.3, 1), (0.7, 0)):
        frames = travelling(texture(4), (factor * threshold, 0.0))
        assert vividness(frames, EVERYWHERE, 20)["vividness_moving"] == pytest.approx(expected, abs=0.05)


def test_vividness_sees_every_phase_of_a_sub_cycle() -> None:
    """Of six sub-cycles, in which it moves fast enough for one half only: neither always nor never is right."""
    position = np.cumsum([0.025 if t % 20 < 10 else 0.0 for t in range(120)])
    frames = np.stack([shifted(texture(0, 64), x, 0) for x in position])
    assert 0.1 < vividness(frames, torch.ones(64, 64))["vividness"] < 0.9


def test_a_region_that_shows_the_first_frame_again_returns() -> None:
    """The upper part goes once round, the lower part twice; what does not move does not count."""
    once, twice = ([shifted(texture(0), 3 * math.sin(math.pi * k * t / 40) ** 2, 0) for t in range(40)] for k in (1, 2))
    frames = np.stack([np.concatenate((a[:60], b[60:])) for a, b in zip(once, twice, strict=True)])
    figures = measure_loop(frames, frames[0], EVERYWHERE, flow((0.1, 0.0)), FPS)
    assert 0.2 < figures["returns"] < 0.8, "they are connected"
    upper = torch.zeros(SIZE, SIZE)
    upper[:60] = 1
    assert returns(frames, upper) < 0.01 and returns(frames, 1 - upper) > 0.95
    apart = torch.ones(SIZE, SIZE)
    apart[55:65] = 0
    assert returns(frames, apart) == pytest.approx(returns(frames, 1 - upper), abs=0.02)
    apart[60:] = 0
    assert returns(frames, apart) < 0.01


def test_what_does_not_change_does_not_return() -> None:
    assert math.isnan(returns(np.stack([texture(0)] * 40), EVERYWHERE))


def test_a_loop_of_less_than_a_third_of_a_second_has_no_vividness(perfect: np.ndarray) -> None:
    assert math.isnan(vividness(perfect[:10], EVERYWHERE)["vividness"])
    assert not math.isnan(vividness(perfect[:11], EVERYWHERE)["vividness"])


def test_malf_is_high_where_a_loop_leaves_its_first_frame_and_returns(perfect: np.ndarray) -> None:
    near = travelling(texture(0), (0.05, 0.0))
    assert 0 < malf(near) < malf(perfect) < 1


def test_a_video_that_does_not_return_has_less_malf(perfect: np.ndarray) -> None:
    closed, cut = (malf(f, closed=False) for f in (perfect, perfect[:24]))
    assert closed == pytest.approx(malf(perfect), abs=0.05)
    slow = travelling(texture(0), (0.3, 0.0))
    assert malf(slow, closed=False) < 0.7 * closed
    assert cut <= closed + 0.05
    assert malf(np.stack([texture(0)] * 8), closed=False) == pytest.approx(0)


def test_ssim_is_that_of_the_formula() -> None:
    """Of flat pictures only the term of the luminance is left; of a scaled and shifted one it is 1 nowhere."""
    black, grey = torch.full((20, 30), 40.0), torch.full((20, 30), 100.0)
    constant = (0.01 * 255) ** 2
    expected = (2 * 40 * 100 + constant) / (40**2 + 100**2 + constant)
    assert measures.ssim(black, grey) == pytest.approx(expected, rel=1e-5)
    picture = torch.from_numpy(texture(2)[..., 0].astype(np.float32))
    assert measures.ssim(picture, picture) == pytest.approx(1)
    assert measures.ssim(picture, 255 - picture) < 0


def test_ssim_has_gaussian_windows_of_11_pixels() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 255, (2, 11, 11))  # one window fits
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weight = np.outer(line, line) / np.outer(line, line).sum()
    (mean_a, mean_b), (c1, c2) = ((weight * p).sum() for p in (a, b)), ((k * 255) ** 2 for k in (0.01, 0.03))
    variances = [(weight * (p - m) ** 2).sum() for p, m in ((a, mean_a), (b, mean_b))]
    covariance = (weight * (a - mean_a) * (b - mean_b)).sum()
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    expected = luminance * (2 * covariance + c2) / (sum(variances) + c2)
    assert measures.ssim(*(torch.from_numpy(p.astype(np.float32)) for p in (a, b))) == pytest.approx(expected, abs=1e-4)
