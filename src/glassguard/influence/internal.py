"""Internal influence of every slice of a network (Leino et al. 2018, section 2; Study I, 2.2).

The network is f = g o h, cut at a slice with z = h(x); the influence of neuron j on the quantity
of interest q is the expected gradient of q(g(z)) with respect to z_j over a distribution of
interest. There is no factor z_j: that would be attribution, and is an option.

One forward and one backward pass serve all slices. A gradient is reduced to one number a filter as
soon as it arrives at its slice and is then dropped: at 224 pixels an image costs a few kilobytes
instead of 54 MB. Convolutions keep nothing for the gradient of their weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from glassguard.influence.convolution_inputs import inputs_forgotten
from glassguard.influence.distributions import (
    Distribution,
    InputLine,
    LayerLine,
    Point,
    along,
    as_pictures,
    nodes,
)
from glassguard.influence.gathering import Gathered, Measured, Reduced, measured
from glassguard.influence.passes import (
    INFERENCE_TENSOR,
    behind_inference_mode,
    finite_logits,
    own_pixels,
    with_gradients,
)
from glassguard.influence.quantities import Logit, Quantity, quantity_named
from glassguard.influence.reduction import EVERYWHERE, Places, reduced
from glassguard.influence.settings import QuantityName, Reduction
from glassguard.influence.watching import Call, Slices, watched
from glassguard.recognizer.answers import require_evaluation_mode
from glassguard.recognizer.finite import require_finite


@dataclass(frozen=True)
class InfluenceProfiles:
    """Profiles of a batch.

    Attributes:
        profiles: per slice N x filters float32 (N x neurons of a dense slice); with several places
            N x (filters · places), the places of a filter side by side.
        logits: N x C float32.
    """

    profiles: dict[str, Tensor]
    logits: Tensor


class InternalInfluence:
    """Influence of every neuron or filter of some slices on a quantity of interest.

    Activations may work in place and several layers may share a module: a gradient belongs to the
    output as it was when the slice's module returned. Weights may be frozen or not, and slices may
    be parallel, as in the branches of a residual block. Gradients of weights and of pixels are not
    computed, and nothing is accumulated.

    Args:
        network: maps N pictures to N x C logits; in evaluation mode.
        slices: the module whose output each slice is. A slice at a ReLU is the post position, at
            the convolution before it the pre position; there ``pre == post * (z > 0)`` holds
            before any reduction.
        quantity: what influence is measured on, or its name
            (:func:`~glassguard.influence.quantities.quantity_named`).
        distribution: the points that it is averaged over. With :class:`LayerLine` everything behind
            a slice must depend on the picture through the slice alone.
        times_activation: multiply by the picture's own activation, which makes it attribution
            (χ times z); with :class:`LayerLine` by what lies between it and the line's start.

    Raises:
        ValueError: there is no slice, no quantity of that name, a slice is no module, or the
            quantity or the distribution is of another kind.

    Example:
        >>> slices = {"conv3_2": network.features.relu3_2}
        >>> influence = InternalInfluence(network, slices, quantity=Comparative())
        >>> influence.profiles(pixels).profiles["conv3_2"].shape
        torch.Size([8, 256])
    """

    def __init__(
        self,
        network: nn.Module,
        slices: Slices,
        *,
        quantity: Quantity | QuantityName | None = None,
        distribution: Distribution | None = None,
        times_activation: bool = False,
    ) -> None:
        if not isinstance(network, nn.Module):
            raise ValueError(f"the network is an nn.Module, not a {type(network).__name__}")
        _check_slices(slices)
        self.network = network
        self.slices = dict(slices)
        self.quantity: Quantity = (
            quantity_named(quantity) if isinstance(quantity, str) else quantity or Logit()
        )
        if isinstance(quantity, type) or not callable(self.quantity):
            raise ValueError(
                f"a quantity of interest is one of {', '.join(get_args(QuantityName))}, Logit(), "
                "Comparative(), Softmax() or a function of points' and pictures' logits: "
                f"{quantity!r}"
            )
        self.distribution = Point() if distribution is None else distribution
        if not isinstance(self.distribution, Point | InputLine | LayerLine):
            raise ValueError(
                "a distribution of interest is Point(), InputLine(...) or LayerLine(...): "
                f"{distribution!r}"
            )
        self.times_activation = times_activation

    def profiles(
        self, pixels: Tensor, *, reduction: Reduction = "max", places: Places = EVERYWHERE
    ) -> InfluenceProfiles:
        """Influence profiles: one number a filter, or a neuron where the slice is dense.

        Args:
            pixels: N x 3 x H x W in [0, 1], of the network's floating-point type.
            reduction: over space; the studies take the maximum.
            places: rows and columns that space is divided into, each reduced by itself: a profile
                then says where a filter has its influence as well. The studies have one place.

        Returns:
            Profiles in the order of the slices (quantity per unit of activation), and the logits.

        Raises:
            ValueError: there is no such reduction, a place has no extent, an influence is not
                finite, or see :meth:`measure`.
        """
        if reduction not in get_args(Reduction):
            raise ValueError(
                f"no reduction {reduction!r}; allowed are {', '.join(get_args(Reduction))}"
            )
        if not isinstance(places, tuple) or len(places) != len(EVERYWHERE) or min(places) < 1:
            raise ValueError(f"places {places}: rows and columns, at least one of each")
        found = self.measure(
            pixels,
            lambda name, influence: require_finite(
                f"influence at {name}", reduced(influence, reduction, places)
            ),
        )
        return InfluenceProfiles(found.slices, found.logits)

    def neurons(self, pixels: Tensor) -> Measured[Tensor]:
        """Influence of every single neuron: N x the slice's own shape float32, kept for all slices.

        Raises:
            ValueError: see :meth:`measure`, or an influence is not finite.
        """
        return self.measure(
            pixels,
            lambda name, influence: require_finite(f"influence at {name}", influence).clone(),
        )

    def measure(
        self, pixels: Tensor, reduce: Callable[[str, Tensor], Reduced]
    ) -> Measured[Reduced]:
        """Reduce every slice's influence inside the backward pass.

        Args:
            pixels: N x 3 x H x W in [0, 1], of the network's floating-point type.
            reduce: takes the name of a slice and its influence, N x the slice's shape float32,
                and must neither keep nor change it.

        Raises:
            ValueError: the network is not in evaluation mode or does not answer with finite logits;
                a slice does not run, or no gradient gets to it from the logits; its module runs
                more than once; a baseline does not fit; the activation to multiply by was
                overwritten in place; the network works in place where gradients cannot follow; the
                pixels are no finite pictures of the network's type; or, along a layer's line,
                something behind the slice depends on the picture past it.
        """
        require_evaluation_mode(self.network)
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            with_gradients(self.network, pixels),
            inputs_forgotten(self.network),
        ):
            return behind_inference_mode(self.network, lambda: self._measured(pixels, reduce))

    def _measured(
        self, pixels: Tensor, reduce: Callable[[str, Tensor], Reduced]
    ) -> Measured[Reduced]:
        line = self.distribution
        if not isinstance(line, LayerLine):
            gathered, logits = self._at_points(pixels, reduce)
            return measured(self.slices, [gathered], logits)
        pixels = own_pixels(pixels)
        logits = self._answer(pixels)
        parts = [self._along_layer(name, pixels, line, reduce, logits) for name in self.slices]
        return measured(self.slices, parts, logits)

    def _answer(self, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            return finite_logits(self.network(pixels.clone()), len(pixels))

    def _at_points(
        self, pixels: Tensor, reduce: Callable[[str, Tensor], Reduced]
    ) -> tuple["Gathered[Reduced]", Tensor]:
        points = own_pixels(pixels)
        count = len(points)
        weights: list[float] = []
        if isinstance(self.distribution, InputLine):
            places, weights = nodes(self.distribution.steps)
            points = along(as_pictures(self.distribution.baseline, points), points, places)
        gathered = Gathered(self.slices, reduce, count, weights, self.times_activation)
        with watched(self.slices, gathered.see, apart=True) as changed:
            logits = finite_logits(self.network(points), len(points), len(weights) + 1)
        names = changed()
        if names and not _alike(logits[-count:], self._answer(own_pixels(pixels))):
            raise ValueError(
                f"{', '.join(names)}: the output is part of another tensor, or the module's own "
                "input, and what follows changes both in place; build that with inplace=False"
            )
        gathered.backward(logits, self.quantity)
        return gathered, logits[len(logits) - count :]

    def _along_layer(
        self,
        name: str,
        pixels: Tensor,
        line: LayerLine,
        reduce: Callable[[str, Tensor], Reduced],
        expected: Tensor,
    ) -> "Gathered[Reduced]":
        places, weights = nodes(line.steps)
        count = len(pixels)
        start = [] if line.baseline is None else [as_pictures(line.baseline, pixels)]
        here = {name: self.slices[name]}
        gathered = Gathered(here, reduce, count, weights, self.times_activation)

        def spread(name: str, output: Tensor) -> Tensor:
            activation = output.detach()
            own = activation[:count]
            lines_start = activation[count:] if start else torch.zeros_like(own[:1])
            return gathered.see(name, along(lines_start, own, places), lines_start)

        past = f"{name}: what lies behind it depends on the picture past it, so it has no line"
        try:
            with watched(here, spread, apart=True):
                logits = self.network(torch.cat([pixels, *start]))
        except RuntimeError as error:
            if INFERENCE_TENSOR in str(error) or "inplace" in str(error):
                raise
            # Shapes of points and pictures clash: the network has answered the pictures alone.
            raise ValueError(f"{past}: {' '.join(str(error).split())[:120]}") from error
        if name in gathered.seen:
            points = len(places) + 1
            if len(logits) == count * points:
                logits = finite_logits(logits, count * points, points)
            if len(logits) != count * points or not _alike(logits[-count:], expected):
                raise ValueError(past)
        gathered.backward(logits, self.quantity)
        return gathered


def _check_slices(slices: object) -> None:
    if not isinstance(slices, Mapping):
        raise ValueError(f"slices are modules by name, not a {type(slices).__name__}")
    if not slices:
        raise ValueError("no slice to measure influence at")
    for name, place in slices.items():
        if not isinstance(name, str):
            raise ValueError(f"names of slices are text: {name!r}")
        if not isinstance(place, nn.Module | Call):
            raise ValueError(f"{name}: a slice is a module of the network, or a Call of one")


def _alike(logits: Tensor, expected: Tensor) -> bool:
    """Whether logits are the same up to the last digits, which depend on the size of a batch."""
    scale = float(expected.abs().max()) if len(expected) else 0.0
    last = 8 * torch.finfo(expected.dtype).eps
    return torch.allclose(logits, expected, rtol=max(1e-3, last), atol=max(1e-4, last) * scale)
