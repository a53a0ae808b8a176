"""What is known about a loop: predictions before they were decided on, regions, measures; or why there is no loop."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylecine.engine.animator import Animator
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.engine.scene import Scene
from stylecine.errors import NothingMoves, OptionError, WriterUnavailable
from stylecine.machine.progress import Progress, Stages
from stylecine.ops.image import fit_short_side, resize, to_tensor
from stylecine.ops.means import local_deviation
from stylecine.ops.regions import Region, connected_regions
from stylecine.options import CLASSES, CLOTH, SKY, RenderOptions
from stylecine.output.video import read_video, write_video
from stylecine.perception.doubt import Doubt, doubtful_regions, left_out_regions, torn_regions
from stylecine.perception.layers import moving
from stylecine.perception.look import perceive
from stylecine.quality.measures import seam, vivid_share

MIN_REGION = 0.004  # of the photo
MAX_REGIONS = 8
TEXTURE = 2.0  # grey levels: smoother places show no motion
SMALL_BYTES = 100e6  # of the small frames
SMALL_SIDE = 512  # of their short sides, at most


@dataclass(frozen=True, eq=False)
class Motion:
    """What is known of a moving region.

    velocity: at its centre, in the photo's pixels a second; speed: the median in all of it. probability: that it moves,
    mean. disagreement: median angle between the directions predicted for the photo and for its mirror image, degrees.
    vivid: share that visibly moves, NaN if unknown. smooth: share without texture. ambiguous: whether it is a stream
    of ambiguous direction, which was given a calmer pace.
    """

    velocity: tuple[float, float]
    speed: float
    probability: float
    disagreement: float
    vivid: float
    smooth: float
    ambiguous: bool = False


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a page on a loop shows. Maps have the grid that `motion` has, unless they say otherwise.

    loop: None if nothing moves; problem then says why. layers: what moves by class, edits included, [4,H,W] in
    [0,1]. predicted: whether nobody has said what moves. probabilities: [5,h,w] of static and of CLASSES.
    disagreement: [h,w], degrees. vivid: [h,w], share of the time in which a place visibly moves. moving: the
    regions that move, each with what is known of it. doubtful: where the mask may be wrong; left_out: those of them
    where only a part of something seems to move. measures: those of the loop, "seam_encoded", and "left_out", if
    what moves is predicted. frames: of the loop, small; video: the same as .mp4, empty without an encoder.
    """

    scene: Scene
    options: RenderOptions
    loop: Cinemagraph | None
    problem: str
    layers: Tensor
    predicted: bool
    probabilities: Tensor
    disagreement: Tensor
    vivid: Tensor | None
    moving: Sequence[tuple[Region, Motion]]
    doubtful: Sequence[Doubt]
    left_out: Sequence[Doubt]
    measures: dict[str, float]
    frames: Sequence[np.ndarray]
    video: bytes
    seconds: dict[str, float]

    @property
    def cloth_found(self) -> bool:
        """Whether the loop is of cloth that nobody has marked."""
        return self.options.subject == CLOTH and self.loop is not None and self.loop.settings["mask"] == "found"


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
    stages = Stages(progress, animator.device)
    photo = to_tensor(scene.photo).to(animator.device)
    layers = (scene.edited_layers if loop is None else loop.layers).to(animator.device)
    scenery = scene.scenery if loop is None else loop.scenery
    with stages.stage("evidence"):
        if scenery is None:
            scenery = perceive(photo, layers, animator.seen(scene, None))
        probabilities = animator.seen(scene, scenery).classes
    grid = scenery.grid
    small, video, measures, vivid = list[np.ndarray](), b"", dict[str, float](), None
    if loop is not None:
        with stages.stage("video", len(loop)) as step:
            small = _small_frames(loop, step)
            video, seam_encoded = _encoded(small, loop.fps)
        with stages.stage("measures"):
            measures = {**loop.measures, "seam_encoded": seam_encoded}
            vivid = resize(vivid_share(small, loop.fps)[None], grid)[0]
    predicted = options.mask is None and options.motion is None and options.subject != CLOTH
    coarse = resize(probabilities, grid).cpu().numpy()
    small_layers = resize(layers, grid).cpu().numpy()
    moving_regions = list[tuple[Region, Motion]]()
    if loop is not None:
        flow = resize(loop.motion, grid).cpu().numpy() * _flow_scale(loop)
        undecided = scenery.ambiguous & (options.motion is None)
        moving_regions = _moving(small_layers, coarse, flow, scenery.disagreement, undecided, vivid, scene)
    doubtful = list[Doubt]()
    if loop is not None and loop.loop is not None:  # what of the landscape moves, as in the loop's own warning
        doubtful = torn_regions(probabilities, loop.layers, loop.loop.moving)
    left_out = list[Doubt]()
    if predicted:
        unsure = doubtful_regions(probabilities, moving(layers), painted)
        doubtful += unsure
        left_out = left_out_regions(unsure, layers)
        if loop is not None:
            measures["left_out"] = _share_left_out(left_out, float(small_layers.max(0).mean()))
    return Evidence(
        scene=scene,
        options=options,
        loop=loop,
        problem=problem,
        layers=layers.cpu(),
        predicted=predicted,
        probabilities=probabilities.cpu(),
        disagreement=torch.from_numpy(scenery.disagreement),
        vivid=vivid,
        moving=moving_regions,
        doubtful=doubtful,
        left_out=left_out,
        measures=measures,
        frames=small,
        video=video,
        seconds=(scene.timings if loop is None else loop.timings) | stages.timings,
    )


