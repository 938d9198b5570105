"""Coordinates on a face: units of the distance between the eyes, from midway between them."""

import numpy as np
from numpy.typing import NDArray

SAMPLES_PER_PIXEL = 3


def mostly_covered(samples: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Pixels of which at least half is covered.

    Args:
        samples: S x S, see :func:`face_coordinates`.
        size: side of the picture in pixels.

    Returns:
        size x size bool.
    """
    blocks = samples.reshape(size, SAMPLES_PER_PIXEL, size, SAMPLES_PER_PIXEL)
    return blocks.mean(axis=(1, 3)) >= 0.5


def face_coordinates(
    eyes: NDArray[np.floating], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where samples of a picture lie on the face.

    Args:
        eyes: 2 x 2; rows are the eye at the left of the picture and the eye at the right, columns
            are x and y in pixels.
        size: side of the picture in pixels.

    Returns:
        Coordinates along the line of the eyes and across it (downwards), each S x S, with
        :data:`SAMPLES_PER_PIXEL` samples along the side of a pixel.

    Raises:
        ValueError: the eyes coincide, or are not finite.
    """
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
