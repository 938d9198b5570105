"""Guided backpropagation (Springenberg et al. 2015), as the saliency mask of Hayes 2018 uses it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from glassguard.influence.graph import nodes_behind
from glassguard.influence.internal import own_pixels
from glassguard.influence.quantities import Logit
from glassguard.recognizer.answers import require_evaluation_mode, require_logits


@contextmanager
def guided_activations(network: nn.Module) -> Iterator[Callable[[Tensor], None]]:
    """While open, every ReLU of ``network`` passes only positive gradients backward.

    The forward pass is untouched. A ReLU's own backward pass already drops the gradient where its
    input was negative; the other half of the guided rule, dropping negative gradients, is put on
    the gradient that arrives at its output, and is gone again when the context is left. A ReLU may
    work in place and may be shared: every call of it is guided.

    Args:
        network: the network whose ``nn.ReLU`` modules are guided.

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
        for node in nodes_behind(logits.grad_fn):
            if _is_rectifier(node) and node not in guided:
                raise ValueError(
                    f"{type(network).__name__} calls a ReLU that is no nn.ReLU module "
                    f"({node.name()}): guided backpropagation would be the plain gradient there"
                )

    handles = [module.register_forward_hook(guide) for module in activations]
    try:
        yield check
    finally:
        for handle in handles:
            handle.remove()


_RECTIFIERS = {
    "ReluBackward": lambda node: True,
    "ThresholdBackward": lambda node: True,
    "ClampMinBackward": lambda node: True,
    # With both ends it is what cuts pixels to their range.
    "ClampBackward": lambda node: node._saved_min == 0 and node._saved_max is None,
    # ReLU6 is one from 0 to 6.
    "HardtanhBackward": lambda node: node._saved_min_val == 0,
    "LeakyReluBackward": lambda node: node._saved_negative_slope == 0,
    "PreluKernelBackward": lambda node: not node._saved_weight.any(),
    # The larger of a tensor and a constant, and a choice between them.
    "MaximumBackward": lambda node: None in (before for before, _ in node.next_functions),
    "WhereBackward": lambda node: None in (before for before, _ in node.next_functions),
}


def _is_rectifier(node: Node) -> bool:
    """Whether a node is a ReLU, by whatever name it was called: ``clamp(min=0)`` is one as well.

    A product with ``x > 0`` is one that no graph shows.
    """
    return any(
        node.name().startswith(name) and is_one(node) for name, is_one in _RECTIFIERS.items()
    )


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
    with torch.inference_mode(False), torch.enable_grad(), guided_activations(network) as check:
        leaf = own_pixels(pixels).requires_grad_(True)
        logits = require_logits(network(leaf.clone()), len(leaf))
        check(logits)
        (gradient,) = torch.autograd.grad(Logit(classes)(logits, logits).sum(), leaf)
    return gradient
