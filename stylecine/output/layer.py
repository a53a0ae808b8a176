"""The moving part of a loop alone, with its matte, for compositing."""

import numpy as np

from stylecine.picture.transparency import with_alpha


def moving_layer(frame: np.ndarray, still: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """What lies over `still`, uint8 [H,W,3], to give `frame`, uint8 or uint16 of it, with a straight alpha: [H,W,4].

    matte: uint8 [H,W], how much each pixel moves; the alpha is that, or as much as the frame's colour needs. Then
    alpha·layer + (1 − alpha)·still, rounded, is the frame, exactly, since the layer's own rounding is off by less than
    half a level over its alpha.
    """
    white = np.iinfo(frame.dtype).max
    below = still.astype(np.float32) * (white // 255)
    difference = frame - below
    room = np.where(difference > 0, white - below, below)
    needed = np.ceil(255 * (np.abs(difference) / np.maximum(room, 1)).max(-1))
    alpha = np.maximum(matte, needed.astype(np.uint8))
    colours = below + difference * (255 / np.maximum(alpha, 1).astype(np.float32))[..., None]
    return with_alpha(np.rint(colours).clip(0, white).astype(frame.dtype), alpha)
