"""Influence and maps of networks of which a part lets no gradient through."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from glassguard.influence import (
    Distribution,
    InputLine,
    InternalInfluence,
    LayerLine,
    expert_gradients,
    find_experts,
    heat_maps,
)
from glassguard.influence.guided_backpropagation import guided_backpropagation
from glassguard.saliency.relative_map import relative_maps
from glassguard.saliency.saliency_map import saliency_maps

HOW = ("no_grad", "inference_mode", "inference_mode, cloned", "detach", "set_grad_enabled")
LINES = [None, InputLine(steps=3), LayerLine(steps=3), LayerLine(steps=2, baseline=0.4)]
PIXELS = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def features() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4))


def without_gradients(part: nn.Module, seen: Tensor, how: str) -> Tensor:
    match how:
        case "no_grad":
            with torch.no_grad():
                return part(seen)
        case "set_grad_enabled":
            with torch.set_grad_enabled(False):
                return part(seen)
        case "inference_mode":
            with torch.inference_mode():
                return part(seen)
        case "inference_mode, cloned":
            with torch.inference_mode():
                seen = part(seen)
            return seen.clone()
        case "detach":
            return part(seen).detach()
    return part(seen)


class Probe(nn.Module):
    """Features without gradients and a head: how linear probes are usually written."""

    def __init__(self, how: str) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.how = how
        self.features, self.flat = features(), nn.Flatten()
        self.head = nn.Sequential(nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 4))

    def forward(self, seen: Tensor) -> Tensor:
        return self.head(self.flat(without_gradients(self.features, seen, self.how)))


class Within(nn.Module):
    """Features whose own forward pass switches gradients off."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.inner = how, features()

    def forward(self, seen: Tensor) -> Tensor:
        return without_gradients(self.inner, seen, self.how)


@contextmanager
def left_as_it_was(network: nn.Module) -> Iterator[None]:
    before = [weight.requires_grad for weight in network.parameters()]
    yield
    assert [weight.requires_grad for weight in network.parameters()] == before
    assert all(weight.grad is None for weight in network.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("line", LINES)
def test_slices_behind_have_their_influence_and_the_others_are_named(
    how: str, frozen: bool, line: Distribution | None
) -> None:
    plain, network = Probe("").eval(), Probe(how).requires_grad_(not frozen).eval()

    def at(one: Probe, *names: str) -> InternalInfluence:
        slices = {name: one.get_submodule(name) for name in names}
        return InternalInfluence(one, slices, distribution=line)

    behind = ("flat", "head.0", "head.1", "head.2")
    with left_as_it_was(network):
        found = at(network, *behind).neurons(PIXELS)
        expected = at(plain, *behind).neurons(PIXELS)
        for name in behind:
            torch.testing.assert_close(found.slices[name], expected.slices[name])
        torch.testing.assert_close(found.logits, expected.logits)
        for names in (
            ("features.0", "features.1"),
            ("head.0", "features.0", "flat", "features.1"),
        ):
            with pytest.raises(ValueError, match=r"no influence at features\.0, features\.1: "):
                at(network, *names).profiles(PIXELS)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("line", LINES)
def test_a_slice_whose_own_forward_pass_has_no_gradients_is_measured_at_its_output(
    how: str, frozen: bool, line: Distribution | None
) -> None:
    def network_of(kind: str) -> nn.Sequential:
        torch.manual_seed(5)
        within = Within(kind)
        return nn.Sequential(within, nn.Flatten(), nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 4))

    plain, network = network_of("").eval(), network_of(how).requires_grad_(not frozen).eval()
    with left_as_it_was(network):
        found, expected = (
            InternalInfluence(one, {"within": one[0]}, distribution=line).neurons(PIXELS)
            for one in (network, plain)
        )
        torch.testing.assert_close(found.slices["within"], expected.slices["within"])
        both = {"inner": network[0].inner[0], "within": network[0]}
        with pytest.raises(ValueError, match="no influence at inner: not on the way"):
            InternalInfluence(network, both, distribution=line).profiles(PIXELS)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("frozen", [False, True])
