"""A photo of a flag, and stand-ins for the networks with known output."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.cloth.rest_shape import ClothNets, RestShape, estimate_rest_shape
from stylecine.engine.animator import Animator
from stylecine.ops.image import to_tensor

HEIGHT, WIDTH = 96, 128
FLAG = slice(24, 64), slice(40, 96)  # rows, columns
POLE = slice(16, 96), slice(36, 40)
CLOUD = slice(0, 7), slice(61, 128)  # a corner of the sky away from both


def flag_photo() -> np.ndarray:
    """uint8 [96,128,3]: a printed flag on a dark pole in front of a smooth sky."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    photo = np.stack([120 + y / 3, 160 + y / 4, 215 + 0 * x], -1)
    print_ = 60 * np.sin(x / 3)[..., None] * np.array([1.0, 0.4, -0.5]) + rng.normal(0, 6, (HEIGHT, WIDTH, 1))
    photo[FLAG] = (np.array([170.0, 60.0, 60.0]) + print_)[FLAG]
    photo[POLE] = (70, 66, 60)
    return photo.clip(0, 255).astype(np.uint8)


def flag_mask() -> np.ndarray:
    """bool [96,128]: the flag."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[FLAG] = True
    return mask


def folded_normals(photo: Tensor, mask: Tensor) -> Tensor:
    """Normals of vertical folds, whatever the photo shows; not mirrored when the photo is."""
    x = torch.arange(photo.shape[3]) / photo.shape[3]
    nx = 0.5 * (2 * math.pi * 5 * x).sin().expand(photo.shape[0], *photo.shape[2:])
    return F.normalize(torch.stack((nx, torch.zeros_like(nx), torch.ones_like(nx)), 1), dim=1)


def predict_gust(normals: Tensor, mask: Tensor, wind: Tensor, count: int) -> Tensor:
    """A gust that moves all cloth downwind by up to 0.03 of the side and back: cos 2πφ − 1."""
    n, _, height, width = normals.shape
    harmonics = torch.zeros(n, 2 * count, 5, height, width)
    harmonics[:, 0, 0] = -0.015 * wind[:, 0, None, None]
    return harmonics


STAND_INS = ClothNets(folded_normals, predict_gust)


def with_stand_ins(animator: Animator, **nets: Any) -> Animator:
    """An animator with these networks of cloth, or with others of those that are read when they are needed."""
    changed = replace(animator)
    vars(changed).update({"cloth_nets": STAND_INS} | nets)
    return changed


def rest_shape_of(photo: np.ndarray, mask: np.ndarray) -> RestShape:
    """Of cloth in a photo uint8 [H,W,3]; mask [H,W]."""
    return estimate_rest_shape(to_tensor(photo), torch.from_numpy(mask.astype(np.float32)), STAND_INS)
