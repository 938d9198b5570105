"""Internal influence as the settings describe it."""

import torch
from torch import nn

from glassguard.influence.distributions import Distribution, InputLine, LayerLine, Point
from glassguard.influence.internal import InternalInfluence
from glassguard.influence.quantities import quantity_named
from glassguard.influence.settings import DistributionOfInterest, InfluenceMeasure
from glassguard.influence.watching import Slices


def internal_influence(
    settings: InfluenceMeasure, network: nn.Module, slices: Slices
) -> InternalInfluence:
    """The influence that settings describe, at some slices of a network."""
    return InternalInfluence(
        network,
        slices,
        quantity=quantity_named(settings.quantity),
        distribution=_distribution(settings.distribution),
        times_activation=settings.times_activation,
    )


def pictures_at_once(settings: InfluenceMeasure) -> int:
    """How many pictures make a batch: all points of a line pass the network together."""
    distribution = settings.distribution
    points = 1 if distribution.kind == "point" else distribution.steps + 1
    return max(1, settings.batch_size // points)


def _distribution(settings: DistributionOfInterest) -> Distribution:
    if settings.kind == "point":
        return Point()
    colour = settings.baseline
    start = None if colour is None else torch.tensor(colour).view(1, 3, 1, 1)
    if settings.kind == "input_line" and start is not None:
        return InputLine(settings.steps, start)
    return LayerLine(settings.steps, start)
