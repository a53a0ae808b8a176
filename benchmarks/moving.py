"""The loop on which speed is measured: sea and sky, most of which moves by more than half a pixel per frame."""

from pathlib import Path
from typing import Any

import torch.nn.functional as F

from stylecine import Animator, Cinemagraph, Scene
from stylecine.stages.displacement import in_photo_pixels

PHOTO = Path(__file__).resolve().parent.parent / "examples" / "sea.jpg"  # 1280x800, cropped and enlarged to a square
SPEED = 2.0  # of animate(): at 1024 pixels more than half of the picture then moves by half a pixel per frame
FPS = 30
FRAMES = 120
FAST = 0.5  # pixels per frame


def moving_loop(animator: Animator, size: int, frames: int) -> Cinemagraph:
    """The loop of `frames` at size x size, as animate() makes it but for its speed."""
    return loop_of(animator, animator.invert(PHOTO, size=(size, size)), frames)


def loop_of(animator: Animator, scene: Scene, frames: int, **options: Any) -> Cinemagraph:
    """A loop of an inverted photo; options as in `Animator.render`."""
    return animator.render(scene, seconds=frames / FPS, fps=FPS, speed=SPEED, **options)


def fast_share(loop: Cinemagraph, pixels: float = FAST) -> float:
    """Share of the picture that moves by at least `pixels` per frame."""
    speed = in_photo_pixels(loop.motion, (loop.height, loop.width)).norm(dim=0) * (30 / loop.fps)
    speed = F.interpolate(speed[None, None], size=(loop.height, loop.width), mode="bilinear", align_corners=False)
    return float(((speed[0, 0] >= pixels) & (loop.mask > 0)).float().mean())


def setting(loop: Cinemagraph) -> dict[str, Any]:
    """Description of the loop, for the JSON."""
    return {
        "photo": f"examples/{PHOTO.name}",
        "speed": SPEED,
        "width": loop.width,
        "height": loop.height,
        "frames": len(loop),
        "moving_share": float((loop.mask > 0).float().mean()),
        "share_moving_half_a_pixel": fast_share(loop),
        "device": str(loop.mask.device),
    }
