import numpy as np
import pytest
import torch

from stylecine.movement.displacement import integrate
from stylecine.movement.waves import RIPPLE_SECONDS, SWELL_SECONDS, predict_swell
from tests.seen import Everywhere, seen, water_that

SKY, WATER, FALLS = range(3)
PLAIN = torch.zeros(3, 128, 160)  # a photo in which nothing is mirrored
GREY = PLAIN[0].numpy()


def landscape(water: slice = slice(40, 128), columns: slice = slice(0, 160)) -> torch.Tensor:
    """Layers [4,128,160]: sky above, water below it."""
    layers = torch.zeros(4, 128, 160)
    layers[SKY, :40] = 1
    layers[WATER, water, columns] = 1
    return layers


def drift(speed: float = 0.05) -> torch.Tensor:
    return torch.tensor([speed, 0.0])[:, None, None].expand(2, 128, 160)


def downward() -> torch.Tensor:
    return drift().flip(0)


def owner(layers: torch.Tensor) -> np.ndarray:
    return np.where(layers.amax(0) > 0, layers.argmax(0), -1)


def parts(photo: torch.Tensor, layers: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    (swell,) = predict_swell(seen(photo, layers, Everywhere(1, 0)), flow)
    return swell.parts


def test_no_swell_without_open_water():
    stream = seen(PLAIN, landscape(columns=slice(72, 88)), Everywhere(0, 1, "runs"))
    assert predict_swell(stream, downward()) == []


def test_water_moves_up_and_down_more_than_sideways_and_more_when_near():
    swell = parts(PLAIN, landscape(), drift())
    reach = swell.square().sum(0).sqrt()  # over the cycle, x and y
    assert reach[1].mean() > 3 * reach[0].mean()
    assert reach[1, 110:120].mean() > 2 * reach[1, 55:65].mean()
    assert 0.1 < float(reach[1].max()) < 0.01 * 128


def test_no_swell_on_land_or_at_the_shore():
    layers = landscape()
    layers[WATER, 80:100, 60:90] = 0  # a rock
    swell = parts(PLAIN, layers, drift())
    assert swell[..., :40, :].abs().max() == 0 and swell[..., 80:100, 60:90].abs().max() == 0
    assert swell[..., 79, 60:90].abs().max() < 0.05 * swell.abs().max()
    assert swell[..., -1, 5:50].abs().max() > 0.3 * swell.abs().max(), "the photo's border is no shore"


def test_the_picture_is_nowhere_folded():
    swell = parts(PLAIN, landscape(), drift())
    for part in (swell[0], swell[1], (swell[0] + swell[1]) * 2**-0.5):
        for axis in (0, 1):
            assert torch.gradient(2 * part[axis], dim=1 - axis)[0].abs().max() < 0.7


def test_water_that_is_held_still_has_no_swell():
    held = drift().clone()
    held[:, 90:110, 60:90] = 0
    assert parts(PLAIN, landscape(), held)[..., 90:110, 60:90].abs().max() == 0
    assert parts(PLAIN, landscape(), drift(0)).abs().max() == 0


@pytest.mark.parametrize("size", [(64, 80), (200, 250)])
def test_the_swell_reaches_as_far_in_a_photo_of_any_size(size):
    photo, layers = (torch.nn.functional.interpolate(x[None], size)[0] for x in (PLAIN, landscape()))
    flow = torch.nn.functional.interpolate(drift()[None], size)[0] * size[0] / 128
    swell = parts(photo, layers, flow)
    assert swell.shape == (2, 2, *size)
    reach = float(parts(PLAIN, landscape(), drift()).abs().max()) / 128
    assert float(swell.abs().max()) / size[0] == pytest.approx(reach, rel=0.2)


class MirrorsBelow(Everywhere):
    """Sees open water above, and water that mirrors its shore in the lower third."""

    def water(self, h: int, w: int) -> torch.Tensor:
        low = torch.arange(h)[:, None] > 0.7 * h
        kinds = (water_that(kind)[:, None, None].expand(-1, h, w) for kind in ("mirrors", "open"))
        return torch.where(low, *kinds)


def test_water_that_mirrors_its_shore_rocks_faster_and_does_not_drift() -> None:
    def rocks(kind: str, speed: float) -> torch.Tensor:
        """Where water rocks in a loop of four seconds; speed: in short sides."""
        flow = drift(speed * 128 / 120)
        (swell,) = predict_swell(seen(PLAIN, landscape(), Everywhere(1, 0, kind)), flow)
        assert swell.seconds == (RIPPLE_SECONDS if kind == "mirrors" else SWELL_SECONDS)
        made = integrate(flow, landscape()[WATER], period=120, fps=30, margin=32, swells=[swell])
        return made.rocks(128, 160)

    assert rocks("mirrors", 0.0012)[108:].float().mean() > 0.9 and not rocks("open", 0.06)[40:].any()


def test_a_pond_that_mirrors_its_shore_leaves_the_sea_its_own_waves() -> None:
    """Each has a clock of its own, and the pond's waves do not change the sea's."""
    layers, eye = landscape(slice(40, 70)), MirrorsBelow(1, 0)
    sea = predict_swell(seen(PLAIN, layers, eye), drift())
    layers[WATER, 100:120, 50:110] = 1
    waters = predict_swell(seen(PLAIN, layers, eye), drift())
    assert [water.seconds for water in waters] == [SWELL_SECONDS, RIPPLE_SECONDS]
    assert torch.equal(waters[0].parts, sea[0].parts)
    assert waters[1].parts[..., :100, :].abs().max() == 0 < waters[1].parts.abs().max()
