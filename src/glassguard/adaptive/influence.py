"""Influence detectors as an informed attacker sees them.

Behind ReLU and max-pooling a logit is piecewise linear in the pixels, so influence is piecewise
constant and its gradient zero almost everywhere: an attack by the plain gradient fails and proves
nothing. The stand-in keeps the values of ReLU, and of other piecewise linear activations, and takes
the slope for that of a softplus, which grows sharper while the attack goes on.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from torch import Tensor, nn

from glassguard.adaptive.defences import Defence, straight_through
from glassguard.detection.slice_detectors import SliceDetectors
from glassguard.influence.guided_backpropagation import PIECEWISE_LINEAR
from glassguard.influence.reduction import EVERYWHERE, Places, reduced
from glassguard.influence.settings import Reduction
from glassguard.recognizer.answers import logits_of
from glassguard.recognizer.layers import PRE_RELU
from glassguard.recognizer.network import Network, Recognizer


class SoftSlope(nn.Module):
    """A piecewise linear activation with soft slopes, which have slopes in turn.

    A ReLU's is a softplus's, ``sigmoid(sharpness * z)``; others are sums of ReLUs.

    Args:
        activation: of :data:`~glassguard.influence.guided_backpropagation.PIECEWISE_LINEAR`.
    """

    sharpness: Tensor | float = 1.0
    """Of all pictures, or N of one each."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, values: Tensor) -> Tensor:
        """N x ... to the same shape."""
        return self.activation(values.detach()) + _slope_only(self._softened(values))

    def _softened(self, values: Tensor) -> Tensor:
        sharpness, unit = self.sharpness, self.activation
        if isinstance(sharpness, Tensor):
            sharpness = sharpness.view(-1, *[1] * (values.ndim - 1))
        if isinstance(unit, nn.Hardtanh):
            rising, falling = values - unit.min_val, values - unit.max_val
            return (F.softplus(rising * sharpness) - F.softplus(falling * sharpness)) / sharpness
        positive = F.softplus(values * sharpness) / sharpness
        if isinstance(unit, nn.PReLU):
            leak = unit.weight.view(1, -1, *[1] * (values.ndim - 2))
            return leak * values + (1 - leak) * positive
        if isinstance(unit, nn.LeakyReLU):
            return unit.negative_slope * values + (1 - unit.negative_slope) * positive
        return positive


def _slope_only(values: Tensor) -> Tensor:
    return straight_through(torch.zeros_like(values), values)


def with_soft_slopes(network: Network) -> tuple[Network, list[SoftSlope]]:
    """A copy of a network with the same answers and soft slopes, and the slopes to set."""
    soft = copy.deepcopy(network)
    slopes = []
    for part in list(soft.modules()):
        for name, child in part.named_children():
            if isinstance(child, PIECEWISE_LINEAR):
                slopes.append(SoftSlope(child))
                setattr(part, name, slopes[-1])
    return soft, slopes


@dataclass(eq=False)
class InfluenceDetected(Defence):
    """A recognizer whose pictures are stopped by influence detectors at one slice (Study I).

    Attributes:
        network: the recognizer.
        detectors: fitted to profiles of the predicted class's logit; raw, standardised or
            unit-standardised.
        threshold: the score above which a picture is stopped.
        reduction, places: of the profiles, as they were fitted.
        sharpness: of the stand-in, at the beginning and at the end of an attack.

    Raises:
        ValueError: the detectors' profiles are prepared in another way.
    """

    network: Recognizer
    detectors: SliceDetectors
    threshold: float
    reduction: Reduction = "max"
    places: Places = EVERYWHERE
    sharpness: tuple[float, float] = (4.0, 64.0)
    _soft: Recognizer = field(init=False, repr=False)
    _slopes: Sequence[SoftSlope] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._soft, self._slopes = with_soft_slopes(self.network)
        bank, calibration = self.detectors.bank, self.detectors.calibration
        self._unit, mean, scale = _preparation(bank.preparation, bank.weights.shape[2])
        # The mean over seeds of calibrated margins is one linear function of a profile.
        weights = (bank.weights / calibration.scale[..., None]).mean(axis=0) / scale
        offsets = ((bank.intercepts - calibration.location) / calibration.scale).mean(axis=0)
        self._weights = torch.from_numpy(weights)
        self._offsets = torch.from_numpy(offsets - weights @ mean)
        self._row = {int(person): row for row, person in enumerate(bank.people)}

    def surplus(self, pixels: Tensor, labels: Tensor, progress: Tensor) -> Tensor:
        """See :class:`.defences.Defence`."""
        first, last = self.sharpness
        for slope in self._slopes:
            slope.sharpness = (first + (last - first) * progress).to(pixels)
        scores = self._scores(self._soft, pixels, labels, differentiable=True)
        return (scores - self.threshold).to(pixels)

    def passes(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """See :class:`.defences.Defence`."""
        with torch.enable_grad():
            leaf = pixels.detach().requires_grad_(True)
            scores = self._scores(self.network, leaf, labels, differentiable=False)
            named = logits_of(self.network, leaf).argmax(dim=1) == labels
        return (named & (scores.detach() <= self.threshold)).detach()

    def _scores(
        self, network: Recognizer, pixels: Tensor, labels: Tensor, *, differentiable: bool
    ) -> Tensor:
        """Scores of pictures that are taken for their labels, N float64."""
        kept: dict[str, Tensor] = {}
        name = self.detectors.slice
        layer = name.removesuffix(PRE_RELU)
        module = network.slice_modules(("pre_relu", "post_relu"), (layer,))[name]
        hook = module.register_forward_hook(lambda _, __, output: kept.update(slice=output))
        try:
            logits = logits_of(network, pixels)
        finally:
            hook.remove()
        quantity = logits.gather(1, labels[:, None]).sum()
        (influence,) = torch.autograd.grad(quantity, kept["slice"], create_graph=differentiable)
        profiles = reduced(influence, self.reduction, self.places).double()
        if self._unit:
            square = profiles.square().sum(dim=1, keepdim=True)
            profiles = profiles * square.clamp(min=1e-24).rsqrt()
        rows = torch.tensor([self._row[label] for label in labels.tolist()])
        weights, offsets = self._weights.to(profiles), self._offsets.to(profiles)
        return -((profiles * weights[rows]).sum(dim=1) + offsets[rows])


def _preparation(pipeline: Pipeline, filters: int) -> tuple[bool, np.ndarray, np.ndarray]:
    """Whether profiles are brought to unit length, and what is subtracted and divided by."""
    steps = [step for _, step in pipeline.steps if step != "passthrough"]
    unit = bool(steps) and isinstance(steps[0], Normalizer)
    others = steps[unit:]
    if not others:
        return unit, np.zeros(filters), np.ones(filters)
    if len(others) > 1 or not isinstance(others[0], StandardScaler):
        raise ValueError(
            "an informed attack knows raw, standardised and unit-standardised profiles only: "
            f"{type(others[-1]).__name__}"
        )
    return unit, others[0].mean_, others[0].scale_
