"""How gradients of successive iterates become steps, where a direction alone does not say it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Optimiser(Protocol):
    """Steps from gradients, with a memory of each picture."""

    @property
    def memory(self) -> int:
        """Number of tensors of a picture's shape that are kept for it, zeros at first."""

    def __call__(self, gradients: Tensor, memory: Tensor, taken: Sequence[int]) -> Tensor:
        """Steps of the shape of the gradients, about 1 in length.

        Args:
            gradients: N x 3 x H x W, 0 outside the masks.
            memory: N x ``memory`` x 3 x H x W; updated in place.
            taken: N numbers of steps that were taken before.
        """


@dataclass(frozen=True)
class SignOfMomentum:
    """The sign of gathered gradients: MI-FGSM (Dong et al. 2018, algorithm 1).

    Attributes:
        decay: share of the former gradients that is kept, at least 0.

    Raises:
        ValueError: ``decay`` is negative or not finite.
    """

    decay: float = 1.0
    memory = 1

    def __post_init__(self) -> None:
        if not 0 <= self.decay < math.inf:
            raise ValueError(f"decay must be finite, at least 0: {self.decay}")

    def __call__(self, gradients: Tensor, memory: Tensor, taken: Sequence[int]) -> Tensor:
        """See :class:`Optimiser`; entries are -1, 0 or 1."""
        length = gradients.abs().sum(dim=(1, 2, 3), keepdim=True)
        tiny = torch.finfo(gradients.dtype).tiny
        memory[:, 0] = self.decay * memory[:, 0] + gradients / length.clamp(min=tiny)
        return memory[:, 0].sign()


@dataclass(frozen=True)
class Adam:
    """Adaptive moments (Kingma and Ba 2015, algorithm 1).

    Gradients are first divided by their largest entry: they differ by orders of magnitude between
    pictures, and one ``epsilon`` shall fit all.

    Attributes:
        decay: of the mean and of the mean square, each in [0, 1).
        epsilon: least size of a gradient that counts, above 0.

    Raises:
        ValueError: an argument is out of its range.
    """

    decay: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-4
    memory = 2

    def __post_init__(self) -> None:
        if not all(0 <= one < 1 for one in self.decay):
            raise ValueError(f"decay must be in [0, 1): {self.decay}")
        if not 0 < self.epsilon < math.inf:
            raise ValueError(f"epsilon must be finite, above 0: {self.epsilon}")

    def __call__(self, gradients: Tensor, memory: Tensor, taken: Sequence[int]) -> Tensor:
        """See :class:`Optimiser`."""
        first, second = self.decay
        largest = gradients.abs().amax(dim=(1, 2, 3), keepdim=True)
        scaled = gradients / largest.clamp(min=torch.finfo(gradients.dtype).tiny)
        memory[:, 0] = first * memory[:, 0] + (1 - first) * scaled
        memory[:, 1] = second * memory[:, 1] + (1 - second) * scaled.square()
        mean, square = (
            memory[:, row] / _unbiased(decay, taken, gradients)
            for row, decay in enumerate(self.decay)
        )
        # MKL's square root depends on the processor's maker.
        return mean * (square + self.epsilon**2).rsqrt()


def _unbiased(decay: float, taken: Sequence[int], like: Tensor) -> Tensor:
    """What a mean of so many gradients, zeros before them, falls short by; N x 1 x 1 x 1."""
    # A product rounds the same everywhere, a power need not.
    short = [1 - math.prod([decay] * (steps + 1)) for steps in taken]
    return like.new_tensor(short).view(-1, 1, 1, 1)
