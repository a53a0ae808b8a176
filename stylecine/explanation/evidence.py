"""What is known about a loop: predictions before they were decided on, regions, measures; or why there is no loop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylecine.engine.animator import Animator
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.engine.scene import Scene
from stylecine.errors import NothingMoves
from stylecine.machine.progress import Progress, Stages
from stylecine.ops.image import resize
from stylecine.ops.maps import local_deviation
from stylecine.ops.regions import Region, connected_regions
from stylecine.options import CLASSES, CLOTH, SKY, RenderOptions
from stylecine.perception.doubt import Doubt, doubtful_regions, torn_regions
from stylecine.perception.layers import moving
from stylecine.quality.measures import passes, vivid_share

MIN_REGION = 0.004  # of the photo
MAX_REGIONS = 8
TEXTURE = 2.0  # grey levels: smoother places show no motion


@dataclass(frozen=True, eq=False)
class MovingRegion(Region):
    """A region that moves.

    velocity: at its centre, in the photo's pixels a second; speed: the median in all of it. disagreement: median angle
    between the directions predicted for the photo and for its mirror image, degrees. vivid: share that visibly moves.
    smooth: share without texture. ambiguous: whether it is a stream of ambiguous direction, which was given a calmer
    pace.
    """

    velocity: tuple[float, float]
    speed: float
    disagreement: float
    vivid: float
    smooth: float
    ambiguous: bool = False


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a page on a loop shows.

    loop: None if nothing moves; problem then says why. layers: what moves by class, edits included, [4,H,W] in [0,1].
    probabilities: [5,h,w] of static and of CLASSES. doubtful: where the mask may be wrong. vivid: [h,w], share of the
    time in which a place visibly moves. regions: those that move. measures: of the loop.
    """

    scene: Scene
    options: RenderOptions
    loop: Cinemagraph | None
    problem: str
    layers: Tensor
    probabilities: Tensor
    doubtful: Sequence[Doubt]
    vivid: Tensor | None = None
    regions: Sequence[MovingRegion] = ()
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> dict[str, bool]:
        """Whether each measure reaches its goal, but for those that have none or are undefined."""
        return {name: good for name, good in passes(self.measures).items() if not math.isnan(self.measures[name])}


@torch.no_grad()  # not inference_mode: networks and maps that are first used here are kept
def gather(
    animator: Animator,
    scene: Scene,
    options: RenderOptions,
    progress: Progress | None = None,
    *,
    short: int | None = None,
) -> Evidence:
    """Renders a scene's loop and collects what is known about it. Raises as `Animator.render` does, except that a
    landscape in which nothing moves is explained as well. short: as for a preview, the short side of a smaller copy."""
    loop, problem, painted = None, "", scene.painted
    try:
        loop = animator.render_with(options, scene, short=short, quick=short is not None, progress=progress)
        scene = loop.scene
    except NothingMoves as error:
        problem = str(error)
    layers, scenery = (scene.edited_layers, scene.scenery) if loop is None else (loop.layers, loop.scenery)
    stages = Stages(progress, animator.device)
    with stages.stage("evidence"):
        probabilities = animator.seen(scene, scenery).classes
        doubtful = list[Doubt]()
        if loop is not None and loop.loop is not None:  # what of the landscape moves, as in the loop's own warning
            doubtful = torn_regions(probabilities, loop.layers, loop.loop.moving)
        if options.mask is None and options.motion is None and options.subject != CLOTH:
            doubtful += doubtful_regions(probabilities, moving(layers), painted)
    found = Evidence(scene, options, loop, problem, layers.cpu(), probabilities.cpu(), doubtful)
    if loop is None:
        return found
    with stages.stage("measures"):
        vivid = vivid_share(loop, loop.fps)
        return replace(found, vivid=vivid, regions=_regions(loop, vivid, options), measures=loop.measures)


def _regions(loop: Cinemagraph, vivid: Tensor, options: RenderOptions) -> list[MovingRegion]:
    """Each class's regions, the largest first; all of the sky is one, as it has one wind."""
    scenery = loop.scenery
    assert scenery is not None  # of every loop
    grid = height, width = scenery.grid
    layers, flow, seen = (resize(maps, grid).cpu().numpy() for maps in (loop.layers, loop.motion, vivid[None]))
    per_second = 30 * np.array([loop.width / loop.motion.shape[2], loop.height / loop.motion.shape[1]])
    velocity = flow * per_second[:, None, None]
    photo = Image.fromarray(loop.scene.photo).convert("L").resize((width, height), Image.Resampling.BOX)
    smooth = local_deviation(np.asarray(photo, np.float32), 3) < TEXTURE
    undecided = scenery.ambiguous & (options.motion is None)
    owner = np.where(layers.max(0) >= 0.5, layers.argmax(0), -1)
    regions = [Region(owner == SKY, SKY)] if (owner == SKY).mean() >= MIN_REGION else []
    for k in (k for k in range(len(CLASSES)) if k != SKY):
        regions += connected_regions(owner == k, np.full(grid, k), MIN_REGION)
    return [
        MovingRegion(
            region.mask,
            region.moving_class,
            velocity=(float(velocity[0][region.cell]), float(velocity[1][region.cell])),
            speed=float(np.median(np.hypot(*velocity)[region.mask])),
            disagreement=float(np.median(scenery.disagreement[region.mask])),
            vivid=float(seen[0][region.mask].mean()),
            smooth=float(smooth[region.mask].mean()),
            ambiguous=bool(undecided[region.mask].mean() > 0.5),
        )
        for region in sorted(regions, key=lambda region: -region.share)[:MAX_REGIONS]
    ]
