"""Less memory for gradients through convolutions whose weights are not asked for theirs.

The gradient with respect to a convolution's input depends on that input's shape alone; its values
are needed for the gradient of the weights. PyTorch keeps them for either. At 224 pixels that is a
fifth of what a backward pass through VGG-16 holds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class _Shape:
    """Stands in for a tensor of which only shape, type and device count."""

    def __init__(self, tensor: Tensor) -> None:
        self.shape = tensor.shape
        self.one = tensor.new_empty(1)

    def tensor(self) -> Tensor:
        # As torch.nn.grad.conv2d_input does.
        return self.one.expand(self.shape)


@contextmanager
def inputs_forgotten(network: nn.Module) -> Iterator[None]:
    """While open, forward passes do not keep the inputs of convolutions for backward.

    Gradients of inputs are the same to the bit. Those of weights must not be asked of what was run
    in here: they would be wrong.

    Args:
        network: whose ``nn.Conv2d`` modules are looked for. Those with a forward pass of their own
            are left alone, since that may use its input once more, and those whose weights are no
            parameters.
    """
    entered: list[Tensor] = []

    def enter(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        entered.append(inputs[0] if inputs else named["input"])

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        entered.pop()

    def pack(tensor: Tensor) -> Tensor | _Shape:
        if not entered:
            return tensor
        own = entered[-1]
        same = tensor.data_ptr() == own.data_ptr() and tensor.shape == own.shape
        return _Shape(tensor) if same else tensor

    def unpack(kept: Tensor | _Shape) -> Tensor:
        return kept.tensor() if isinstance(kept, _Shape) else kept

    handles = []
    for module in network.modules():
        if _convolves_and_nothing_else(module):
            handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            # First, since the hooks of a slice may leave by an error.
            handles.append(module.register_forward_hook(leave, prepend=True))
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _convolves_and_nothing_else(module: nn.Module) -> bool:
    if not isinstance(module, nn.Conv2d) or "forward" in vars(module):
        return False
    # Weights that a network makes of activations need the gradient that is forgotten here.
    if not all(one is None or one.is_leaf for one in (module.weight, module.bias)):
        return False
    kind = type(module)
    return kind.forward is nn.Conv2d.forward and kind._conv_forward is nn.Conv2d._conv_forward
