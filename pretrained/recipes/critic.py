"""A critic that learns: small heads on random projections of frozen features (Sauer et al., "Projected GANs Converge
Faster", NeurIPS 2021). The features are those that LPIPS has computed already."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SCALES = ((0, 64), (1, 192), (2, 384))  # maps of AlexNet at strides 4, 8 and 16, and their channels
PROJECTED = 64  # channels
CRITIC_RATE = 5e-4  # of Adam


class Head(nn.Module):
    """Scores the places of one map of features, seen through a fixed random 1×1 projection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("projection", torch.randn(PROJECTED, channels, 1, 1) / channels**0.5)
        self.convs = nn.Sequential(
            spectral_norm(nn.Conv2d(PROJECTED, PROJECTED, 3, 1, 1)), nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(PROJECTED, PROJECTED, 3, 2, 1)), nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(PROJECTED, 1, 3, 1, 1)),
        )

    def forward(self, features: Tensor) -> Tensor:  # [N,C,h,w] -> [N,h/2,w/2]
        return self.convs(F.conv2d(features, self.get_buffer("projection")))[:, 0]


class Critic(nn.Module):
    """From LPIPS's features of an image to one map of scores a scale; above 0 is real."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(channels) for _, channels in SCALES)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return [head(features[i]) for head, (i, _) in zip(self.heads, SCALES, strict=True)]

    def hinge(self, real: list[Tensor], made: list[Tensor]) -> Tensor:
        """What the critic minimises; 2 at chance."""
        losses = [F.relu(1 - r).mean() + F.relu(1 + m).mean() for r, m in zip(self(real), self(made), strict=True)]
        return torch.stack(losses).mean()

    def realness(self, made: list[Tensor]) -> Tensor:
        """What the generator maximises."""
        return torch.stack([scores.mean() for scores in self(made)]).mean()


def separation(real: list[np.ndarray], made: list[np.ndarray]) -> dict[str, list[float]]:
    """Of each head, the share of images it tells apart at 0 and the area under its ROC curve (0.5: chance).

    real, made: scores [N] of images that the critic was not trained on, one array a head.
    """
    accuracy = [float(((r > 0).mean() + (m <= 0).mean()) / 2) for r, m in zip(real, made, strict=True)]
    auc = [float((r[:, None] > m).mean() + (r[:, None] == m).mean() / 2) for r, m in zip(real, made, strict=True)]
    return {"critic_accuracy": [round(x, 3) for x in accuracy], "critic_auc": [round(x, 3) for x in auc]}