def _share_left_out(left_out: Sequence[Doubt], moves: float) -> float:
    """Of what moves and what is left out of it. moves: share of the photo."""
    share = sum(doubt.share for doubt in left_out)
    return share / max(share + moves, 1e-6)


def _flow_scale(loop: Cinemagraph) -> np.ndarray:
    """[2,1,1]: from pixels of the flow's grid per 1/30 s to the photo's pixels a second."""
    height, width = loop.motion.shape[1:]
    return 30 * np.array([loop.width / width, loop.height / height])[:, None, None]


def _moving(
    layers: np.ndarray,
    probabilities: np.ndarray,
    flow: np.ndarray,
    disagreement: np.ndarray,
    undecided: np.ndarray,
    vivid: Tensor | None,
    scene: Scene,
) -> list[tuple[Region, Motion]]:
    """Each class's regions, the largest first; all of the sky is one, as it has one wind."""
    owner = np.where(layers.max(0) >= 0.5, layers.argmax(0), -1)
    regions = [Region(owner == SKY, SKY)] if (owner == SKY).mean() >= MIN_REGION else []
    for k in (k for k in range(len(CLASSES)) if k != SKY):
        regions += connected_regions(owner == k, np.full(owner.shape, k), MIN_REGION)
    smooth = _texture(scene.photo, (owner.shape[0], owner.shape[1])) < TEXTURE
    found = []
    for region in sorted(regions, key=lambda region: -region.share)[:MAX_REGIONS]:
        here, (row, column) = region.mask, region.cell
        motion = Motion(
            velocity=(float(flow[0, row, column]), float(flow[1, row, column])),
            speed=float(np.median(np.hypot(*flow)[here])),
            probability=float(1 - probabilities[0][here].mean()),
            disagreement=float(np.median(disagreement[here])),
            vivid=math.nan if vivid is None else float(vivid.numpy()[here].mean()),
            smooth=float(smooth[here].mean()),
            ambiguous=bool(undecided[here].mean() > 0.5),
        )
        found.append((region, motion))
    return found


def _texture(photo: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Standard deviation of grey around each place of a grid."""
    grey = np.asarray(Image.fromarray(photo).convert("L").resize((grid[1], grid[0]), Image.Resampling.BOX), np.float32)
    return local_deviation(grey, 3)


def _small_frames(loop: Cinemagraph, step: Callable[[int, int], None]) -> list[np.ndarray]:
    """All frames with even sides, small enough to be kept in memory."""
    pixels = SMALL_BYTES / 3 / len(loop)
    short = min(SMALL_SIDE, math.sqrt(pixels * min(loop.width, loop.height) / max(loop.width, loop.height)))
    height, width = (max(2, side // 2 * 2) for side in fit_short_side((loop.height, loop.width), int(short)))
    small = []
    for frame in loop:
        small.append(np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX)))
        step(len(small), len(loop))
    return small


def _encoded(frames: Sequence[np.ndarray], fps: float) -> tuple[bytes, float]:
    """The frames as an .mp4 of default quality, and its seam, decoded; nothing and NaN without an encoder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loop.mp4"
        try:
            write_video(frames, path, fps)
        except (WriterUnavailable, OptionError):  # a frame rate that no video has
            return b"", math.nan
        return path.read_bytes(), seam(read_video(path)[0])


def mask_of(layers: Tensor) -> np.ndarray:
    """[H,W] in [0,1]: what moves."""
    return moving(layers).numpy()
