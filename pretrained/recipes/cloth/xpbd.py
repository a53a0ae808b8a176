"""Cloth as points on a grid, held together by distances: extended position-based dynamics, many clips at a time.

Small substeps with one Gauss-Seidel pass each (Macklin et al., "Small Steps in Physics Simulation", 2019; XPBD:
Macklin, Müller, Chentanez 2016). Distances of one colour share no point, and on a grid a colour is a strided slice, so
that a colour is a handful of tensor operations on views and there are no indices. The clips lie on the last axis: every
slice is a run of whole clips in memory.

Metres, seconds, kilograms; x right, y down, z towards the viewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

GRAVITY = 9.81
AIR = 1.2                # kg/m³
NORMAL_DRAG = 1.3        # a plate across the wind
GRAZING = 0.3            # of the air's speed counts as pressing even where it blows along the cloth: lift
SURFACE_DRAG = 0.3       # along it: the pull without which flags flutter by themselves, with no period
FORCE_EVERY = 2          # substeps that share one evaluation of the air's force
RUB = 0.5                # of the difference to its neighbours' velocity that a point loses in a frame
FRICTION = 0.3           # share of its way along the body that touching cloth loses in a substep


@dataclass
class Capsules:
    """A body: S capsules a clip, each with a radius; radius 0 is none. They sway as a whole, once a cycle."""

    start: Tensor        # [S,3,N]
    end: Tensor          # [S,3,N]
    radius: Tensor       # [S,N]
    sway: Tensor         # [S,3,N]: how far, at half of the cycle; 0 at its start

    def at(self, phase: float) -> tuple[Tensor, Tensor]:
        part = 0.5 - 0.5 * torch.cos(torch.tensor(2 * torch.pi * phase))
        return self.start + part * self.sway, self.end + part * self.sway


Air = Callable[[Tensor, float], Tensor]
"""Points [3,H,W,N] and phase -> the air's velocity there, m/s."""


@dataclass
class Compliance:
    """m/N, each [N]: along the threads, across the cells, and over two edges (which is what bending shortens)."""

    stretch: Tensor
    shear: Tensor
    bend: Tensor


@dataclass
class Colour:
    """Distances that share no point. a, b are views [3,...,N] of the points; how much of the error each takes."""

    a: Tensor
    b: Tensor
    rest: Tensor
    share_a: Tensor
    share_b: Tensor

    def satisfy(self) -> None:
        way = self.b - self.a
        square = way[0] * way[0]
        part = square.addcmul_(way[1], way[1]).addcmul_(way[2], way[2]).rsqrt_().mul_(self.rest)
        self.a.addcmul_(way, torch.addcmul(self.share_a, self.share_a, part, value=-1))
        self.b.addcmul_(way, torch.addcmul(self.share_b, self.share_b, part, value=-1), value=-1)


