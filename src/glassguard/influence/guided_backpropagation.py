"""Guided backpropagation (Springenberg et al. 2015), as the saliency mask of Hayes 2018 uses it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from glassguard.influence.internal import require_evaluation_mode
from glassguard.influence.quantities import Logit


@contextmanager
def guided_activations(network: nn.Module) -> Iterator[Callable[[Tensor], None]]:
    """While open, every ReLU of ``network`` passes only positive gradients backward.

    The forward pass is untouched. A ReLU's own backward pass already drops the gradient where its
    input was negative; the other half of the guided rule, dropping negative gradients, is put on
    the gradient that arrives at its output, and is gone again when the context is left. A ReLU may
    work in place and may be shared: every call of it is guided.

    Args:
        network: the network whose ``nn.ReLU`` modules are guided. A functional ReLU is not seen.

    Yields:
        What refuses logits that came through a ReLU which was not guided: to be called with them
        before anything is asked back. It raises ValueError.

    Raises:
        ValueError: the network has no such module.
    """
    activations = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    if not activations:
        raise ValueError(
            f"{type(network).__name__} has no nn.ReLU module: guided backpropagation would be the "
            "plain gradient"
        )

    guided: list[Node | None] = []

    def guide(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            guided.append(output.grad_fn)
            output.register_hook(lambda gradient: gradient.clamp_min(0.0))

    def check(logits: Tensor) -> None:
        seen: set[Node] = set()
        waiting = [logits.grad_fn]
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            if _is_rectifier(node) and node not in guided:
                raise ValueError(
                    f"{type(network).__name__} calls a ReLU that is no nn.ReLU module: guided "
                    "backpropagation would be the plain gradient there"
                )
            waiting += [one for one, _ in node.next_functions]

    handles = [module.register_forward_hook(guide) for module in activations]
    try:
        yield check
    finally:
        for handle in handles:
            handle.remove()


def _is_rectifier(node: Node) -> bool:
    """Whether a node is a ReLU, by whatever name it was called: ``clamp(min=0)`` is one as well."""
    if node.name().startswith("ClampBackward"):
        return node._saved_min == 0 and node._saved_max is None  # type: ignore[attr-defined]
    return node.name().startswith(("ReluBackward", "ClampMinBackward", "ThresholdBackward"))


def guided_backpropagation(
    network: nn.Module, pixels: Tensor, classes: Tensor | None = None
) -> Tensor:
    """Guided gradient of one logit per picture with respect to its pixels.

    Args:
        network: maps N x 3 x H x W pixels to N x C logits; in evaluation mode, with every ReLU a
            module.
        pixels: N x 3 x H x W float32 in [0, 1].
        classes: N int64, the class whose logit is explained; the predicted one when None.

    Returns:
        N x 3 x H x W float32, logits per unit of pixel value; signs kept.

    Raises:
        ValueError: ``classes`` has another length than ``pixels`` or names no class, the network
            is in training mode, or it has a ReLU that is no ``nn.ReLU`` module, or none.
    """
    require_evaluation_mode(network)
    leaf = pixels.detach().requires_grad_(True)
    with torch.enable_grad(), guided_activations(network) as check:
        logits = network(leaf)
        check(logits)
        (gradient,) = torch.autograd.grad(Logit(classes)(logits, logits).sum(), leaf)
    return gradient
