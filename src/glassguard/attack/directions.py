"""How a gradient becomes a step of length 1."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
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


@dataclass(frozen=True)
class Smooth:
    """Steps that are the same for all pixels of a block: a coarse texture, enlarged.

    A texture that starts smooth stays so, which a printer and a camera favour.

    Attributes:
        block: side of a block in pixels, at least 1.

    Raises:
        ValueError: ``block`` is out of its range.
    """

    block: int

    def __post_init__(self) -> None:
        if not (isinstance(self.block, int) and self.block >= 1):
            raise ValueError(f"block must be a whole number, at least 1: {self.block!r}")

    def __call__(self, gradients: Tensor) -> Tensor:
        """N x 3 x H x W gradients to steps of the same shape, of largest entry 1."""
        height, width = gradients.shape[2:]
        padded = F.pad(gradients, (0, -width % self.block, 0, -height % self.block))
        coarse = Scaled()(F.avg_pool2d(padded, self.block))
        steps = coarse.repeat_interleave(self.block, 2).repeat_interleave(self.block, 3)
        return steps[..., :height, :width]


DIRECTIONS: dict[str, Scaled | Sign] = {"scaled": Scaled(), "sign": Sign()}
"""By their names in the configuration."""