def pairs(x: Tensor, closed: bool) -> list[tuple[str, Tensor, Tensor]]:
    """Kind of compliance and the two ends, views of x [C,H,W,N], of every colour. closed: column W−1 meets column 0."""
    found: list[tuple[str, Tensor, Tensor]] = []

    def add(kind: str, a: Tensor, b: Tensor) -> None:
        rows, columns = min(a.shape[1], b.shape[1]), min(a.shape[2], b.shape[2])
        if rows and columns:
            found.append((kind, a[:, :rows, :columns], b[:, :rows, :columns]))

    for first in (0, 1):
        add("stretch", x[:, first::2], x[:, first + 1::2])
        add("stretch", x[:, :, first::2], x[:, :, first + 1::2])
    if closed:
        add("stretch", x[:, :, -1:], x[:, :, :1])
    for first in (0, 1):
        upper, lower = x[:, first::2], x[:, first + 1::2]
        add("shear", upper[:, :, :-1], lower[:, :, 1:])
        add("shear", upper[:, :, 1:], lower[:, :, :-1])
        if closed:
            add("shear", upper[:, :, -1:], lower[:, :, :1])
            add("shear", upper[:, :, :1], lower[:, :, -1:])
    for axis in (1, 2):
        for first in (0, 2):    # points 0 and 1 of four with 2 and 3 of them: both at once
            rest = x.shape[axis] - first
            fours = x.narrow(axis, first, rest // 4 * 4).unflatten(axis, (-1, 4))
            add("bend", fours.narrow(axis + 1, 0, 2), fours.narrow(axis + 1, 2, 2))
            if rest % 4 == 3:
                add("bend", x.narrow(axis, first + rest - 3, 1), x.narrow(axis, first + rest - 1, 1))
    if closed:
        add("bend", x[:, :, -2:], x[:, :, :2])
    return found


@dataclass
class Tethers:
    """No point gets farther from the nearest pinned one than the cloth is long: what one pass a substep cannot carry
    from row to row (long range attachments, Kim, Chentanez, Müller 2012)."""

    anchor: Tensor      # [3,H,W,N]
    length: Tensor      # [H,W,N]

    def satisfy(self, x: Tensor) -> None:
        way = x - self.anchor
        part = (self.length / way.square().sum(0).clamp_(min=1e-12).sqrt_()).clamp_(max=1)
        torch.addcmul(self.anchor, way, part, out=x)


def tethers(start: Tensor, pattern: Tensor, pinned: Tensor, slack: float = 1.03) -> Tethers:
    """Each point's nearest pinned one in the pattern [3,H,W,N]. Every clip needs at least one."""
    anchor, length = torch.empty_like(start), torch.empty_like(start[0])
    for n in range(start.shape[-1]):
        held = pinned[..., n]
        distance = torch.cdist(pattern[..., n].flatten(1).T, pattern[:, held, n].T)
        length[..., n] = distance.amin(1).view(held.shape) * slack
        anchor[..., n] = start[:, held, n][:, distance.argmin(1)].view(3, *held.shape)
    return Tethers(anchor, length)


class Cloth:
    """N sheets (or, closed, N tubes) of H×W points and their motion.

    start [3,H,W,N]: where the points are; pattern [3,H,W,N]: the cloth as it was cut, whose distances it keeps;
    mass [H,W,N] in kg; pinned [H,W,N]: points that stay. stretched: a factor of the distances, by point [H,W,N].
    """

    def __init__(self, start: Tensor, pattern: Tensor, mass: Tensor, pinned: Tensor, compliance: Compliance, *,
                 substep: float, closed: bool = False, stretched: Tensor | None = None,
                 body: Capsules | None = None) -> None:
        self.x, self.v = start.clone(), torch.zeros_like(start)
        self.closed, self.substep, self.body = closed, substep, body
        self.mass, self.pinned = mass, pinned
        self.lightness = torch.where(pinned, 0.0, 1 / mass)
        self.free = (~pinned).to(start)
        self.before = torch.empty_like(start)
        scale = torch.ones_like(mass) if stretched is None else stretched
        self.tethers = tethers(start, pattern, pinned)
        self.pull: Tensor | None = None     # [3,H,W,N]: what the steady air gives, once the cloth is at rest in it
        self.colours = []
        known = torch.cat([pattern, self.lightness[None], scale[None]])
        for (kind, a, b), (_, p, q) in zip(pairs(self.x, closed), pairs(known, closed), strict=True):
            rest = (p[:3] - q[:3]).square().sum(0).sqrt() * (p[4] + q[4]) / 2
            soft = getattr(compliance, kind) / substep**2
            total = (p[3] + q[3] + soft).clamp(min=1e-9)
            self.colours.append(Colour(a, b, rest, p[3] / total, q[3] / total))

    def step(self, count: int, wind: Air | None, phase: float, advance: float, damping: Tensor | float,
             steady: Air | None = None) -> None:
        """count substeps, in which the wind stays as it is at their beginning: points and phase → the air's velocity
        [3,H,W,N]. The phase goes on by `advance` a substep. damping: 1/s, a number or [N]. steady: the part of the wind
        in which the cloth has been brought to rest (`settle`); only what the wind adds to it moves the cloth then."""
        keep = torch.as_tensor(damping).mul(-self.substep).exp()
        push = torch.zeros_like(self.x)
        air = None if wind is None else wind(self.x, phase)
        base = None if steady is None else steady(self.x, phase)
        for number in range(count):
            if number % FORCE_EVERY == 0:
                push = self.acceleration(air, base).mul_(self.substep)
            self.v.add_(push).mul_(keep)
            self.before.copy_(self.x)
            self.x.add_(self.v, alpha=self.substep)
            for colour in self.colours:
                colour.satisfy()
            self.tethers.satisfy(self.x)
            phase += advance
            if self.body is not None and number % 2:
                self.leave(self.body, phase)
            torch.sub(self.x, self.before, out=self.v).div_(self.substep)
        self.rub()

    def rub(self) -> None:
        """Threads rub against each other: velocities come nearer to those of their neighbours, which ends the flutter
        of the finest folds that has no period."""
        v = self.v
        ends = (v[:, :, -1:], v[:, :, :1]) if self.closed else (v[:, :, :1], v[:, :, -1:])
        wide, high = torch.cat([ends[0], v, ends[1]], 2), torch.cat([v[:, :1], v, v[:, -1:]], 1)
        mean = (wide[:, :, :-2] + wide[:, :, 2:]).add_(high[:, :-2]).add_(high[:, 2:]).div_(4)
        v.addcmul_(mean.sub_(v), self.free, value=RUB)

    def settle(self, pull: Tensor) -> None:
        """From now on the steady air pulls with this acceleration [3,H,W,N], wherever the cloth goes: air that follows
        the cloth's own waves keeps them going for ever, with no period. And the cloth keeps the folds that it has, as
        cloth does that has hung or been worn: its distances are what they are now."""
        self.pull = pull
        for colour in self.colours:
            colour.rest = (colour.b - colour.a).square().sum(0).sqrt()

    def acceleration(self, wind: Tensor | None, steady: Tensor | None = None) -> Tensor:
        """[3,H,W,N]: gravity and the air's force; of settled cloth the steady air's pull, and what the wind's force is
        more than the steady air's would be on cloth at rest."""
        total = torch.zeros_like(self.x) if wind is None else self.drag(wind - self.v)
        if self.pull is not None and steady is not None:
            total.add_(self.pull).sub_(self.drag(steady))
        total[1] += GRAVITY * self.free
        return total

    def drag(self, air: Tensor) -> Tensor:
        """[3,H,W,N]: what air that goes by at this velocity does: pressure along the normal, which grows with the speed
        and its normal part, and a little friction. Thin cloth follows the air within a few substeps, so the force is an
        implicit one: what it will be when the cloth has followed it."""
        area = area_vectors(self.x, self.closed)
        size = area.square().sum(0).clamp_(min=1e-14).sqrt_()
        against = (air * area).sum(0).div_(size)               # the air's speed along the normal
        square = air.square().sum(0)
        speed = (square * GRAZING**2).addcmul_(against, against).sqrt_()
        rate = speed * size * self.lightness * (0.5 * AIR * NORMAL_DRAG)     # 1/s, at which it follows
        rate.div_(1 + rate * (FORCE_EVERY * self.substep))
        total = area * against.mul_(rate).div_(size)
        return total.addcmul_(air, square.sqrt_().mul_(size).mul_(self.lightness).mul_(0.5 * AIR * SURFACE_DRAG))

    def leave(self, body: Capsules, phase: float) -> None:
        """Points in a capsule go to its surface, and lose a part of their way along it."""
        start, end = body.at(phase)
        for p, q, radius in zip(start, end, body.radius, strict=True):
            axis = (q - p)[:, None, None]
            way = self.x - p[:, None, None]
            along = ((way * axis).sum(0) / axis.square().sum(0).clamp(min=1e-9)).clamp_(0, 1)
            way.addcmul_(axis, along, value=-1)
            out = (radius / way.square().sum(0).clamp_(min=1e-12).sqrt_() - 1).clamp_(min=0).mul_(self.free)
            self.x.addcmul_(way, out)
            touching = (out > 0).to(out).mul_(FRICTION)
            self.before.addcmul_(self.x - self.before, touching)

    def energy(self) -> Tensor:
        """Joules [N], kinetic and of height."""
        moving = self.mass * (self.v.square().sum(0) / 2 - GRAVITY * self.x[1])
        return moving.sum((0, 1))


def area_vectors(x: Tensor, closed: bool) -> Tensor:
    """[3,H,W,N]: the normal at each point times the area that belongs to it (m²)."""
    return torch.linalg.cross(differences(x, 2, closed), differences(x, 1, False), dim=0)


def differences(x: Tensor, axis: int, closed: bool) -> Tensor:
    """Half the way from the point before to the point after; at an open end half the way to the only neighbour."""
    length = x.shape[axis]
    ends = (x.narrow(axis, length - 1, 1), x.narrow(axis, 0, 1)) if closed else (
        x.narrow(axis, 0, 1), x.narrow(axis, length - 1, 1))
    wide = torch.cat([ends[0], x, ends[1]], axis)
    return (wide.narrow(axis, 2, length) - wide.narrow(axis, 0, length)).mul_(0.5)


def stack_capsules(bodies: Sequence[Sequence[tuple[Tensor, Tensor, float, Tensor]]]) -> Capsules | None:
    """One body a clip, as lists of (start [3], end [3], radius, sway [3]); the shorter ones are filled with none."""
    most = max(map(len, bodies))
    if not most:
        return None
    none = (torch.zeros(3), torch.zeros(3), 0.0, torch.zeros(3))
    full = [[*body, *[none] * (most - len(body))] for body in bodies]
    return Capsules(
        start=torch.stack([torch.stack([start for start, _, _, _ in body]) for body in full], -1),
        end=torch.stack([torch.stack([end for _, end, _, _ in body]) for body in full], -1),
        radius=torch.tensor([[radius for _, _, radius, _ in body] for body in full]).T.contiguous(),
        sway=torch.stack([torch.stack([sway for _, _, _, sway in body]) for body in full], -1),
    )
