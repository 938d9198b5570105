"""What stands in a picture where it was masked (blog 2019, step 5)."""

import cv2
import numpy as np

from glassguard.saliency.settings import Fill

GREY = 128
# As wide as common for both methods; five pixels take three times as long (96 x 96: 3 ms against
# 1 ms, as much as the network's own forward pass).
INPAINTING_RADIUS = 3.0

INPAINTING_METHODS = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}


def filled(image: np.ndarray, mask: np.ndarray, fill: Fill) -> np.ndarray:
    """Replace the masked pixels; nothing in the result depends on what they were.

    Args:
        image: H x W x 3 uint8 RGB.
        mask: H x W bool.
        fill: ``zero`` black, as the source does; ``grey`` level 128; ``mean`` the mean colour of
            the pixels that are not masked; ``telea`` and ``navier_stokes`` inpainting from the
            mask's surroundings (Telea 2004; Bertalmio et al. 2001), radius 3 pixels. Where
            everything is masked, the last three fill with grey.

    Returns:
        H x W x 3 uint8, equal to ``image`` outside the mask.

    Raises:
        ValueError: there is no such fill, or image or mask are of another type or shape.
    """
    # Another mask would name rows to fill, not pixels.
    if image.dtype != np.uint8 or mask.dtype != bool or image.shape != (*mask.shape, 3):
        raise ValueError(
            "a picture is H x W x 3 uint8 and its mask H x W bool: "
            f"{image.shape} {image.dtype}, {mask.shape} {mask.dtype}"
        )
    result = image.copy()
    if fill == "zero":
        result[mask] = 0
    elif fill == "grey":
        result[mask] = GREY
    elif fill == "mean":
        result[mask] = mean_colour(image, mask)
    elif fill in INPAINTING_METHODS:
        # OpenCV reads masked pixels in places (Telea's at the picture's border; a picture that is
        # masked throughout comes back unchanged). An attack's pixels must not shine through.
        result[mask] = mean_colour(image, mask)
        result = cv2.inpaint(
            result, mask.astype(np.uint8), INPAINTING_RADIUS, INPAINTING_METHODS[fill]
        )
    else:
        raise ValueError(f"no fill {fill!r}")
    return result


def mean_colour(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean colour of the pixels that are not masked, 3 uint8; grey where there are none."""
    if mask.all():
        return np.full(3, GREY, dtype=np.uint8)
    return np.rint(cv2.mean(image, (~mask).astype(np.uint8))[:3]).astype(np.uint8)
