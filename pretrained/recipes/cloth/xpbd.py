"""Extended position-based dynamics of cloth: points on a grid, kept together by distances, many clips at a time.

Small substeps with one Gauss-Seidel pass each (Macklin et al., "Small Steps in Physics Simulation", 2019; XPBD:
Macklin, Müller, Chentanez 2016). Constraints of one colour share no point. On a grid a colour is a strided slice, so
that solving it takes a handful of tensor operations on views, without indices. Clips lie on the last axis: every slice
is a run of whole clips in memory.

Metres, seconds, kilograms; x right, y down, z towards the viewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

GRAVITY = 9.81
AIR_DENSITY = 1.2        # kg/m³
NORMAL_DRAG = 1.3        # coefficient of a plate across the wind
GRAZING = 0.3            # share of the air's speed that presses even where it blows along the cloth: lift
SURFACE_DRAG = 0.3       # coefficient along the cloth: this pull makes flags flutter by themselves, without a period
FORCE_EVERY = 2          # substeps per evaluation of the air's force
INTERNAL_FRICTION = 0.5  # share of the difference to its neighbours' velocity that a point loses in a frame
BODY_FRICTION = 0.3      # share of its movement along the body that touching cloth loses in a substep

Part = tuple[Tensor, Tensor, float, Tensor]
"""A capsule of a body: start [3], end [3], radius, sway [3]."""


@dataclass
class Capsules:
    """A body of S capsules per clip; those of radius 0 do not exist. It sways once per cycle."""

    start: Tensor        # [S,3,N]
    end: Tensor          # [S,3,N]
    radius: Tensor       # [S,N]
    sway: Tensor         # [S,3,N]: displacement at half of the cycle; 0 at its start

    def at(self, phase: float) -> tuple[Tensor, Tensor]:
        share = 0.5 - 0.5 * torch.cos(torch.tensor(2 * torch.pi * phase))
        return self.start + share * self.sway, self.end + share * self.sway


Air = Callable[[Tensor, float], Tensor]
"""Points [3,H,W,N] and phase -> the air's velocity [3,H,W,N], m/s."""


@dataclass
class Colour:
    """Distance constraints that share no point, between views a and b [3,...,N] of the points."""

    a: Tensor
    b: Tensor
    rest: Tensor     # length
    share_a: Tensor  # of the correction
    share_b: Tensor

    def satisfy(self) -> None:
        offset = self.b - self.a
        square = offset[0] * offset[0]
        ratio = square.addcmul_(offset[1], offset[1]).addcmul_(offset[2], offset[2]).rsqrt_().mul_(self.rest)
        self.a.addcmul_(offset, torch.addcmul(self.share_a, self.share_a, ratio, value=-1))
        self.b.addcmul_(offset, torch.addcmul(self.share_b, self.share_b, ratio, value=-1), value=-1)


