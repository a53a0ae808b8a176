"""Renders the pictures of README.md, how-it-works.md, touch-up.md, styles.md and weather.md.

python docs/make_pictures.py            # from the root of the repository
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stylecine import Animator, Cinemagraph, Scene
from stylecine.edits.strokes import stroke_distance
from stylecine.movement.displacement import margin_for
from stylecine.ops.image import to_tensor, to_uint8
from stylecine.options import STYLES, RenderArguments
from stylecine.output.preview import flow_picture, mask_overlay, time_slice
from stylecine.picture.plate import canvas, plain_plate

EXAMPLES, IMAGES, WILLOW = Path("examples"), Path("docs/images"), Path("tests/data/thin/willow-lake.avif")
WIDTH = 800


def save(picture: np.ndarray, name: str) -> None:
    image = Image.fromarray(picture)
    image.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    image.save(IMAGES / f"{name}.webp", quality=55, method=6)


@torch.no_grad()
def plate_picture(scene: Scene, loop: Cinemagraph) -> np.ndarray:
    photo = to_tensor(scene.photo)
    margin = margin_for(loop.motion, loop.mask, len(loop), loop.fps)
    wide, visible = canvas(photo, loop.mask, margin)
    return to_uint8(plain_plate(wide, visible).image).numpy()


def touch_up(animator: Animator, scene: Scene) -> None:
    """Frozen rocks, an arrow and an anchor, each before and after."""
    strokes = [[(0.500, 0.806), (0.545, 0.803)], [(0.487, 0.845), (0.535, 0.843)], [(0.410, 0.855), (0.445, 0.825)]]
    frozen = scene
    for stroke in strokes:
        frozen = frozen.paint(None, stroke, "freeze")
    part = slice(580, 740), slice(460, 780)
    before, after = (animator.render(s) for s in (scene, frozen))
    overlay = mask_overlay(frozen.photo, frozen.edited_layers)[part]
    changes = [
        np.clip(128 + 4 * (loop[40].astype(float) - loop[0]), 0, 255).astype(np.uint8)[part] for loop in (before, after)
    ]
    save(np.vstack([np.hstack([draw_strokes(scene.photo, strokes)[part], overlay]), np.hstack(changes)]), "freeze")
    pushed, anchored = scene.push((0.35, 0.75, 0.375, 0.77)), scene.anchor((0.4, 0.75), 0.2)
    for name, edited in {"push": pushed, "anchor": anchored}.items():
        loops = (before, animator.render(edited))
        save(np.hstack([flow_picture(scene.photo, c.motion, c.mask)[400:, :800] for c in loops]), name)


def draw_strokes(photo: np.ndarray, strokes: list[list[tuple[float, float]]], radius: float = 0.03) -> np.ndarray:
    """The photo with strokes as drawn, before they are fitted."""
    height, width = photo.shape[:2]
    mask = Image.new("L", (width, height))
    for stroke in strokes:
        box, distance = stroke_distance((height, width), np.array(stroke) * (width, height), radius * height)
        brush = Image.fromarray(np.uint8(255 * (distance < radius * height)))
        mask.paste(255, (box[1], box[0]), brush)
    return np.asarray(
        Image.composite(
            Image.new("RGB", mask.size, "white"), Image.fromarray(photo), mask.point(lambda value: value * 0.4)
        )
    )


def moving_picture(loops: list[Cinemagraph], path: Path, height: int = 240, every: int = 4) -> None:
    """Saves the loops side by side as an animated WebP."""
    frames = []
    for t in range(0, len(loops[0]), every):
        parts = [Image.fromarray(loop[t]) for loop in loops]
        parts = [p.resize((round(p.width * height / p.height), height), Image.Resampling.LANCZOS) for p in parts]
        frame = Image.new("RGB", (sum(p.width for p in parts) + 6 * (len(parts) - 1), height), "white")
        for i, part in enumerate(parts):
            frame.paste(part, (sum(p.width + 6 for p in parts[:i]), 0))
        frames.append(frame)
    frames[0].save(
        path,
        save_all=True,
        append_images=frames[1:],
        loop=0,
        quality=36,
        method=6,
        duration=round(1000 * every / loops[0].fps),
    )


def hours(animator: Animator) -> None:
    """One photo at three hours of the day."""
    scene = animator.invert(EXAMPLES / "sea.jpg", size=480)
    loops = [animator.render(scene, style=style) for style in (None, "sunset", "night")]
    moving_picture(loops, IMAGES / "hours.webp", height=228)


def wind_and_snow(animator: Animator) -> None:
    """A tree in a lake: its crown, the waves, the clouds and the snow obey one wind."""
    scene = animator.invert(WILLOW, size=440)
    loop = animator.render(scene, wind=(0, 0.7), weather="snow", weather_strength=0.9, seconds=3)
    moving_picture([loop], IMAGES / "wind-and-snow.webp")


def styles(animator: Animator, height: int = 90) -> None:
    """Each example in which something moves, and itself in every style."""
    rows = []
    for name in ("lake", "sea", "waterfall"):
        scene = animator.invert(EXAMPLES / f"{name}.jpg", size=2 * height)
        pictures = [scene.photo, *(animator.render(scene, style=style)[0] for style in STYLES)]
        small = [Image.fromarray(p).resize((height * 8 // 5, height), Image.Resampling.LANCZOS) for p in pictures]
        rows.append(np.hstack([np.asarray(p) for p in small]))
    Image.fromarray(np.vstack(rows)).save(IMAGES / "styles.webp", quality=55, method=6)


def weather(animator: Animator, height: int = 300) -> None:
    """Snow where nothing else moves, rain in a storm, fog over a sea: the first frame of each."""
    weathers: dict[str, RenderArguments] = {
        "snow": {"weather": "snow", "wind": (0, 0.3)},
        "waterfall": {"weather": "rain", "weather_strength": 0.8, "wind": (180, 0.6), "style": "storm"},
        "sea": {"weather": "fog", "weather_strength": 0.6},
    }
    frames = []
    for name, options in weathers.items():
        frame = animator.render(animator.invert(EXAMPLES / f"{name}.jpg", size=height), **options)[0]
        frames.append(frame[:, : height * 5 // 4])
    Image.fromarray(np.hstack(frames)).save(IMAGES / "weather.webp", quality=60, method=6)


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    animator = Animator.from_pretrained()
    scene = animator.invert(EXAMPLES / "sea.jpg")
    loop = animator.render(scene)
    save(np.hstack([scene.photo, scene.reconstruction]), "inversion")
    save(mask_overlay(scene.photo, loop.layers), "mask")
    save(flow_picture(scene.photo, loop.motion, loop.mask), "motion")
    save(plate_picture(scene, loop), "plate")
    save(time_slice(loop), "slice")
    touch_up(animator, scene)
    hours(animator)
    styles(animator)
    weather(animator)
    wind_and_snow(animator)
    cloth = animator.invert(EXAMPLES / "cloth/flag.jpg", size=200)
    flag = animator.render(
        cloth, subject="cloth", mask=EXAMPLES / "cloth/flag-mask.png", wind=(0, 0.7), seconds=2, fps=14
    )
    flag.save(IMAGES / "flag.webp", quality=55)


if __name__ == "__main__":
    main()
