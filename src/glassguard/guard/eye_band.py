"""The band of a face that holds every frame, however it is worn.

Places are in units of the distance between the eyes, as in :mod:`glassguard.attack.accessories`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassguard.attack.accessories import GLASSES, covers
from glassguard.attack.shape_settings import Shape
from glassguard.guard.settings import Placements

REACH = 3.0
"""Accessories lie within this distance of the middle of the eyes, along and across their line."""
STEP = 0.005
ANGLES = 161
CHUNK = 256


@dataclass(frozen=True)
class EyeBand:
    """A rectangle along the line of the eyes.

    Attributes:
        half_width: how far it reaches from the middle of the eyes to either side.
        top: its upper edge, negative above the eyes.
        bottom: its lower edge.
        shift: by how much it is wider in a picture, on either axis of the picture, as a share of
            the picture's side.
    """

    half_width: float
    top: float
    bottom: float
    shift: float

    def masks(self, eyes: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
        """The pixels that the band touches.

        Args:
            eyes: N x 2 x 2; rows are the eye at the left of the picture and the eye at the right,
                columns are x and y in pixels.
            size: side of the pictures in pixels.

        Returns:
            N x size x size bool.

        Raises:
            ValueError: eyes are of another shape or not finite, or the two of a face coincide.
        """
        found = np.asarray(eyes, dtype=np.float64)
        if found.ndim != 3 or found.shape[1:] != (2, 2) or not np.isfinite(found).all():
            raise ValueError(f"eyes are N x 2 x 2 finite numbers of pixels: {found.shape}")
        between = found[:, 1] - found[:, 0]
        distance = np.hypot(*between.T)
        if (distance == 0).any():
            raise ValueError(f"face {int(distance.argmin())}: the two eyes are at the same place")
        axis = between / distance[:, None]
        # A pixel is touched where any point of its area lies in the rectangle.
        wider = (0.5 + self.shift * size) * np.abs(axis).sum(axis=1) / distance
        masks = np.empty((len(found), size, size), dtype=bool)
        pixels = np.arange(size, dtype=np.float64)
        for start in range(0, len(found), CHUNK):
            rows = slice(start, start + CHUNK)
            middle, along_axis = found[rows].mean(axis=1), axis[rows] / distance[rows, None]
            x = (pixels - middle[:, :1])[:, None, :]
            y = (pixels - middle[:, 1:])[:, :, None]
            ax, ay = along_axis[:, 0, None, None], along_axis[:, 1, None, None]
            along, across = x * ax + y * ay, y * ax - x * ay
            reach = wider[rows, None, None]
            masks[rows] = (
                (np.abs(along) <= self.half_width + reach)
                & (across >= self.top - reach)
                & (across <= self.bottom + reach)
            )
        return masks


def eye_band(
    placements: Placements, *, margin: float = 0.0, shapes: Sequence[Shape] = (GLASSES,)
) -> EyeBand:
    """The smallest band that holds every accessory at every placement, to 1/100.

    Args:
        placements: how the accessories may be worn.
        margin: by how much the band is wider on every side.
        shapes: the accessories.

    Raises:
        ValueError: an accessory is not a bounded part of the face, or ``margin`` is negative.
    """
    if margin < 0:
        raise ValueError(f"margin must be 0 or more: {margin:g}")
    places = np.concatenate([_outline(shape) for shape in shapes])
    turn = np.radians(np.linspace(-placements.rotation, placements.rotation, ANGLES))
    x, y = places.T[:, :, None]
    # The last step of the grid on which the outline was found.
    x, y = np.abs(x) + STEP, y + STEP * np.sign(y)
    across = np.stack([y * np.cos(turn) + side * x * np.sin(turn) for side in (-1, 1)])
    along = np.abs(np.stack([x * np.cos(turn) + side * y * np.sin(turn) for side in (-1, 1)]))
    sizes = np.array([1 - placements.scale, 1 + placements.scale])
    return EyeBand(
        half_width=float(along.max() * sizes[1] + margin),
        top=float((across.min() * sizes).min() - margin),
        bottom=float((across.max() * sizes).max() + margin),
        shift=placements.shift,
    )


def _outline(shape: Shape) -> NDArray[np.float64]:
    """The leftmost and the rightmost place of an accessory in every row of a fine grid."""
    places = np.arange(-REACH, REACH + STEP / 2, STEP)
    along, across = np.meshgrid(places, places)
    covered = covers(shape, along, across)
    if covered[[0, -1]].any() or covered[:, [0, -1]].any() or not covered.any():
        raise ValueError(f"shape {shape.kind}: no part of a face that a band could hold")
    rows = np.flatnonzero(covered.any(axis=1))
    first = covered[rows].argmax(axis=1)
    last = len(places) - 1 - covered[rows, ::-1].argmax(axis=1)
    return np.concatenate(
        [np.stack([places[columns], places[rows]], axis=1) for columns in (first, last)]
    )
