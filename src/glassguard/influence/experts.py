"""Experts: the neurons of a layer that carry a decision, propagated back to the pixels.

Leino et al. (2018) find that a small share of a layer's neurons carries a class. Study I takes the
tenth with the greatest influence and propagates it back to the picture (its Fig. 4).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from glassguard.influence.graph import depends_on, where_gradients_stop
from glassguard.influence.guided_backpropagation import GuidedPass
from glassguard.influence.internal import InternalInfluence
from glassguard.influence.passes import (
    behind_inference_mode,
    finite_logits,
    own_pixels,
    with_gradients,
)
from glassguard.influence.watching import Slices, watched
from glassguard.recognizer.answers import require_evaluation_mode
from glassguard.recognizer.finite import NotFiniteError, require_finite, together


@dataclass(frozen=True)
class Experts:
    """Neurons of one layer, for each of N pictures.

    Attributes:
        indices: N x k int64 into the layer's flattened neurons, greatest influence first.
        influence: N x k float32, of those neurons.
        shape: of the layer's output without the pictures.
    """

    indices: Tensor
    influence: Tensor
    shape: torch.Size

    def mask(self) -> Tensor:
        """N x ``shape`` bool: whether a neuron is an expert."""
        return self.placed(torch.ones_like(self.influence)) > 0

    def placed(self, values: Tensor) -> Tensor:
        """N x k ``values`` at the experts' places, 0 elsewhere: N x ``shape``.

        Raises:
            ValueError: an index is beyond the shape.
        """
        neurons = math.prod(self.shape)
        beyond = self.indices[(self.indices < 0) | (self.indices >= neurons)]
        if len(beyond):
            raise ValueError(f"no neuron {int(beyond[0])} of {neurons}")
        empty = values.new_zeros(len(values), neurons)
        return empty.scatter_(1, self.indices, values).unflatten(1, self.shape)

    def seen_in(self, influence: Tensor) -> "Experts":
        """The same neurons with their influence on other pictures, N x ``shape``.

        The experts of one picture or of a mean are taken for all N.
        """
        indices = self.indices.expand(len(influence), -1)
        return Experts(indices, influence.flatten(1).gather(1, indices), self.shape)


def top_neurons(influence: Tensor, share: float) -> Experts:
    """The experts of a layer: the neurons of greatest influence.

    Args:
        influence: N x the layer's shape, of N pictures or of a mean (N = 1).
        share: of the layer's neurons, in (0, 1]; at least one is taken.

    Raises:
        ValueError: ``share`` is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share of experts must be above 0 and at most 1: {share:g}")
    neurons = influence.flatten(1)
    best = neurons.topk(max(1, round(share * neurons.shape[1])), dim=1)
    return Experts(best.indices, best.values, influence.shape[1:])


def find_experts(
    influence: InternalInfluence, pixels: Tensor, *, share: float
) -> dict[str, Experts]:
    """Every picture's own experts at every slice, from one forward and one backward pass.

    Args:
        influence: what is measured, and where.
        pixels: N x 3 x H x W in [0, 1], of the network's floating-point type.
        share: see :func:`top_neurons`.

    Raises:
        ValueError: see :meth:`glassguard.influence.internal.InternalInfluence.measure` and
            :func:`top_neurons`, or an influence is not finite.
    """
    return influence.measure(
        pixels,
        lambda name, found: top_neurons(require_finite(f"influence at {name}", found), share),
    ).slices


def class_experts(
    influence: InternalInfluence, batches: Iterable[Tensor], *, share: float
) -> dict[str, Experts]:
    """The experts of a class: the neurons of greatest mean influence over its pictures.

    Args:
        influence: what is measured, and where.
        batches: the class's pictures, each N x 3 x H x W in [0, 1], of the network's floating-point
            type.
        share: see :func:`top_neurons`.

    Returns:
        By slice, experts of one row; see :meth:`Experts.seen_in`.

    Raises:
        ValueError: there is no picture, or as :func:`find_experts`.
    """
    total: dict[str, Tensor] = {}
    failed: list[NotFiniteError] = []
    count = 0

    def add(name: str, found: Tensor) -> None:
        summed = require_finite(f"influence at {name}", found).sum(dim=0, keepdim=True)
        total[name] = total[name].add_(summed) if name in total else summed

    for pixels in batches:
        try:
            influence.measure(pixels, add)
        except NotFiniteError as error:
            failed.append(error.counted_from(count))
        count += len(pixels)
    if failed:
        raise together(failed)
    if not count:
        raise ValueError("a class without pictures has no experts")
    return {name: top_neurons(total[name] / count, share) for name in influence.slices}


