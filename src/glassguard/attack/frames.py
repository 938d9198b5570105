"""The eyeglass frame: a parametric silhouette that sits on the eyes (our own drawing).

The silhouette is described in units of the distance between the eyes, with the origin midway
between them, so one description fits every picture size and pose. Its thickness is chosen so that
the frame covers 6.72 % of an aligned face, as the frame of Sharif et al. (2016) does at 224 px.
"""

import numpy as np
from numpy.typing import NDArray

from glassguard.attack.face_coordinates import face_coordinates, mostly_covered

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


def frame_mask(eyes: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """The pixels of a face that a frame covers.

    Args:
        eyes: 2 x 2; rows are the eye at the left of the picture and the eye at the right, columns
            are x and y in pixels.
        size: side of the picture in pixels.

    Returns:
        size x size bool: the pixels of which at least half is covered.

    Raises:
        ValueError: the eyes coincide, or are not finite.
    """
    along, across = face_coordinates(eyes, size)
    return mostly_covered(_silhouette(np.abs(along), across - DROP), size)


def _silhouette(along: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.bool_]:
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


def frame_masks(eyes: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """:func:`frame_mask` for N x 2 x 2 eyes: N x size x size bool."""
    masks = [frame_mask(pair, size) for pair in eyes]
    return np.array(masks, dtype=bool).reshape(-1, size, size)
