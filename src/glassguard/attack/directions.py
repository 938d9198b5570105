"""How a gradient becomes a step of length 1."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scaled:
    """The gradient divided by its largest absolute value (Sharif et al. 2016)."""

    def __call__(self, gradients: Tensor) -> Tensor:
        """N x 3 x H x W gradients to steps of the same shape; zeros stay zeros."""
        largest = gradients.abs().amax(dim=(1, 2, 3), keepdim=True)
        return gradients / largest.clamp(min=torch.finfo(gradients.dtype).tiny)


@dataclass(frozen=True)
class Sign:
    """The sign of the gradient: steepest descent in the maximum norm (Kurakin et al. 2017)."""

    def __call__(self, gradients: Tensor) -> Tensor:
        """N x 3 x H x W gradients to steps of the same shape, -1, 0 or 1."""
        return gradients.sign()


DIRECTIONS: dict[str, Scaled | Sign] = {"scaled": Scaled(), "sign": Sign()}
"""By their names in the configuration."""
