"""Time per frame of the published method (StyleCineGAN, CVPR 2024), reimplemented in plain PyTorch; measured by fps.py.

For every frame the generator runs from F upward; the features that feed each ToRGB are padded, two copies are splatted
forward along the motion field (Euler steps from zero, nearest look-ups), normalised and cropped; then follow ToRGB, the
sum and the composite. Redundant work of the published program is left out: layers below F, a second integration for the
mask of holes, noise. Timing only: with the default generator, and with one of the published size (StyleGAN2 config F)
and random weights.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import now, threads
from stylecine import Animator, Cinemagraph
from stylecine.networks.generator import Generator, merge

CONFIG_F = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}
CONFIG_F_INJECTION = "b128.conv1"
STRIP = 1 << 17  # points integrated at a time, so that intermediate results stay in the cache
PARTS = ("synthesis", "integration", "splatting", "colours")


@dataclass(frozen=True)
class Published:
    """Inputs of the published method; all tensors on one device.

    feature [1,C,h,w]; w_plus [1,L,512]; flow [2,h,w] pixels of its own grid per frame, 0 where nothing moves;
    photo [3,H,W] in [-1,1] and moving [H,W] in [0,1], of F's size times the generator's stride; frames N.
    """

    generator: Generator
    feature: Tensor
    w_plus: Tensor
    flow: Tensor
    photo: Tensor
    moving: Tensor
    frames: int

    @classmethod
    def of(cls, loop: Cinemagraph, generator: Generator) -> Self:
        """The same photo, mask and motion as the loop's; F and w+ come from a random latent."""
        device = loop.mask.device
        # channels last is faster than the default layout, on the CPU as well
        generator = copy.deepcopy(generator).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        latent = torch.randn(1, 512, generator=torch.Generator().manual_seed(0)).to(device)
        w_plus = generator.mapping(latent)[:, None].repeat(1, generator.num_ws, 1)
        size = loop.height // generator.stride, loop.width // generator.stride
        feature = F.interpolate(generator.feature(w_plus), size=size, mode="bilinear")
        moves = F.interpolate(loop.mask[None, None], size=loop.motion.shape[1:], mode="area")[0]
        photo = torch.from_numpy(loop.scene.photo).to(device).permute(2, 0, 1) / 127.5 - 1
        return cls(
            generator,
            feature.contiguous(memory_format=torch.channels_last),
            w_plus,
            loop.motion * moves * (30 / loop.fps),
            photo,
            loop.mask,
            len(loop),
        )

    def frame(self, t: int) -> Tensor:
        """Frame t of 0 ... N - 1, uint8 [H,W,3]."""
        return self.timed_frame(t)[0]

    @torch.inference_mode()
    def timed_frame(self, t: int) -> tuple[Tensor, dict[str, float]]:
        """The frame, and the seconds of each of PARTS."""
        clock = [now(self.photo.device)]
        features = self.generator.trunk_from_feature(self.feature, self.w_plus)
        clock.append(now(self.photo.device))
        paths = [displacements(self.flow, (x.shape[2], x.shape[3]), t, self.frames) for x in features]
        clock.append(now(self.photo.device))
        alpha = t / (self.frames - 1)
        warped = [splat(x, path, (1 - alpha, alpha)) for x, path in zip(features, paths, strict=True)]
        clock.append(now(self.photo.device))
        image = merge(self.generator.to_rgb(warped, self.w_plus))[0].clamp(-1, 1)
        frame = torch.lerp(self.photo, image, self.moving).add(1).mul(127.5).round().to(torch.uint8)
        frame = frame.permute(1, 2, 0).contiguous()
        clock.append(now(self.photo.device))
        return frame, {part: clock[i + 1] - clock[i] for i, part in enumerate(PARTS)}


def displacements(flow: Tensor, size: tuple[int, int], t: int, frames: int) -> tuple[Tensor, Tensor]:
    """Displacements [2,h',w'] of the padded pixels of a level of `size` (h, w): t frames forward, N - 1 - t backward.

    Integrated on the level's own pixels, as published.
    """
    h, w = flow.shape[1:]
    flow = F.interpolate(flow[None], size=size, mode="bilinear", align_corners=False)[0]
    flow = flow * flow.new_tensor([size[1] / w, size[0] / h])[:, None, None]
    flow = F.pad(flow[None], [padding(size[1])] * 2 + [padding(size[0])] * 2, mode="reflect")[0]
    return euler(flow, t), euler(-flow, frames - 1 - t)


def padding(length: int) -> int:
    """Pixels of padding on each side of a level: three eighths, as published."""
    return length * 3 // 8


