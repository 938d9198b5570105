"""Internal influence of every slice of a network (Leino et al. 2018, section 2; Study I, 2.2).

The network is f = g o h, cut at a slice with z = h(x); the influence of neuron j on the quantity
of interest q is the gradient of q(g(z)) with respect to z_j, here at the picture itself (the
point distribution). There is no factor z_j: that would be attribution.

All slices are read off one forward and one backward pass. A gradient is reduced to one number a
filter the moment it arrives at its slice and is then dropped, so that at 224 pixels an image costs
a few kilobytes in place of 54 MB.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

Quantity = Literal["logit", "comparative", "softmax"]
Reduction = Literal["max", "abs_max", "mean"]


@dataclass(frozen=True)
class InfluenceProfiles:
    """Profiles of a batch.

    Attributes:
        profiles: per slice N x filters float32; per neuron where the slice is dense.
        logits: N x C float32.
    """

    profiles: dict[str, Tensor]
    logits: Tensor


def refuse_inplace_activations(network: nn.Module) -> None:
    """Raise where an activation overwrites its input.

    In-place rectification silently turns the gradient at a convolution's output into the gradient
    behind the ReLU.

    Raises:
        ValueError: naming the first such module.
    """
    for name, module in network.named_modules():
        if getattr(module, "inplace", False):
            raise ValueError(
                f"{name or type(module).__name__} works in place, which falsifies internal "
                "gradients; build it with inplace=False"
            )


def logits_of(logits: Tensor, classes: Tensor | None = None) -> Tensor:
    """The logit of one class per row.

    Args:
        logits: N x C.
        classes: N int64; the largest logit's class when None.

    Returns:
        N logits.

    Raises:
        ValueError: ``classes`` is not one class a row.
    """
    chosen = logits.detach().argmax(dim=1) if classes is None else classes
    if chosen.shape != logits.shape[:1]:
        raise ValueError(f"one class a picture: {tuple(chosen.shape)} for {len(logits)} pictures")
    return logits.gather(1, chosen[:, None]).squeeze(1)


def _comparative(logits: Tensor) -> Tensor:
    best = logits.topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


QUANTITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "logit": logits_of,
    "comparative": _comparative,
    "softmax": lambda logits: logits_of(logits.softmax(dim=1)),
}
"""Quantities of interest of the predicted class, the only class known at test time.

``comparative`` is its logit minus the runner-up's. ``softmax`` is there for comparison: its
gradient vanishes exactly on confident attacks.
"""

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda gradient: gradient.amax(dim=(2, 3)),
    "abs_max": lambda gradient: gradient.abs().amax(dim=(2, 3)),
    "mean": lambda gradient: gradient.mean(dim=(2, 3)),
}
"""From N x filters x height x width to N x filters; the sources take the maximum over space."""


def _reduce(gradient: Tensor, reduction: str) -> Tensor:
    return REDUCTIONS[reduction](gradient) if gradient.ndim == 4 else gradient.clone()


@dataclass
class Observation:
    """What the hooks of :func:`observed_slices` see.

    Attributes:
        start: output of the slice that ran first; the backward pass ends there.
        profiles: per slice the reduced gradient, N x filters, filled by the backward pass.
    """

    start: Tensor | None = None
    profiles: dict[str, Tensor] = field(default_factory=dict)


@contextmanager
def observed_slices(
    slices: Mapping[str, nn.Module], *, reduction: Reduction = "max"
) -> Iterator[Observation]:
    """While open, a backward pass leaves the reduced gradient of every slice in the observation.

    On a frozen network the output of the first slice becomes the start of the graph. All hooks
    are gone when the context is left, by an error as well.

    Args:
        slices: the module whose output each slice is, one behind the other.
        reduction: how space is reduced to one number a filter.
    """
    observation = Observation()

    def observe(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def reduce_gradient(gradient: Tensor) -> None:
            observation.profiles[name] = _reduce(gradient, reduction)

        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if not output.requires_grad:
                output.requires_grad_(True)
            if observation.start is None:
                observation.start = output
            output.register_hook(reduce_gradient)

        return hook

    handles = [module.register_forward_hook(observe(name)) for name, module in slices.items()]
    try:
        yield observation
    finally:
        for handle in handles:
            handle.remove()


def influence_profiles(
    network: nn.Module,
    slices: Mapping[str, nn.Module],
    pixels: Tensor,
    *,
    quantity: Quantity = "logit",
    reduction: Reduction = "max",
) -> InfluenceProfiles:
    """Influence profiles of a batch at several slices, from one forward and one backward pass.

    Args:
        network: maps ``pixels`` to N x C logits; in evaluation mode. Frozen or not: gradients of
            weights and of pixels are not computed and nothing is accumulated.
        slices: the module whose output each slice is, one behind the other. A slice at a ReLU is
            the post position, at the convolution before it the pre position; there
            ``pre == post * (z > 0)`` holds before the reduction.
        pixels: N x 3 x H x W float32 in [0, 1].
        quantity: what influence is measured on, a key of :data:`QUANTITIES`.
        reduction: a key of :data:`REDUCTIONS`; dense slices are kept neuron by neuron.

    Returns:
        Profiles in the order of ``slices`` (quantity per unit of activation), and the logits.

    Raises:
        ValueError: an activation works in place, or a slice is not on the way to the logits.
    """
    refuse_inplace_activations(network)
    with torch.enable_grad(), observed_slices(slices, reduction=reduction) as observation:
        logits = network(pixels)
        if observation.start is not None:
            # Asked for the first slice only, autograd computes the gradients on the way there
            # and nothing else; what it returns has been reduced by the hook already.
            total = QUANTITIES[quantity](logits).sum()
            torch.autograd.grad(total, observation.start, allow_unused=True)
    missing = [name for name in slices if name not in observation.profiles]
    if missing:
        raise ValueError(f"no influence at {', '.join(missing)}: not on the way to the logits")
    return InfluenceProfiles({name: observation.profiles[name] for name in slices}, logits.detach())
