"""What ClothNet is compared with: networks that are asked once a phase, as published, and one that feels no wind."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from cloth.clips import Views
from cloth.figures import Predict, predictor
from torch import Tensor, nn

from stylecine.networks.clothnet import CHANNELS, INPUTS, UNITS, ClothNet
from stylecine.networks.unet import UNet, coordinates

VARIANTS = ("harmonics", "no-wind", "cyclic", "time")


class PhaseNet(nn.Module):
    """ClothNet's U-Net, but told the phase: as (cos, sin), so that it is cyclic, or as plain time in [0,1)."""

    def __init__(self, cyclic: bool, widths: tuple[int, ...] = (32, 32, 48, 64, 96), embedding: int = 32) -> None:
        super().__init__()
        self.cyclic = cyclic
        told = 3 + (2 if cyclic else 1)
        self.embed = nn.Sequential(nn.Linear(told, embedding), nn.ReLU(), nn.Linear(embedding, embedding), nn.ReLU())
        self.net = UNet(INPUTS, widths, condition=embedding)
        self.leave = nn.Conv2d(widths[0], CHANNELS, 1)

    def forward(self, normals: Tensor, mask: Tensor, wind: Tensor, phases: Tensor) -> Tensor:
        """As ClothNet.coarse, and phases [P] in turns -> [N,P,5,S,S]: what it says less what it says of phase 0."""
        strength = wind.norm(dim=1, keepdim=True)
        direction = wind / strength.clamp_min(1e-6)
        maps = torch.cat([normals, mask, direction[:, :, None, None] * mask, coordinates(mask)], 1)
        asked = torch.cat([torch.zeros(1), phases]).to(maps)
        n, p = len(maps), len(asked)
        turns = 2 * math.pi * asked
        time = torch.stack([turns.cos(), turns.sin()], 1) if self.cyclic else 2 * asked[:, None] - 1
        told = torch.cat([direction, strength], 1)[:, None].expand(-1, p, -1)
        told = torch.cat([told, time[None].expand(n, -1, -1)], 2).flatten(0, 1)
        answer = self.leave(self.net(maps.repeat_interleave(p, 0), self.embed(told))).unflatten(0, (n, p))
        scale = torch.tensor(UNITS).to(maps)[:, None, None] * strength[:, None, :, None, None]
        return (answer[:, 1:] - answer[:, :1]) * scale


def variant(name: str) -> tuple[nn.Module, Predict]:
    """One of VARIANTS, and how to ask it about clips of half the size."""
    if name == "harmonics":
        network = ClothNet()
        return network, predictor(network.coarse)
    if name == "no-wind":
        blind = ClothNet()
        return blind, lambda views: predictor(blind.coarse)(becalmed(views))
    asked = PhaseNet(cyclic=name == "cyclic")
    return asked, lambda views: asked(views.still, views.mask, views.wind, views.phases)


def becalmed(views: Views) -> Views:
    """With one wind for all of them: nothing is told."""
    return replace(views, wind=torch.tensor([[1.0, 0.0]]).to(views.wind).expand_as(views.wind))
