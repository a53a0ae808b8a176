import ctypes
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.weather import Precipitation, arguments, weather_
from tests.ops.kernels import agreement, apart, assert_alike


def weather(frames: Tensor, precipitation: Precipitation) -> Tensor:
    """weather_() of a copy."""
    return weather_(frames.clone(memory_format=torch.contiguous_format), precipitation)


@dataclass(frozen=True)
class Sample:
    name: str
    h: int = 45
    w: int = 70
    frames: int = 1
    streaks: int = 60
    length: float = 12.0  # pixels
    radius: float = 3.0
    gh: int = 3
    gw: int = 5
    fog: float = 0.6  # 0: none
    strided: bool = False

    def arguments(self, device: str = "cpu") -> tuple[list[Any], dict[str, Any]]:
        noise = torch.Generator().manual_seed(5)
        frames = torch.randint(0, 256, (self.frames, self.h, self.w, 3), generator=noise, dtype=torch.uint8)
        streaks = [self.some_streaks(noise) for _ in range(self.frames)]
        veil = torch.rand(self.frames, self.gh, self.gw, generator=noise) * 2 * self.fog
        distance = torch.randint(0, 256, (self.h, self.w), generator=noise, dtype=torch.uint8)
        if self.strided:
            streaks, veil, distance = [apart(each) for each in streaks], apart(veil), apart(distance)
        colours = [(40.0 + 12 * i, 120.0, 251.5) for i in range(self.frames)]
        placed = [each.to(device) for each in streaks]
        falling = Precipitation(placed, colours, veil.to(device), colours[::-1], distance.to(device))
        return [frames.to(device), falling], {}

    def some_streaks(self, noise: torch.Generator) -> Tensor:
        """Of all directions, some of them outside of the frame or reaching into it, and some that are points."""
        random = torch.rand(self.streaks, 6, generator=noise)
        place = random[:, :2] * torch.tensor((self.w + 20.0, self.h + 20.0)) - 10
        way = (random[:, 2:4] - 0.5) * 2 * self.length
        way[::7] = 0
        way[1::7, 1] = 0
        squared = way.square().sum(1)
        radius = 0.4 + self.radius * random[:, 4]
        inverse = torch.where(squared > 0, 1 / squared, 0.0)
        return torch.stack((*place.T, *way.T, inverse, radius, radius**-2, random[:, 5]), 1)


SAMPLES = [
    Sample("a usual one"),
    Sample("several frames", frames=3),
    Sample("more frames than a GPU is given at once", frames=18),
    Sample("fog alone", streaks=0),
    Sample("no fog", fog=0.0),
    Sample("more streaks than a block has threads", streaks=700, radius=1.0),
    Sample("drops", length=60.0, radius=0.5),
    Sample("flakes larger than the frame", radius=90.0, streaks=5),
    Sample("one pixel", h=1, w=1),
    Sample("one row", h=1, w=300),
    Sample("one column", h=300, w=1),
    Sample("wide", h=3, w=1601),
    Sample("a veil finer than the frame", h=5, w=9, gh=40, gw=300),
    Sample("a veil of one cell", gh=1, gw=1),
    Sample("strided", strided=True),
]


test_the_kernel_agrees_with_the_reference_and_with_itself_on_any_number_of_threads, test_the_gpu_agrees_with_the_cpu = (
    agreement(weather, SAMPLES, assert_alike)
)


def test_nothing_in_the_air_keeps_the_bytes(either):
    (frames, falling), _ = Sample("clear", streaks=0, fog=0.0).arguments()
    assert torch.equal(weather(frames, falling), frames)
    (frames, falling), _ = Sample("near", streaks=0).arguments()
    assert torch.equal(weather(frames, falling._replace(distance=torch.zeros_like(falling.distance))), frames)


