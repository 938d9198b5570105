"""Pictures whose eye band shows nothing: one colour that comes from the rest of the picture."""

import numpy as np
from numpy.typing import NDArray

from glassguard.saliency.fill import filled


def banded(images: NDArray[np.uint8], bands: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill the band of every picture with the mean colour of its other pixels.

    Pictures that differ within their bands alone become equal.

    Args:
        images: N x H x W x 3 uint8 RGB; may be memory-mapped.
        bands: N x H x W bool.

    Returns:
        N x H x W x 3 uint8.

    Raises:
        ValueError: there are not as many bands as pictures, or see
            :func:`glassguard.saliency.fill.filled`.
    """
    found = np.empty(images.shape, dtype=np.uint8)
    for row, (image, band) in enumerate(zip(images, bands, strict=True)):
        found[row] = filled(image, band, "mean")
    return found
