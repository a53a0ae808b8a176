"""Composites of occluders: what is pasted stands still, moves nothing else, and is known."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

RECIPES = Path(__file__).resolve().parents[2] / "pretrained/recipes"
H, W = 96, 144


@pytest.fixture(scope="module")
def composites() -> ModuleType:
    spec = importlib.util.spec_from_file_location("occluder_composites", RECIPES / "occluders/composites.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def scene(composites: ModuleType, seed: int):  # type: ignore[no-untyped-def]
    """Blue sky above, brown ground with stones below."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.zeros(H, W, dtype=torch.uint8)
    label[:60] = 1
    image = torch.where(label > 0, torch.tensor([0.3, 0.5, 0.9])[:, None, None], 0.3)
    patches = torch.rand(3, 6, 9, generator=generator).repeat_interleave(16, 1).repeat_interleave(16, 2)
    return composites.Scene(torch.where(label > 0, image, patches), label, torch.ones(H, W, dtype=torch.bool))


def test_what_is_pasted_is_known_to_stand_still(composites: ModuleType) -> None:
    pasted = 0
    for seed in range(12):
        base = scene(composites, seed)
        made = composites.composite(np.random.default_rng(seed), base, [scene(composites, 50 + seed)], [])
        changed = (made.image - base.image).abs().amax(0) > 0.1
        new = (made.static > 0.5) & (base.label > 0)
        pasted += int(new.any())
        assert made.image.min() >= 0 and made.image.max() <= 1
        assert not changed[base.label == 0].any(), "only what moves is pasted over"
        assert (made.weight[new] == composites.PASTED_WEIGHT).all() and not made.doubtful[new].any()
    assert pasted > 8


def test_pieces_of_what_moves_do_not_count(composites: ModuleType) -> None:
    base = scene(composites, 0)
    made = composites.composite(np.random.default_rng(1), base, [], [scene(composites, n) for n in range(4)])
    assert torch.equal(made.static, (base.label == 0).float())


def test_everything_before_a_plain_sky_is_keyed(composites: ModuleType) -> None:
    base = scene(composites, 0)
    base.image[:, 20:60, 70:72] = 0.1  # a mast that the label has as sky
    sky = np.zeros((H, W), bool)
    sky[:50, :60] = True
    keyed = composites.key_sky(base, sky)
    assert keyed.opacity[57:59, 70:72].min() == 1 and keyed.opacity[:50, :60].max() == 0 and keyed.noise < 0.01
    assert composites.key_sky(base, sky & False) is None
