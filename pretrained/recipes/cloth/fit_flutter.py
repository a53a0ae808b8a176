"""Fits the constants of stylecine/cloth/flutter.py to simulated cloth, and measures the flutter against held-out clips.

    python pretrained/recipes/cloth/simulate.py --out DIR --minutes 10 --kinds flag banner flag dress flag cape
    python pretrained/recipes/cloth/fit_flutter.py --clips DIR

Only clips whose wind has a sideways component are used: of others the picture shows no direction.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloth.clips import Clips, Views, load

from stylecine.cloth.animate import predict_cycles, relative_displacement
from stylecine.cloth.flutter import WAVES, Propagation, candidate_attachments, estimate_propagation
from stylecine.cloth.lighting import fit_light, shade
from stylecine.cloth.rest_shape import ClothNets, estimate_surface
from stylecine.networks.clothnet import ClothNet
from stylecine.options import Wind
from stylecine.weights import PRETRAINED, read_tensors

SIDE = 128
MIN_SIDEWAYS = 0.5  # cosine of the wind's angle
MAX_CLOSURE = 0.2
NUMBERS = torch.linspace(-4, 4, 81)  # waves along the cloth that are tried
BINS = 6
ENDS = ((0.1, 0.35), (0.65, 0.9))  # of the distance from where it is held: near there and near the free end


def wind_of(clips: Clips, number: int) -> Wind:
    x, z = clips.wind[number].tolist()
    return Wind(math.degrees(math.atan2(z, x)) % 360, math.hypot(x, z))


def chosen(clips: Clips) -> list[int]:
    return [n for n in range(len(clips)) if abs(math.cos(wind_of(clips, n).angle)) > MIN_SIDEWAYS]


def seen_views(clips: Clips, numbers: Iterable[int]) -> Iterator[tuple[int, Views, Tensor]]:
    """The number, all phases and bool [S,S], where the cloth is seen at all of them, of clips where that is enough."""
    for n in numbers:
        views = clips.views([n], torch.arange(16))
        seen = views.weight[0].amin(0)[0] > 0
        if int(seen.sum()) >= 300:
            yield n, views, seen


def harmonics(signal: Tensor, orders: tuple[int, ...]) -> Tensor:
    """Complex amplitudes [M,...] of a signal [K,...] over one cycle."""
    return torch.stack([2 * torch.fft.fft(signal, dim=0)[m] / len(signal) for m in orders])


def fit_attachments(clips: Clips) -> None:
    """Prints the weights of `candidate_attachments` that best predict from which side displacement grows, and how often
    they are right."""
    features, sides = [], []
    for _, views, seen in seen_views(clips, range(len(clips))):
        of_sides, distances = candidate_attachments(views.mask[0, 0].numpy() > 0.5)
        amplitude = views.displacement[0].std(0).norm(dim=0)[seen]
        growth = [torch.corrcoef(torch.stack((torch.from_numpy(d)[seen], amplitude)))[0, 1] for d in distances]
        features.append(torch.from_numpy(of_sides).float())
        sides.append(int(torch.stack(growth).argmax()))
    inputs, targets = torch.stack(features), torch.tensor(sides)
    weights = torch.zeros(inputs.shape[2], requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=100)

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.cross_entropy(inputs @ weights, targets)
        value.backward()
        return value

    solver.step(loss)
    right = float(((inputs @ weights).argmax(1) == targets).float().mean())
    print(f"holds of {len(targets)} views: weights {[round(w, 1) for w in weights.tolist()]}, {right:.0%} right\n")


def fit(clips: Clips) -> None:
    """Prints, for each number of cycles in a gust: the slope's amplitude, at full strength by least squares of its
    logarithm, and the power of the strength; near the free end relative to near the hold; waves along the cloth."""
    rows = []
    for n, views, seen in seen_views(clips, chosen(clips)):
        wind = wind_of(clips, n)
        propagation = estimate_propagation(views.mask, wind)
        slopes = views.normals[0, :, :2] / views.normals[0, :, 2:].clamp_min(0.3)
        waves = harmonics(slopes, WAVES)[:, :, seen]
        size = waves.abs().square().sum(1)
        moved = harmonics(views.displacement[0], WAVES)[:, :, seen].abs().square().sum(1)
        near, far = ((propagation.distance[seen] > low) & (propagation.distance[seen] < high) for low, high in ENDS)
        along = waves[:, 0].to(torch.complex64)
        turned = torch.exp(2j * math.pi * NUMBERS[:, None] * propagation.along[seen])
        coherence = (along[:, None] * turned).sum(-1).abs() / along.abs().sum(-1, keepdim=True)
        best = NUMBERS[coherence.argmax(1)]
        rows.append([
            torch.full((len(WAVES),), wind.strength), size.mean(1).sqrt(), size[:, near].mean(1).sqrt(),
            size[:, far].mean(1).sqrt(), moved[:, near].mean(1).sqrt(), moved[:, far].mean(1).sqrt(), best,
            coherence.amax(1),
        ])
    strength, amplitude, near, far, near_off, far_off, number, coherence = (
        torch.stack(column, 1) for column in zip(*rows, strict=True)
    )
    print(f"{strength.shape[1]} views\n")
    print("| cycles | slope at full strength | power | free end / hold: slope | displacement |"
          " waves along | strength below 0.5 | above | coherence |\n|---|---|---|---|---|---|---|---|---|")
    for i, m in enumerate(WAVES):
        terms = torch.stack((strength[i].log(), torch.ones_like(strength[i])), 1)
        power, full = torch.linalg.lstsq(terms, amplitude[i].log()[:, None]).solution[:, 0].tolist()
        clear = coherence[i] > coherence[i].median()
        columns = [math.exp(full), power]
        columns += [float(x.nanmedian()) for x in (far[i] / near[i], far_off[i] / near_off[i])]
        weak = strength[i] < 0.5
        columns += [float(number[i][x].median()) for x in (clear, clear & weak, clear & ~weak)]
        columns.append(float(coherence[i].median()))
        print(f"| {m} | {' | '.join(f'{value:.2f}' for value in columns)} |")


@torch.no_grad()
def measure(clips: Clips) -> None:
    """Prints how the gust of `predict_cycles`, told the true normals and the true wind, compares with the clips."""
    network = ClothNet.from_tensors(read_tensors(PRETRAINED / "cloth.safetensors"))
    nets = ClothNets(lambda image, cover: image, network)
    lags, shading_lags, profiles, contrasts, travels = [], [], [], [], []
    for n, views, seen in seen_views(clips, chosen(clips)):
        wind = wind_of(clips, n)
        still = F.normalize(views.still, dim=1).where(views.mask > 0, torch.tensor([0.0, 0.0, 1.0])[:, None, None])
        light = fit_light(still.new_tensor([[0.0, 0.0, 1.0]]), torch.ones(1))  # of which nothing is known
        bright = shade(light, still.movedim(1, -1))[:, None]
        image = 2 * (bright / bright.max()).expand(-1, 3, -1, -1) ** (1 / 2.2) - 1
        (gust,) = predict_cycles([estimate_surface(image, still, views.mask, light)], nets, wind)
        gust = gust[:: len(gust) // 16]
        gust[:, :2] *= relative_displacement(wind.strength)
        truth_gain = (shade(light, views.normals[0].movedim(1, -1)) / bright[:, 0]).log2().tanh()
        propagation = estimate_propagation(views.mask, wind)
        pairs = (gust[:, :2], views.displacement[0]), (gust[:, 2], truth_gain)
        shades = [x.std(0)[seen].square().mean().sqrt() for x in pairs[1]]
        contrasts.append(float(shades[0] / shades[1]))
        amplitudes = [x.std(0).norm(dim=0)[seen] for x in pairs[0]]
        travels.append(float(amplitudes[0].mean() / amplitudes[1].mean()))
        profiles.append(profile_correlation(propagation, seen, *amplitudes))
        lag = [lag_between_ends(propagation, seen, x[:, 0], 1) for x in pairs[0]]
        lags.append(abs(math.remainder(lag[0] - lag[1], 360)))
        lag = [lag_between_ends(propagation, seen, x, WAVES[0]) for x in pairs[1]]
        shading_lags.append(abs(math.remainder(lag[0] - lag[1], 360)))
    print(f"\n{len(lags)} held-out views")
    for name, values in (("displacement: lag along the wind, error (°)", lags),
                         ("shading: lag of two cycles a gust, error (°)", shading_lags),
                         ("amplitude of displacement over the cloth, correlation", profiles),
                         ("shading over time, contrast relative to the clip's", contrasts),
                         ("displacement relative to the clip's", travels)):
        low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75])
        print(f"{name}: median {middle:.2f}, quartiles {low:.2f} and {high:.2f}")


def lag_between_ends(propagation: Propagation, seen: Tensor, signal: Tensor, order: int) -> float:
    """Degrees by which a harmonic of [K,S,S] comes later near the downwind end than near the upwind end."""
    wave = harmonics(signal, (order,))[0]
    position = propagation.along / propagation.along[seen].max()
    first, last = (wave[seen & (position > low) & (position < high)].sum() for low, high in ENDS)
    return math.degrees(float((first * last.conj()).angle()))


def profile_correlation(propagation: Propagation, seen: Tensor, *amplitudes: Tensor) -> float:
    """Of the means of two amplitudes [n] in bins along the axis from the hold to the free end."""
    place = (propagation.distance[seen] * BINS).long().clamp(0, BINS - 1)
    filled = torch.bincount(place, minlength=BINS) > 20
    means = [torch.bincount(place, a, BINS)[filled] / torch.bincount(place, minlength=BINS)[filled] for a in amplitudes]
    return float(torch.corrcoef(torch.stack(means))[0, 1]) if len(means[0]) > 2 else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder of simulated clips (simulate.py)")
    options = parser.parse_args()
    train, held_out = (load(options.clips, split, SIDE).closed(MAX_CLOSURE) for split in ("train", "held out"))
    fit_attachments(train)
    fit(train)
    measure(held_out)


if __name__ == "__main__":
    main()
