"""What moves in a loop and how, as files for compositing programs, which call them AOVs: OpenEXR and NumPy."""

from fractions import Fraction
from os import PathLike
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from stylecine.errors import OutputError, WriterUnavailable
from stylecine.machine.atomic import atomic_write
from stylecine.ops.image import resize
from stylecine.output.formats import AOVS

MOTION_FPS = 30  # a motion field's values are per 1/30 s


def write_aovs(folder: str | PathLike[str], mask: Tensor, carried: Tensor, motion: Tensor, fps: float) -> list[Path]:
    """Writes AOVS; the folder is created if missing, and each file appears complete or not at all.

    mask: [H,W] in [0,1]. carried: [H,W], above 0 where `motion` carries it: what a wind moves, cloth and plants, has no
    vectors. motion: [2,h,w], pixels of its own grid per 1/30 s, x right, y down. The .npy files are these,
    float32, as `animate` takes them. The .exr files have the photo's size and 32-bit floats: mask.exr the mask as Y;
    motion.exr the motion where the mask is above 0 and carried, in pixels of the photo per frame, x right as R and y
    down as G, and the mask as B. Raises OutputError, WriterUnavailable.
    """
    mask, motion = mask.float().cpu(), motion.float().cpu()
    height, width = mask.shape
    scale = torch.tensor([width / motion.shape[2], height / motion.shape[1]])[:, None, None] * (MOTION_FPS / fps)
    velocity = resize(motion, (height, width)) * scale * ((mask > 0) & (carried.cpu() > 0))
    pictures = {"mask.exr": mask, "motion.exr": torch.stack([*velocity, mask], -1)}
    target, arrays = Path(folder), {"mask.npy": mask, "motion.npy": motion}
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in AOVS:
            with atomic_write(target / name) as part, part.open("wb") as file:
                if name in arrays:
                    np.save(file, arrays[name].numpy())
                else:
                    file.write(encode_exr(pictures[name].numpy()))
    except OSError as error:
        raise OutputError(f"Cannot write masks and motion into {target}: {error.strerror or error}.") from error
    return [target / name for name in AOVS]


def encode_exr(picture: np.ndarray) -> bytes:
    """A picture float32 [H,W], which becomes Y, or [H,W,3], R, G and B, as OpenEXR with 32-bit floats, compressed
    without loss."""
    try:
        encoder = av.CodecContext.create("exr", "w")
    except (av.FFmpegError, ValueError):
        raise WriterUnavailable(
            "The installed av package has no EXR encoder; run 'pip install --force-reinstall av'."
        ) from None
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base = "grayf32le" if picture.ndim == 2 else "gbrpf32le", Fraction(1, 1)
    encoder.sample_aspect_ratio = Fraction(1, 1)  # or an attribute that every OpenEXR file has would be missing
    encoder.options = {"compression": "zip16", "format": "float"}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=encoder.pix_fmt)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
