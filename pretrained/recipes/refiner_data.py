"""Views that the refiner is trained on: what stands in them, to the pixel, and what the eye says of them.

    python pretrained/recipes/refiner_data.py PHOTOS --out .pack/views --minutes 14 --seed 1

PHOTOS is as lay_out_photos.py makes it. Half of the views are composites (occluders/composites.py), whose outlines are
exact. Of the others the label counts, but near static things, where it leaves out what is thin. There counts,
in this order: an outline drawn by hand (outline_things.py); the difference from the sky's colours, where these are
plain; and what rules take for thin before the sky (occluders/thin.py) or, by its colours, for a part of static things
(`stylecine.perception.edges`), or what is a few pixels wide with sharp edges. Elsewhere near static things a
label of movement is doubtful. Patches in the sky and in water that were sorted by hand (sort_patches.py) are what they
were sorted as. Several runs with other seeds may write at once.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from data import Sample, decode, label_of
from eye_data import may_hide_something
from labelled import View, look, photometric, relit, tinted
from occluders.composites import Scene, composite, key_sky
from occluders.thin import step_across, thin_before_sky, top_hats
from outline_things import crop_on, outlines_by_photo
from PIL import Image
from scipy import ndimage
from sort_patches import MOVING, PATCHES, THING, UNKNOWN
from torch import Tensor

from stylecine.engine.model_networks import Networks
from stylecine.networks.eye import CLASSES
from stylecine.ops.image import dilate
from stylecine.perception.edges import like_static
from stylecine.perception.see import SHORT_SIDE, eye_maps

SIDE = 640  # pixels of a view
EYE_SIDES = (416, 416, 416, 512, 640)  # at which the eye sees it: mostly as it sees a photo of 1024 pixels
COMPOSITE = 0.5  # of the views
OUTLINED, SORTED, STILL = 0.3, 0.25, 0.1  # of the others: near outlined things, around sorted patches, and of stills
AROUND_MOVING = 0.7  # of those around sorted patches: around one that moves
RELIT, TINTED, WORSE = 0.15, 0.2, 0.7
STATICS, MOVINGS, STILL_SOURCES = (2, 7), (0, 3), 0.3
LEAST_MOVING = 0.12  # of what things are pasted into
BAND = 4  # pixels along the borders of labels, where these say nothing
NEAR = 80  # pixels from static things, within which a label may leave out something thin
KEYED = 0.06  # of a side: as far from static things a plain sky is keyed
PLAIN, PLAIN_FAR = 0.03, 0.04  # of [0,1]: deviations of a plain sky's colours in three quarters of it, and in all
SHARP_RADIUS, SHARP_REACH = 2, 16  # pixels: half the width of what is sharp; how far from static things it may be
SHARP_CONTRAST, SHARP_STEP = 0.2, 0.5  # of [-1, 1]; of that contrast, across two pixels
STATIC_WEIGHT, KNOWN_WEIGHT, THIN_WEIGHT = 0.5, 4.0, 3.0
MOVING_RIM = 2  # pixels around a sorted patch that moves, which move as well


@dataclass(frozen=True)
class Known:
    """image [3,h,w] in [0,1]; static: [h,w], the share that stands; weight: [h,w], of knowing it; doubtful: bool [h,w],
    where only a label says that a place moves; patches: bool [3,h,w], what is sorted as sky or water, as things, and
    what is not known of patches, if the view is around one."""

    image: Tensor
    static: Tensor
    weight: Tensor
    doubtful: Tensor
    patches: Tensor | None = None


class Photos:
    """Labelled photos, of which some hundred are kept decoded."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.folder, self.rng = folder, rng
        self.landscapes, self.stills = ((folder / f"{name}.txt").read_text().split() for name in ("train", "stills"))
        self.outlines = {name: paths for name, paths in outlines_by_photo().items()
                         if name in {*self.landscapes, *self.stills}}
        self.patches = self._sorted_patches()
        self.kept: dict[str, Sample] = {}

    def _sorted_patches(self) -> dict[int, list[str]]:
        """Names of photos with patches sorted as sky, and as things, by that code."""
        codes = {name: patch_codes(name) for name in self.landscapes if (PATCHES / f"{name}.png").exists()}
        found = {code: [name for name, there in codes.items() if code in there] for code in (MOVING, THING)}
        return {code: names for code, names in found.items() if names}

    def any_of(self, names: list[str]) -> str:
        return names[self.rng.integers(len(names))]

    def sample(self, name: str) -> Sample:
        if name not in self.kept:
            if len(self.kept) >= 400:
                self.kept.pop(next(iter(self.kept)))
            photo = (self.folder / "images" / f"{name}.jpg").read_bytes()
            self.kept[name] = decode(name, photo, label_of(self.folder, name).read_bytes(), "{}")
        return self.kept[name]

    def view(self, name: str, around: tuple[float, float] | None = None) -> tuple[View, Scene]:
        """A window of a photo at a random scale, mirrored half the time, and what it shows."""
        sample, rng = self.sample(name), self.rng
        h, w = sample.label.shape
        scale = SIDE / min(h, w) * np.exp(rng.uniform(0, np.log(max(1.05, 1.1 * min(h, w) / SIDE))))
        sx, sy = SIDE / (w * scale), SIDE / (h * scale)
        x, y = around or rng.uniform(-1, 1, 2)
        room_x, room_y = max(0.0, 1 - sx), max(0.0, 1 - sy)
        cx, cy = np.clip(x + sx * rng.uniform(-0.5, 0.5), -room_x, room_x), np.clip(y, -room_y, room_y)
        matrix = np.array([[sx * rng.choice([-1, 1]), 0, cx], [0, sy, cy]], np.float32)
        view = View(F.affine_grid(torch.from_numpy(matrix)[None], [1, 1, SIDE, SIDE], align_corners=False), matrix)
        image = sample.photo.float() / 255
        if scale < 0.9:
            image = F.interpolate(image[None], scale_factor=float(scale), mode="area")[0]
        label = look(view, sample.label[None].float(), "nearest")[0].byte()
        return view, Scene(look(view, image), label, torch.ones(SIDE, SIDE, dtype=torch.bool))

    def photo(self) -> Known:
        """A window of a photo as it is."""
        rng, chance = self.rng, self.rng.random() if self.outlines else self.rng.uniform(OUTLINED, 1)
        if OUTLINED + STILL < chance < OUTLINED + STILL + SORTED and self.patches:
            return self.around_patch()
        name = self.any_of(self.stills if chance < OUTLINED + STILL else self.landscapes)
        maps, around = None, None
        if chance < OUTLINED:
            name = self.any_of(list(self.outlines))
            h, w = self.sample(name).label.shape
            maps = torch.stack([crop_on(path, (h, w)) for path in self.outlines[name]]).amax(0)
            rows, columns = np.nonzero((maps[1] > 0.5).numpy())
            one = rng.integers(len(rows))
            around = 2 * (columns[one] + 0.5) / w - 1, 2 * (rows[one] + 0.5) / h - 1
        view, scene = self.view(name, around)
        known = what_is_known(scene)
        if maps is not None:
            things, outlined = look(view, maps)
            certain = (outlined > 0.99) & ((things > 0) | (scene.label > 0))  # land of the crop is neither
            known = _with(known, certain, things, KNOWN_WEIGHT)
        image = relit(rng, scene.image, scene.label.long()) if rng.random() < RELIT else scene.image
        return replace(known, image=tinted(rng, image) if rng.random() < TINTED else image)

    def around_patch(self) -> Known:
        """A window around a sorted patch."""
        rng, code = self.rng, MOVING if self.rng.random() < AROUND_MOVING else THING
        if code not in self.patches:
            code = next(iter(self.patches))
        name = self.any_of(self.patches[code])
        codes = patch_codes(name)
        rows, columns = np.nonzero(codes == code)
        one = rng.integers(len(rows))
        at = [2 * (place[one] + 0.5) / side - 1 for place, side in zip((columns, rows), codes.shape[::-1], strict=True)]
        view, scene = self.view(name, (at[0], at[1]))
        moving = ndimage.binary_dilation(codes == MOVING, iterations=MOVING_RIM)
        maps = torch.from_numpy(np.stack((moving, codes == THING, codes == UNKNOWN)).astype(np.float32))
        known = replace(what_is_known(scene), patches=look(view, maps) > 0.5)
        return replace(known, image=tinted(rng, known.image) if rng.random() < TINTED else known.image)

    def composite(self) -> Known:
        """A window into which static and moving things of other photos are pasted."""
        rng = self.rng
        _, scene = self.view(self.any_of(self.landscapes))
        while float((scene.label > 0).float().mean()) < LEAST_MOVING:
            _, scene = self.view(self.any_of(self.landscapes))
        statics = [self.view(self.any_of(self.stills if rng.random() < STILL_SOURCES else self.landscapes))[1]
                   for _ in range(rng.integers(*STATICS))]
        movings = [self.view(self.any_of(self.landscapes))[1] for _ in range(rng.integers(*MOVINGS))]
        made = composite(rng, scene, statics, movings)
        doubtful = made.doubtful & may_hide_something(scene.label) & near_static(scene.label, NEAR)
        image = tinted(rng, made.image) if rng.random() < TINTED else made.image
        return Known(image, made.static, made.weight, doubtful)