def test_maps_of_pixels_say_where_gradients_stop(how: str, frozen: bool) -> None:
    network = Probe(how).requires_grad_(not frozen).eval()
    slices = {"first": network.head[0], "third": network.head[2]}
    experts = find_experts(InternalInfluence(network, slices), PIXELS, share=0.2)
    where = r"gradients stop between features\.2 and flat" if how == "detach" else "stop in feature"
    with left_as_it_was(network):
        for ask in (guided_backpropagation, saliency_maps):
            with pytest.raises(ValueError, match=f"Probe: the logits do not depend .*{where}"):
                ask(network, PIXELS)
        with pytest.raises(ValueError, match=f"first, third: does not depend .*{where}"):
            heat_maps(network, slices, PIXELS, experts)
        for guided in (True, False):
            with pytest.raises(ValueError, match=f"first, third: does not depend .*{where}"):
                expert_gradients(network, slices, PIXELS, experts, guided=guided)
    if how in ("no_grad", "set_grad_enabled", "detach"):
        with pytest.raises(ValueError, match="by any gradient"):
            relative_maps(network, network.features[1], PIXELS, blur=0.0, floor=0.1)


class Branches(nn.Module):
    """One branch has gradients, the other has none."""

    def __init__(self, how: str) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.how = how
        self.left, self.right = features(), features()
        self.head = nn.Linear(6, 4)

    def forward(self, seen: Tensor) -> Tensor:
        beside = without_gradients(self.right, seen, self.how)
        return self.head((self.left(seen) + beside).mean(dim=(2, 3)))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("frozen", [False, True])
def test_a_branch_without_gradients_takes_none_from_the_other(how: str, frozen: bool) -> None:
    network = Branches(how).requires_grad_(not frozen).eval()
    constant = network.right(PIXELS).detach()
    leaf = PIXELS.clone().requires_grad_(True)
    logits = network.head((network.left(leaf) + constant).mean(dim=(2, 3)))
    (expected,) = torch.autograd.grad(logits.amax(1).sum(), leaf)
    with left_as_it_was(network):
        slices = {"left": network.left[0]}
        influence = InternalInfluence(network, slices)
        experts = find_experts(influence, PIXELS, share=1.0)
        heat = heat_maps(network, slices, PIXELS, experts)["left"]
        torch.testing.assert_close(heat, expected)
        assert guided_backpropagation(network, PIXELS).shape == PIXELS.shape
        with pytest.raises(ValueError, match="no influence at right: "):
            InternalInfluence(network, slices | {"right": network.right[0]}).profiles(PIXELS)
        if how == "detach":
            # Only behind it gradients stop: what it owes to the pixels is still known.
            return
        with pytest.raises(ValueError, match=r"right: does not depend .* gradients stop in right"):
            heat_maps(network, slices | {"right": network.right[0]}, PIXELS, experts)


class Switched(nn.Module):
    """Everything without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = features(), nn.Linear(24, 4)

    @torch.no_grad()
    def forward(self, seen: Tensor) -> Tensor:
        return self.head(self.features(seen).flatten(1))


@pytest.mark.parametrize("line", LINES)
def test_a_network_without_any_gradient_is_refused_by_slice_and_part(
    line: Distribution | None,
) -> None:
    network = Switched().eval()
    slices = {"conv": network.features[0], "head": network.head}
    with pytest.raises(ValueError, match="no influence at conv, head: "):
        InternalInfluence(network, slices, distribution=line).profiles(PIXELS)
    with pytest.raises(ValueError, match=r"Switched: the logits .* gradients stop in features"):
        guided_backpropagation(network, PIXELS)


def test_weights_that_were_made_in_inference_mode_are_refused() -> None:
    with torch.inference_mode():
        network = Probe("").eval()
    with left_as_it_was(network):
        for ask in (
            lambda: InternalInfluence(network, {"head": network.head[0]}).profiles(PIXELS),
            lambda: guided_backpropagation(network, PIXELS),
        ):
            with pytest.raises(ValueError, match="made in inference mode take no part"):
                ask()


def test_a_part_without_a_backward_pass_is_refused_by_slice() -> None:
    class Opaque(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, seen: Tensor) -> Tensor:
            return seen * 2

        @staticmethod
        def backward(ctx: object, *gradients: Tensor) -> None:
            return None

    class Doubled(nn.Module):
        def forward(self, seen: Tensor) -> Tensor:
            return Opaque.apply(seen)

    network = nn.Sequential(features(), nn.Flatten(), Doubled(), nn.Linear(24, 4)).eval()
    with pytest.raises(ValueError, match="no influence at features: "):
        InternalInfluence(network, {"features": network[0]}).profiles(PIXELS)
    slices = {"doubled": network[2]}
    experts = find_experts(InternalInfluence(network, slices), PIXELS, share=0.2)
    with pytest.raises(ValueError, match="doubled: no gradient gets from it to the pixels"):
        heat_maps(network, slices, PIXELS, experts)
