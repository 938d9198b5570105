"""Small networks with every kind of ReLU, and what tests ask of them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glassguard.influence.internal import InfluenceProfiles, InternalInfluence
from glassguard.influence.quantities import (
    Quantity,
)
from glassguard.influence.settings import Reduction
from glassguard.influence.watching import Call, Slices


class Small(nn.Module):
    """Three convolutions and a dense layer; ``conv2`` runs into a ReLU of any kind.

    Args:
        kind: ``plain``, a ReLU for every layer; ``inplace``, the same, working in place;
            ``shared``, one for all; ``shared_inplace``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.conv3 = nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(4)
        self.fc = nn.Linear(8 * 8 * 8, 5)
        inplace = kind.endswith("inplace")
        if kind.startswith("shared"):
            self.relu = nn.ReLU(inplace=inplace)
        else:
            self.relu1 = nn.ReLU(inplace=inplace)
            self.relu2 = nn.ReLU(inplace=inplace)
            self.relu3 = nn.ReLU(inplace=inplace)

    def forward(self, pixels: Tensor) -> Tensor:
        seen = pixels
        for layer in ("1", "2", "3"):
            activation = getattr(self, "relu", None) or getattr(self, f"relu{layer}")
            seen = activation(getattr(self, f"conv{layer}")(seen))
        return self.fc(self.pool(seen).flatten(1))

    def slices(self) -> dict[str, nn.Module | Call]:
        """Both positions of every convolution."""
        found: dict[str, nn.Module | Call] = {}
        for number in range(3):
            layer = str(number + 1)
            found[f"conv{layer}"] = getattr(self, f"conv{layer}")
            found[f"relu{layer}"] = (
                Call(self.relu, number) if hasattr(self, "relu") else getattr(self, f"relu{layer}")
            )
        return found


KINDS = ("plain", "inplace", "shared", "shared_inplace")


def profiles_at(
    network: nn.Module,
    slices: Slices,
    pixels: Tensor,
    *,
    quantity: Quantity | None = None,
    reduction: Reduction = "max",
) -> InfluenceProfiles:
    return InternalInfluence(network, slices, quantity=quantity).profiles(
        pixels, reduction=reduction
    )


def relative_error(ours: Tensor, expected: Tensor) -> float:
    assert ours.shape == expected.shape
    assert expected.norm() > 0
    return float((ours - expected).detach().norm() / expected.detach().norm())


def hooks_left(network: nn.Module) -> int:
    return sum(
        len(m._forward_hooks) + len(m._backward_hooks) + len(m._forward_pre_hooks)
        for m in network.modules()
    )


class HalfFunctional(nn.Module):
    """One ReLU that is a module and one that is not."""

    def __init__(self, rectify: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        self.rectify = rectify
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.activation, self.last = nn.ReLU(), nn.Linear(4, 5)

    def forward(self, pixels: Tensor) -> Tensor:
        middle = self.rectify(self.second(self.activation(self.first(pixels))))
        return self.last(middle.mean(dim=(2, 3)))


class Residual(nn.Module):
    """A block as of a ResNet: two convolutions beside a shortcut with one of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.first = nn.Conv2d(4, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.shortcut = nn.Conv2d(4, 6, 1)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.last = nn.Linear(6, 5)

    def forward(self, pixels: Tensor) -> Tensor:
        seen = self.relu1(self.stem(pixels))
        beside = self.shortcut(seen)
        behind = self.relu3(self.second(self.relu2(self.first(seen))) + beside)
        return self.last(behind.mean(dim=(2, 3)))
