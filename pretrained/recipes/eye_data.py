"""What the eye is trained on: views of all labelled photos, each with the labels that there are of it.

    python pretrained/recipes/eye_data.py PHOTOS --out .pack/eye.npz [--long-side 704 --max-mb 40]

writes a pack: all photos of a folder with all their labels, as one file that travels. A view has classes where they are
known; which way it flows (hints/ID.json, arrows.py); the kind of water, where
water_kinds.csv says it; and what a published parser of scenes took it for (classes/ID.png). Composites
(occluders/composites.py) have classes, and what stands before them; so do crops in which small things are outlined
(outline_things.py).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from arrows import FALLS, SKY, SMOKE, WATER, Target, has_running_water, in_view, interpolate_arrows
from data import Sample, decode, folder_entries, reduced
from folds import is_held_out, read_folds
from labelled import (
    View,
    look,
    photometric,
    random_view,
    relit,
    shrunk,
    spattered,
    tinted,
    transplanted,
    unfocused,
)
from occluders.composites import Scene, composite
from occluders.thin import thin_before_sky
from outline_things import crop_on, outlines_by_photo
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.utils.data import IterableDataset

from stylecine.networks.eye import CLASSES, FOAM, KINDS
from stylecine.ops.image import to_tensor

LISTS = ("train", "val", "val2", "val3", "val4", "val5", "stills", "stills-val")
LONG_SIDE = 768  # of the photos in memory
SHAPES = ((352, 512), (512, 352))  # of views, for level and upright photos
CELL = 8  # pixels of a view per cell of what is predicted coarsely
# Of the views of a batch, again and again:
ORDER = ("landscape", "composite", "landscape", "landscape", "still", "landscape", "composite", "landscape")
WHOLE, WHOLE_STILL = 0.4, 0.6  # of the views show the whole photo
SMALLEST, SMALLEST_FALLS = 0.45, 0.25  # of each side: the closest views, also of photos with falls
RELIT, TINTED, TRANSPLANTED, SPATTERED, UNFOCUSED = 0.3, 0.3, 0.15, 0.4, 0.12  # of the views; of those with falls
STATICS, MOVINGS = (1, 6), (0, 3)  # how many things are pasted into a composite
STILLS = 0.35  # of what is pasted comes from photos in which nothing moves
LEAST_MOVING = 0.1  # of what things are pasted into: views with less are mostly drawn again
SHARE = 0.01  # of a photo: what has less of a class does not count as having it
EVERY = 12  # of a pack's photos, one in so many says how large all will be
LEAST_STRETCH, RIM = 40, 6  # cells at half a view's size: of a stretch of water that counts; of what is around it
BORDER = 8  # pixels of a view: so near to the border of water a label may leave out something that stands
OUTLINED = 127  # of 255: with more, a pixel of a label is a thing's, or in a crop
NEAR_THINGS = 0.7  # of the views of photos whose small things are outlined are of a part with such
UNKNOWN = 255  # in labels: something thin that they have as moving; nobody said
KINDS_FILE = Path(__file__).parent / "water_kinds.csv"


class Examples(NamedTuple):
    """Views [N,3,H,W] with what is known of them; h = H/2 and w = W/2, or H/8 and W/8 where it says "coarse"."""

    photo: Tensor  # [N,3,H,W] in [-1,1]
    classes: Tensor  # [N,5,h,w] shares, which sum to 1, or to less where not all is known
    still: Tensor  # [N,h,w] share of what stands still
    still_weight: Tensor  # [N,h,w] of knowing that
    doubtful: Tensor  # [N,h,w] 1 where only the class says that it moves
    stretches: Tensor  # [N,h,w] for each stretch of water: one, spread over it and what is right around it
    scene: Tensor  # [N,h,w] coarse, classes of classes/ID.png; UNKNOWN where there is none
    direction: Tensor  # [N,2,h,w] coarse, unit vectors, x right, y down
    direction_weight: Tensor  # [N,1,h,w]
    only_axis: Tensor  # [N,1,h,w] bool: the opposite direction would be as good
    kind: Tensor  # [N,h,w] coarse, of KINDS; UNKNOWN where nobody said

    def to(self, device: torch.device) -> Examples:
        return Examples(*(part.to(device, non_blocking=True) for part in self))


@dataclass(frozen=True, eq=False)
class EyePhoto:
    """A photo with all that is known of it. Labels are UNKNOWN where something thin may stand before what moves."""

    sample: Sample
    listed: str  # in which of LISTS
    scene: Tensor  # uint8 [h,w]
    stretches: list[tuple[int, int, Tensor]]  # of labelled water: indices into KINDS and FOAM, where it is, bool [H,W]
    target: Target  # its arrows
    running: bool  # whether somebody saw which way its water runs
    things: Tensor | None = None  # [2,H,W] in 0..255: small things that stand, and where all of them are outlined

    @property
    def still(self) -> bool:
        return self.listed.startswith("stills")

    def share(self, kind: int) -> float:
        return float((self.sample.label == kind).float().mean())


@dataclass(frozen=True)
class Entry:
    """A photo as it is stored."""

    name: str
    listed: str
    fold: int
    photo: bytes
    label: bytes
    scene: bytes
    hints: str
    things: np.ndarray | None = None  # uint8 [2,h,w], as `EyePhoto.things`


def read_photos(
    path: Path,
    left_out: str | None = None,
    *,
    held_out: bool = False,
    only_water: bool = False,
    long_side: int = LONG_SIDE,
) -> list[EyePhoto]:
    """The photos of a folder or a pack (.npz) but those that are left out (one of folds.CHOICES), or with `held_out`
    only those, decoded into memory. only_water: those alone of which somebody said what kind of water they show."""
    packed = path.suffix == ".npz"
    kinds = read_kinds(KINDS_FILE)
    found = []
    for entry in _packed(path) if packed else _listed(path):
        if is_held_out(entry.listed, entry.fold, left_out) != held_out or (only_water and entry.name not in kinds):
            continue
        sample = shrunk(decode(entry.name, entry.photo, entry.label, entry.hints), long_side)
        things = None if entry.things is None else _at_size(entry.things, sample.label.shape)
        if not packed:  # the labels of a pack are already marked
            mark_thin(sample, things)
        found.append(EyePhoto(
            sample, entry.listed, _scene(entry.scene, sample.label),
            stretches_at(sample.label, kinds.get(sample.id, [])),
            interpolate_arrows(sample), has_running_water(sample), things,
        ))
    return found


def _at_size(maps: np.ndarray, size: Sequence[int]) -> Tensor:
    return F.interpolate(torch.from_numpy(maps)[None].float(), tuple(size), mode="area")[0].round().byte()


def _scene(stored: bytes, label: Tensor) -> Tensor:
    """Classes of a parser of scenes, UNKNOWN everywhere if there are none for this photo."""
    if not stored:
        return torch.full_like(label, UNKNOWN)
    return torch.from_numpy(np.array(Image.open(io.BytesIO(stored))))


def _listed(folder: Path) -> Iterator[Entry]:
    folds, outlines = read_folds(folder), outlines_by_photo()
    for listed in LISTS:
        if (folder / f"{listed}.txt").exists():
            for name, photo, label, hints in folder_entries(folder, f"{listed}.txt"):
                scene = folder / "classes" / f"{name}.png"
                classes = scene.read_bytes() if scene.exists() else b""
                things = _outlined(outlines[name], label) if name in outlines else None
                yield Entry(name, listed, folds.get(name, 0), photo, label, classes, hints, things)


def _packed(path: Path) -> Iterator[Entry]:
    with np.load(path, allow_pickle=False) as pack:
        for row in json.loads(str(pack["photos"])):
            photo, label, scene = (pack[f"{kind}/{row['name']}"].tobytes() for kind in ("photo", "label", "scene"))
            things = pack.get(f"things/{row['name']}")
            yield Entry(**row, photo=photo, label=label, scene=scene, things=things)


def _outlined(crops: list[Path], label: bytes) -> np.ndarray:
    """`Entry.things` at the size of a stored label."""
    with Image.open(io.BytesIO(label)) as image:
        size = image.height, image.width
    maps = torch.stack([crop_on(path, size) for path in crops]).amax(0)
    return (255 * maps).round().byte().numpy()


def mark_thin(sample: Sample, things: Tensor | None = None) -> None:
    """Makes its label UNKNOWN where something thin stands before the sky; where things are outlined, static in them,
    and as it is around them."""
    before = sample.label.clone()
    sky = torch.isin(sample.label, torch.tensor((SKY, SMOKE)))
    sample.label[thin_before_sky(to_tensor(sample.photo.permute(1, 2, 0).numpy()), sky, sample.label == 0)] = UNKNOWN
    if things is not None:
        thing, outlined = things > OUTLINED
        sample.label[outlined] = before[outlined]
        sample.label[thing] = 0


def read_kinds(path: Path) -> dict[str, list[tuple[int, int, float, float]]]:
    """Rows of id, kind (one of KINDS; others are left out), foam (one of FOAM), x and y in percent of the photo's sides
    -> kind, foam, x and y in fractions, by ID."""
    found: dict[str, list[tuple[int, int, float, float]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["kind"] in KINDS:
                place = float(row["x"]) / 100, float(row["y"]) / 100
                found.setdefault(row["id"], []).append((KINDS.index(row["kind"]), FOAM.index(row["foam"]), *place))
    return found


def stretches_at(label: Tensor, places: list[tuple[int, int, float, float]]) -> list[tuple[int, int, Tensor]]:
    """Kind, foam and bool [H,W]: the stretch of water that each place lies in, if any."""
    h, w = label.shape
    numbers = ndimage.label((label == WATER).numpy())[0]
    found = []
    for kind, foam, x, y in places:
        number = numbers[min(h - 1, int(y * h)), min(w - 1, int(x * w))]
        if number:
            found.append((kind, foam, torch.from_numpy(numbers == number)))
    return found


def kind_map(photo: EyePhoto) -> Tensor:
    """uint8 [H,W]: kinds of water, UNKNOWN where nobody said."""
    kinds = torch.full(photo.sample.label.shape, UNKNOWN, dtype=torch.uint8)
    for kind, _, place in photo.stretches:
        kinds[place] = kind
    return kinds


class Views(IterableDataset[Examples]):
    """Endless batches of `count` random views. What is rare comes more often; some views in each batch are of stills,
    and some are composites."""

    def __init__(self, photos: list[EyePhoto], count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self.landscapes = [photo for photo in photos if not photo.still]
        self.stills = [photo for photo in photos if photo.still]
        self.chances = np.array([_chance(photo) for photo in self.landscapes])
        self.upright = np.array([_upright(photo) for photo in self.landscapes])
        self.moving = np.array([1 - photo.share(0) > 0.03 for photo in self.landscapes])
        self.rng = np.random.default_rng(seed)

    def of(self, photo: EyePhoto) -> Examples:
        """A view of this photo, a batch of one."""
        self.tall = _upright(photo)
        view = self._view(photo)
        example = self._finished(*_seen(view, photo), (view, photo))
        return Examples(*(part[None] for part in example))

    def __iter__(self) -> Iterator[Examples]:
        worker = torch.utils.data.get_worker_info()
        self.rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        makers = {"landscape": self._landscape, "composite": self._composite, "still": self._still}
        while True:
            self.tall = bool(self.rng.random() < self.chances @ self.upright / self.chances.sum())
            made = [makers[ORDER[n % len(ORDER)]]() for n in range(self.count)]
            yield Examples(*(torch.stack(part) for part in zip(*made, strict=True)))

    @property
    def size(self) -> tuple[int, int]:
        return SHAPES[self.tall]

    def _chosen(self, among: np.ndarray | None = None) -> EyePhoto:
        chances = self.chances * (self.upright == self.tall) * (1 if among is None else among)
        return self.landscapes[self.rng.choice(len(chances), p=chances / chances.sum())]

    def _landscape(self) -> Examples:
        photo = self._chosen()
        view = self._view(photo)
        image, label = _seen(view, photo)
        mixed = self.rng.random() < TRANSPLANTED
        if mixed:
            other = self._chosen()
            image, label = transplanted(self.rng, image, label, *_seen(self._view(other), other))
        if (label == FALLS).any() and self.rng.random() < SPATTERED:
            image = spattered(self.rng, image, label == FALLS)
        image = relit(self.rng, image, label) if self.rng.random() < RELIT else image
        return self._finished(image, label, None if mixed else (view, photo))

    def _still(self) -> Examples:
        """Mostly whole: what a blurred background is can only be told from the rest."""
        group = [photo for photo in self.stills if _upright(photo) == self.tall]
        photo = group[int(self.rng.integers(len(group)))] if group else self._chosen()
        view = random_view(self.rng, self.size, SMALLEST, whole=WHOLE_STILL)
        return self._finished(*_seen(view, photo), (view, photo))

    def _finished(self, image: Tensor, label: Tensor, of: tuple[View, EyePhoto] | None) -> Examples:
        """A view in other colours, at times out of focus."""
        image = tinted(self.rng, image) if self.rng.random() < TINTED else image
        image = unfocused(self.rng, image, label) if self.rng.random() < UNFOCUSED else image
        return _example(photometric(self.rng, image), label, of)

    def _composite(self) -> Examples:
        """Static things, and pieces of what moves, pasted over what moves in a view of a landscape."""
        scene = self._scene(self._chosen(self.moving))
        while float((scene.label > 0).float().mean()) < LEAST_MOVING and self.rng.random() < 0.8:
            scene = self._scene(self._chosen(self.moving))
        statics = [self._source() for _ in range(self.rng.integers(*STATICS))]
        movings = [self._scene(self._chosen(self.moving)) for _ in range(self.rng.integers(*MOVINGS))]
        made = composite(self.rng, scene, statics, movings)
        known = (made.weight > 0) & (made.doubtful | (made.static > 0.5) | (scene.label == 0))
        label = torch.where(made.static > 0.5, 0, scene.label.long())
        image = tinted(self.rng, made.image) if self.rng.random() < TINTED else made.image
        example = _example(photometric(self.rng, image), torch.where(known, label, UNKNOWN), None)
        weighed = torch.stack([made.static * made.weight, made.weight, made.doubtful.float()])
        weighed[2] *= may_hide_something(scene.label)
        static, weight, doubtful = F.avg_pool2d(weighed, 2)
        return example._replace(still=static / weight.clamp_min(1e-3), still_weight=weight, doubtful=doubtful)

    def _source(self) -> Scene:
        if self.stills and self.rng.random() < STILLS:
            return self._scene(self.stills[int(self.rng.integers(len(self.stills)))])
        return self._scene(self.landscapes[int(self.rng.integers(len(self.landscapes)))])

    def _scene(self, photo: EyePhoto) -> Scene:
        image, label = _seen(random_view(self.rng, self.size, SMALLEST, whole=WHOLE), photo)
        known = label != UNKNOWN
        return Scene(image, torch.where(known, label, SKY).byte(), known)

    def _view(self, photo: EyePhoto) -> View:
        closest = SMALLEST_FALLS if photo.share(FALLS) > SHARE else SMALLEST
        if photo.things is None or self.rng.random() > NEAR_THINGS:
            return random_view(self.rng, self.size, closest, whole=WHOLE)
        rows, columns = np.nonzero((photo.things[1] > OUTLINED).numpy())
        one, (h, w) = self.rng.integers(len(rows)), photo.sample.label.shape
        around = 2 * (columns[one] + 0.5) / w - 1, 2 * (rows[one] + 0.5) / h - 1
        return random_view(self.rng, self.size, closest, whole=0, around=around)


def may_hide_something(label: Tensor) -> Tensor:
    """Bool [H,W]: where a label may have something thin as moving that nobody drew: twigs before the sky, stones and
    reeds along the borders of water. In the middle of water it is trusted."""
    water = np.isin(label.numpy(), (WATER, FALLS))
    return torch.from_numpy(~ndimage.binary_erosion(water, iterations=BORDER, border_value=1))


def stretches_of(label: Tensor) -> Tensor:
    """Classes [H,W] of a view -> [H/2,W/2]: for each connected stretch of water, small or large, a total of one, spread
    over it and a rim of what stands around it."""
    half = label[::2, ::2].numpy()
    water, spread = np.isin(half, (WATER, FALLS)), np.zeros(half.shape, np.float32)
    numbers, _ = ndimage.label(water, np.ones((3, 3)))
    for number, (rows, columns) in enumerate(ndimage.find_objects(numbers), start=1):
        around = tuple(slice(max(0, s.start - RIM), s.stop + RIM) for s in (rows, columns))
        stretch = numbers[around] == number
        if stretch.sum() >= LEAST_STRETCH:
            near = ndimage.binary_dilation(stretch, iterations=RIM) & ~water[around] & (half[around] != UNKNOWN)
            spread[around] += (stretch | near) / (stretch | near).sum()
    return torch.from_numpy(spread)


def _chance(photo: EyePhoto) -> float:
    """How often it comes: falls, smoke, running water and ground are rare."""
    static = photo.share(0)
    rare = 4.0 * (photo.share(FALLS) > SHARE) + 1.0 * (photo.share(SMOKE) > SHARE) + 2.0 * photo.running
    rare += 2.0 * (photo.things is not None)
    return 1 + rare + 0.7 * (static > 0.6) + 2.0 * (static > 0.98)


def _upright(photo: EyePhoto) -> bool:
    h, w = photo.sample.label.shape
    return h > w


def _seen(view: View, photo: EyePhoto) -> tuple[Tensor, Tensor]:
    """Colours [3,H,W] in [0,1], and classes [H,W]."""
    image = look(view, photo.sample.photo.float() / 255)
    return image, look(view, photo.sample.label[None].float(), "nearest")[0].long()


def _example(image: Tensor, label: Tensor, of: tuple[View, EyePhoto] | None) -> Examples:
    """Without the first dimension. of: where the view is from; None if its classes are all that is known."""
    h, w = label.shape
    known = label != UNKNOWN
    shares = F.one_hot(torch.where(known, label, 0), len(CLASSES)).permute(2, 0, 1) * known
    nothing, coarse = torch.zeros(h // 2, w // 2), (h // CELL, w // CELL)
    blank = Examples(
        image * 2 - 1, F.avg_pool2d(shares.float(), 2), *(nothing,) * 3, stretches=stretches_of(label),
        scene=torch.full(coarse, UNKNOWN), direction=torch.zeros(2, *coarse), direction_weight=torch.zeros(1, *coarse),
        only_axis=torch.zeros(1, *coarse, dtype=torch.bool), kind=torch.full(coarse, UNKNOWN),
    )
    if of is None:
        return blank
    view, photo = of
    small = View(F.affine_grid(torch.from_numpy(view.matrix)[None], [1, 1, *coarse], align_corners=False), view.matrix)
    classes = look(small, photo.sample.label[None].float(), "nearest")
    weight = look(small, photo.target.weight) * ((classes > 0) & (classes != UNKNOWN))
    direction = F.normalize(in_view(view, look(small, photo.target.velocity)), dim=0)
    drifting = [SKY, SMOKE] if photo.running else [SKY, SMOKE, WATER]
    only_axis = torch.isin(classes, torch.tensor(drifting).float()) & bool(np.linalg.det(view.matrix[:, :2]) < 0)
    kind = look(small, kind_map(photo)[None].float(), "nearest")[0].long() if photo.stretches else blank.kind
    if photo.things is not None:
        thing, outlined = look(view, photo.things.float() / 255)
        certain = (outlined > 0.99) & ((thing > 0) | (label > 0)) & known  # land of the crop is neither
        still, weight_of_still = F.avg_pool2d(torch.stack((thing, certain.float())), 2)
        blank = blank._replace(still=still, still_weight=weight_of_still)
    return blank._replace(
        scene=look(small, photo.scene[None].float(), "nearest")[0].long(), direction=direction,
        direction_weight=weight, only_axis=only_axis, kind=kind,
    )


def pack(folder: Path, out: Path, long_side: int, max_bytes: int) -> None:
    """Writes the folder's photos as AVIF, labels as PNG, in the best quality with which they should stay below
    max_bytes, to judge by some of them."""
    entries = list(_listed(folder))
    rows = [{"name": e.name, "listed": e.listed, "fold": e.fold,
             "hints": json.dumps({"arrows": json.loads(e.hints).get("arrows", [])})} for e in entries]
    labels: dict[str, Any] = {"photos": np.array(json.dumps(rows))}
    for entry in entries:
        sample = shrunk(decode(entry.name, entry.photo, entry.label, entry.hints), LONG_SIDE)
        things = None if entry.things is None else _at_size(entry.things, sample.label.shape)
        mark_thin(sample, things)
        label = Image.fromarray(sample.label.numpy())
        label.thumbnail((long_side, long_side), Image.Resampling.NEAREST)
        buffer = io.BytesIO()
        label.save(buffer, "PNG", optimize=True)
        labels[f"label/{entry.name}"] = np.frombuffer(buffer.getvalue(), np.uint8)
        labels[f"scene/{entry.name}"] = np.frombuffer(entry.scene, np.uint8)
        if entry.things is not None:
            labels[f"things/{entry.name}"] = _at_size(entry.things, np.asarray(label).shape).numpy()
    room = max_bytes - sum(array.nbytes for array in labels.values())
    for quality in (75, 70, 65, 60, 55, 50, 45, 40):
        some = [len(reduced(entry.photo, long_side, quality, "AVIF")) for entry in entries[::EVERY]]
        if np.mean(some) * len(entries) < room:
            break
    photos = {f"photo/{e.name}": np.frombuffer(reduced(e.photo, long_side, quality, "AVIF"), np.uint8)
              for e in entries}
    arrays: dict[str, Any] = labels | photos
    size = sum(array.nbytes for array in arrays.values())
    if size > 1.05 * max_bytes:
        raise SystemExit("The photos do not fit; choose a smaller --long-side.")
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(out, **arrays)
    print(f"{out}: {len(entries)} photos, quality {quality}, {size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, default=Path(".pack/eye.npz"))
    parser.add_argument("--long-side", type=int, default=704)
    parser.add_argument("--max-mb", type=float, default=40)
    options = parser.parse_args()
    pack(options.photos, options.out, options.long_side, int(options.max_mb * 1e6))


if __name__ == "__main__":
    main()
