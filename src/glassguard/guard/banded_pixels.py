"""Banded pixels on the scale of networks, for attacks on the guard."""

import torch
from torch import Tensor

from glassguard.attack.inputs import require_masks
from glassguard.recognizer.answers import require_tensor


def banded_pixels(pixels: Tensor, bands: Tensor) -> Tensor:
    """Fill every band with the mean colour of its picture's other pixels; differentiable.

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
