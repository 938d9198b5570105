"""Slices that work in place, are shared, lie side by side or are part of a tensor."""

from typing import Any

import pytest
import torch
from captum.attr import (
    LayerGradientXActivation,
)
from small_networks import KINDS, Residual, Small, hooks_left, profiles_at, relative_error
from torch import Tensor, nn

from glassguard.influence.convolution_inputs import inputs_forgotten
from glassguard.influence.experts import find_experts, heat_maps
from glassguard.influence.guided_backpropagation import guided_backpropagation
from glassguard.influence.internal import InternalInfluence
from glassguard.influence.watching import Call
from glassguard.recognizer.network import FaceRecognizer


def test_nothing_is_left_behind(network: FaceRecognizer, pixels: Tensor) -> None:
    thawed = FaceRecognizer(
        identities=3, image_size=32, width=1 / 16, hidden=8, mean=(0.0,) * 3, scale=255.0
    ).eval()
    given = pixels.clone()
    profiles_at(thawed, thawed.slice_modules(), given)
    guided_backpropagation(thawed, given)
    assert all(parameter.grad is None for parameter in thawed.parameters())
    assert not given.requires_grad
    assert given.grad is None
    assert hooks_left(thawed) == 0
    with pytest.raises(RuntimeError):
        profiles_at(network, network.slice_modules(), pixels[:, :2])
    with pytest.raises(RuntimeError):
        guided_backpropagation(network, pixels[:, :2])
    assert hooks_left(network) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frozen", [True, False])
def test_inplace_and_shared_activations_give_what_captum_finds_without(
    kind: str, frozen: bool, pixels: Tensor
) -> None:
    clean = Small("plain").eval()
    network = Small(kind).requires_grad_(not frozen).eval()
    classes = clean(pixels).argmax(1)
    peer = LayerGradientXActivation(clean, list(clean.slices().values()), multiply_by_inputs=False)
    expected = peer.attribute(pixels.clone().requires_grad_(True), target=classes)
    given = pixels.clone()
    ours = InternalInfluence(network, network.slices()).neurons(given)
    for (name, found), wanted in zip(ours.slices.items(), expected, strict=True):
        assert relative_error(found, wanted) <= 1e-5, name
    assert torch.equal(ours.logits, clean(pixels).detach())
    assert torch.equal(given, pixels)
    assert not given.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    assert hooks_left(network) == 0


@pytest.mark.parametrize("frozen", [True, False])
def test_inputs_of_convolutions_are_not_kept(frozen: bool, pixels: Tensor) -> None:
    clean = Small("plain").requires_grad_(not frozen).eval()
    leaf = pixels.clone().requires_grad_(True)
    (expected,) = torch.autograd.grad(clean(leaf).amax(1).sum(), leaf)
    kept: list[Any] = []
    with inputs_forgotten(clean):
        handle = clean.relu1.register_forward_hook(
            lambda module, inputs, output: kept.append(output.grad_fn.next_functions[0][0])
        )
        total = clean(leaf).amax(1).sum()
        handle.remove()
    assert hooks_left(clean) == 0
    # The first convolution's input is the picture: its strides tell whether that was kept.
    assert kept[0]._saved_input.stride() == (0, 0, 0, 0)
    assert torch.equal(torch.autograd.grad(total, leaf)[0], expected)


class Scaled(nn.Conv2d):
    """A convolution that uses its input twice, as a squeeze or an attention does."""

    def forward(self, seen: Tensor) -> Tensor:
        return super().forward(seen) * seen.square().mean(dim=(1, 2, 3), keepdim=True)


def test_a_convolution_with_a_forward_pass_of_its_own_keeps_its_input(pixels: Tensor) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), Scaled(4, 4, 3), nn.Flatten(), nn.Linear(4 * 28 * 28, 5)
    )
    network.requires_grad_(False).eval()
    peer = LayerGradientXActivation(network, network[1], multiply_by_inputs=False)
    expected = peer.attribute(pixels.clone().requires_grad_(True), target=network(pixels).argmax(1))
    ours = InternalInfluence(network, {"relu": network[1]}).neurons(pixels)
    assert relative_error(ours.slices["relu"], expected) <= 1e-5


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize(
    "names", [("first", "shortcut"), ("shortcut", "relu2"), ("relu1", "second", "shortcut")]
)
def test_slices_may_lie_side_by_side(names: tuple[str, ...], frozen: bool, pixels: Tensor) -> None:
    network = Residual().requires_grad_(not frozen).eval()
    slices = {name: network.get_submodule(name) for name in names}
    peer = LayerGradientXActivation(network, list(slices.values()), multiply_by_inputs=False)
    expected = peer.attribute(pixels.clone().requires_grad_(True), target=network(pixels).argmax(1))
    ours = InternalInfluence(network, slices).neurons(pixels).slices
    for (name, found), wanted in zip(ours.items(), expected, strict=True):
        assert relative_error(found, wanted) <= 1e-5, name


@pytest.mark.parametrize("kind", KINDS)
def test_one_slice_alone_is_as_among_others(kind: str, pixels: Tensor) -> None:
    network = Small(kind).eval()
    together = InternalInfluence(network, network.slices()).neurons(pixels)
    for name, place in network.slices().items():
        alone = InternalInfluence(network, {name: place}).neurons(pixels)
        assert torch.equal(alone.slices[name], together.slices[name]), name


