"""Where on a face an accessory sits: the pixels that an attack may change.

Places are in units of the distance between the eyes, with the origin midway between them, x towards
the eye at the right of the picture, y downwards, so one description fits every picture size and
pose. The eyeglass frame is our own drawing. Its thickness is chosen so that it covers 6.72 % of an
aligned face, as the frame of Sharif et al. (2016) does at 224 px.
"""

import numpy as np
from numpy.typing import NDArray

from glassguard.attack.shape_settings import PlacedShape, Shape, WornShape

GLASSES = WornShape(kind="glasses")

SAMPLES_PER_PIXEL = 3
"""Samples along each side of a pixel."""

LENS_CENTRE = 0.535
LENS_HALF_WIDTH = 0.445
LENS_HALF_HEIGHT = 0.340
LENS_EXPONENT = 2.8
RIM = 0.0975
BRIDGE_HALF_HEIGHT = 0.055
BRIDGE_HEIGHT = -0.09
HINGE_END = 1.02
HINGE_HALF_HEIGHT = 0.06
HINGE_HEIGHT = -0.16
DROP = 0.06
"""How far the centres of the lenses lie below the line of the eyes."""


def accessory_masks(shape: Shape, eyes: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """:func:`accessory_mask` for N x 2 x 2 eyes: N x size x size bool."""
    masks = [accessory_mask(shape, pair, size) for pair in eyes]
    return np.array(masks, dtype=bool).reshape(-1, size, size)


def frame_masks(eyes: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """:func:`accessory_masks` of eyeglasses."""
    return accessory_masks(GLASSES, eyes, size)


def accessory_mask(shape: Shape, eyes: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """The pixels of a face that an accessory covers.

    Args:
        shape: glasses, an elliptic sticker or a rectangular patch or headband at a given place, or
            the whole picture.
        eyes: 2 x 2; rows are the eye at the left of the picture and the eye at the right, columns
            are x and y in pixels.
        size: side of the picture in pixels.

    Returns:
        size x size bool: the pixels of which at least half is covered.

    Raises:
        ValueError: the eyes coincide, or are not finite.
    """
    if shape.kind == "whole":
        return np.ones((size, size), dtype=bool)
    covered = covers(shape, *_face_coordinates(eyes, size))
    blocks = covered.reshape(size, SAMPLES_PER_PIXEL, size, SAMPLES_PER_PIXEL)
    return blocks.mean(axis=(1, 3)) >= 0.5


def covers(
    shape: Shape, along: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which places of a face an accessory covers.

    Args:
        shape: see :func:`accessory_mask`.
        along: x of the places in units of the distance between the eyes, any shape.
        across: y of the places, of the same shape.

    Returns:
        bool, of the same shape.
    """
    if shape.kind == "whole":
        return np.ones(along.shape, dtype=bool)
    if not isinstance(shape, PlacedShape):
        return _frame(np.abs(along), across - DROP)
    x, y = 2 * (along - shape.x) / shape.width, 2 * (across - shape.y) / shape.height
    if shape.kind == "sticker":
        return x**2 + y**2 <= 1
    return np.maximum(np.abs(x), np.abs(y)) <= 1


def _face_coordinates(
    eyes: NDArray[np.floating], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of all samples along the line of the eyes and across it (downwards)."""
    left, right = np.asarray(eyes, dtype=np.float64)
    if not np.isfinite([left, right]).all():
        raise ValueError(f"eyes are not finite: {left.tolist()}, {right.tolist()}")
    distance = float(np.hypot(*(right - left)))
    if distance == 0:
        raise ValueError("the two eyes are at the same place")
    axis = (right - left) / distance
    fine = (np.arange(size * SAMPLES_PER_PIXEL) + 0.5) / SAMPLES_PER_PIXEL - 0.5
    x, y = np.meshgrid(fine, fine)
    middle = (left + right) / 2
    along = ((x - middle[0]) * axis[0] + (y - middle[1]) * axis[1]) / distance
    across = (-(x - middle[0]) * axis[1] + (y - middle[1]) * axis[0]) / distance
    return along, across


def _frame(along: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The silhouette of eyeglasses, of which one half mirrors the other."""

    def within_lens(half_width: float, half_height: float) -> NDArray[np.bool_]:
        return (np.abs(along - LENS_CENTRE) / half_width) ** LENS_EXPONENT + (
            np.abs(across) / half_height
        ) ** LENS_EXPONENT <= 1

    outer = within_lens(LENS_HALF_WIDTH, LENS_HALF_HEIGHT)
    opening = within_lens(LENS_HALF_WIDTH - RIM, LENS_HALF_HEIGHT - RIM)
    bridge = (along < LENS_CENTRE) & (np.abs(across - BRIDGE_HEIGHT) < BRIDGE_HALF_HEIGHT)
    hinge = (
        (along > LENS_CENTRE)
        & (along < HINGE_END)
        & (np.abs(across - HINGE_HEIGHT) < HINGE_HALF_HEIGHT)
    )
    return (outer | bridge | hinge) & ~opening
