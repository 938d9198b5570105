"""Where further attempts at a picture start."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Start(Protocol):
    """Pictures before the first step of an attempt."""

    def __call__(
        self, pixels: Tensor, masks: Tensor, generators: Sequence[np.random.Generator]
    ) -> Tensor:
        """New pictures of the shape of ``pixels``, in [0, 1]; those outside the masks are not read.

        Args:
            pixels: N x 3 x H x W in [0, 1].
            masks: N x 1 x H x W bool.
            generators: N, each picture's own.
        """


@dataclass(frozen=True)
class Colour:
    """One colour.

    Attributes:
        colour: R, G, B in [0, 1].
    """

    colour: tuple[float, float, float]

    def __call__(
        self, pixels: Tensor, masks: Tensor, generators: Sequence[np.random.Generator]
    ) -> Tensor:
        """See :class:`Start`."""
        return torch.where(masks, pixels.new_tensor(self.colour).view(1, 3, 1, 1), pixels)


@dataclass(frozen=True)
class Noise:
    """Every value drawn evenly."""

    def __call__(
        self, pixels: Tensor, masks: Tensor, generators: Sequence[np.random.Generator]
    ) -> Tensor:
        """See :class:`Start`."""
        if not len(pixels):
            return pixels.clone()
        shape = tuple(pixels.shape[1:])
        drawn = np.stack([one.random(shape, dtype=np.float32) for one in generators])
        return torch.where(masks, torch.from_numpy(drawn).to(pixels), pixels)


@dataclass(frozen=True)
class Face:
    """The picture as it is."""

    def __call__(
        self, pixels: Tensor, masks: Tensor, generators: Sequence[np.random.Generator]
    ) -> Tensor:
        """See :class:`Start`."""
        return pixels.clone()
