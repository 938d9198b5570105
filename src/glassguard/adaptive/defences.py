"""Defences as an informed attacker sees them.

An attacker needs two things of a defence: whether a picture gets through, decided exactly as the
defence decides it, and a differentiable stand-in that says in which direction to go. Where the
stand-in is wrong, an attack fails that should not; where the decision is another than the
defence's, a table is wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glassguard.attack.losses import LogitMargin
from glassguard.recognizer.answers import logits_of
from glassguard.recognizer.network import to_images, to_pixels


class Defence(Protocol):
    """A recognizer together with what guards it."""

    def at(self, numbers: Sequence[int]) -> "Defence":
        """The defence of some pictures, for one that does not treat all pictures alike.

        Args:
            numbers: those by which random draws tell the pictures apart.
        """
        return self

    def surplus(self, pixels: Tensor, labels: Tensor, progress: Tensor) -> Tensor:
        """How far, by the stand-in, a picture is from getting through: N floats, 0 or below if not.

        Args:
            pixels: N x 3 x H x W in [0, 1]; gradients flow back to them.
            labels: N int64, whom the picture shall be taken for.
            progress: N in [0, 1], how far the attack is. Stand-ins may grow sharper.
        """

    def passes(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """Whether 8-bit pictures are taken for their labels and not stopped: N bool."""


@dataclass(frozen=True, eq=False)
class Undefended(Defence):
    """The recognizer alone.

    Attributes:
        network: maps pixels in [0, 1] to logits.
    """

    network: nn.Module

    def surplus(self, pixels: Tensor, labels: Tensor, progress: Tensor) -> Tensor:
        """See :class:`Defence`; nothing is in the way."""
        return pixels.new_zeros(len(pixels))

    def passes(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Defence`."""
        return _named(self.network, pixels, labels)


@dataclass(frozen=True, eq=False)
class MaskedAnswer(Defence):
    """The answer to a picture from which a defence removes pixels: Study S's saliency mask.

    The mask is exact; backwards, removal is taken for the identity (backward pass differentiable
    approximation, Athalye et al. 2018, section 4.1).

    Attributes:
        network: maps pixels in [0, 1] to logits.
        remove: N x S x S x 3 uint8 pictures to pictures without what the defence removes.
        bare: whether the picture has to pass without the defence too.
    """

    network: nn.Module
    remove: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
    bare: bool = False

    def surplus(self, pixels: Tensor, labels: Tensor, progress: Tensor) -> Tensor:
        """See :class:`Defence`: by how much the label's logit lacks behind the removal."""
        removed = straight_through(self._removed(pixels), pixels)
        return LogitMargin()(logits_of(self.network, removed), labels)

    def passes(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Defence`."""
        behind = _named(self.network, self._removed(pixels), labels)
        return behind & _named(self.network, pixels, labels) if self.bare else behind

    def _removed(self, pixels: Tensor) -> Tensor:
        images = self.remove(to_images(pixels.detach().cpu()).numpy())
        return to_pixels(torch.from_numpy(images)).to(pixels)


@dataclass(frozen=True, eq=False)
class Squeezed(Defence):
    """Feature squeezing (Xu et al. 2018): pictures whose answer moves when squeezed are stopped.

    Attributes:
        network: maps pixels in [0, 1] to logits.
        squeezers: each makes squeezed copies of N x S x S x 3 uint8 pictures; backwards they are
            taken for the identity.
        threshold: the L1 distance of softmaxes above which a picture is stopped.
    """

    network: nn.Module
    squeezers: tuple[Callable[[NDArray[np.uint8]], NDArray[np.uint8]], ...]
    threshold: float

    def surplus(self, pixels: Tensor, labels: Tensor, progress: Tensor) -> Tensor:
        """See :class:`Defence`."""
        return self._score(pixels) - self.threshold

    def passes(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Defence`."""
        with torch.no_grad():
            return _named(self.network, pixels, labels) & (self._score(pixels) <= self.threshold)

    def _score(self, pixels: Tensor) -> Tensor:
        images = to_images(pixels.detach().cpu()).numpy()
        answer = logits_of(self.network, pixels).softmax(1)
        moved = []
        for squeeze in self.squeezers:
            copies = to_pixels(torch.from_numpy(squeeze(images))).to(pixels)
            squeezed = logits_of(self.network, straight_through(copies, pixels)).softmax(1)
            moved.append((answer - squeezed).abs().sum(dim=1))
        return torch.stack(moved).amax(dim=0)


def straight_through(forward: Tensor, backward: Tensor) -> Tensor:
    """The values of ``forward`` with the gradient of ``backward``."""
    # Not backward + (forward - backward): the sum would round.
    return _StraightThrough.apply(backward, forward)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(context: object, backward: Tensor, forward: Tensor) -> Tensor:
        return forward.clone()

    @staticmethod
    def backward(context: object, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def _named(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return logits_of(network, pixels).argmax(dim=1) == labels
