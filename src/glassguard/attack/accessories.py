"""Where on a face an accessory sits: the pixels that an attack may change.

Places are in units of the distance between the eyes, with the origin midway between them, x towards
the eye at the right of the picture, y downwards.
"""

import numpy as np
from numpy.typing import NDArray

from glassguard.attack.face_coordinates import face_coordinates, mostly_covered
from glassguard.attack.frames import frame_mask
from glassguard.attack.settings import PlacedShape, Shape


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
    if isinstance(shape, PlacedShape):
        return _placed_mask(shape, eyes, size)
    if shape.kind == "glasses":
        return frame_mask(eyes, size)
    return np.ones((size, size), dtype=bool)


def _placed_mask(shape: PlacedShape, eyes: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    along, across = face_coordinates(eyes, size)
    x, y = 2 * (along - shape.x) / shape.width, 2 * (across - shape.y) / shape.height
    if shape.kind == "sticker":
        covered = x**2 + y**2 <= 1
    else:
        covered = np.maximum(np.abs(x), np.abs(y)) <= 1
    return mostly_covered(covered, size)


def accessory_masks(shape: Shape, eyes: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """:func:`accessory_mask` for N x 2 x 2 eyes: N x size x size bool."""
    masks = [accessory_mask(shape, pair, size) for pair in eyes]
    return np.array(masks, dtype=bool).reshape(-1, size, size)
