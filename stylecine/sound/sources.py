"""What is heard in a picture: what makes a sound, how loud, how far away and where from left to right."""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from stylecine.movement.waves import RIPPLE_SECONDS, SWASH_SECONDS, SWELL_SECONDS
from stylecine.ops.image import resize
from stylecine.ops.regions import connected
from stylecine.options import FALLS, WATER, Wind
from stylecine.perception.scenery import Scenery

MIN_AREA = 0.002  # of the picture: what is smaller is not heard
USUAL_AREA = 0.1  # of the picture: what has so much of it is as loud as LEVELS says; louder by 3 dB for twice as much
LEVELS = {"surf": 0.0, "falls": 0.0, "brook": -9.0, "waves": -18.0, "leaves": -10.0, "rain": -8.0, "wind": -28.0}  # dB
RAPIDS_LEVEL = 7.0  # dB by which running water that is all white is louder than a brook
FAR_LOSS = 18.0  # dB that the farthest is quieter than the nearest
WIND_POWER = 30.0  # dB per tenfold strength of the wind; LEVELS are of the usual strength
FAINT_WIND = 0.3  # strength of the wind that is heard where nobody has given one
STRANDS = 3  # in which anything is heard, from places that divide it into equal parts
MIN_SURF_FOAM = 0.3  # on open water: where there is more, it breaks
USUAL_FALL = 0.4  # of the picture's height: a fall as high as that sounds as low as any


@dataclass(frozen=True)
class Source:
    """Something that is heard. kind: a key of `voices.VOICES`. level: in dB, relative to others. places: of its
    strands, in [0,1] from left to right. distance: in [0,1], 1 at the horizon. strength: see `voices.Strand`.
    wave_seconds: about one of its waves."""

    kind: str
    level: float
    places: tuple[float, ...]
    distance: float = 0.0
    strength: float = 0.5
    wave_seconds: float = SWELL_SECONDS


def find_sources(scenery: Scenery, plants: Tensor | None, wind: Wind | None, rain: float | None) -> tuple[Source, ...]:
    """What is heard in a scenery, the wind last: faint where none is given, and not at all in a calm.

    plants: [H,W] in [0,1], how much each place sways. wind: as in `animate`. rain: its strength; None without.
    """
    blowing = Wind(strength=FAINT_WIND) if wind is None else wind
    found = [*_water(scenery), _falls(scenery), _plants(scenery, plants, blowing)]
    everywhere = tuple((k + 0.5) / STRANDS for k in range(STRANDS))
    if rain is not None:
        found.append(Source("rain", LEVELS["rain"] + 10 * math.log10(2 * rain), everywhere, strength=rain))
    if blowing.strength > 0:
        found.append(Source("wind", LEVELS["wind"] + _gain(blowing), everywhere, strength=blowing.strength))
    return tuple(source for source in found if source is not None)


def _water(scenery: Scenery) -> list[Source | None]:
    water, lies_open = scenery.owner == WATER, scenery.streams.open
    breaks = lies_open & (scenery.surf | (scenery.foam > MIN_SURF_FOAM))
    foam = np.where(breaks, 0.2 + scenery.foam, 0.0)
    if scenery.beach is not None:
        foam = np.maximum(foam, scenery.beach.surely * (np.abs(scenery.beach.level) < 1))
    mirrors, runs = lies_open & (scenery.still.mirror > 0.5), water & ~lies_open
    white = float(scenery.foam[runs].mean()) if runs.any() else 0.0
    return [
        _source("surf", scenery, foam, wave_seconds=SWASH_SECONDS),
        _source("waves", scenery, (lies_open & ~breaks & ~mirrors).astype(float), wave_seconds=SWELL_SECONDS),
        _source("waves", scenery, 0.5 * mirrors, wave_seconds=RIPPLE_SECONDS),
        _source("brook", scenery, runs * (0.2 + scenery.foam), gain=RAPIDS_LEVEL * white, strength=white),
    ]


def _falls(scenery: Scenery) -> Source | None:
    here = scenery.owner == FALLS
    falls = [(fall.sum(), len(fall) / len(here)) for _, fall in connected(here)]
    height = sum(size * height for size, height in falls) / max(1, here.sum())  # of many small ones that of each
    return _source("falls", scenery, here.astype(float), strength=min(1.0, height / USUAL_FALL))


def _plants(scenery: Scenery, plants: Tensor | None, wind: Wind) -> Source | None:
    if plants is None or not wind.strength:
        return None
    sways = resize(plants[None].float(), scenery.grid)[0].cpu().numpy()
    return _source("leaves", scenery, sways, gain=_gain(wind), strength=wind.strength)


def _gain(wind: Wind) -> float:
    return WIND_POWER * math.log10(max(wind.strength, 0.01) / Wind().strength)


def _source(kind: str, scenery: Scenery, weights: np.ndarray, gain: float = 0.0, **about: float) -> Source | None:
    """A source where the weights [h,w] are, the louder the larger and the nearer; None where that is too small."""
    area = float(weights.mean())
    if area < MIN_AREA:
        return None
    distance = float((scenery.depth.land.cpu().numpy() * weights).mean()) / area
    level = LEVELS[kind] + gain + 10 * math.log10(area / USUAL_AREA) - FAR_LOSS * distance
    share = np.cumsum(weights.sum(0)) / weights.sum()
    columns = [int(np.searchsorted(share, (k + 0.5) / STRANDS)) for k in range(STRANDS)]
    places = tuple((column + 0.5) / len(share) for column in columns)
    return Source(kind, level, places, distance, **about)
