"""The light on cloth: how bright a surface is that faces some way.

Spherical harmonics up to order 2, which hold all but a hundredth of what a matt surface makes of any light (Ramamoorthi
and Hanrahan, "An Efficient Representation for Irradiance Environment Maps", SIGGRAPH 2001), fitted to the cloth's own
brightness. What is printed on cloth is no light: single places count little (Cauchy's weights), and what the cloth does
not tell is taken from a light from above and ahead.
"""

from __future__ import annotations

import torch
from torch import Tensor

ABOVE = (0.15, -0.7, 0.7)  # x right, y down, z towards the viewer: where the presumed light comes from
AMBIENT = 0.45  # of it
TRUST = (0.0, 0.02, 0.06)  # how much the presumption counts beside all places together, for each order
OUTLIER = 0.15  # of the mean brightness: a place this far off counts half
LEAST = 0.2  # of the mean brightness: the darkest that a surface gets
ROUNDS = 8


def basis(normals: Tensor) -> Tensor:
    """Unit normals [..., 3] -> polynomials of order 0, 1, 1, 1, 2, 2, 2, 2, 2 in them, [..., 9]."""
    x, y, z = normals.unbind(-1)
    second = (x * y, y * z, x * z, x * x - y * y, (3 * z * z - 1) / 2)
    return torch.stack((torch.ones_like(x), x, y, z, *second), -1)


def fit(normals: Tensor, brightness: Tensor, counts: Tensor) -> Tensor:
    """The light [9], coefficients of `basis`, under which surfaces are as bright as the cloth is, on average 1.

    normals [n,3]: of places on the cloth. brightness [n], above 0: linear, of the same places; relative to the median
    of their piece of cloth, so that white and red pieces tell of one light. counts [n]: how much each counts.
    """
    terms, presumed = basis(normals), _presumed(normals, counts)
    order = torch.tensor([0, 1, 1, 1, 2, 2, 2, 2, 2], device=normals.device)
    trust = torch.tensor(TRUST, device=normals.device)[order] + 1e-6
    weight, light = counts, presumed
    for _ in range(ROUNDS):
        share = weight / weight.sum().clamp_min(1e-6)
        matrix = terms.T @ (terms * share[:, None]) + trust.diag()
        light = torch.linalg.solve(matrix, terms.T @ (brightness * share) + trust * presumed)
        weight = counts / (1 + ((brightness - terms @ light) / OUTLIER).square())
    return light


def shade(light: Tensor, normals: Tensor) -> Tensor:
    """How bright surfaces with these unit normals [..., 3] are, [...]: above LEAST, without a kink there."""
    over = basis(normals) @ light - LEAST
    return LEAST + (over + (over.square() + 0.02).sqrt()) / 2


def _presumed(normals: Tensor, counts: Tensor) -> Tensor:
    """A distant light and a surrounding one, on average 1 on these places."""
    direction = torch.tensor(ABOVE, device=normals.device)
    direction = direction / direction.norm()
    # max(0, c) is 1/4 + c/2 + 5/16 (3 c² − 1)/2 and little more, c the cosine to the light
    light = torch.zeros(9, device=normals.device)
    light[0] = AMBIENT + (1 - AMBIENT) / 4
    light[1:4] = (1 - AMBIENT) / 2 * direction
    x, y, z = direction
    zonal = 5 / 16 * (1 - AMBIENT)
    light[4:] = zonal * torch.stack((3 * x * y, 3 * y * z, 3 * x * z, 0.75 * (x * x - y * y), (3 * z * z - 1) / 2))
    mean = (basis(normals) @ light * counts).sum() / counts.sum().clamp_min(1e-6)
    return light / mean.clamp_min(LEAST)
