"""Pixels of more than 8 bits a channel. Pillow cuts these to 8, which are too few for HDR and for linear light."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

PNG_DEPTH = 24  # offset of the bit depth in a PNG
BITS_PER_SAMPLE, ORIENTATION = 258, 274  # tags of a TIFF


def deep_pixels(image: Image.Image, content: bytes) -> tuple[np.ndarray, int] | None:
    """uint16 [H,W,3], or [H,W,4] with alpha, before they are turned upright by the image's EXIF; and how many levels.

    content: of the image's file. None where 8 bits are all there are, or where these libraries cannot read more.
    """
    try:
        match image.format:
            case "PNG" if content[PNG_DEPTH : PNG_DEPTH + 1] == b"\x10":
                image.load()  # raises for a damaged file, of which FFmpeg would give a part
                return _by_ffmpeg(image, content)
            case "TIFF" if image.mode == "RGB" and 16 in image.tag_v2.get(BITS_PER_SAMPLE, ()):  # type: ignore[attr-defined]
                orientation = image.getexif().get(ORIENTATION, 1)
                image.load()  # as above; and Pillow turns it upright
                found = _by_ffmpeg(image, content)
                if found is not None:  # FFmpeg's pixels are as stored, so the caller has to turn them
                    image.getexif()[ORIENTATION] = orientation
                return found
            case "AVIF" if image.mode == "RGB" and _heif(content).info["bit_depth"] > 8:
                return _by_ffmpeg(image, content)
            case "HEIF" if image.info["bit_depth"] > 8 and content:
                heif = _heif(content, convert_hdr_to_8bit=False, hdr_to_16bit=False)
                picture = heif[heif.primary_index]
                if picture.mode.startswith(("RGB;", "RGBA;")):
                    return np.asarray(picture), 1 << picture.info["bit_depth"]
    except Exception:  # they raise anything at what they cannot read, which Pillow tries next
        return None
    return None


def _heif(content: bytes, **how: bool) -> Any:
    import pillow_heif  # which most photos do not need

    return pillow_heif.open_heif(content, **how)


def shrunk(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Means of squares of `factor` by `factor` pixels [H,W,C]; parts of squares at the right and below are left out."""
    if factor == 1:
        return pixels
    height, width = (side // factor * factor for side in pixels.shape[:2])
    total = np.full((height // factor, width // factor, pixels.shape[2]), factor**2 // 2, np.uint32)
    for y in range(factor):
        for x in range(factor):
            total += pixels[y:height:factor, x:width:factor]
    total //= factor**2
    return total.astype(pixels.dtype)


def _by_ffmpeg(image: Image.Image, content: bytes) -> tuple[np.ndarray, int] | None:
    import av

    with av.open(io.BytesIO(content), "r") as container:
        frame = next(container.decode(video=0))
        if {frame.height, frame.width} != set(image.size):  # one tile of several; a TIFF is turned
            return None
        return frame.to_ndarray(format="rgba64le" if image.has_transparency_data else "rgb48le"), 1 << 16
