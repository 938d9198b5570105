"""Influence, and any other value of a layer's neurons, as one number a filter and place."""

import torch
import torch.nn.functional as F
from torch import Tensor

from glassguard.influence.settings import Reduction

Places = tuple[int, int]
"""Rows and columns that space is divided into."""

EVERYWHERE: Places = (1, 1)


def reduced(influence: Tensor, reduction: Reduction, places: Places = EVERYWHERE) -> Tensor:
    """One number a filter and place; a dense slice stays as it is, but in memory of its own.

    Args:
        influence: N x filters x height x width, or N x neurons.
        reduction: over space: its maximum, largest magnitude or mean.
        places: rows and columns that space is divided into. They share pixels where they do not
            divide it, and all of them where it is smaller.

    Returns:
        N x (filters · places), the places of a filter side by side, or N x neurons.

    Raises:
        ValueError: there is no such reduction, or the slice has another number of axes.
    """
    if influence.ndim == 2:
        return influence.clone()
    if influence.ndim != 4:
        raise ValueError(
            f"a slice of shape N x {' x '.join(map(str, influence.shape[1:]))} is neither N x "
            "filters x height x width nor N x neurons: reduce it yourself, by measure"
        )
    if places != EVERYWHERE:
        return _by_place(influence, reduction, places).flatten(1)
    if reduction == "max":
        return influence.amax(dim=(2, 3))
    if reduction == "abs_max":
        # Without a copy of the whole gradient.
        return torch.maximum(influence.amax(dim=(2, 3)), influence.amin(dim=(2, 3)).neg_())
    if reduction == "mean":
        return influence.mean(dim=(2, 3))
    raise ValueError(f"no reduction {reduction!r}")


def _by_place(influence: Tensor, reduction: Reduction, places: Places) -> Tensor:
    if reduction == "mean":
        return F.adaptive_avg_pool2d(influence, places)
    largest = F.adaptive_max_pool2d(influence, places)
    if reduction == "abs_max":
        return torch.maximum(largest, F.adaptive_max_pool2d(-influence, places))
    return largest
