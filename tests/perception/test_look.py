"""What the eye sees in photographs, small copies of which are in tests/data/seen: what a person sees, too."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from stylecine.engine.model_networks import Networks
from stylecine.ops.image import to_tensor
from stylecine.options import CLASSES, SKY, WATER
from stylecine.perception.look import perceive
from stylecine.perception.scenery import Scenery
from stylecine.perception.see import see
from stylecine.picture.photo import load_photo

pytestmark = pytest.mark.usefixtures("as_shipped")
PHOTOS = Path(__file__).parents[1] / "data/seen"
Outline = list[tuple[float, float]]

# Sky and water of each photo: outlines by hand, in fractions of width and height.
OUTLINES: dict[str, tuple[Outline, Outline]] = {
    "sunset-hills": ([(0, 0), (1, 0), (1, 0.42), (0.55, 0.44), (0, 0.47)], []),
    "mirror-lake": (
        [(0, 0), (1, 0), (1, 0.4), (0.7, 0.33), (0.45, 0.42), (0.25, 0.32), (0, 0.4)],
        [(0, 0.53), (1, 0.53), (1, 1), (0, 1)],
    ),
    "rippled-lake": (
        [(0, 0), (1, 0), (1, 0.49), (0.55, 0.54), (0, 0.49)],
        [(0, 0.57), (1, 0.57), (1, 1), (0, 1)],
    ),
    "white-cloud-sea": (
        [(0, 0), (1, 0), (1, 0.44), (0.7, 0.4), (0.43, 0.25), (0.15, 0.44), (0, 0.44)],
        [(0, 0.46), (1, 0.46), (1, 1), (0, 1)],
    ),
    "stones-bay": (
        [(0, 0), (0.85, 0), (0.7, 0.3), (0.3, 0.4), (0, 0.4)],
        [(0, 0.42), (0.7, 0.42), (0.6, 0.6), (0.3, 0.72), (0, 0.78)],
    ),
    "surf-rocks": (
        [(0, 0), (1, 0), (1, 0.41), (0, 0.42)],
        [(0, 0.5), (1, 0.47), (1, 0.88), (0.7, 0.72), (0.5, 0.62), (0, 0.6)],
    ),
}


@cache
def look_at(name: str) -> Scenery:
    photo = load_photo(PHOTOS / f"{name}.avif")
    layers = torch.zeros(len(CLASSES), *photo.shape[:2])
    for moving_class, outline in zip((SKY, WATER), OUTLINES[name], strict=True):
        area = Image.new("L", photo.shape[1::-1])
        if outline:
            ImageDraw.Draw(area).polygon([(x * area.width, y * area.height) for x, y in outline], fill=1)
        layers[moving_class] = torch.from_numpy(np.asarray(area).astype(np.float32))
    image, networks = to_tensor(photo), Networks.from_pretrained(lazily=True)
    return perceive(image, layers, see(image, networks.eye, networks.refiner))


def share(values: np.ndarray, scenery: Scenery) -> float:
    """Of open water."""
    return float(values[scenery.streams.open].mean())


def test_the_glow_of_a_low_sun_stands_and_the_sky_far_from_it_does_not() -> None:
    glow = look_at("sunset-hills").still.glow
    rows, columns = glow.shape
    sun, beside = (int(0.38 * rows), int(0.49 * columns)), (int(0.36 * rows), int(0.57 * columns))
    assert glow[sun] > 0.9 and glow[beside] > 0.5
    assert glow[: rows // 10, : columns // 10].max() < 0.1 and glow[: rows // 10, -columns // 10 :].max() < 0.1


@pytest.mark.parametrize("name", sorted(OUTLINES.keys() - {"sunset-hills"}))
def test_white_clouds_and_bright_skies_are_no_sun(name: str) -> None:
    assert not look_at(name).still.glow.any()


def test_a_calm_lake_mirrors_its_shore() -> None:
    lake = look_at("mirror-lake")
    assert share(lake.still.mirror, lake) > 0.8


@pytest.mark.parametrize("name", ["rippled-lake", "white-cloud-sea", "surf-rocks"])
def test_water_with_waves_mirrors_nothing(name: str) -> None:
    scenery = look_at(name)
    assert share(scenery.still.mirror, scenery) < 0.1


@pytest.mark.parametrize("name", OUTLINES)
def test_rocks_and_shores_without_surf_are_no_beach(name: str) -> None:
    assert look_at(name).beach is None