def test_fog_takes_the_distance_to_its_colour(either):
    (frames, falling), _ = Sample("thick", streaks=0, gh=1, gw=1).arguments()
    thick = falling._replace(veil=torch.ones(1, 1, 1), distance=torch.full_like(falling.distance, 255))
    shown = weather(frames, thick).float()
    assert (shown - torch.tensor(falling.veil_colours[0])).abs().max() <= 0.5


def test_a_flake_hides_its_middle_and_nothing_beyond_its_radius(either):
    (frames, falling), _ = Sample("one", fog=0.0).arguments()
    flake = torch.tensor([[30.0, 20.0, 0.0, 0.0, 0.0, 5.0, 1 / 25, 1.0]])
    shown = weather(frames, falling._replace(streaks=[flake]))
    assert (shown[0, 20, 30].float() - torch.tensor(falling.streak_colours[0])).abs().max() <= 0.5
    y, x = torch.arange(45)[:, None], torch.arange(70)
    outside = (y - 20) ** 2 + (x - 30) ** 2 >= 25
    assert torch.equal(shown[0][outside], frames[0][outside])


def test_the_order_of_streaks_does_not_matter(either):
    (frames, falling), _ = Sample("many", streaks=200).arguments()
    turned = falling._replace(streaks=[falling.streaks[0].flip(0)])
    assert (weather(frames, falling).int() - weather(frames, turned).int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"streaks": []}, "1 frames, and 0 of streaks"),
        ({"veil_colours": []}, "1 frames, and 0 of veil_colours"),
        ({"streaks": [torch.zeros(3, 7)]}, r"streaks is float32 \[3, 8\]"),
        ({"veil": torch.zeros(1, 4)}, r"the veil is \[n,gh,gw\]"),
        ({"veil": torch.zeros(1, 2, 2, dtype=torch.float64)}, "veil is float32"),
        ({"distance": torch.zeros(4, 4, dtype=torch.uint8)}, r"distance is uint8 \[45, 70\]"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    (frames, falling), _ = Sample("refused").arguments()
    with pytest.raises(ValueError, match=message):
        weather(frames, falling._replace(**change))


def test_frames_are_changed_in_place_and_contiguous():
    (frames, falling), _ = Sample("in place").arguments()
    made = weather(frames, falling)
    assert weather_(frames, falling) is frames and torch.equal(frames, made)
    with pytest.raises(ValueError, match="have to be contiguous"):
        weather_(apart(frames), falling)
    with pytest.raises(ValueError, match=r"frames are \[n,H,W,3\]"):
        weather_(frames[0], falling)


@pytest.mark.skipif(not native.available("cpu"), reason="the native library is not built")
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("frame", None, "frame, first, veil"),
        ("first", None, "frame, first, veil"),
        ("out", None, "frame, first, veil"),
        ("streaks", None, "streaks is NULL"),
        ("height", 0, "height and width are 1"),
        ("width", 1 << 23, "height and width are 1"),
        ("gh", 0, "gh and gw are 1 to 4096"),
        ("gw", 4097, "gh and gw are 1 to 4096"),
        ("frames", 0, "frames is 1 to 65536"),
    ],
)
def test_the_c_interface_refuses(field, value, message):
    (frames, falling), _ = Sample("refused").arguments()
    args = arguments(frames, falling)
    setattr(args, field, value)
    with pytest.raises(ValueError, match=message):
        native.run("weather", args, torch.device("cpu"))


@pytest.mark.skipif(not native.available("cpu"), reason="the native library is not built")
@pytest.mark.parametrize(("first", "message"), [((1, 60), "begin at 0"), ((0, -1), "2\\^20"), ((0, 2 << 20), "2\\^20")])
def test_the_c_interface_refuses_impossible_numbers_of_streaks(first, message):
    (frames, falling), _ = Sample("refused").arguments()
    args = arguments(frames, falling)
    numbers = (ctypes.c_int64 * 2)(*first)
    args.first = ctypes.addressof(numbers)
    with pytest.raises(ValueError, match=message):
        native.run("weather", args, torch.device("cpu"))