def test_a_module_that_runs_twice_is_refused_by_name(pixels: Tensor) -> None:
    network = Small("shared").eval()
    with pytest.raises(ValueError, match="first: its ReLU runs more than once"):
        InternalInfluence(network, {"first": network.relu}).profiles(pixels)
    with pytest.raises(ValueError, match="fourth: not run by the network, or not so often"):
        InternalInfluence(network, {"fourth": Call(network.relu, 3)}).profiles(pixels)
    assert hooks_left(network) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_times_activation_is_attribution_or_is_refused(kind: str, pixels: Tensor) -> None:
    clean, network = Small("plain").eval(), Small(kind).eval()
    classes = clean(pixels).argmax(1)
    for name, place in network.slices().items():
        influence = InternalInfluence(network, {name: place}, times_activation=True)
        if kind.endswith("inplace") and name.startswith("conv"):
            with pytest.raises(ValueError, match=f"{name}: its activation was overwritten"):
                influence.profiles(pixels)
            continue
        peer = LayerGradientXActivation(clean, clean.slices()[name])
        expected = peer.attribute(pixels.clone().requires_grad_(True), target=classes)
        assert relative_error(influence.neurons(pixels).slices[name], expected) <= 1e-5, name


def test_slice_beside_the_network_is_refused(network: FaceRecognizer, pixels: Tensor) -> None:
    slices = {**network.slice_modules(), "elsewhere": nn.ReLU()}
    with pytest.raises(ValueError, match="elsewhere"):
        profiles_at(network, slices, pixels)


class Halved(nn.Module):
    """The first half of its input, as a part of that."""

    def forward(self, seen: Tensor) -> Tensor:
        return seen.chunk(2, dim=1)[0]


def test_a_slice_that_is_part_of_a_tensor_has_its_own_influence(pixels: Tensor) -> None:
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(pixels[0].numel(), 8),
        Halved(),
        nn.ReLU(inplace=True),
        nn.Linear(4, 5),
    ).eval()
    found = InternalInfluence(network, {"flat": network[0], "half": network[2]}).neurons(pixels)
    half = Halved()(network[1](pixels.flatten(1))).detach().requires_grad_(True)
    logits = network[4](half.relu())
    assert torch.equal(found.logits, logits.detach())
    (expected,) = torch.autograd.grad(logits.amax(1).sum(), half)
    assert relative_error(found.slices["half"], expected) <= 1e-6


@pytest.mark.parametrize("shortcut", [nn.Identity(), nn.Sequential(), nn.Dropout()])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_slice_that_gives_its_input_is_measured_alone_and_beside_others(
    shortcut: nn.Module, frozen: bool, pixels: Tensor
) -> None:
    network = Residual()
    network.first, network.shortcut = nn.Conv2d(4, 4, 3, padding=1), shortcut
    network.second, network.last = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 5)
    network.requires_grad_(not frozen).eval()
    seen = network.relu1(network.stem(pixels)).detach()
    leaf = seen.clone().requires_grad_(True)
    inner = network.second(network.relu2(network.first(seen)))
    logits = network.last(network.relu3(inner + leaf).mean(dim=(2, 3)))
    (expected,) = torch.autograd.grad(logits.amax(1).sum(), leaf)
    for slices in (
        {"shortcut": network.shortcut},
        {"stem": network.stem, "shortcut": network.shortcut},
        {"shortcut": network.shortcut, "second": network.second},
    ):
        found = InternalInfluence(network, slices).neurons(pixels).slices["shortcut"]
        assert relative_error(found, expected) <= 1e-5, list(slices)


def test_a_convolution_whose_input_is_named_or_whose_forward_is_patched(pixels: Tensor) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
            self.relu, self.last = nn.ReLU(), nn.Linear(4, 5)

        def forward(self, seen: Tensor) -> Tensor:
            return self.last(self.second(input=self.relu(self.first(seen))).mean(dim=(2, 3)))

    network = Named().requires_grad_(False).eval()
    plain = nn.Conv2d.forward

    def squared(input: Tensor) -> Tensor:
        return plain(network.second, input) * input.square().mean(dim=(1, 2, 3), keepdim=True)

    for patched in (False, True):
        if patched:
            network.second.forward = squared  # type: ignore[method-assign]
        leaf = network.relu(network.first(pixels)).detach().requires_grad_(True)
        found = InternalInfluence(network, {"relu": network.relu}).neurons(pixels).slices["relu"]
        behind = squared(leaf) if patched else plain(network.second, leaf)
        total = network.last(behind.mean(dim=(2, 3))).amax(1).sum()
        assert relative_error(found, torch.autograd.grad(total, leaf)[0]) <= 1e-5


def test_a_network_that_starts_in_place_leaves_the_pixels_alone(pixels: Tensor) -> None:
    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.relu = nn.Linear(pixels[0].numel(), 5), nn.ReLU()

        def forward(self, seen: Tensor) -> Tensor:
            return self.relu(self.dense(seen.sub_(0.5).flatten(1)))

    network, given = Centred().eval(), pixels.clone()
    influence = InternalInfluence(network, {"dense": network.dense})
    influence.profiles(given)
    experts = find_experts(influence, given, share=0.5)
    heat_maps(network, influence.slices, given, experts)
    guided_backpropagation(network, given)
    assert torch.equal(given, pixels)
