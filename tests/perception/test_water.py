"""What kind of water a stretch is."""

import numpy as np
import pytest
import torch

from stylecine.networks.eye import FOAM, KINDS
from stylecine.options import WATER
from stylecine.perception.see import Seen
from stylecine.perception.water import MIRRORS, RUNS, judge_water


def water(kinds: dict[str, float], foam: dict[str, float]) -> Seen:
    logits = torch.tensor([*(kinds.get(kind, 0.0) for kind in KINDS), *(foam.get(much, 0.0) for much in FOAM)])
    nothing = torch.zeros(2, 4, 6)
    return Seen(torch.zeros(5, 8, 12), torch.zeros(8, 12), logits[:, None, None].expand(-1, 2, 3), nothing, nothing)


@pytest.mark.parametrize(("calm", "kind"), [(8.0, MIRRORS), (1.0, RUNS)])
def test_foam_breaks_a_mirror(calm: float, kind: int) -> None:
    owner = np.full((8, 12), -1)
    owner[4:] = WATER
    judged = judge_water(water({"mirrors": 2.0, "runs": 1.0}, {"none": calm}), owner)
    assert (judged.kind[4:] == kind).all() and (judged.kind[:4] == -1).all()
    assert (judged.foamy[:4] == 0).all() and (judged.foamy[4:] > 0).all()


def test_a_little_foam_is_a_shore_in_the_mirror_if_all_else_says_mirror() -> None:
    owner = np.full((8, 12), WATER)
    assert (judge_water(water({"mirrors": 6.0}, {"none": 3.0}), owner).kind == MIRRORS).all()
    assert (judge_water(water({"mirrors": 6.0}, {"none": 1.5}), owner).kind != MIRRORS).all()
