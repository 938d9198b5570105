"""Distributions of interest: the points that influence is averaged over (Leino et al. 2018, 2.1).

The point distribution is the picture itself. A line covers all points between a baseline and the
picture evenly, by Gauss-Legendre quadrature: in the space of pictures (the internal influence of
Leino et al., section 3), or in the space of a layer (the path of integrated gradients, Sundararajan
et al. 2017, taken at that layer).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Baseline = Tensor | float
"""A picture, one for each of N, a colour (1 x 3 x 1 x 1), or one level for every pixel."""


@dataclass(frozen=True)
class Point:
    """The picture itself."""

    @property
    def points(self) -> int:
        """Points in a pass for each picture."""
        return 1


@dataclass(frozen=True, eq=False)
class InputLine:
    """The line from a baseline to the picture.

    Attributes:
        steps: number of points; a pass takes these and the picture itself.
        baseline: where the line starts, in [0, 1].

    Raises:
        ValueError: ``steps`` is no whole number above 0, or the baseline is no tensor or number.
    """

    steps: int
    baseline: Baseline = 0.0

    def __post_init__(self) -> None:
        _check_line(self.steps, self.baseline)

    @property
    def points(self) -> int:
        """Points in a pass for each picture."""
        return self.steps + 1


@dataclass(frozen=True, eq=False)
class LayerLine:
    """The line from a layer's answer to a baseline to its answer to the picture.

    Its points are no answers to pictures and differ from slice to slice: each slice costs a forward
    and a backward pass of its own.

    Attributes:
        steps: number of points.
        baseline: the picture, in [0, 1], whose activations are the start; no activation at all
            when None.

    Raises:
        ValueError: ``steps`` is no whole number above 0, or the baseline is no tensor or number.
    """

    steps: int
    baseline: Baseline | None = None

    def __post_init__(self) -> None:
        _check_line(self.steps, 0.0 if self.baseline is None else self.baseline)

    @property
    def points(self) -> int:
        """Points after the slice in a pass for each picture."""
        return self.steps + 1


Distribution = Point | InputLine | LayerLine


def nodes(steps: int) -> tuple[list[float], list[float]]:
    """Places in (0, 1) and weights, summing to 1, of Gauss-Legendre quadrature."""
    places, weights = np.polynomial.legendre.leggauss(steps)
    return ((places + 1) / 2).tolist(), (weights / 2).tolist()


def along(start: Tensor, end: Tensor, places: Sequence[float]) -> Tensor:
    """Points of the lines from ``start`` to ``end``, followed by ``end`` itself.

    Args:
        start: N or 1 x ...
        end: N x ...
        places: S numbers in [0, 1].

    Returns:
        (S + 1) N x ..., the first place's N points first.
    """
    return torch.cat([*(torch.lerp(start, end, place) for place in places), end])


def expectation(gradient: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted sum over the points of :func:`along`, without the pictures themselves.

    Args:
        gradient: (S + 1) N x ...
        weights: S numbers.

    Returns:
        N x ...
    """
    points = gradient.unflatten(0, (len(weights) + 1, -1))
    total = points[0] * weights[0]
    for point, weight in zip(points[1:-1], weights[1:], strict=True):
        total.add_(point, alpha=weight)
    return total


def as_pictures(baseline: Baseline, pixels: Tensor) -> Tensor:
    """A baseline as 1 or N pictures of the kind of ``pixels``, N x 3 x H x W.

    Raises:
        ValueError: it does not fit the pictures.
    """
    if not isinstance(baseline, Tensor):
        return torch.full_like(pixels[:1], baseline)
    fits = baseline.ndim == pixels.ndim and len(baseline) in (1, len(pixels))
    if not fits or any(
        own not in (1, wanted)
        for own, wanted in zip(baseline.shape[1:], pixels.shape[1:], strict=True)
    ):
        raise ValueError(
            f"baseline of shape {tuple(baseline.shape)} for pictures of {tuple(pixels.shape)}"
        )
    return baseline.to(pixels).expand(len(baseline), *pixels.shape[1:])


def _check_line(steps: object, baseline: object) -> None:
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"a line needs a whole number of steps, at least one: {steps!r}")
    if not isinstance(baseline, Tensor | int | float):
        raise ValueError(
            f"a baseline is a tensor or a number in [0, 1], not a {type(baseline).__name__}"
        )
