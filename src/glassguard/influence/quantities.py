"""Quantities of interest: what influence is measured on (Leino et al. 2018, section 2.1).

A quantity takes the logits of points and those of the pictures that the points belong to. Classes
that are not given are chosen on the pictures: along a line the question stays the same, whatever
the network answers on the way.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from glassguard.influence.settings import QuantityName

RUNNER_UP = 2


class Quantity(Protocol):
    """One number for each point, differentiable in the logits."""

    def __call__(self, logits: Tensor, pictures: Tensor) -> Tensor:
        """The quantity at every point.

        Args:
            logits: ... x N x C, of the points.
            pictures: N x C, of the pictures.

        Returns:
            ... x N.

        Raises:
            ValueError: a given class is not one a picture, or is no class of the network.
        """
        ...


@dataclass(frozen=True, eq=False)
class Logit:
    """The logit of one class.

    Attributes:
        classes: N int64; the predicted class of each picture when None.

    Raises:
        ValueError: the classes are no tensor of int64.
    """

    classes: Tensor | None = None

    def __post_init__(self) -> None:
        require_classes(self.classes)

    def __call__(self, logits: Tensor, pictures: Tensor) -> Tensor:
        """See :class:`Quantity`."""
        return of_classes(logits, predicted_or(self.classes, pictures))


@dataclass(frozen=True, eq=False)
class Softmax(Logit):
    """The probability of one class; its gradient vanishes exactly on confident attacks."""

    def __call__(self, logits: Tensor, pictures: Tensor) -> Tensor:
        """See :class:`Quantity`."""
        return super().__call__(logits.softmax(dim=-1), pictures)


@dataclass(frozen=True, eq=False)
class Comparative(Logit):
    """The logit of one class minus that of another.

    Attributes:
        others: N int64, none of them the class that it is compared with; the largest other logit
            of the picture when None.

    Raises:
        ValueError: the classes or the others are no tensor of int64.
    """

    others: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_classes(self.others)

    def __call__(self, logits: Tensor, pictures: Tensor) -> Tensor:
        """See :class:`Quantity`."""
        classes = predicted_or(self.classes, pictures)
        if self.others is not None:
            others = predicted_or(self.others, pictures)
        elif pictures.shape[1] < RUNNER_UP:
            raise ValueError("a comparative quantity needs two classes: the network has one")
        else:
            best = pictures.detach().topk(RUNNER_UP, dim=1).indices
            others = best[:, 0].where(best[:, 0] != classes, best[:, 1])
        itself = classes[classes == others]
        if len(itself):
            raise ValueError(f"class {int(itself[0])} is compared with itself")
        return of_classes(logits, classes) - of_classes(logits, others)


def quantity_named(name: QuantityName) -> Quantity:
    """The quantity of the predicted class, the only class known when a picture arrives.

    Args:
        name: ``logit``; ``comparative``, against the runner-up; ``softmax``, for comparison.

    Raises:
        ValueError: there is no such quantity.
    """
    quantities = {"logit": Logit, "comparative": Comparative, "softmax": Softmax}
    if name not in quantities:
        raise ValueError(f"no quantity of interest {name!r}")
    return quantities[name]()


def require_classes(classes: object) -> None:
    """Refuse (``ValueError``) anything but None and a tensor of int64."""
    if classes is not None and not (isinstance(classes, Tensor) and classes.dtype == torch.int64):
        raise ValueError(f"classes are a tensor of int64, one for each picture: {classes!r}")


def predicted_or(classes: Tensor | None, pictures: Tensor) -> Tensor:
    """``classes``, or the largest logit's where they are None: N int64.

    Args:
        classes: N int64 or None.
        pictures: N x C logits.

    Raises:
        ValueError: ``classes`` is not one class a picture, or is no class of the network.
    """
    if classes is None:
        return pictures.detach().argmax(dim=1)
    if classes.shape != pictures.shape[:1]:
        raise ValueError(
            f"one class a picture: {tuple(classes.shape)} for {len(pictures)} pictures"
        )
    count = pictures.shape[1]
    unknown = classes[(classes < 0) | (classes >= count)]
    if len(unknown):
        raise ValueError(f"no class {int(unknown[0])}: the network has classes 0 to {count - 1}")
    return classes


def of_classes(scores: Tensor, classes: Tensor) -> Tensor:
    """The entry of one class a picture: ... x N x C and N int64 to ... x N."""
    index = classes.expand(scores.shape[:-1])[..., None]
    return scores.gather(-1, index).squeeze(-1)