def near_static(label: Tensor, reach: int) -> Tensor:
    """Bool [h,w]: within so many pixels of what a label [h,w] has as static."""
    static = (label == 0).numpy()
    if not static.any():
        return torch.zeros(label.shape, dtype=torch.bool)
    return torch.from_numpy(ndimage.distance_transform_edt(~static) < reach)


def what_is_known(scene: Scene) -> Known:
    """Of a view with a label, and without outlines."""
    label, moves = scene.label, scene.label > 0
    border = dilate(moves, BAND) & dilate(~moves, BAND)
    weight = torch.where(border, 0.0, torch.where(moves, 1.0, STATIC_WEIGHT))
    doubtful = moves & may_hide_something(label) & near_static(label, NEAR)
    known = Known(scene.image, (~moves).float(), weight, doubtful)
    key = _plain_key(scene)
    if key is not None:
        there = near_static(label, round(KEYED * SIDE)) & dilate(label == CLASSES.index("sky"), 5)
        known = _with(known, there & (label < 2), key, torch.where(key > 0.02, 3.0, 1.0))
    return known


def _plain_key(scene: Scene) -> Tensor | None:
    """`key_sky` where the sky is so plain that what differs is surely something else."""
    sky = ndimage.binary_erosion((scene.label == CLASSES.index("sky")).numpy(), iterations=12)
    far = sky & ~near_static(scene.label, 50).numpy()
    if sky.mean() < 0.03 or far.sum() < 2000:
        return None
    keyed = key_sky(scene, sky)
    if keyed is None or keyed.noise > PLAIN:
        return None
    return keyed.opacity if np.quantile(keyed.difference[far], 0.985) < max(5 * keyed.noise, PLAIN_FAR) else None


