"""Guided backpropagation against Captum, and activations that it cannot see."""

from collections.abc import Callable

import pytest
import torch
from captum.attr import (
    GuidedBackprop,
)
from small_networks import KINDS, HalfFunctional, Small, hooks_left, relative_error
from torch import Tensor, nn

from glassguard.influence.guided_backpropagation import guided_backpropagation
from glassguard.recognizer.network import FaceRecognizer


@pytest.mark.parametrize("kind", KINDS)
def test_guided_backpropagation_through_inplace_and_shared_activations(
    kind: str, pixels: Tensor
) -> None:
    clean, network = Small("plain").eval(), Small(kind).eval()
    classes = clean(pixels).argmax(1)
    expected = GuidedBackprop(clean).attribute(pixels.clone().requires_grad_(True), classes)
    assert relative_error(guided_backpropagation(network, pixels), expected) <= 1e-6
    assert hooks_left(network) == 0


@pytest.mark.parametrize("given", [True, False])
def test_guided_backpropagation_equals_captum(
    network: FaceRecognizer, pixels: Tensor, given: bool
) -> None:
    classes = torch.tensor([0, 1, 2, 3, 4, 0]) if given else network(pixels).argmax(1)
    expected = GuidedBackprop(network).attribute(pixels.clone().requires_grad_(True), classes)
    ours = guided_backpropagation(network, pixels, classes if given else None)
    assert expected.abs().sum() > 0
    assert torch.equal(ours, expected)


def test_guided_backpropagation_without_activations_is_refused_by_name(pixels: Tensor) -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(pixels[0].numel(), 5)

        def forward(self, seen: Tensor) -> Tensor:
            return torch.relu(self.dense(seen.flatten(1)))

    with pytest.raises(ValueError, match=r"Functional has no nn\.ReLU module"):
        guided_backpropagation(Functional().eval(), pixels)


def test_guided_backpropagation_wants_one_class_a_picture(
    network: FaceRecognizer, pixels: Tensor
) -> None:
    with pytest.raises(ValueError, match="one class a picture"):
        guided_backpropagation(network, pixels, torch.tensor([1]))


@pytest.mark.parametrize(
    "rectify",
    [
        torch.relu,
        lambda values: values.clamp(min=0),
        lambda values: values.clamp_min(0),
        lambda values: nn.functional.threshold(values, 0.0, 0.0),
        nn.functional.relu6,
        lambda values: nn.functional.leaky_relu(values, 0.0),
        lambda values: nn.functional.prelu(values, torch.zeros(1)),
        lambda values: torch.maximum(values, torch.zeros(())),
        lambda values: torch.where(values > 0, values, 0.0),
    ],
    ids=["relu", "clamp", "clamp_min", "threshold", "relu6", "leaky", "prelu", "maximum", "where"],
)
def test_a_functional_activation_beside_modules_is_refused(
    pixels: Tensor, rectify: Callable[[Tensor], Tensor]
) -> None:
    network = HalfFunctional(rectify).eval()
    with pytest.raises(ValueError, match="HalfFunctional calls a ReLU that is no"):
        guided_backpropagation(network, pixels)
    assert hooks_left(network) == 0


@pytest.mark.parametrize(
    "harmless",
    [
        lambda values: values.clamp(0.0, 1.0),
        lambda values: nn.functional.leaky_relu(values, 0.1),
        lambda values: torch.maximum(values, 2 * values),
        nn.functional.hardtanh,
    ],
    ids=["pixel range", "leaky", "maxout", "hardtanh"],
)
def test_what_is_no_rectifier_is_let_through(
    harmless: Callable[[Tensor], Tensor], pixels: Tensor
) -> None:
    network = HalfFunctional(harmless).eval()
    assert guided_backpropagation(network, pixels).shape == pixels.shape
