"""Less memory for gradients through convolutions when those of the weights are not needed.

The gradient with respect to a convolution's input depends on that input's shape alone; its values
serve the gradient of the weights. PyTorch keeps them for either. At 224 pixels they are a fifth of
the memory of a backward pass through VGG-16.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class _Shape:
    """Replaces a tensor of which only shape, type and device matter."""

    def __init__(self, tensor: Tensor) -> None:
        self.shape = tensor.shape
        self.one = tensor.new_empty(1)

    def tensor(self) -> Tensor:
        # As torch.nn.grad.conv2d_input does.
        return self.one.expand(self.shape)


@contextmanager
def inputs_forgotten(network: nn.Module) -> Iterator[None]:
    """Context in which forward passes do not keep the inputs of convolutions for backward.

    Gradients of inputs are the same to the bit. Those of weights would be wrong.

    Modules of ``network`` that derive from ``nn.Conv2d`` are left alone if they have a forward pass
    of their own, which may use the input again, or weights that are no parameters.
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
