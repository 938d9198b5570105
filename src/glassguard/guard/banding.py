"""Pictures whose eye band shows nothing: one colour that comes from the rest of the picture."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassguard.attack.inputs import require_masks
from glassguard.recognizer.answers import require_tensor
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


def banded_pixels(pixels: Tensor, bands: Tensor) -> Tensor:
    """:func:`banded` for pixels on the scale of networks, with a gradient outside the bands.

    Args:
        pixels: N x 3 x H x W floating point.
        bands: see :func:`glassguard.attack.inputs.require_masks`.

    Returns:
        Like ``pixels``. The mean is not rounded to a level.

    Raises:
        ValueError: an argument has another type or shape, or a band is the whole picture.
    """
    pixels = require_tensor(pixels, "pixels")
    count, _, height, width = pixels.shape
    inside = require_masks(bands, count, height, width)[:, None].to(pixels.device)
    seen = (~inside).sum(dim=(2, 3), keepdim=True)
    if not seen.all():
        raise ValueError("a band leaves at least one pixel of its picture")
    # Not a product with the mask: what is no number inside would stay none.
    sums = torch.where(inside, torch.zeros_like(pixels), pixels).sum(dim=(2, 3), keepdim=True)
    return torch.where(inside, sums / seen, pixels)
