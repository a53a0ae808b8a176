"""The loop on which speed is measured: sea and sky, of which three quarters move, at the default pace."""

from pathlib import Path
from typing import Any

from stylecine import Animator, Cinemagraph, Scene

PHOTO = Path(__file__).resolve().parent.parent / "examples" / "sea.jpg"  # 1280x800, cropped and enlarged to a square
FPS = 30
FRAMES = 120


def moving_loop(animator: Animator, size: int, frames: int) -> Cinemagraph:
    """The loop of `frames` at size x size, as animate() makes it."""
    return loop_of(animator, animator.invert(PHOTO, size=(size, size)), frames)


def loop_of(animator: Animator, scene: Scene, frames: int, **options: Any) -> Cinemagraph:
    """A loop of an inverted photo; options as in `Animator.render`."""
    return animator.render(scene, seconds=frames / FPS, fps=FPS, **options)


def setting(loop: Cinemagraph) -> dict[str, Any]:
    """Description of the loop, for the JSON."""
    return {
        "photo": f"examples/{PHOTO.name}",
        "width": loop.width,
        "height": loop.height,
        "frames": len(loop),
        "moving_share": float((loop.mask > 0).float().mean()),
        "device": str(loop.mask.device),
    }
