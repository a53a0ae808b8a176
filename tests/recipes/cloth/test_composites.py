"""Composites of simulated cloth and landscapes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cloth.composites import SIZE, Clip, Composites, cloth_piece, flag, load_clips, no_cloth, stretched
from smoke import make_clips

GREY = torch.full((3, 300, 400), 128, dtype=torch.uint8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("clips")
    make_clips(folder / "clips", clips=10, side=32)
    return load_clips(folder / "clips", "train")


def test_only_clips_of_the_split_are_read(clips: list[Clip], tmp_path: Path) -> None:
    assert len(clips) == 9
    with pytest.raises(ValueError, match="no clips"):
        load_clips(tmp_path, "train")


def test_pictures_change_only_with_the_seed(clips: list[Clip]) -> None:
    (first, cloth), (again, _), (other, _) = (Composites([GREY], clips, seed)() for seed in (3, 3, 4))
    assert first.shape == (3, *SIZE) and first.dtype == torch.uint8 and cloth.shape == SIZE
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_some_pictures_have_cloth_and_some_have_none(clips: list[Clip]) -> None:
    make = Composites([GREY], clips, 0)
    shares = [float(make()[1].mean()) for _ in range(12)]
    assert min(shares) == 0 and max(shares) > 0.005


def test_a_piece_has_colours_where_it_is_cloth(clips: list[Clip]) -> None:
    piece = cloth_piece(clips, 60, np.random.default_rng(0))
    inside = piece.opacity[0] > 0.5
    assert piece.opacity.shape == (1, 60, 60) and 0.5 < inside.float().mean() < 0.9
    assert piece.colours[:, inside].mean() > 0.01


def test_designs_and_other_things_are_of_the_size_asked_for() -> None:
    rng = np.random.default_rng(0)
    y, x = torch.meshgrid(*[torch.linspace(0, 1, 24)] * 2, indexing="ij")
    for _ in range(30):
        assert flag(x, y, rng).shape == (3, 24, 24)
        colours, opacity = no_cloth(24, GREY.float() / 255, rng)
        assert torch.isfinite(colours).all() and (colours.shape, opacity.shape) == ((3, 24, 24), (1, 24, 24))
        assert 0.02 < opacity.mean() < 1


def test_a_wider_piece_keeps_its_place_and_its_line(clips: list[Clip]) -> None:
    piece = cloth_piece(clips, 60, np.random.default_rng(0))
    line = torch.tensor([4.0, 5.0]), torch.tensor([50.0, 6.0])
    wide = stretched(replace(piece, line=line), 2.5)
    assert wide.opacity.shape == (1, 60, 150) and wide.colours.shape == (3, 60, 150)
    assert abs(float(wide.opacity.mean() - piece.opacity.mean())) < 0.02
    assert wide.line is not None and wide.line[1].tolist() == [125, 6]


def test_a_share_of_the_pictures_has_one_banner_that_fills_them(clips: list[Clip]) -> None:
    make = Composites([GREY], clips, 1)
    make()  # sets its light
    make.cloth.zero_()
    make._paste_banner()
    assert 0.08 < float(make.cloth.mean()) < 0.95
