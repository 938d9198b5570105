"""Experts, heat maps and receptive fields."""

from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import NeuronGradient, NeuronGuidedBackprop, Saliency
from small_networks import KINDS, Small, relative_error
from torch import Tensor, nn

from glassguard.influence.experts import (
    Experts,
    class_experts,
    find_experts,
    heat_maps,
    top_neurons,
)
from glassguard.influence.internal import InternalInfluence
from glassguard.influence.receptive_fields import (
    expert_gradients,
    receptive_field,
    share_inside,
    strongest,
)
from glassguard.recognizer.network import FaceRecognizer

SHARE = 0.1


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def experts_of(network: FaceRecognizer, pixels: Tensor) -> dict[str, Experts]:
    influence = InternalInfluence(network, network.slice_modules())
    return find_experts(influence, pixels, share=SHARE)


def captums_gradients(peer: Any, pixels: Tensor, weights: Tensor) -> Tensor:
    """Captum takes one choice of neurons a call: a picture at a time."""
    rows = [
        peer.attribute(
            pixels[row : row + 1].clone().requires_grad_(True),
            lambda out, w=weights[row]: (out * w).flatten(1).sum(1),
        )
        for row in range(len(pixels))
    ]
    return torch.cat(rows)


def test_experts_are_the_tenth_of_greatest_influence(
    network: FaceRecognizer, pixels: Tensor
) -> None:
    neurons = InternalInfluence(network, network.slice_modules()).neurons(pixels).slices
    for name, experts in experts_of(network, pixels).items():
        mask, influence = experts.mask(), neurons[name]
        assert mask.shape == influence.shape
        wanted = max(1, round(SHARE * influence[0].numel()))
        assert (mask.flatten(1).sum(1) == wanted).all()
        for own, values in zip(mask, influence, strict=True):
            assert values[own].min() >= values[~own].max()
        assert torch.equal(experts.placed(experts.influence), influence * mask)


def test_experts_of_a_class_are_those_of_its_mean(network: FaceRecognizer, pixels: Tensor) -> None:
    influence = InternalInfluence(network, network.slice_modules())
    neurons = influence.neurons(pixels).slices
    experts = class_experts(influence, [pixels[:3], pixels[3:]], share=SHARE)
    for name, found in experts.items():
        expected = top_neurons(neurons[name].mean(0, keepdim=True), SHARE)
        assert torch.equal(found.mask(), expected.mask()), name
        on_pictures = found.seen_in(neurons[name])
        assert on_pictures.influence.shape == (4, found.indices.shape[1])
        placed = on_pictures.placed(on_pictures.influence)
        assert torch.equal(placed, neurons[name] * found.mask())
    with pytest.raises(ValueError, match="without pictures"):
        class_experts(influence, [], share=SHARE)
    with pytest.raises(ValueError, match="share of experts"):
        top_neurons(neurons["fc7"], 0.0)


def test_heat_maps_are_one_product_of_influence_and_jacobian(
    network: FaceRecognizer, pixels: Tensor
) -> None:
    modules = network.slice_modules()
    # Enough of them that some are switched on in so narrow a network.
    experts = find_experts(InternalInfluence(network, modules), pixels, share=0.5)
    heat = heat_maps(network, modules, pixels, experts)
    assert list(heat) == list(modules)
    for name in ("conv1_1", "conv3_2", "conv5_3", "fc7"):
        found = experts[name]
        weights = found.placed(found.influence)
        expected = captums_gradients(NeuronGradient(network, modules[name]), pixels, weights)
        assert relative_error(heat[name], expected) <= 1e-5, name


def test_heat_of_all_neurons_is_the_gradient_of_the_logit(
    network: FaceRecognizer, pixels: Tensor
) -> None:
    modules = network.slice_modules(["post_relu", "pre_relu"])
    everyone = find_experts(InternalInfluence(network, modules), pixels, share=1.0)
    classes = network(pixels).argmax(1)
    expected = Saliency(network).attribute(pixels, target=classes, abs=False)
    for name, heat in heat_maps(network, modules, pixels, everyone).items():
        assert relative_error(heat, expected) <= 1e-5, name


@pytest.mark.parametrize("guided", [True, False])
def test_receptive_fields_are_captums_neuron_gradients(
    network: FaceRecognizer, pixels: Tensor, guided: bool
) -> None:
    modules = network.slice_modules(["post_relu", "pre_relu"])
    experts = find_experts(InternalInfluence(network, modules), pixels, share=SHARE)
    ours = expert_gradients(network, modules, pixels, experts, guided=guided)
    kind = NeuronGuidedBackprop if guided else NeuronGradient
    for name in ("conv1_1", "conv2_2_pre_relu", "conv3_2", "conv5_3", "fc6", "fc7_pre_relu"):
        heard = experts[name].mask() & (experts[name].placed(experts[name].influence) > 0)
        assert heard.any()
        expected = captums_gradients(kind(network, modules[name]), pixels, heard)
        assert relative_error(ours[name], expected) <= 1e-5, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("guided", [True, False])
