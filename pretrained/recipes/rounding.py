"""Rounds a stack of convolutions to four bits so that its outputs change as little as possible.

Layer by layer, on real photos: the kernel is refitted by least squares to give the exact network's outputs from the
rounded network's inputs, then rounded to sixteen levels per output channel, found by k-means. Columns are rounded one
by one, and the remaining ones compensate for the error of each (Frantar et al. 2023, GPTQ).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.segmenter import LEVELS

PATCHES = 20_000  # sampled for each layer
BLOCK = 128
DAMPING = 0.01  # of the mean variance


@torch.no_grad()
def round_convolutions(
    convs: list[nn.Conv2d], pools_after: set[int], images: list[Tensor], seed: int = 0
) -> dict[str, Tensor]:
    """Tensors `i.weight.codes`, `i.weight.levels`, `i.bias` for convs 1.., and `0.weight`, `0.bias` unrounded.

    convs: 3×3 convolutions with padding 1, each followed by a ReLU, and by 2×2 max pooling if in `pools_after`.
    images: normalised [3,H,W].
    """
    generator = torch.Generator().manual_seed(seed)
    stored = {"0.weight": convs[0].weight.half().float(), "0.bias": _bias(convs[0]).half().float()}
    exact = [
        _next(F.conv2d(x[None], convs[0].weight, convs[0].bias, padding=1), 0 in pools_after) for x in images
    ]
    rounded = [x.clone() for x in exact]
    for i, conv in enumerate(convs):
        if i == 0:
            continue
        codes, levels, bias = _round(conv, exact, rounded, generator)
        kernel = levels.gather(1, codes).view_as(conv.weight)
        exact = [_next(F.conv2d(x, conv.weight, conv.bias, padding=1), i in pools_after) for x in exact]
        rounded = [_next(F.conv2d(x, kernel, bias, padding=1), i in pools_after) for x in rounded]
        pairs = codes.byte().unflatten(1, (-1, 2))
        stored |= {
            f"{i}.weight.codes": pairs[:, :, 0] | pairs[:, :, 1] << 4,
            f"{i}.weight.levels": levels,
            f"{i}.bias": bias,
        }
        noise = sum(float((a - b).square().sum()) for a, b in zip(exact, rounded, strict=True))
        signal = sum(float((a - a.mean()).square().sum()) for a in exact)
        print(f"convolution {i}: outputs differ by {100 * noise / signal:.1f}% of their variance", flush=True)
    return stored


def _bias(conv: nn.Conv2d) -> Tensor:
    return torch.zeros(conv.out_channels) if conv.bias is None else conv.bias


def _next(x: Tensor, pool: bool) -> Tensor:
    x = F.relu(x)
    return F.max_pool2d(x, 2) if pool else x


def _round(
    conv: nn.Conv2d, exact: list[Tensor], rounded: list[Tensor], generator: torch.Generator
) -> tuple[Tensor, ...]:
    weight = conv.weight.flatten(1)
    a, b = _patches(exact, rounded, PATCHES // len(exact), generator)
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = a - mean_a, b - mean_b
    own, cross = (b.T @ b / len(b)).double(), (a.T @ b / len(b)).double()
    damping = DAMPING * own.diagonal().mean() * torch.eye(len(own), dtype=torch.float64)
    own, cross = own + damping, cross + damping
    refitted = torch.linalg.solve(own, cross.T @ weight.double().T).T.float()
    levels = _levels(refitted, own.diagonal().float()).half().float()
    codes = _with_feedback(refitted, levels, own)
    kernel = levels.gather(1, codes)
    return codes, levels, (_bias(conv) + weight @ mean_a - kernel @ mean_b).half().float()


def _patches(
    exact: list[Tensor], rounded: list[Tensor], count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The same random 3×3 patches of both, each [N, C*9]."""
    out: tuple[list[Tensor], list[Tensor]] = ([], [])
    for pair in zip(exact, rounded, strict=True):
        h, w = pair[0].shape[-2:]
        places = torch.randint(h * w, (count,), generator=generator)
        rows, columns = places // w, places % w
        for x, collected in zip(pair, out, strict=True):
            padded = F.pad(x[0], (1, 1, 1, 1))
            taps = [padded[:, rows + dy, columns + dx] for dy in range(3) for dx in range(3)]
            collected.append(torch.stack(taps, 1).permute(2, 0, 1).flatten(1))
    return torch.cat(out[0]), torch.cat(out[1])


def _levels(rows: Tensor, importance: Tensor, rounds: int = 15) -> Tensor:
    """Weighted k-means of each row: [O,16], ascending."""
    levels = rows.quantile((torch.arange(LEVELS) + 0.5) / LEVELS, dim=1).T.contiguous()
    weights = importance.expand_as(rows)
    for _ in range(rounds):
        codes = torch.searchsorted((levels[:, 1:] + levels[:, :-1]) / 2, rows)
        count = torch.zeros_like(levels).scatter_add_(1, codes, weights)
        total = torch.zeros_like(levels).scatter_add_(1, codes, weights * rows)
        levels = torch.where(count > 0, total / count.clamp_min(1e-12), levels).sort(1).values
    return levels


def _with_feedback(rows: Tensor, levels: Tensor, covariance: Tensor) -> Tensor:
    """Codes [O,K] of rows [O,K]; the columns that vary most come first."""
    order = covariance.diagonal().argsort(descending=True)
    inverse = torch.linalg.inv(covariance[order][:, order])
    upper = torch.linalg.cholesky(inverse, upper=True).float()
    work, middles = rows[:, order].clone(), (levels[:, 1:] + levels[:, :-1]) / 2
    codes = torch.zeros(work.shape, dtype=torch.long)
    for start in range(0, work.shape[1], BLOCK):
        end = min(start + BLOCK, work.shape[1])
        block, errors = work[:, start:end].clone(), torch.zeros(len(work), end - start)
        for j in range(end - start):
            code = (block[:, j, None] > middles).sum(1)
            error = (block[:, j] - levels.gather(1, code[:, None])[:, 0]) / upper[start + j, start + j]
            block[:, j:] -= error[:, None] * upper[start + j, start + j : end]
            codes[:, start + j], errors[:, j] = code, error
        work[:, end:] -= errors @ upper[start:end, end:]
    return torch.zeros_like(codes).scatter_(1, order.expand_as(codes), codes)