def _with(known: Known, places: Tensor, static: Tensor, weight: Tensor | float) -> Known:
    """The same, but what is known of `places` is this."""
    return replace(
        known,
        static=torch.where(places, static, known.static),
        weight=torch.where(places, torch.as_tensor(weight), known.weight),
        doubtful=known.doubtful & ~places,
    )


def with_thin(known: Known, maps: Tensor) -> Known:
    """The same, with what seems to be thin before the sky, where that was doubtful or nothing was known. maps:
    [6,h,w], what the eye says of it."""
    _, sky, water, falls, smoke, occluder = maps
    stands = known.static > 0.5
    found = thin_things(known.image * 2 - 1, ~stands & (sky + smoke > water + falls), stands, occluder)
    return _with(known, found & (known.doubtful | (known.weight == 0)), torch.ones(()), THIN_WEIGHT)


def with_patches(known: Known, ruled: Tensor, refined: Tensor) -> Known:
    """The same, with what sorted patches are.

    ruled: bool [h,w], where only rules say that a thing stands: in such photos they may take clouds for things, too.
    refined: [h,w] in [0,1], how likely a place stands as the previous refiner has it. Patches have a margin, and what
        it finds in a thing's is the thing.
    """
    if known.patches is None:
        return known
    moving, things, unknown = known.patches
    found = refined > 0.5
    known = _with(known, (ruled & ~found) | unknown, known.static, 0.0)
    known = _with(known, things, found.float(), torch.where(found, THIN_WEIGHT, 0.0))
    return _with(known, moving, torch.zeros(()), KNOWN_WEIGHT)