def pairs(x: Tensor, closed: bool) -> list[tuple[str, Tensor, Tensor]]:
    """The constraints by colour: kind of compliance, and views of x [C,H,W,N] for their two ends. closed: column W−1
    is connected to column 0."""
    colours: list[tuple[str, Tensor, Tensor]] = []

    def add(kind: str, a: Tensor, b: Tensor) -> None:
        rows, columns = min(a.shape[1], b.shape[1]), min(a.shape[2], b.shape[2])
        if rows and columns:
            colours.append((kind, a[:, :rows, :columns], b[:, :rows, :columns]))

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
        for first in (0, 2):  # points 0 and 1 of every four with points 2 and 3
            rest = x.shape[axis] - first
            fours = x.narrow(axis, first, rest // 4 * 4).unflatten(axis, (-1, 4))
            add("bend", fours.narrow(axis + 1, 0, 2), fours.narrow(axis + 1, 2, 2))
            if rest % 4 == 3:
                add("bend", x.narrow(axis, first + rest - 3, 1), x.narrow(axis, first + rest - 1, 1))
    if closed:
        add("bend", x[:, :, -2:], x[:, :, :2])
    return colours


def tethers(start: Tensor, pattern: Tensor, pinned: Tensor, slack: float = 1.03) -> tuple[Tensor, Tensor]:
    """Long range attachments (Kim, Chentanez, Müller 2012), which prevent the stretch that one pass per substep leaves:
    each point's nearest pinned one [3,H,W,N] and its largest distance to that [H,W,N], the one in the pattern.

    Every clip needs at least one pinned point.
    """
    anchor, length = torch.empty_like(start), torch.empty_like(start[0])
    for n in range(start.shape[-1]):
        held = pinned[..., n]
        distance = torch.cdist(pattern[..., n].flatten(1).T, pattern[:, held, n].T)
        length[..., n] = distance.amin(1).view(held.shape) * slack
        anchor[..., n] = start[:, held, n][:, distance.argmin(1)].view(3, *held.shape)
    return anchor, length


class Cloth:
    """N sheets (or, closed, N tubes) of H×W points and their motion.

    start [3,H,W,N]: initial positions; pattern [3,H,W,N]: the cloth as it was cut, which has the rest lengths;
    mass [H,W,N] in kg; pinned [H,W,N]: points that do not move; compliance: [N] each, m/N, by kind of constraint
    (stretch, shear, bend); rest_scale [H,W,N]: factor of the rest lengths at each point.
    """

    def __init__(self, start: Tensor, pattern: Tensor, mass: Tensor, pinned: Tensor, compliance: dict[str, Tensor], *,
                 substep: float, closed: bool = False, rest_scale: Tensor | None = None,
                 body: Capsules | None = None) -> None:
        self.x, self.v = start.clone(), torch.zeros_like(start)
        self.closed, self.substep, self.body = closed, substep, body
        self.mass, self.pinned = mass, pinned
        self.inverse_mass = torch.where(pinned, 0.0, 1 / mass)
        self.free = (~pinned).to(start)
        self.previous = torch.empty_like(start)
        scale = torch.ones_like(mass) if rest_scale is None else rest_scale
        self.anchor, self.tether = tethers(start, pattern, pinned)
        self.steady_pull: Tensor | None = None  # [3,H,W,N]: acceleration by the steady air, once settled
        self.colours = []
        facts = torch.cat([pattern, self.inverse_mass[None], scale[None]])
        for (kind, a, b), (_, p, q) in zip(pairs(self.x, closed), pairs(facts, closed), strict=True):
            rest = (p[:3] - q[:3]).square().sum(0).sqrt() * (p[4] + q[4]) / 2
            total = (p[3] + q[3] + compliance[kind] / substep**2).clamp(min=1e-9)
            self.colours.append(Colour(a, b, rest, p[3] / total, q[3] / total))

    def step(self, count: int, wind: Air | None, phase: float, advance: float, damping: Tensor | float,
             steady: Air | None = None) -> None:
        """Advances by `count` substeps in the wind at their beginning, each by `advance` in phase. damping: 1/s, a
        number or [N]. steady: the part of the wind in which the cloth has settled; then only what the wind adds to it
        moves the cloth."""
        keep = torch.as_tensor(damping).mul(-self.substep).exp()
        push = torch.zeros_like(self.x)
        air = None if wind is None else wind(self.x, phase)
        base = None if steady is None else steady(self.x, phase)
        for number in range(count):
            if number % FORCE_EVERY == 0:
                push = self.acceleration(air, base).mul_(self.substep)
            self.v.add_(push).mul_(keep)
            self.previous.copy_(self.x)
            self.x.add_(self.v, alpha=self.substep)
            for colour in self.colours:
                colour.satisfy()
            self.limit_tethers()
            phase += advance
            if self.body is not None and number % 2:
                self.collide(self.body, phase)
            torch.sub(self.x, self.previous, out=self.v).div_(self.substep)
        self.apply_internal_friction()

    def limit_tethers(self) -> None:
        offset = self.x - self.anchor
        ratio = (self.tether / offset.square().sum(0).clamp_(min=1e-12).sqrt_()).clamp_(max=1)
        torch.addcmul(self.anchor, offset, ratio, out=self.x)

    def apply_internal_friction(self) -> None:
        """Threads rub against each other: velocities approach those of their neighbours, which ends the flutter of the
        finest folds that has no period."""
        v = self.v
        ends = (v[:, :, -1:], v[:, :, :1]) if self.closed else (v[:, :, :1], v[:, :, -1:])
        wide, high = torch.cat([ends[0], v, ends[1]], 2), torch.cat([v[:, :1], v, v[:, -1:]], 1)
        mean = (wide[:, :, :-2] + wide[:, :, 2:]).add_(high[:, :-2]).add_(high[:, 2:]).div_(4)
        v.addcmul_(mean.sub_(v), self.free, value=INTERNAL_FRICTION)

    def settle(self, pull: Tensor) -> None:
        """From now on the steady air pulls with this acceleration [3,H,W,N], wherever the cloth moves: air that follows
        the cloth's own waves would sustain them for ever, without a period. The cloth also keeps its folds, as cloth
        that has hung or been worn does: its rest lengths become the present ones."""
        self.steady_pull = pull
        for colour in self.colours:
            colour.rest = (colour.b - colour.a).square().sum(0).sqrt()

    def acceleration(self, wind: Tensor | None, steady: Tensor | None = None) -> Tensor:
        """[3,H,W,N]: by gravity and the air. Of settled cloth: by gravity, the steady pull, and the difference between
        the wind's drag and that of the steady air on cloth at rest."""
        total = torch.zeros_like(self.x) if wind is None else self.drag(wind - self.v)
        if self.steady_pull is not None and steady is not None:
            total.add_(self.steady_pull).sub_(self.drag(steady))
        total[1] += GRAVITY * self.free
        return total

    def drag(self, air: Tensor) -> Tensor:
        """[3,H,W,N]: acceleration by air of this relative velocity: pressure along the normal, which grows with the
        speed and its normal component, and a little friction. Thin cloth follows the air within a few substeps, so the
        pressure is implicit: the one after the cloth has followed."""
        area = area_vectors(self.x, self.closed)
        size = area.square().sum(0).clamp_(min=1e-14).sqrt_()
        normal_speed = (air * area).sum(0).div_(size)
        square = air.square().sum(0)
        speed = (square * GRAZING**2).addcmul_(normal_speed, normal_speed).sqrt_()
        rate = speed * size * self.inverse_mass * (0.5 * AIR_DENSITY * NORMAL_DRAG)  # 1/s
        rate.div_(1 + rate * (FORCE_EVERY * self.substep))
        total = area * normal_speed.mul_(rate).div_(size)
        friction = square.sqrt_().mul_(size).mul_(self.inverse_mass).mul_(0.5 * AIR_DENSITY * SURFACE_DRAG)
        return total.addcmul_(air, friction)

    def collide(self, body: Capsules, phase: float) -> None:
        """Moves points in a capsule to its surface, and takes a share of their movement along it."""
        start, end = body.at(phase)
        for p, q, radius in zip(start, end, body.radius, strict=True):
            axis = (q - p)[:, None, None]
            offset = self.x - p[:, None, None]
            along = ((offset * axis).sum(0) / axis.square().sum(0).clamp(min=1e-9)).clamp_(0, 1)
            offset.addcmul_(axis, along, value=-1)
            out = (radius / offset.square().sum(0).clamp_(min=1e-12).sqrt_() - 1).clamp_(min=0).mul_(self.free)
            self.x.addcmul_(offset, out)
            touching = (out > 0).to(out).mul_(BODY_FRICTION)
            self.previous.addcmul_(self.x - self.previous, touching)


def area_vectors(x: Tensor, closed: bool) -> Tensor:
    """[3,H,W,N]: the normal at each point times its share of the area (m²)."""
    return torch.linalg.cross(differences(x, 2, closed), differences(x, 1, False), dim=0)


def differences(x: Tensor, axis: int, closed: bool) -> Tensor:
    """Half of the difference between the next and the previous point; at an open end, of its only neighbour and it."""
    length = x.shape[axis]
    ends = (x.narrow(axis, length - 1, 1), x.narrow(axis, 0, 1)) if closed else (
        x.narrow(axis, 0, 1), x.narrow(axis, length - 1, 1))
    wide = torch.cat([ends[0], x, ends[1]], axis)
    return (wide.narrow(axis, 2, length) - wide.narrow(axis, 0, length)).mul_(0.5)


def stack_capsules(bodies: Sequence[Sequence[Part]]) -> Capsules | None:
    """One body per clip; the shorter ones are padded with capsules of radius 0. None if there are no capsules."""
    count = max(map(len, bodies))
    if not count:
        return None
    padding: Part = (torch.zeros(3), torch.zeros(3), 0.0, torch.zeros(3))
    padded = [[*body, *[padding] * (count - len(body))] for body in bodies]
    return Capsules(*(
        torch.stack([torch.stack([torch.as_tensor(part[i]) for part in body]) for body in padded], -1)
        for i in range(4)))
