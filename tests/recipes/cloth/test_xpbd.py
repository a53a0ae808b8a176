"""Simulated cloth: lengths, the catenary, energy, rest, pins and bodies."""

import math
from itertools import pairwise

import pytest
import torch
from cloth.garments import sheet
from cloth.xpbd import GRAVITY, Capsules, Cloth, pairs
from torch import Tensor

SUBSTEP = 0.002


def hang(start: Tensor, pinned: Tensor, pattern: Tensor | None = None, density: float = 0.2, bend: float = 1e3,
         body: Capsules | None = None) -> Cloth:
    """One sheet [3,H,W] of stiff threads that bends almost freely."""
    start = start[..., None]
    mass = torch.full_like(start[0], density * float((start[:, -1, -1] - start[:, 0, 0]).norm()) / start[0].numel())
    compliance = {"stretch": torch.zeros(1), "shear": torch.full((1,), 0.1), "bend": torch.full((1,), bend)}
    return Cloth(start, start if pattern is None else pattern[..., None], mass, pinned[..., None], compliance,
                 substep=SUBSTEP, body=body)


def energy(cloth: Cloth) -> float:
    """Joules, kinetic and potential."""
    return (cloth.mass * (cloth.v.square().sum(0) / 2 - GRAVITY * cloth.x[1])).sum().item()


def pins(height: int, width: int, *, top: bool = False, sides: bool = False) -> Tensor:
    pinned = torch.zeros(height, width, dtype=torch.bool)
    pinned[0] |= top
    pinned[:, [0, -1]] |= sides
    return pinned


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("shape", [(7, 12), (8, 10), (9, 11)])
def test_a_colour_has_each_point_once_and_all_colours_have_every_edge(shape: tuple[int, int], closed: bool) -> None:
    h, w = shape if not closed else (shape[0], shape[1] // 2 * 2)
    numbers = torch.arange(h * w).view(1, h, w, 1)
    edges = set()
    for kind, a, b in pairs(numbers, closed):
        assert len(torch.cat([a.flatten(), b.flatten()]).unique()) == a.numel() + b.numel(), kind
        edges |= {(kind, *sorted(pair)) for pair in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)}
    around = w if closed else w - 1
    count = {"stretch": h * around + w * (h - 1), "shear": 2 * around * (h - 1),
             "bend": h * (w if closed else w - 2) + w * (h - 2)}
    assert {kind: sum(edge[0] == kind for edge in edges) for kind in count} == count


def test_a_hanging_strip_is_straight_and_keeps_its_length() -> None:
    flat = sheet(1.0, 0.1, (21, 3))
    start = flat.clone()
    start[2] = 0.1 * flat[1]        # it swings back from the side
    start[1] *= math.sqrt(0.99)
    cloth = hang(start, pins(21, 3, top=True), flat)
    cloth.step(1000, None, 0.0, 0.0, 6.0)
    assert cloth.x[1, -1].mean() == pytest.approx(1.0, rel=0.01)
    assert cloth.x[2].abs().max() < 0.01
    assert (cloth.x[0, ..., 0] - flat[0]).abs().max() < 0.002


def test_a_strip_between_two_pins_hangs_as_a_catenary() -> None:
    length, span = 1.0, 0.8
    flat = sheet(0.05, length, (2, 33))
    start = flat.clone()
    start[0] *= span / length
    start[1] += 0.5 * torch.sin(torch.pi * start[0] / span)
    cloth = hang(start, pins(2, 33, sides=True), flat)
    cloth.step(1500, None, 0.0, 0.0, 5.0)
    low, high = 0.05, 10.0              # a of y = a·cosh(x/a): 2a·sinh(span/2a) = length
    for _ in range(60):
        a = (low + high) / 2
        low, high = (a, high) if 2 * a * math.sinh(span / 2 / a) > length else (low, a)
    assert cloth.x[1, 0, 16].item() == pytest.approx(a * (math.cosh(span / 2 / a) - 1), rel=0.02)


def test_without_wind_energy_decreases_and_the_cloth_comes_to_rest() -> None:
    flat = sheet(0.5, 0.5, (9, 9))
    start = flat.clone()
    start[1], start[2] = 0.3 * flat[1], 0.95 * flat[1]     # released in front
    cloth = hang(start, pins(9, 9, top=True), flat)
    energies = []
    for _ in range(20):
        energies.append(energy(cloth))
        cloth.step(60, None, 0.0, 0.0, 4.0)
    drop = energies[0] - energies[-1]
    assert drop > 0.5 * cloth.mass.sum().item() * 9.81 * 0.1
    assert max(after - before for before, after in pairwise(energies)) < 0.01 * drop
    assert cloth.v.square().sum(0).mean().sqrt() < 0.02


def test_wind_lifts_the_cloth_which_settles_afterwards() -> None:
    flat = sheet(0.5, 0.5, (9, 9))
    cloth = hang(flat, pins(9, 9, top=True))

    def gale(x: Tensor, _: float) -> Tensor:
        return torch.tensor([0.0, 0.0, -4.0])[:, None, None, None].expand_as(x)

    def calm(x: Tensor, _: float) -> Tensor:
        return torch.zeros_like(x)

    cloth.step(400, gale, 0.0, 0.0, 2.0)
    assert cloth.x[2, -1].mean() < -0.1
    cloth.step(1100, calm, 0.0, 0.0, 5.0)
    assert cloth.v.square().sum(0).mean().sqrt() < 0.01
    assert cloth.x[2].abs().max() < 0.02
    assert cloth.x[:, 0, :, 0].equal(flat[:, 0]), "pins do not move by a bit"


def test_cloth_does_not_enter_a_body() -> None:
    flat = sheet(0.6, 0.6, (13, 13))
    body = Capsules(torch.tensor([[[-1.0], [0.3], [-0.12]]]), torch.tensor([[[2.0], [0.3], [-0.12]]]),
                    torch.tensor([[0.1]]), torch.zeros(1, 3, 1))
    cloth = hang(flat, pins(13, 13, top=True), body=body)

    def wind(x: Tensor, _: float) -> Tensor:
        return torch.tensor([0.0, 0.0, -5.0])[:, None, None, None].expand_as(x)

    cloth.step(400, wind, 0.0, 0.0, 1.0)
    distance = (cloth.x[1] - 0.3).hypot(cloth.x[2] + 0.12)
    assert distance.min() > 0.0995
    assert distance.min() < 0.101, "it lies on it"
