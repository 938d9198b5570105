"""Guided backpropagation (Springenberg et al. 2015), as the saliency mask of Hayes 2018 uses it."""

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter
from torch.autograd.graph import Node

from glassguard.influence.graph import depends_on, nodes_between, where_gradients_stop
from glassguard.influence.passes import (
    behind_inference_mode,
    finite_logits,
    own_pixels,
    with_gradients,
)
from glassguard.influence.quantities import Logit
from glassguard.influence.rectifiers import RectifierSearch
from glassguard.recognizer.answers import require_evaluation_mode
from glassguard.recognizer.finite import require_finite

PIECEWISE_LINEAR = (nn.ReLU, nn.Hardtanh, nn.PReLU, nn.LeakyReLU)
"""Activations that are guided; ``nn.ReLU6`` derives from ``nn.Hardtanh``."""

SMOOTH = (
    *(nn.Sigmoid, nn.LogSigmoid, nn.Hardsigmoid, nn.Tanh, nn.Tanhshrink, nn.Softsign),
    *(nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Hardswish),
    *(nn.Softshrink, nn.Hardshrink, nn.RReLU, nn.Threshold, nn.GLU),
)
"""Activations for which guided backpropagation has no rule."""


class _Guide(torch.autograd.Function):
    """Changes nothing forward and drops negative gradients backward.

    It works in place: readers of the tensor that its input is a part of are guided as well.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor) -> Tensor:
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].clamp_min(0.0)


class GuidedPass:
    """A forward pass whose backward pass lets every ReLU pass only positive gradients.

    Other piecewise linear activations are guided as a ReLU is: a gradient passes where it is
    positive and the unit's slope is one, that is between the bounds of ``nn.ReLU6`` and
    ``nn.Hardtanh``, and on the positive side of ``nn.PReLU`` and ``nn.LeakyReLU``.

    The network's answer stays the same. A ReLU's own backward pass already drops the gradient where
    its input was negative; this class drops negative gradients that arrive at its output, the other
    half of the guided rule. A ReLU may work in place, also on part of a tensor, and may be shared:
    every call of it is guided. No hook stays on the network.

    Args:
        network: whose modules of :data:`PIECEWISE_LINEAR` are guided.
        leaf: N x 3 x H x W pixels that require a gradient.

    Attributes:
        logits: N x C.

    Raises:
        ValueError: the network has no such module, or does not answer with logits.
    """

    def __init__(self, network: nn.Module, leaf: Tensor) -> None:
        modules = list(network.modules())
        activations = [module for module in modules if isinstance(module, PIECEWISE_LINEAR)]
        if not activations:
            raise ValueError(
                f"{type(network).__name__} has no nn.ReLU module: guided backpropagation would be "
                "the plain gradient"
            )
        self._network, self._leaf = network, leaf
        self._search = RectifierSearch(_Guide)
        self._guided: set[Node | None] = set()
        self._smooth: list[tuple[str, Node | None]] = []
        with ExitStack() as stack:
            for module in activations:
                # First, since a slice's hook may ask for the gradient of what comes out here.
                handle = module.register_forward_hook(self._guide, prepend=True)
                stack.callback(handle.remove)
            for smooth in (module for module in modules if isinstance(module, SMOOTH)):
                stack.callback(smooth.register_forward_hook(self._remember).remove)
            stack.enter_context(self._search)
            self.logits = finite_logits(network(leaf.clone()), len(leaf))

    def _guide(self, module: nn.Module, inputs: Any, output: Any) -> None:
        # The search judges subclasses that compute no ReLU.
        if not isinstance(output, Tensor):
            return
        if not self._search.taken(output) and isinstance(module, nn.ReLU):
            return
        if isinstance(module, nn.PReLU | nn.LeakyReLU):
            self._guide_leaking(inputs[0], output)
        elif output._base is None:
            output.register_hook(lambda gradient: gradient.clamp_min(0.0))
            self._guided.add(output.grad_fn)
        else:
            # The ReLU keeps its output, whose values stay as they are.
            with _unsafe_preserve_version_counter(output):
                _Guide.apply(output)
            self._search.know(output)
            self._guided.add(output._base.grad_fn)

    def _guide_leaking(self, values: Tensor, output: Tensor) -> None:
        if output is values or output._base is not None:
            raise ValueError(
                f"{type(self._network).__name__} runs an activation with a leak in place: build it "
                "with inplace=False"
            )
        positive = values.detach() > 0
        output.register_hook(lambda gradient: gradient.clamp_min(0.0) * positive)
        self._guided.add(output.grad_fn)

    def _remember(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            self._smooth.append((type(module).__name__, output.grad_fn))

    def require_guided(self, *nodes: Node | None) -> None:
        """Refuse gradients that would pass a ReLU which is not guided.

        Args:
            nodes: where the gradients will start: each tensor's ``grad_fn``.

        Raises:
            ValueError: such a ReLU lies on their way to the pixels, or something that may hide one.
        """
        for problem in self._search.problems(self._leaf, *nodes):
            raise ValueError(
                f"{type(self._network).__name__} {problem}: guided backpropagation would be the "
                "plain gradient there"
            )

    def require_any(self) -> None:
        """Refuse (``ValueError``) logits whose gradients pass no guided ReLU."""
        if self._guided.isdisjoint(nodes_between(self._leaf, self.logits.grad_fn)):
            raise ValueError(
                f"{type(self._network).__name__} runs none of its nn.ReLU modules between pixels "
                "and logits: guided backpropagation would be the plain gradient"
            )

    def require_piecewise_linear(self, *nodes: Node | None) -> None:
        """Refuse (``ValueError``) gradients that would pass an activation without a rule.

        Args:
            nodes: where the gradients will start: each tensor's ``grad_fn``.
        """
        way = nodes_between(self._leaf, *nodes)
        for name, node in self._smooth:
            if node in way:
                allowed = ", ".join(one.__name__ for one in PIECEWISE_LINEAR)
                raise ValueError(
                    f"{type(self._network).__name__} runs nn.{name}, for which guided "
                    f"backpropagation has no rule; allowed are {allowed} and ReLU6"
                )


def guided_logits(network: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels and their logits, for a backward pass by the guided rule.

    Call it where gradients are on and inference mode is off.

    Args:
        network: maps N x 3 x H x W pixels to N x C logits; in evaluation mode, with every ReLU a
            module.
        pixels: N x 3 x H x W floating point, of the network's type.

    Returns:
        A copy of the pixels that requires a gradient, and N x C logits.

    Raises:
        ValueError: as :func:`guided_backpropagation`.
    """
    leaf = own_pixels(pixels).requires_grad_(True)
    run = GuidedPass(network, leaf)
    if not depends_on(run.logits, leaf):
        raise ValueError(
            f"{type(network).__name__}: the logits do not depend on the pixels by any gradient; "
            f"gradients stop {where_gradients_stop(network, leaf)}"
        )
    run.require_guided(run.logits.grad_fn)
    run.require_any()
    run.require_piecewise_linear(run.logits.grad_fn)
    return leaf, run.logits


def guided_backpropagation(
    network: nn.Module, pixels: Tensor, classes: Tensor | None = None
) -> Tensor:
    """Guided gradient of one logit per picture with respect to its pixels.

    Args:
        network: maps N x 3 x H x W pixels to N x C logits; in evaluation mode, with every ReLU a
            module.
        pixels: N x 3 x H x W in [0, 1], of the network's floating-point type.
        classes: N int64, the class whose logit is explained; the predicted one when None.

    Returns:
        N x 3 x H x W float32, logits per unit of pixel value; signs kept.

    Raises:
        ValueError: ``classes`` has another length than ``pixels`` or names no class; the network is
            in training mode, has no ``nn.ReLU`` module on the way, or another ReLU there or
            something that may hide one; gradients do not get from the logits to the pixels, or
            something is not finite.
    """
    require_evaluation_mode(network)
    with torch.inference_mode(False), torch.enable_grad(), with_gradients(network, pixels):
        leaf, logits = behind_inference_mode(network, lambda: guided_logits(network, pixels))
        (gradient,) = torch.autograd.grad(Logit(classes)(logits, logits).sum(), leaf)
    return require_finite("the guided gradient", gradient.float())
