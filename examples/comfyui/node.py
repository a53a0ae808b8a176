"""The node Cinemagraph: a photo in, the frames of a seamless loop out."""

import logging
import sys
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylecine import Animator, Cinemagraph, MaskError, PhotoError, TooLarge
from stylecine.machine.memory import available_bytes
from stylecine.options import OPTIONS, PACES, STYLES, Pace, RenderOptions

AS_IT_IS = "none"  # the style of the photo itself


class CinemagraphNode:
    """One photo becomes the frames of a loop; ComfyUI shows the sentence of any StylecineError in the node."""

    CATEGORY = "image/animation"
    DESCRIPTION = "Turns a landscape photo into a seamless loop: sky and water move, everything else stays the photo."
    FUNCTION = "animate"
    RETURN_TYPES = ("IMAGE", "FLOAT", "MASK")
    RETURN_NAMES = ("frames", "fps", "moving")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        seconds, fps, pace = (OPTIONS[name]["default"] for name in ("seconds", "fps", "pace"))
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "One photo."}),
                "seconds": ("FLOAT", {"default": float(seconds), "min": 0.5, "max": 60.0, "step": 0.5}),
                "fps": ("FLOAT", {"default": float(fps), "min": 1.0, "max": 120.0, "step": 1.0}),
                "pace": (list(PACES), {"default": pace, "tooltip": OPTIONS["pace"]["help"]}),
                "style": ([AS_IT_IS, *STYLES], {"default": AS_IT_IS, "tooltip": "Another light, season or weather."}),
                "size": (
                    "INT",
                    {"default": 720, "min": 64, "max": 4096, "tooltip": "Short side in pixels; never enlarged."},
                ),
            },
            "optional": {"mask": ("MASK", {"tooltip": "What moves; predicted without one."})},
        }

    def animate(
        self, image: Tensor, seconds: float, fps: float, pace: Pace, style: str, size: int, mask: Tensor | None = None
    ) -> tuple[Tensor, float, Tensor]:
        """image: [1,H,W,C] in 0..1, of which 3 or 4 channels. mask: [1,h,w] or [h,w] of any size, 1 where it may move.

        Returns the frames [N,H,W,3] and what moves [1,H,W], float32 on the CPU, and the frame rate. Raises
        StylecineError, and ComfyUI's own exception if the user interrupts it.
        """
        if len(image) != 1:
            raise PhotoError(f"The node takes one photo, not {len(image)}; choose one with 'ImageFromBatch'.")
        if mask is not None and mask.ndim == 3 and len(mask) != 1:
            raise MaskError(f"The node takes one mask, not {len(mask)}; connect the one that belongs to the photo.")
        if mask is not None and not mask.any() and mask.shape[-2:] != image.shape[1:3]:
            mask = None  # what "Load Image" gives for a photo without alpha: black, of a size of its own
        options = RenderOptions(  # which checks them before anything expensive
            mask=None if mask is None else mask.float().cpu().numpy(),
            seconds=seconds,
            fps=fps,
            pace=pace,
            style=None if style == AS_IT_IS else style,
        )
        animator = _animator()
        scene = animator.invert(_uint8(image[0]), size=size, progress=_stop_if_interrupted)
        loop = animator.render_with(options, scene, progress=_stop_if_interrupted)
        if loop.warning:
            logging.warning("Cinemagraph: %s", loop.warning)
        return _frames(loop), loop.fps, loop.mask[None].float().cpu()


@cache
def _animator() -> Animator:
    """The networks are loaded once, for all nodes."""
    return Animator.from_pretrained()


def _uint8(image: Tensor) -> np.ndarray:
    pixels: np.ndarray = (image.float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return pixels


def _frames(loop: Cinemagraph) -> Tensor:
    """All of them, float32 [N,H,W,3] in 0..1, with ComfyUI's progress bar."""
    shape = len(loop), loop.height, loop.width, 3
    needed, free = 4 * float(np.prod(shape)), available_bytes(None)
    if needed > free:
        raise TooLarge(
            f"{len(loop)} frames of {loop.width}x{loop.height} need {needed / 1e9:.1f} GB of memory and"
            f" {free / 1e9:.1f} GB are free; choose a smaller size, or fewer seconds or frames per second."
        )
    frames = torch.empty(shape)
    utilities = sys.modules.get("comfy.utils")
    bar = utilities.ProgressBar(len(loop)) if utilities else None
    for n, frame in enumerate(loop):
        torch.div(torch.from_numpy(frame), 255, out=frames[n])
        _stop_if_interrupted()
        if bar:
            bar.update_absolute(n + 1)
    return frames


def _stop_if_interrupted(*_: object) -> None:
    """Raises ComfyUI's exception after a click on its button for that; does nothing outside ComfyUI."""
    if manager := sys.modules.get("comfy.model_management"):
        manager.throw_exception_if_processing_interrupted()
