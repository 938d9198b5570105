"""Rectangles around faces, as published lists give them."""

import numpy as np

Rectangle = tuple[int, int, int, int]
"""Left, top, right and bottom edge of a face in pixels of its picture; right and bottom are the
first pixels outside. Published rectangles may reach beyond their picture."""

MARGIN = 0.3
"""Share of a face's side that is added on each side before landmarks are looked for. Rectangles
cut through chins and hair, while detectors know whole heads. The margin is small enough that the
face in the middle stays the largest one."""


def clipped(rectangle: Rectangle, picture: np.ndarray) -> Rectangle:
    """The part of a rectangle that lies inside a picture; of size 0 if none does."""
    height, width = picture.shape[:2]
    left, top, right, bottom = rectangle
    left, top = min(max(left, 0), width), min(max(top, 0), height)
    return left, top, max(left, min(right, width)), max(top, min(bottom, height))


def widened(rectangle: Rectangle, picture: np.ndarray) -> Rectangle:
    """A rectangle with :data:`MARGIN` around it, as far as the picture reaches."""
    left, top, right, bottom = rectangle
    across, down = round(MARGIN * (right - left)), round(MARGIN * (bottom - top))
    return clipped((left - across, top - down, right + across, bottom + down), picture)
