"""From a photo to its `Scenery`: the eye and every detector look at it here, once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stylecine.machine.threads import another_thread
from stylecine.ops.arrows import GRID
from stylecine.ops.image import fit_short_side, resize, to_uint8
from stylecine.options import CLASSES, FALLS, SKY, WATER, Arrow
from stylecine.perception.beach import find_beach
from stylecine.perception.clouds import cloud_reach
from stylecine.perception.depth import judge_depth
from stylecine.perception.directions import place_arrows, predict_directions
from stylecine.perception.edges import erode
from stylecine.perception.glow import sun_glow
from stylecine.perception.layers import segment, shows_nothing
from stylecine.perception.scenery import Scenery, Still
from stylecine.perception.see import EyeNetwork, RefinerNetwork, Seen, see
from stylecine.perception.stream import find_streams, sense_odds
from stylecine.perception.water import MIRRORS, RUNS, SURF, brightness_slope, foam, judge_water

TRACE = 0.05  # of a layer: with less it does not own a place of the grid


@torch.inference_mode()
def look(photo: Tensor, eye: EyeNetwork, refiner: RefinerNetwork, scale: float = 1.0, wraps: bool = False) -> Scenery:
    """What a photo [3,H,W] in [-1,1] shows. scale, wraps: as in `see`."""
    if shows_nothing(photo):
        return perceive(photo, photo.new_zeros((len(CLASSES), *photo.shape[-2:])), None)
    seen = see(photo, eye, refiner, scale, wraps)
    return perceive(photo, segment(photo, seen), seen)


@torch.inference_mode()
def perceive(
    photo: Tensor,
    layers: Tensor,
    seen: Seen | None,
    *,
    arrows: Sequence[Arrow] = (),
    frozen: Tensor | None = None,
    forced: Tensor | None = None,
    sky: Tensor | None = None,
) -> Scenery:
    """What a photo [3,H,W] in [-1,1] shows of which the layers [4,H,W] are known, and what the eye says, if anything.

    What a user has said comes before what is seen: arrows, as in `animate`; frozen: [H,W] in [0,1], what must not move;
    forced: bool [H,W], what moves although it seems to stand. sky: [H,W], if not that of the layers. Raises MotionError
    for an arrow that starts where nothing moves.
    """
    grid = fit_short_side(photo.shape[-2:], GRID)
    placed = place_arrows(layers, arrows, grid)
    starts = [((arrow.column + 0.5) / grid[1], (arrow.row + 0.5) / grid[0]) for arrow in placed]
    stands = None if seen is None else seen.stands
    with another_thread(photo.device, "stylecine-edges") as submit:
        eroded = submit(lambda: erode(layers, photo, forced, starts, stands))
        directions, disagreement = predict_directions(seen, layers, grid)
        covered = resize(layers, grid).cpu().numpy()
        grey, red = (resize(x, grid)[0].cpu().numpy() for x in (photo.mean(0, keepdim=True), photo[:1]))
        owner = np.where(covered.max(0) > TRACE, covered.argmax(0), -1)
        water, falls, in_sky = (owner == k for k in (WATER, FALLS, SKY))
        waters = judge_water(seen, owner)
        streams = find_streams(owner, water & (waters.kind != RUNS))
        steered = np.isin(streams.number, [streams.number[a.row, a.column] for a in placed]) & (streams.number > 0)
        steered |= in_sky & any(in_sky[a.row, a.column] for a in placed)
        still = Still(
            mirror=np.where((waters.kind == MIRRORS) & ~steered, 1.0, 0.0),
            glow=sun_glow(photo, in_sky) * (in_sky & ~steered),
        )
        kinds = streams.open, water & ~streams.open  # each is compared with its own kind
        white = waters.foamy * np.where(streams.open, *(foam(here, grey) for here in kinds))
        free = np.ones(grid, bool) if frozen is None else resize(frozen[None], grid)[0].cpu().numpy() < 0.01
        return Scenery(
            layers=layers,
            eroded=eroded.result(),
            seen=seen,
            owner=owner,
            directions=directions,
            disagreement=disagreement,
            streams=streams,
            odds=sense_odds(directions, streams, water),
            still=still,
            foam=white,
            surf=waters.kind == SURF,
            beach=find_beach(owner, waters.kind == SURF, white, grey, free),
            cloud_reach=cloud_reach(in_sky, red) if in_sky.any() else 0,
            slope=brightness_slope(grey) if falls.any() else None,
            depth=judge_depth(to_uint8(photo), layers[SKY] if sky is None else sky),
            arrows=placed,
            steered=steered,
        )
