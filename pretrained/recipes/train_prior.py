"""Mapping and the layers below F, so that random z give an F like the encoder's (stage 2 of four).

    python pretrained/recipes/train_prior.py --photos PHOTOS --weights .runs/generator --minutes 9

First by regression: each photo has a fixed z, whose F is to be the one that the encoder predicts from a square view of
the photo (Bojanowski et al., "Optimizing the Latent Space of Generative Networks", 2018, with the mapping network in
place of free codes). Then adversarially in feature space: one critic sees all of F at a quarter of its resolution, with
w; another sees crops of F. What lies above F stays frozen. Writes the complete generator.safetensors into the run's
folder.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import Average, Run, arguments, decay, sheet
from data import Sample, load
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from train_generator import INJECTION, export, load_stage

from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator, merge

VIEW = 1024  # pixels a side of a view, the generator's own size
CRITIC_RATE = 2e-4  # a tenth of the generator's: at 1e-3 the critics win within 200 steps
MIN_CRITIC_LOSS = 1.0  # hinge loss (2: chance, 0: always right) below which the critics wait for the generator
LOCAL = 64  # cells a side of the local critic's crops


class FeatureCritic(nn.Module):
    """[N,C,r,r] (and w [N,512]) -> scores [N], averaged over the map."""

    def __init__(self, channels: int, *, sees_w: bool) -> None:
        super().__init__()
        widths = (channels, 96, 128, 192, 192)
        self.convs = nn.ModuleList(spectral_norm(nn.Conv2d(i, o, 4, 2, 1)) for i, o in pairwise(widths))
        self.out = spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1))
        self.sees_w = sees_w
        self.project = spectral_norm(nn.Linear(512, widths[-1]))

    def forward(self, feature: Tensor, w: Tensor) -> Tensor:
        x = feature
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        score = self.out(x).mean((1, 2, 3))
        return score + (x.mean((2, 3)) * self.project(w)).mean(1) if self.sees_w else score


@torch.no_grad()
def encoded(samples: list[Sample], encoder: Encoder, run: Run, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """F [M,C,r,r] (bfloat16, kept in memory) and w [M,512] of one random square view of each photo."""
    features, styles = [], []
    for sample in samples:
        side = min(sample.photo.shape[1:])
        y, x = (rng.integers(0, s - side + 1) for s in sample.photo.shape[1:])
        view = sample.photo[None, :, y:y + side, x:x + side].to(run.device).float() / 127.5 - 1
        view = F.interpolate(view, (VIEW, VIEW), mode="bilinear", antialias=True, align_corners=False)
        with run.autocast():
            w_plus, feature = encoder(view)
        features.append(feature.bfloat16().cpu())
        styles.append(w_plus.mean(1).float().cpu())
    return torch.cat(features), torch.cat(styles)


def regression_loss(fake: Tensor, real: Tensor) -> Tensor:
    """L1 of F at its own, a quarter and a sixteenth of its resolution: layout and colour before texture."""
    return torch.stack([(F.avg_pool2d(fake, n) - F.avg_pool2d(real, n)).abs().mean() for n in (1, 4, 16)]).sum()


def local_crops(feature: Tensor, rng: np.random.Generator) -> Tensor:
    y, x = rng.integers(0, feature.shape[-1] - LOCAL + 1, 2)
    return feature[:, :, y:y + LOCAL, x:x + LOCAL]


def main() -> None:
    parser = arguments(__doc__, ".runs/prior", weights=True)
    parser.add_argument("--regression", type=float, default=20.0, help="minutes of training before the critics join")
    options = parser.parse_args()
    run = Run(options)
    generator, encoder = load_stage(options.weights, run.device)
    below = [p for name, p in generator.named_parameters() if determines_feature(name, generator.feature_resolution)]
    for parameter in below:
        parameter.requires_grad_(True)
    channels = generator.channels[generator.feature_resolution]
    whole = FeatureCritic(channels, sees_w=True).to(run.device)
    local = FeatureCritic(channels, sees_w=False).to(run.device)
    optimizer = torch.optim.Adam(below, lr=2e-3, betas=(0.0, 0.99))
    critics = [*whole.parameters(), *local.parameters()]
    critic_optimizer = torch.optim.Adam(critics, lr=CRITIC_RATE, betas=(0.0, 0.99))
    average = Average(generator, half_life=60)
    parts: dict[str, Any] = {"generator": generator, "whole": whole, "local": local, "optimizer": optimizer,
                             "critic_optimizer": critic_optimizer, "average": average}
    run.resume(**parts)
    rng = np.random.default_rng(options.seed + int(1000 * run.trained))
    real_features, real_styles = encoded(load(options.photos), encoder, run, rng)

    def scores(feature: Tensor, w: Tensor) -> Tensor:
        return whole(F.avg_pool2d(feature, 4), w) + local(local_crops(feature, rng), w)

    def train_critics(real: Tensor, real_w: Tensor, fake: Tensor, fake_w: Tensor) -> float:
        real = real.flip(3) if rng.random() < 0.5 else real
        with run.autocast():
            loss = F.relu(1 - scores(real, real_w)).mean() + F.relu(1 + scores(fake, fake_w)).mean()
        if loss.item() > MIN_CRITIC_LOSS:
            critic_optimizer.zero_grad(set_to_none=True)
            loss.backward()
            critic_optimizer.step()
        return loss.item()

    photo_z = torch.randn(len(real_features), 512, generator=torch.Generator().manual_seed(options.seed))
    for step in run.loop(lambda: report(run, average), **parts):
        regressing = run.trained + run.elapsed < options.regression
        chosen = torch.from_numpy(rng.integers(len(real_features), size=options.batch))
        real = real_features[chosen].to(run.device)
        z = photo_z[chosen] + 0.3 * torch.randn(options.batch, 512) if regressing else torch.randn(options.batch, 512)
        with run.autocast():
            w = generator.mapping(z.to(run.device))
            fake = generator.feature(w[:, None].expand(-1, generator.num_ws, -1))
            if regressing:
                loss = regression_loss(fake, real) + (w - real_styles[chosen].to(run.device)).abs().mean()
            else:
                loss = -scores(fake, w).mean()
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * decay(run)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            generator.mapping.get_buffer("w_avg").lerp_(w.mean(0).float(), 0.01)
        average.update(step)
        critic = 0.0
        if not regressing:
            critic = train_critics(real, real_styles[chosen].to(run.device), fake.detach(), w.detach())
        if step % 20 == 0:
            run.log(loss=loss.item(), critic=critic, contrast=fake.float().std().item(),
                    real_contrast=real.float().std().item())


def determines_feature(name: str, feature_resolution: int) -> bool:
    """Whether F depends on a parameter (nothing depends on the ToRGB layers below F)."""
    return name.startswith("mapping") or (
        "torgb" not in name and int(name.split(".")[1].removeprefix("b")) <= feature_resolution)


@torch.no_grad()
def report(run: Run, average: Average) -> None:
    """Writes a sheet of random images and the averaged weights."""
    shown = Generator.from_tensors(average.shadow[0], INJECTION).to(run.device)
    z = torch.randn(8, 512, generator=torch.Generator().manual_seed(1)).to(run.device)
    images = []
    for one in z:
        w_plus = shown.mapping(one[None], 0.8)[:, None].expand(-1, shown.num_ws, -1)
        image = merge(shown.from_feature(shown.feature(w_plus), w_plus))
        images.append(F.avg_pool2d(image, 4)[0])
    sheet([images[:4], images[4:]], run.folder / "samples.png")
    export(average, ("generator",), run)


if __name__ == "__main__":
    main()