def euler(flow: Tensor, steps: int) -> Tensor:
    """Displacement [2,h,w] after `steps` Euler steps along a flow [2,h,w], each read at the nearest pixel.

    Points that leave the frame return to where they started and stay there. h*w is below 2^24.
    """
    h, w = flow.shape[1:]
    y, x = torch.meshgrid(torch.arange(h, device=flow.device), torch.arange(w, device=flow.device), indexing="ij")
    starts = torch.stack((x, y)).flatten(1).float()
    both = torch.complex(flow[0], flow[1])  # one look-up for x and y
    strip = STRIP if flow.device.type == "cpu" else h * w
    return torch.cat([_walk(both, start, steps) for start in starts.split(strip, 1)], 1).view(2, h, w)


def _walk(flow: Tensor, start: Tensor, steps: int) -> Tensor:
    """`euler` for points [2,n]; flow is complex [h,w], x + iy."""
    h, w = flow.shape
    flow, last = flow.flatten(), start.new_tensor([[w - 1], [h - 1]])
    place, lost = start.clone(), torch.zeros_like(start[0], dtype=torch.bool)
    for _ in range(steps):
        column, row = place.round()
        place += torch.view_as_real(flow.index_select(0, torch.add(column, row, alpha=w).long())).t()
        outside = (place < 0).logical_or_(place > last)
        lost.logical_or_(outside[0]).logical_or_(outside[1])
        torch.where(lost, start, place, out=place)
    return place - start


def splat(x: Tensor, displacements: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Features [1,C,h,w], padded by reflection, splatted along displacements [2,h',w'] with their weights, normalised
    and cropped; holes get the mean of 7x7.

    With the sources sorted by target all channels are summed at once, which is faster than repeated index_add_.
    """
    h, w = x.shape[2:]
    rows, columns = (reflected(size, x.device) for size in (h, w))
    source = (rows[:, None] * w + columns).flatten()
    copies = zip(displacements, weights, strict=True)
    parts = [corner for displacement, weight in copies for corner in corners(displacement, weight, (h, w))]
    target, share = torch.cat([part[0] for part in parts]), torch.cat([part[2] for part in parts])
    origin = source[torch.cat([part[1] for part in parts])]
    order = target.argsort()
    first = torch.bincount(target, minlength=h * w).cumsum(0)
    first = F.pad(first[:-1], (1, 0))
    pixels = x.permute(0, 2, 3, 1).reshape(h * w, -1)
    total = torch.zeros(h * w, device=x.device).index_add_(0, target, share)[:, None]
    added = F.embedding_bag(origin[order], pixels, first, mode="sum", per_sample_weights=share[order])
    out = (added / total.clamp(min=1e-7)).view(1, h, w, -1).permute(0, 3, 1, 2)
    hole = (total == 0).view(1, 1, h, w)
    return torch.where(hole, F.avg_pool2d(out, 7, 1, 3), out) if hole.any() else out


def reflected(size: int, device: torch.device) -> Tensor:
    """Source index of each pixel of a padded line: c b [a b c] b a."""
    place = torch.arange(-padding(size), size + padding(size), device=device).abs()
    return torch.minimum(place, 2 * (size - 1) - place)


def corners(displacement: Tensor, weight: float, size: tuple[int, int]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The four target pixels of each padded source, if inside the level of `size`.

    For each corner, [n]: index of the target, index of the source among the padded ones, weight.
    """
    (h, w), (high, wide) = size, displacement.shape[1:]
    x = torch.arange(wide, device=displacement.device) - (wide - w) // 2 + displacement[0]
    y = torch.arange(high, device=displacement.device)[:, None] - (high - h) // 2 + displacement[1]
    left, top = x.floor(), y.floor()
    targets = []
    for row, share_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = ((row >= 0) & (row < h) & (column >= 0) & (column < w)).flatten().nonzero()[:, 0]
            target = (row * w + column).flatten()[inside].long()
            targets.append((target, inside, (share_y * share_x * weight).flatten()[inside]))
    return targets


def generators(animator: Animator) -> dict[str, Generator]:
    """The two generators that are timed, by name."""
    torch.manual_seed(0)
    full = Generator(CONFIG_F, CONFIG_F_INJECTION).eval().requires_grad_(False)
    return {"default": animator.generator, "config F": full}


def measure(published: Published, times: Sequence[int], count: int) -> dict[str, float]:
    """Seconds per frame on `count` threads, in total and by part: medians over `times`, after one warm-up frame."""
    with threads(count):
        published.frame(0)
        taken = [published.timed_frame(t)[1] for t in times]
    parts = {part: median(seconds[part] for seconds in taken) for part in PARTS}
    whole = sum(parts.values())
    return {"seconds": whole, **parts, "without_integration": whole - parts["integration"]}
