"""The light on cloth: how bright a surface is, given its normal.

Spherical harmonics up to order 2 capture about 99% of the irradiance of a matte surface under any distant light
(Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment Maps", SIGGRAPH 2001). They are
fitted to the brightness of the cloth itself. Printed patterns are not light, so the fit is robust to outliers (Cauchy
weights); whatever the cloth does not determine comes from a prior: a light from above and ahead.
"""

from __future__ import annotations

import torch
from torch import Tensor

PRIOR_DIRECTION = (0.15, -0.7, 0.7)  # x right, y down, z towards the viewer
PRIOR_AMBIENT = 0.45  # share of the prior's light that comes from everywhere
PRIOR_WEIGHT = (0.0, 0.02, 0.06)  # of the prior for each order, relative to all observations together
OUTLIER = 0.15  # of the mean brightness: an observation with this residual has half its weight
MIN_BRIGHTNESS = 0.2  # of the mean brightness
ITERATIONS = 8  # of the reweighted least squares


def basis(normals: Tensor) -> Tensor:
    """Polynomials of order 0, 1, 1, 1, 2, 2, 2, 2, 2 in unit normals [..., 3]: [..., 9]."""
    x, y, z = normals.unbind(-1)
    second = (x * y, y * z, x * z, x * x - y * y, (3 * z * z - 1) / 2)
    return torch.stack((torch.ones_like(x), x, y, z, *second), -1)


def fit_light(normals: Tensor, brightness: Tensor) -> Tensor:
    """Coefficients [9] of `basis`, under which surfaces are about as bright as the cloth, 1 on average.

    normals [n,3]: of places on the cloth. brightness [n], above 0: linear, of the same places, relative to the median
    of their piece of cloth, so that white and red pieces agree on one light.
    """
    terms, prior = basis(normals), _prior(normals)
    order = torch.tensor([0, 1, 1, 1, 2, 2, 2, 2, 2], device=normals.device)
    prior_weight = torch.tensor(PRIOR_WEIGHT, device=normals.device)[order] + 1e-6
    weight, light = torch.ones_like(brightness), prior
    for _ in range(ITERATIONS):
        share = weight / weight.sum().clamp_min(1e-6)
        matrix = terms.T @ (terms * share[:, None]) + prior_weight.diag()
        light = torch.linalg.solve(matrix, terms.T @ (brightness * share) + prior_weight * prior)
        weight = 1 / (1 + ((brightness - terms @ light) / OUTLIER).square())
    return light


def shade(light: Tensor, normals: Tensor) -> Tensor:
    """Brightness [...] of surfaces with unit normals [..., 3]: smoothly bounded below by MIN_BRIGHTNESS."""
    x, y, z = normals.unbind(-1)
    a, *b, xy, yz, xz, xx, zz = light.unbind()  # of `basis`, whose nine terms would take long to write down
    squared = x * (xy * y + xz * z + xx * x) + y * (yz * z - xx * y) + zz / 2 * (3 * z * z - 1)
    excess = a - MIN_BRIGHTNESS + b[0] * x + b[1] * y + b[2] * z + squared
    return MIN_BRIGHTNESS + (excess + (excess.square() + 0.02).sqrt()) / 2


def _prior(normals: Tensor) -> Tensor:
    """A directional light plus an ambient one, scaled to a mean brightness of 1 on these normals."""
    direction = torch.tensor(PRIOR_DIRECTION, device=normals.device)
    direction = direction / direction.norm()
    # max(0, c) is about 1/4 + c/2 + 5/16 (3 c² − 1)/2, with c the cosine to the light
    light = torch.zeros(9, device=normals.device)
    light[0] = PRIOR_AMBIENT + (1 - PRIOR_AMBIENT) / 4
    light[1:4] = (1 - PRIOR_AMBIENT) / 2 * direction
    x, y, z = direction
    zonal = 5 / 16 * (1 - PRIOR_AMBIENT)
    light[4:] = zonal * torch.stack((3 * x * y, 3 * y * z, 3 * x * z, 0.75 * (x * x - y * y), (3 * z * z - 1) / 2))
    mean = (basis(normals) @ light).sum() / max(len(normals), 1)
    return light / mean.clamp_min(MIN_BRIGHTNESS)
