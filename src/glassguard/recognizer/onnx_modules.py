"""Modules for operators of ONNX that PyTorch has only as functions."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Arithmetic(nn.Module):
    """Two operands, one of which may be a constant."""

    def __init__(
        self, combine: Callable[[Tensor, Tensor], Tensor], constant: Tensor | None, place: int
    ) -> None:
        super().__init__()
        self.combine, self.place = combine, place
        self.register_buffer("constant", constant)

    def forward(self, *given: Tensor) -> Tensor:
        """The operands in their order."""
        if isinstance(self.constant, Tensor):
            pair = [*given]
            pair.insert(self.place, self.constant)
            return self.combine(*pair)
        return self.combine(*given)


class Convolution(nn.Conv2d):
    """A convolution whose weights are set afterwards: none are drawn."""

    def reset_parameters(self) -> None:
        """Leave them as they are."""


class Dense(nn.Linear):
    """A dense layer whose weights are set afterwards: none are drawn."""

    def reset_parameters(self) -> None:
        """Leave them as they are."""


class Reshaped(nn.Module):
    """Each picture's numbers in another shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, values: Tensor) -> Tensor:
        """N x ... to N x shape."""
        return values.reshape(len(values), *self.shape)


class Joined(nn.Module):
    """Tensors side by side along an axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *given: Tensor) -> Tensor:
        """All of them in their order."""
        return torch.cat(given, dim=self.axis)


class UnitLength(nn.Module):
    """Vectors divided by their Euclidean length."""

    def forward(self, values: Tensor) -> Tensor:
        """N x ..., each of length one along the second axis."""
        return values / values.norm(dim=1, keepdim=True)


class Mean(nn.Module):
    """The mean over some axes."""

    def __init__(self, axes: list[int], keep: bool) -> None:
        super().__init__()
        self.axes, self.keep = axes, keep

    def forward(self, values: Tensor) -> Tensor:
        """N x ... to N x ..."""
        return values.mean(dim=self.axes, keepdim=self.keep)
