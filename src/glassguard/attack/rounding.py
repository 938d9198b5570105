"""Rounding to the levels of a picture file without leaving the bound of an attack."""

import torch
from torch import Tensor

ROUNDING = 2.0**-21
"""What float32 may add to a difference of two 8-bit levels: 1/8000 of the step between levels."""


def rounded_to_8_bit(
    changed: Tensor,
    pixels: Tensor,
    masks: Tensor,
    largest_change: float | None,
    number_type: torch.dtype,
) -> Tensor:
    """Round pictures to 256 levels inside a mask and keep them as they were outside.

    Args:
        changed: N x 3 x H x W float32 or float64 in [0, 1], within ``largest_change`` of
            ``pixels``.
        pixels: the pictures before the change; same shape and type.
        masks: N x 1 x H x W bool, True where they may be changed.
        largest_change: how far the result may lie from ``pixels``; None for anywhere.
        number_type: the floating-point type in which levels are kept.

    Returns:
        The shape and type of ``changed``. In the mask the nearest level or, where that lies too
        far, the next one towards ``pixels``; ``pixels`` itself where that lies too far as well.
    """

    def of_level(level: Tensor) -> Tensor:
        return level.div(255.0).to(number_type).to(level.dtype)

    level = changed.mul(255.0).round_()
    rounded = of_level(level)
    if largest_change is not None:
        allowed = largest_change + ROUNDING
        moved = rounded - pixels
        rounded = of_level(level - moved.sign() * (moved.abs() > allowed))
        rounded = torch.where((rounded - pixels).abs() > allowed, pixels, rounded)
    return torch.where(masks, rounded, pixels)
