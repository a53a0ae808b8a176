"""What the eye says of a photo, from the photo and its mirror image at two sizes; and at its own pixels what stands."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.machine.threads import another_thread
from stylecine.networks.eye import Sight
from stylecine.networks.refiner import CELL
from stylecine.ops.image import fast_dtype, fit_short_side, network_size, resize, wrapped
from stylecine.perception.patches import that_move

SHORT_SIDE = 640  # pixels of the copy that the eye sees
# Share of that for the mirror image. What the eye says of the two is less alike if they differ, so their mean is better
# than that of two large ones, for less than three quarters of the work.
MIRRORED = 0.65
QUICK = 0.5  # share of both for a first impression
REFINED_SHORT_SIDE = 1024  # of the copy that the refiner sees, at most,
LEAST_REFINED_SIDE = 512  # and at least: small photos are enlarged, as they are for the eye
MOST_REFINED = 4_000_000  # pixels of it: panoramas are shrunk
STANDS = 0.5  # probability from which something stands at a photo's own pixels

EyeNetwork = Callable[[Tensor], Sight]  # photos [N,3,H,W] in [-1,1], as `networks.eye.Eye`
RefinerNetwork = Callable[[Tensor, Tensor], Tensor]  # as `networks.refiner.Refiner`


@dataclass(frozen=True, eq=False)
class Seen:
    """What the eye sees in a photo, maps at a half to a sixteenth of the larger copy but for `stands`.

    classes: [5,h,w], probabilities of static and of CLASSES, which sum to 1.
    stands: [h,w], probability that a place stands, thin things before water and sky included; as large as the photo,
        or with a short side of about REFINED_SHORT_SIDE.
    water: [7,h,w], logits of KINDS of water and of how much FOAM is on it, which count on average over a stretch.
    directions, mirrored: [2,h,w], which way matter flows, x right, y down, as seen in the photo and in its mirror
        image. They are shorter than 1 where that is uncertain, and a guess where they contradict each other.
    """

    classes: Tensor
    stands: Tensor
    water: Tensor
    directions: Tensor
    mirrored: Tensor


@torch.inference_mode()
def see(photo: Tensor, eye: EyeNetwork, refiner: RefinerNetwork, scale: float = 1.0, wraps: bool = False) -> Seen:
    """photo [3,H,W] in [-1,1]. scale: of the copies that the eye sees. wraps: whether the photo's left and right edges
    meet; the networks look across."""
    straight, mirrored = _look(photo, eye, scale, wraps)
    maps = _maps(straight, mirrored)
    sides = torch.tensor([-1.0, 1.0], device=photo.device)[:, None, None]
    stands = _refined(photo, maps, refiner, wraps)
    if scale >= 1 and min(stands.shape) >= LEAST_REFINED_SIDE:  # in smaller ones a patch is a few pixels
        stands = _without_patches(stands, maps, _mean(straight.patches, mirrored.patches))
    return Seen(
        classes=maps[:-1],
        stands=stands,
        water=_mean(straight.water, mirrored.water),
        directions=straight.direction[0].float(),
        mirrored=_mirrored_back(mirrored.direction, straight.direction) * sides,
    )


@torch.inference_mode()
def eye_maps(photo: Tensor, eye: EyeNetwork, scale: float = 1.0) -> Tensor:
    """What a refiner is given of a photo [3,H,W] in [-1,1]: [6,h,w], probabilities of static, of CLASSES, and that
    something stands before water or sky."""
    return _maps(*_look(photo, eye, scale))


def _look(photo: Tensor, eye: EyeNetwork, scale: float, wraps: bool = False) -> tuple[Sight, Sight]:
    """What the eye says of a photo, and of its smaller mirror image."""
    dtype = fast_dtype(photo.device)

    def sight(image: Tensor, short: float) -> Sight:
        small = resize(image, network_size(image.shape[-2:], short))
        beyond = _beyond(small) if wraps else 0
        with torch.inference_mode(), torch.autocast(photo.device.type, dtype, enabled=dtype != torch.float32):
            seen = eye(wrapped(small, beyond)[None])
        maps = (_within(each, beyond, small.shape[2]) for each in seen[:-1])
        return Sight._make((*maps, seen.presence))

    with another_thread(photo.device, "stylecine-mirror") as submit:  # no network keeps all cores busy by itself
        ahead = submit(lambda: sight(photo.flip(2), MIRRORED * scale * SHORT_SIDE))
        return sight(photo, scale * SHORT_SIDE), ahead.result()


def _maps(straight: Sight, mirrored: Sight) -> Tensor:
    """[6,h,w], as `eye_maps`."""
    classes = _mean(straight.classes.float().exp(), mirrored.classes.float().exp())
    return torch.cat((classes, _mean(straight.occluder, mirrored.occluder).sigmoid()))


def _beyond(image: Tensor) -> int:
    """Columns that a network sees of an image [C,h,w] past where its edges meet: an eighth of the width, whole cells of
    all networks."""
    return round(image.shape[2] / 8 / 32) * 32


def _within(maps: Tensor, beyond: int, width: int) -> Tensor:
    """Of maps [N,C,h,w] of what is `beyond` columns wider, on either side, the `width` between."""
    scale = maps.shape[3] / (width + 2 * beyond)
    return maps[..., round(beyond * scale) : round((beyond + width) * scale)]


def _refined(photo: Tensor, maps: Tensor, refiner: RefinerNetwork, wraps: bool) -> Tensor:
    """`Seen.stands`. maps: [6,h,w], those of `eye_maps`.

    Before the sky what the eye alone sees stands as well: it sees twigs broader than they are, and holding some plain
    sky beside them does no harm. Before water it would hold too much.
    """
    size = fit_short_side(photo.shape[-2:], REFINED_SHORT_SIDE)
    wanted, most = max(1.0, LEAST_REFINED_SIDE / min(size)), math.sqrt(MOST_REFINED / (size[0] * size[1]))
    h, w = (math.ceil(n * min(wanted, most) / CELL) * CELL for n in size)
    halves = F.interpolate(maps[None], (h // 2, w // 2), mode="bilinear", align_corners=False)
    dtype = fast_dtype(photo.device)
    with torch.autocast(photo.device.type, dtype, enabled=dtype != torch.float32):
        image = resize(photo, (h, w))
        beyond = _beyond(image) if wraps else 0
        logits = refiner(wrapped(image, beyond)[None], wrapped(halves, beyond // 2))
        logits = _within(logits, beyond, w)[0]
    _, sky, water, falls, smoke, occluder = maps
    stands = resize(logits.float(), size)[0].sigmoid()
    before_sky = torch.where(sky + smoke > water + falls, occluder, 0.0)
    return torch.maximum(stands, resize(before_sky[None], size)[0])


def _without_patches(stands: Tensor, maps: Tensor, patches: Tensor) -> Tensor:
    """`Seen.stands` without the small patches in water that move with it. maps: as `eye_maps`; patches: of `Sight`,
    [2,h,w]."""
    _, _, water, falls, _, _ = maps
    around = resize((water + falls)[None], stands.shape)[0] > 0.5
    logits = resize(patches, stands.shape)
    moves = that_move((stands > STANDS).cpu().numpy(), around.cpu().numpy(), logits.cpu().numpy())
    return torch.where(torch.from_numpy(moves).to(stands.device), 0.0, stands)


def _mean(straight: Tensor, mirrored: Tensor) -> Tensor:
    """[1,C,h,w] of a photo, and the same of its mirror image at another size -> [C,h,w]."""
    return (straight[0].float() + _mirrored_back(mirrored, straight)) / 2


def _mirrored_back(mirrored: Tensor, like: Tensor) -> Tensor:
    return resize(mirrored[0].float().flip(2), like.shape[-2:])
