"""The moving part of a loop alone, with its matte, for compositing."""

import numpy as np


def moving_layer(frame: np.ndarray, still: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """What lies over `still` to give `frame`, both uint8 [H,W,3], with a straight alpha: uint8 [H,W,4].

    matte: uint8 [H,W], how much each pixel moves; the alpha is that, or as much as the frame's colour needs. Then
    alpha·layer + (1 − alpha)·still, rounded, is the frame, exactly, since the layer's own rounding is off by less than
    half a level over its alpha.
    """
    difference = frame.astype(np.float32) - still
    room = np.where(difference > 0, 255 - still.astype(np.float32), still)
    needed = np.ceil(255 * (np.abs(difference) / np.maximum(room, 1)).max(-1))
    alpha = np.maximum(matte, needed.astype(np.uint8))
    colours = still + difference * (255 / np.maximum(alpha, 1).astype(np.float32))[..., None]
    return np.dstack([np.rint(colours).clip(0, 255).astype(np.uint8), alpha])