def patch_codes(name: str) -> np.ndarray:
    """[H,W], as sort_patches.py writes them."""
    with Image.open(PATCHES / f"{name}.png") as image:
        return np.array(image)


def thin_things(photo: Tensor, sky: Tensor, static: Tensor, seen: Tensor) -> Tensor:
    """Bool [h,w]: what stands before the sky near static things, or is part of them. sky, static: bool [h,w], by a
    label that leaves such things out; seen: [h,w], as in `thin_before_sky`."""
    if not bool(sky.any()) or not bool(static.any()):
        return torch.zeros_like(sky)
    thin = thin_before_sky(photo, sky, static, seen)
    low, high = top_hats(photo.mean(0), SHARP_RADIUS)
    contrast, step = torch.maximum(low, high), dilate(step_across(photo.mean(0)), 1)
    sharp = dilate(static, SHARP_REACH) & (contrast > SHARP_CONTRAST) & (step > SHARP_STEP * contrast)
    return sky & (thin | like_static(photo, static, static | thin) | sharp)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, default=Path(".pack/views"))
    parser.add_argument("--minutes", type=float, default=14)
    parser.add_argument("--views", type=int, help="stop after so many, even if there is time left")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    photos, networks = Photos(options.photos, rng), Networks.from_pretrained(device="cpu", lazily=True)
    options.out.mkdir(parents=True, exist_ok=True)
    end, count = time.monotonic() + 60 * options.minutes, 0
    while time.monotonic() < end and count != options.views:
        known = photos.composite() if rng.random() < COMPOSITE else photos.photo()
        image = photometric(rng, known.image) if rng.random() < WORSE else known.image
        known = replace(known, image=(image.clamp(0, 1) * 255).round() / 255)
        maps = eye_maps(known.image * 2 - 1, networks.eye, rng.choice(EYE_SIDES) / SHORT_SIDE)[None]
        plain = known
        known = with_thin(known, F.interpolate(maps, (SIDE, SIDE), mode="bilinear", align_corners=False)[0])
        maps = F.interpolate(maps, (SIDE // 2, SIDE // 2), mode="bilinear", align_corners=False)[0]
        if known.patches is not None:
            with torch.inference_mode():
                refined = networks.refiner(known.image[None] * 2 - 1, maps[None])[0, 0].sigmoid()
            known = with_patches(known, known.static > plain.static, refined)
        np.savez(
            options.out / f"{options.seed}-{count:05d}.npz",
            photo=(known.image * 255).round().byte().numpy(),
            static=(known.static * 255).round().byte().numpy(),
            weight=(known.weight * 32).clamp(0, 255).byte().numpy(),
            doubtful=np.packbits(known.doubtful.numpy(), axis=1),
            maps=maps.half().numpy(),
        )
        count += 1
    print(f"{options.out}: {count} views")


if __name__ == "__main__":
    main()
