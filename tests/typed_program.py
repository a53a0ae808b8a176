"""A user's program for mypy: what is right passes, also with `--strict`, and each ignored line is a mistake that mypy
finds. It is an error not to find it, since then nothing is ignored there."""

from pathlib import Path

import numpy as np
from PIL import Image

import stylecine
from stylecine.options import Pace


def right(photo: Image.Image, pace: Pace, animator: stylecine.Animator) -> None:
    mask, flow = np.ones((8, 8), bool), np.zeros((2, 8, 8), np.float32)
    loop = stylecine.animate(photo, pace=pace, subject="auto", warp="pixel", weather="snow", mask=mask, motion=flow)
    loop.save("loop.mp4", keyframes="all")
    for style in ("dusk", "photo.jpg", Path("photo.jpg"), photo):
        stylecine.animate("photo.jpg", style=style, mask="mask.png", motion=Path("motion.npy"), wind=(270, 0.6))
    scene = animator.invert("photo.jpg").paint("water", [[0.1, 0.2], [0.3, 0.2]]).speed("sky", 0.5).style("night")
    animator.render(scene.paint(None, mask, "freeze"), pace="calm", sampling="splat", seconds=2.0)


def wrong(animator: stylecine.Animator, scene: stylecine.Scene) -> None:
    stylecine.animate("photo.jpg", pace="fast")  # type: ignore[arg-type]
    stylecine.animate("photo.jpg", subject="flag")  # type: ignore[arg-type]
    stylecine.animate("photo.jpg", warp="pixels")  # type: ignore[arg-type]
    stylecine.animate("photo.jpg", weather="hail")  # type: ignore[arg-type]
    stylecine.animate("photo.jpg", mask=3)  # type: ignore[arg-type]
    stylecine.animate("photo.jpg", motion=Image.new("L", (8, 8)))  # type: ignore[arg-type]
    stylecine.animate("photo.jpg", style=0.5)  # type: ignore[arg-type]
    stylecine.animate("photo.jpg").save("loop.mp4", keyframes="none")  # type: ignore[arg-type]
    animator.render(scene, pace="fast")  # type: ignore[arg-type]
    scene.paint("lava", [[0.1, 0.2]])  # type: ignore[arg-type]
    scene.paint("water", [[0.1, 0.2]], "remove")  # type: ignore[arg-type]
