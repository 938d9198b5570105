"""The products of dense layers in training, by NumPy's linear algebra.

MKL, which PyTorch takes for dense layers, gives the same bits on all processors only by the kernels
of the oldest (:mod:`glassguard.kernels`). NumPy's OpenBLAS has such kernels for AVX2, and they take
less than half of the time.
"""

from typing import Any

import torch
from torch import Tensor, nn


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(given, weight)
        return _product(given, weight.T).add_(bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        (gradient,) = gradients
        given, weight = ctx.saved_tensors
        back = _product(gradient, weight) if ctx.needs_input_grad[0] else None
        return back, _product(gradient.T, given), gradient.sum(dim=0)


def _product(left: Tensor, right: Tensor) -> Tensor:
    return torch.from_numpy(left.detach().numpy() @ right.detach().numpy())


def dense_answer(layers: nn.Sequential, features: Tensor) -> Tensor:
    """What dense layers make of features, with gradients for the training of the layers.

    The number of threads is NumPy's, and the order of sums depends on it.

    Args:
        layers: ``nn.Linear`` with bias, and modules that are not dense.
        features: N x features, in main memory, of the layers' number type.

    Returns:
        N x outputs, ``layers(features)`` up to rounding.
    """
    for layer in layers:
        if isinstance(layer, nn.Linear):
            features = _Dense.apply(features, layer.weight, layer.bias)
        else:
            features = layer(features)
    return features