def pulled_back(
    network: nn.Module,
    slices: Slices,
    pixels: Tensor,
    vector: Callable[[str], Tensor],
    *,
    guided: bool = False,
) -> dict[str, Tensor]:
    """Propagate vectors of a layer's shape to the pixels: one vector-Jacobian product a slice.

    Args:
        network: in evaluation mode.
        slices: the module whose output each slice is.
        pixels: N x 3 x H x W in [0, 1], of the network's floating-point type.
        vector: gives the vector of a slice by its name: N x the slice's shape.
        guided: every ReLU on the way passes only positive gradients.

    Returns:
        By slice, N x 3 x H x W float32.

    Raises:
        ValueError: a slice does not depend on the pixels by any gradient, does not run, or its
            module runs more than once; the network is in training mode or works in place where
            gradients cannot follow; a map or a logit is not finite; or the rule is guided and the
            network has a ReLU that is no ``nn.ReLU`` module, something that may hide one, or none.
    """
    require_evaluation_mode(network)
    with torch.inference_mode(False), torch.enable_grad(), with_gradients(network, pixels):
        return behind_inference_mode(
            network, lambda: _pulled_back(network, slices, pixels, vector, guided)
        )


def _pulled_back(
    network: nn.Module,
    slices: Slices,
    pixels: Tensor,
    vector: Callable[[str], Tensor],
    guided: bool,
) -> dict[str, Tensor]:
    leaf = own_pixels(pixels).requires_grad_(True)
    edges: dict[str, GradientEdge] = {}
    outputs: dict[str, tuple[torch.Size, torch.dtype]] = {}

    def remember(name: str, output: Tensor) -> None:
        outputs[name] = output.shape, output.dtype
        if depends_on(output, leaf):
            # The edge, not the tensor: a later activation may change that in place.
            edges[name] = get_gradient_edge(output)

    def pull(name: str, *, last: bool) -> Tensor:
        given = vector(name)
        shape, kind = outputs[name]
        if given.shape != shape:
            raise ValueError(
                f"{name}: a vector of shape {tuple(given.shape)} for {tuple(shape)}; "
                "experts are of pictures of the same size"
            )
        # Influence is often below the smallest number of float16.
        unit = given.abs().amax().clamp_min(1e-30) if kind == torch.float16 and len(given) else 1
        (pulled,) = torch.autograd.grad(
            edges[name],
            leaf,
            grad_outputs=(given / unit).to(kind),
            retain_graph=not last,
            allow_unused=True,
        )
        if pulled is None:
            raise ValueError(f"{name}: no gradient gets from it to the pixels")
        return require_finite(f"the map of {name}", pulled.float() * unit)

    with watched(slices, remember):
        run = GuidedPass(network, leaf) if guided else None
        logits = finite_logits(network(leaf.clone()), len(leaf)) if run is None else run.logits
    silent = [name for name in slices if name not in outputs]
    if silent:
        raise ValueError(f"{', '.join(silent)}: not run by the network")
    apart = [name for name in slices if name not in edges]
    if apart:
        raise ValueError(
            f"{', '.join(apart)}: does not depend on the pixels by any gradient; gradients stop "
            f"{where_gradients_stop(network, leaf)}"
        )
    if run is not None:
        starts = logits.grad_fn, *(edge.node for edge in edges.values())
        run.require_guided(*starts)
        run.require_piecewise_linear(*starts)
    names = list(slices)
    return {name: pull(name, last=name == names[-1]) for name in names}


def experts_of(experts: Mapping[str, Experts], name: str, count: int) -> Experts:
    """The experts of slice ``name``, of ``count`` pictures.

    Raises:
        ValueError: the slice has none, or they are of another number of pictures.
    """
    if name not in experts:
        raise ValueError(
            f"{name}: no experts; there are those of {', '.join(experts) or 'nothing'}"
        )
    of_slice = experts[name]
    if len(of_slice.influence) != count:
        raise ValueError(
            f"{name}: experts of {len(of_slice.influence)} picture(s) for {count}; those "
            "of a class are asked by seen_in what they are worth in each picture"
        )
    return of_slice


def heat_maps(
    network: nn.Module, slices: Slices, pixels: Tensor, experts: Mapping[str, Experts]
) -> dict[str, Tensor]:
    """The experts' influence, propagated back to the pixels (Study I, Fig. 4).

    With all neurons as experts this is the gradient of the quantity of interest itself.

    Args:
        network: in evaluation mode.
        slices: the module whose output each slice is.
        pixels: N x 3 x H x W in [0, 1], of the network's floating-point type.
        experts: by slice, of these N pictures.

    Returns:
        By slice, N x 3 x H x W float32: quantity per unit of pixel value, signs kept.

    Raises:
        ValueError: see :func:`pulled_back` and :func:`experts_of`.
    """

    def influence(name: str) -> Tensor:
        of_slice = experts_of(experts, name, len(pixels))
        return of_slice.placed(of_slice.influence)

    return pulled_back(network, slices, pixels, influence)
