"""What replaces the masked pixels of a picture (blog 2019, step 5)."""

from collections.abc import Callable

import cv2
import numpy as np

from glassguard.saliency.settings import Fill

GREY = 128
# The usual radius for both methods. Five pixels take three times as long (96 x 96: 3 ms against
# 1 ms, which is what the network's forward pass takes).
INPAINTING_RADIUS = 3.0


def filled(image: np.ndarray, mask: np.ndarray, fill: Fill) -> np.ndarray:
    """Replace the masked pixels; nothing in the result depends on what they were.

    Args:
        image: H x W x 3 uint8 RGB.
        mask: H x W bool.
        fill: a key of :data:`FILLS`, which describes them.

    Returns:
        H x W x 3 uint8, equal to ``image`` outside the mask.

    Raises:
        ValueError: there is no such fill, or image or mask are of another type or shape.
    """
    # A mask of another type would index rows, not pixels.
    if image.dtype != np.uint8 or mask.dtype != bool or image.shape != (*mask.shape, 3):
        raise ValueError(
            "a picture is H x W x 3 uint8 and its mask H x W bool: "
            f"{image.shape} {image.dtype}, {mask.shape} {mask.dtype}"
        )
    if fill not in FILLS:
        raise ValueError(f"no fill {fill!r}")
    # The mean colour hides the masked pixels from the fill: an attack must not shine through.
    result = image.copy()
    result[mask] = mean_colour(image, mask)
    result[mask] = FILLS[fill](result, mask)[mask]
    return result


def mean_colour(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean colour of the pixels that are not masked, 3 uint8; grey if all are masked."""
    if mask.all():
        return np.full(3, GREY, dtype=np.uint8)
    return np.rint(cv2.mean(image, (~mask).astype(np.uint8))[:3]).astype(np.uint8)


def black(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Black, as in the source."""
    return np.zeros_like(image)


def grey(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The middle of the scale, level 128."""
    return np.full_like(image, GREY)


def mean(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean colour of the pixels that are not masked; grey if all are masked."""
    return image


def telea(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Inpainting from the mask's surroundings (Telea 2004), radius 3 pixels."""
    return cv2.inpaint(image, mask.astype(np.uint8), INPAINTING_RADIUS, cv2.INPAINT_TELEA)


def navier_stokes(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Inpainting from the mask's surroundings (Bertalmio et al. 2001), radius 3 pixels."""
    return cv2.inpaint(image, mask.astype(np.uint8), INPAINTING_RADIUS, cv2.INPAINT_NS)


FILLS: dict[Fill, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "zero": black,
    "mean": mean,
    "grey": grey,
    "telea": telea,
    "navier_stokes": navier_stokes,
}
"""A fill takes a picture, H x W x 3 uint8, whose masked pixels have the mean colour of the others,
and its mask, H x W bool. It returns a picture, of which :func:`filled` uses the masked pixels. If
everything is masked, all but ``zero`` return grey."""
