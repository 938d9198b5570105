"""Gradients, reduced as soon as they arrive at their slices in a backward pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

from glassguard.influence.distributions import expectation
from glassguard.influence.graph import depends_on
from glassguard.influence.quantities import Quantity
from glassguard.influence.watching import Slices

Reduced = TypeVar("Reduced")


@dataclass(frozen=True)
class Measured(Generic[Reduced]):
    """What a gradient was reduced to at every slice.

    Attributes:
        slices: by name, in the order in which the slices were given.
        logits: N x C float32, of the pictures.
    """

    slices: dict[str, Reduced]
    logits: Tensor


class _Anchor(torch.autograd.Function):
    """Makes the output of the first slice on a way a start of the graph, without a copy.

    The gradient that is asked for is that of a number that nothing depends on. Asked for the output
    itself, autograd would return the gradient after an activation that works in place.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, anchor: Tensor) -> Tensor:
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0].new_zeros(())


class _Received(torch.autograd.Function):
    """Receives the gradient of an output that is part of a tensor and was changed there in place.

    It starts the graph as well, but passes gradients on. Gradients of readers of the whole tensor
    arrive here too; a hook on the output would miss them.
    """

    @staticmethod
    def forward(
        ctx: Any, output: Tensor, anchor: Tensor, receive: Callable[[Tensor], None]
    ) -> Tensor:
        ctx.mark_dirty(output)
        ctx.receive = receive
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        ctx.receive(gradients[0])
        return gradients[0], gradients[0].new_zeros(()), None


class Gathered(Generic[Reduced]):
    """Puts hooks on the outputs of slices and gathers what arrives there."""

    def __init__(
        self,
        slices: Slices,
        reduce: Callable[[str, Tensor], Reduced],
        count: int,
        weights: Sequence[float],
        times_activation: bool,
    ) -> None:
        self.slices, self.reduce = slices, reduce
        self.count, self.weights = count, weights
        self.times_activation = times_activation
        self.anchor: Tensor | None = None
        self.seen: set[str] = set()
        self.found: dict[str, Reduced] = {}

    def see(self, name: str, output: Tensor, start: Tensor | None = None) -> Tensor:
        """Take the output of a slice; returns what takes its place."""
        self.seen.add(name)
        if not torch.is_grad_enabled():
            return output
        if self.anchor is None:
            self.anchor = output.new_zeros((), requires_grad=True)
        part = output._is_view()
        # With weights that are not frozen, a parallel branch has a graph, but autograd would not
        # walk it: nothing in it is asked for.
        if not part and not depends_on(output, self.anchor):
            output = _Anchor.apply(output, self.anchor)
        version = output._version
        activation = output.detach()[-self.count :] if self.times_activation else None

        def receive(gradient: Tensor | None) -> None:
            # None after operations without a backward pass, such as kernels of quantisation.
            if gradient is None:
                return
            gradient = _at_least_float32(gradient)
            influence = expectation(gradient, self.weights) if self.weights else gradient
            if activation is not None:
                if activation._version != version:
                    raise ValueError(
                        f"{name}: its activation was overwritten in place by what follows; build "
                        "that with inplace=False"
                    )
                influence = influence * (activation if start is None else activation - start)
            self.found[name] = self.reduce(name, influence.float())

        if part:
            # The module may keep its output, whose values stay as they are.
            with _unsafe_preserve_version_counter(output):
                return _Received.apply(output, self.anchor, receive)
        output.register_hook(receive)
        return output

    def backward(self, logits: Tensor, quantity: Quantity) -> None:
        """Run the backward pass from a quantity of the logits to the slices."""
        if self.anchor is None or not logits.requires_grad:
            return
        logits = _at_least_float32(logits)
        pictures = logits[len(logits) - self.count :]
        points = logits.unflatten(0, (-1, self.count)) if self.weights else logits
        total = quantity(points, pictures).sum()
        torch.autograd.grad(total, self.anchor, allow_unused=True)


def measured(
    slices: Slices, passes: Sequence[Gathered[Reduced]], logits: Tensor
) -> Measured[Reduced]:
    """What all passes have gathered, in the order of the slices."""
    seen = {name for gathered in passes for name in gathered.seen}
    absent = [name for name in slices if name not in seen]
    if absent:
        raise ValueError(
            f"{', '.join(absent)}: not run by the network, or not so often as the call's number"
        )
    found = {name: reduced for gathered in passes for name, reduced in gathered.found.items()}
    missing = [name for name in slices if name not in found]
    if missing:
        raise ValueError(
            f"no influence at {', '.join(missing)}: not on the way to the logits by any gradient "
            "(no_grad, inference_mode and detach stop them)"
        )
    return Measured({name: found[name] for name in slices}, logits.detach().float())


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
