import torch

from stylecine.movement.waves import predict_standing, predict_swell, standing_share
from stylecine.options import FALLS, WATER
from tests.seen import Everywhere, seen

PLAIN = torch.zeros(3, 128, 160)  # a photo in which nothing is mirrored
DOWN = Everywhere(0, 1, "runs")


def layers_of(kind: int, columns: slice) -> torch.Tensor:
    layers = torch.zeros(4, 128, 160)
    layers[kind, 40:, columns] = 1
    return layers


def test_waves_stand_where_water_runs():
    for kind in (WATER, FALLS):
        standing = predict_standing(seen(PLAIN, layers_of(kind, slice(72, 88)), DOWN))
        assert standing is not None
        assert standing[60:, 78:82].min() > 0.9 and standing[:, :60].max() < 0.01
        assert 0.2 < float(standing[80, 72]) < 0.8, "softly at its edge"


def test_a_sea_and_a_photo_without_water_have_none():
    assert predict_standing(seen(PLAIN, layers_of(WATER, slice(0, 160)), Everywhere(0, 1))) is None
    assert predict_standing(seen(PLAIN, torch.zeros(4, 128, 160), DOWN)) is None


def test_water_is_either_open_or_runs_whatever_an_arrow_says():
    for arrow in ((0.5, 0.6, 0.5, 0.7), (0.5, 0.6, 0.6, 0.6)):  # along the river, and across
        river = seen(PLAIN, layers_of(WATER, slice(72, 88)), DOWN, [arrow])
        assert predict_standing(river) is not None and predict_swell(river, torch.ones(2, 128, 160)) == []


def test_coarse_levels_stand_and_fine_ones_run_in_a_photo_of_any_size():
    assert [standing_share(scale, 512) for scale in (1, 2, 4, 16)] == [0, 0, 0, 1]
    assert 0.5 < standing_share(8, 512) == standing_share(16, 1024) < 0.8
    assert [standing_share(scale, 64) for scale in (1, 2, 8)] == [0, 0, 1], "of the smallest photo, too"
