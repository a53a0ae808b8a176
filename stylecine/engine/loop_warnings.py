"""Why a loop may disappoint, in one line."""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from stylecine.cloth.find import FoundCloth
from stylecine.edits.model import Paint
from stylecine.engine.model_networks import Networks
from stylecine.engine.resolve import MovingParts, is_cloth_marked
from stylecine.engine.scene import Scene
from stylecine.ops.image import box_means, fit_short_side, resize
from stylecine.ops.regions import Region
from stylecine.options import AUTO, CLASSES, SKY, RenderOptions
from stylecine.perception.doubt import doubtful_regions, left_out_regions, torn_regions
from stylecine.perception.layers import moving

MIN_MOVING_SHARE = 0.01  # of the frame: landscapes have 0.16 or more of sky and water
# Levels of 255 by which moving pixels differ from their surroundings, in the mean; over how many pixels, at a short
# side of 512. Clear and white skies have less.
MIN_RELIEF, RELIEF_REACH = 1.0, 12
# Levels of 255 by which a pixel of a loop has to differ from the photo for its motion to be seen, the least share of
# the photo that does, and when: none of up to four sub-cycles is near its beginning at both times.
SEEN_CHANGE, MIN_SEEN_SHARE, SEEN_TIMES = 8, 0.01, (0.236, 0.618)
MAX_PLACES = 3  # that a warning names
WEATHER_EDGE = "This is a 360° photo, whose weather has an edge where left and right meet; crop it, or omit weather."


def quality_warning(scene: Scene, mask: Tensor, changing: Callable[[], float] | None = None) -> str:
    """Of loops of a scene in which only the eye says what moves, mask [H,W]; "" if there is no reason.

    changing: of a loop that is there, its `changing_share`.
    """
    if float(mask.mean()) < MIN_MOVING_SHARE:
        return "Hardly any sky or water was found, so hardly anything moves; give a mask, or paint what should move."
    if relief(scene.photo, mask) < MIN_RELIEF:
        return "What moves is nearly plain, such as a clear sky, so hardly any motion is seen; try another photo."
    if changing is not None and changing() < MIN_SEEN_SHARE:
        return "What moves hardly changes, so hardly any motion is seen; try the pace lively, or another photo."
    return ""


def changing_share(frames: Iterable[np.ndarray], photo: np.ndarray) -> float:
    """The share of pixels that visibly differ from the photo in one of the frames of its loop; all uint8 [H,W,3].

    Of every second pixel of every second row.
    """
    still = photo[::2, ::2]
    changes = (np.maximum(frame[::2, ::2], still) - np.minimum(frame[::2, ::2], still) for frame in frames)
    return float((reduce(np.maximum, changes) > SEEN_CHANGE).any(-1).mean())


def relief(photo: np.ndarray, mask: Tensor) -> float:
    """By how much, in levels of 255, moving pixels differ from the moving pixels around them: root mean square.

    photo: uint8 [H,W,3]. mask: [H,W]; counts where it is above 0.5.
    """
    size = fit_short_side(mask.shape, 512)
    grey = resize(torch.from_numpy(photo.astype(np.float32).mean(-1))[None], size)
    here = (resize(mask[None].float().cpu(), size) > 0.5).float()
    mean, share = box_means(torch.cat((grey * here, here)), RELIEF_REACH)
    difference = (grey - mean / share.clamp(min=1e-6)) * here
    return float((difference.square().sum() / here.sum().clamp(min=1)).sqrt())


def mask_warning(parts: MovingParts, moves: Tensor, options: RenderOptions, nets: Networks) -> str:
    """Where what moves ends although the photo does not show why, except in previews: parts of water and sky that stand
    still where the mask is predicted, static things that drift with the sky where somebody has said what moves.

    moves [H,W]: how much each pixel does, in the landscape.
    """
    if parts.quick:
        return ""
    added = any(isinstance(edit, Paint) and edit.mode == "add" for edit in parts.edits)
    if options.mask is None and options.motion is None and not added:
        return _left_out_warning(parts)
    if not (added or options.mask is not None) or not parts.scenery.layers[SKY].any():
        return ""
    torn = torn_regions(nets.seen(parts.scene, parts.scenery).classes, parts.scenery.layers, moves)
    if not torn:
        return ""
    return f"Something static seems to drift with the sky around {_places(torn)}; freeze it, or correct the mask there."


def _left_out_warning(parts: MovingParts) -> str:
    seen, layers = parts.scenery.seen, parts.scenery.layers
    if seen is None:
        return ""
    left_out = left_out_regions(doubtful_regions(seen.classes, moving(layers), parts.painted), layers)
    if not left_out:
        return ""
    names = " and ".join(dict.fromkeys(CLASSES[doubt.moving_class] for doubt in left_out[:MAX_PLACES]))
    return f"Part of the {names} may be left out, around {_places(left_out)}; paint over what should move there."


def _places(regions: Sequence[Region]) -> str:
    return " and ".join("{:.2f},{:.2f}".format(*region.centre) for region in regions[:MAX_PLACES])


def cloth_warning(
    scene: Scene, options: RenderOptions, found: FoundCloth | None, nets: Networks, *, preview: bool
) -> str:
    """That unmarked cloth moves, or, except in previews, that unmarked cloth may be here and stands still."""
    if found is not None:
        return found.warning
    if options.subject != AUTO or preview or is_cloth_marked(options, scene.edits):
        return ""
    still = nets.cloth_in(scene.photo)
    return "" if still is None else still.still_warning
