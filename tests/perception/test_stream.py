"""Which way water runs by the shapes of streams, falls and shores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stylecine.options import CLASSES
from stylecine.perception.stream import Streams, find_streams, sense_odds

WATER, FALLS = CLASSES.index("water"), CLASSES.index("falls")
H, W = 128, 192
ROWS, COLUMNS = np.mgrid[0:H, 0:W]
NOWHERE = np.zeros((H, W), bool)


def owner_of(water: np.ndarray, falls: np.ndarray = NOWHERE) -> np.ndarray:
    return np.where(falls, FALLS, np.where(water, WATER, -1))


def streams_of(water: np.ndarray, falls: np.ndarray = NOWHERE, lies_open: np.ndarray = NOWHERE) -> Streams:
    return find_streams(owner_of(water, falls), lies_open)


def test_a_river_that_narrows_to_the_distance_runs_towards_the_viewer() -> None:
    river = (ROWS > 30) & (np.abs(COLUMNS - 96) < 4 + 0.12 * (ROWS - 30))
    x, y = streams_of(river).course
    assert (y[river] > 0.3).mean() > 0.95
    assert x[100, 86] < -0.02 and x[100, 106] > 0.02, "it widens"
    assert not x[~river & (ROWS < 20)].any()


def test_a_pool_runs_away_from_the_fall_into_it() -> None:
    """Even to its far end, which is higher in the picture."""
    fall = (np.abs(COLUMNS - 30) < 12) & (ROWS > 20) & (ROWS < 90)
    pool = ((ROWS >= 90) | (COLUMNS > 60) & (ROWS > 60)) & ~fall
    x, y = streams_of(pool, fall).course
    assert x[100, 60] > 0.8 and x[80, 150] > 0.5
    assert y[75, 80] < 0, "upward, away from the foot"


def test_a_river_above_a_fall_runs_towards_its_lip() -> None:
    river = (ROWS > 20) & (ROWS < 44) & (COLUMNS < 140)
    fall = (ROWS >= 44) & (ROWS < 110) & (COLUMNS > 116) & (COLUMNS < 140)
    x, _ = streams_of(river, fall).course
    assert (x[24:40, 10:100] > 0.7).all()


def test_the_course_follows_bends() -> None:
    ring = np.abs(np.hypot(ROWS - 20, COLUMNS - 20) - 80) < 8
    bend = ring & (ROWS > 20) & (COLUMNS > 20)
    streams = streams_of(bend)
    tangent = np.stack([-(ROWS - 20), COLUMNS - 20]) / 80
    inside = bend & (ROWS > 40)
    assert ((streams.course * tangent).sum(0)[inside] > math.cos(math.radians(30))).mean() > 0.95
    assert streams.channel[inside].min() > 0.5


@pytest.mark.parametrize(("width", "channel"), [(12, 1), (90, 0)])
def test_a_channel_is_much_longer_than_wide(width: int, channel: float) -> None:
    assert streams_of(np.abs(COLUMNS - 96) < width / 2 + 1).channel[64, 96] == channel


def test_waves_run_towards_the_shore() -> None:
    sea = (ROWS > 40) & (COLUMNS < 100)
    x, y = streams_of(sea, lies_open=sea).course
    assert x[90, 80] > 0.5 and y[90, 80] > 0.2
    river = np.abs(COLUMNS - 60) < 8
    assert abs(streams_of(river).course[0, 90, 60]) < 0.2, "which runs along its banks"


def test_a_stream_has_one_sense_by_its_shape_and_by_the_eye() -> None:
    river = np.abs(COLUMNS - 96) < 10
    streams = streams_of(river)
    along, across = np.zeros((2, H, W)), np.zeros((2, H, W))
    along[1], across[0] = 1, 1
    mixed = np.where(ROWS < 40, -along, along)
    odds = [sense_odds(directions, streams, river) for directions in (along, across, mixed, -along)]
    assert all(np.ptp(each[river]) == 0 and not each[~river].any() for each in odds)
    downstream, level, most, upstream = (float(each[64, 96]) for each in odds)
    assert downstream > most > 0.5 > -0.5 > upstream
    assert 0.5 < level < 1, "by the eye alone"


def test_specks_and_dry_pictures_have_no_channel() -> None:
    for water in (NOWHERE, np.hypot(ROWS - 60, COLUMNS - 60) < 2):
        streams = streams_of(water)
        assert not streams.course[:, ~water].any() and not streams.channel.any()
        assert np.isfinite(sense_odds(streams.course, streams, water)).all()