def test_inplace_and_shared_activations_change_nothing(
    kind: str, guided: bool, pixels: Tensor
) -> None:
    clean, network = Small("plain").eval(), Small(kind).requires_grad_(False).eval()
    found = []
    for one in (clean, network):
        experts = find_experts(InternalInfluence(one, one.slices()), pixels, share=SHARE)
        maps = heat_maps(one, one.slices(), pixels, experts)
        fields = expert_gradients(one, one.slices(), pixels, experts, guided=guided)
        found.append((maps, fields))
    for expected, ours in zip(*found, strict=True):
        for name, wanted in expected.items():
            assert relative_error(ours[name], wanted) <= 1e-5, name


def test_a_slice_that_sees_no_pixels_is_named(network: FaceRecognizer, pixels: Tensor) -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.constant = nn.Linear(2, 2)
            self.network = network

        def forward(self, seen: Tensor) -> Tensor:
            self.constant(torch.ones(1, 2))
            return self.network(seen)

    aside = Aside().requires_grad_(False).eval()
    experts = {"aside": top_neurons(torch.ones(4, 2), 0.5)}
    with pytest.raises(ValueError, match="aside: does not depend on the pixels"):
        heat_maps(aside, {"aside": aside.constant}, pixels, experts)


def test_a_receptive_field_is_clipped_blurred_and_scaled() -> None:
    gradient = np.zeros((2, 3, 20, 20))
    gradient[0, :, 5, 5] = [3.0, -9.0, 3.0]
    gradient[0, :, 10:12] = -1.0
    plain = receptive_field(gradient, clip_percentile=99, blur=0)
    assert plain.shape == (2, 20, 20)
    assert plain.dtype == np.float32
    assert (plain[0, 10:12] == 1).all()
    assert plain[0, 5, 5] == 1
    assert plain.sum() == 41
    assert (plain[1] == 0).all()
    blurred = receptive_field(gradient, clip_percentile=99, blur=1.5)
    assert blurred.max() == 1
    assert 0 < blurred[0, 13, 10] < blurred[0, 11, 10]
    mask = strongest(blurred, 95)
    assert not mask[1].any()
    assert 0 < mask[0].sum() <= 20
    assert receptive_field(gradient[:0], clip_percentile=99, blur=1).shape == (0, 20, 20)
    assert strongest(blurred[:0], 95).shape == (0, 20, 20)


def test_share_inside_the_glasses() -> None:
    frames = np.zeros((3, 4, 4), dtype=bool)
    frames[:, :1] = True
    maps = np.zeros((3, 3, 4, 4))
    maps[0] = -1.0
    maps[1, 0, 0, 0] = 2.0
    share, area = share_inside(maps, frames)
    np.testing.assert_allclose(area, 0.25)
    np.testing.assert_allclose(share, [0.25, 1.0, np.nan])
    np.testing.assert_allclose(share_inside(maps[:, 0], frames)[0], [0.25, 1.0, np.nan])
    as_tensors = share_inside(torch.from_numpy(maps), torch.from_numpy(frames))
    np.testing.assert_allclose(as_tensors[0], share)
    np.testing.assert_allclose(as_tensors[1], area)


def test_experts_of_a_class_are_asked_in_each_picture(
    network: FaceRecognizer, pixels: Tensor
) -> None:
    slices = network.slice_modules(["post_relu"])
    influence = InternalInfluence(network, slices)
    of_class = class_experts(influence, [pixels], share=SHARE)
    with pytest.raises(ValueError, match=r"conv1_1: experts of 1 picture\(s\) for 4.*seen_in"):
        heat_maps(network, slices, pixels, of_class)
    with pytest.raises(ValueError, match=r"conv1_1: experts of 1 picture\(s\) for 4.*seen_in"):
        expert_gradients(network, slices, pixels, of_class, guided=True)
    without = {name: experts for name, experts in of_class.items() if name != "fc7"}
    with pytest.raises(ValueError, match="fc7: no experts; there are those of conv1_1"):
        heat_maps(network, {"fc7": slices["fc7"]}, pixels, without)
    here = influence.neurons(pixels).slices
    asked = {name: experts.seen_in(here[name]) for name, experts in of_class.items()}
    smaller = torch.Size([1, *asked["conv3_1"].shape[1:]])
    elsewhere = Experts(torch.zeros(4, 1).long(), torch.ones(4, 1), smaller)
    with pytest.raises(ValueError, match=r"conv3_1: a vector of shape .* same size"):
        heat_maps(network, {"conv3_1": slices["conv3_1"]}, pixels, {"conv3_1": elsewhere})
    with pytest.raises(ValueError, match="no neuron 7 of 3"):
        Experts(torch.tensor([[7]]), torch.ones(1, 1), torch.Size([3])).mask()
    assert heat_maps(network, slices, pixels, asked)["conv3_1"].shape == pixels.shape


def test_a_slice_that_does_not_run_is_named(network: FaceRecognizer, pixels: Tensor) -> None:
    beside = {"beside": nn.ReLU()}
    experts = {"beside": Experts(torch.zeros(4, 1).long(), torch.ones(4, 1), torch.Size([3]))}
    with pytest.raises(ValueError, match="beside: not run by the network"):
        heat_maps(network, beside, pixels, experts)


def test_heat_maps_of_a_network_in_training_mode_are_refused(pixels: Tensor) -> None:
    dropping = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(pixels[0].numel(), 5))
    experts = {"last": Experts(torch.zeros(4, 1).long(), torch.ones(4, 1), torch.Size([5]))}
    with pytest.raises(ValueError, match="Sequential is in training mode"):
        heat_maps(dropping, {"last": dropping[2]}, pixels, experts)
