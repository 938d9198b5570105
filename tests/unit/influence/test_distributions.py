"""Lines in the space of pictures and of layers, against Captum."""

import numpy as np
import pytest
import torch
from captum.attr import InternalInfluence as CaptumInternalInfluence
from captum.attr import (
    LayerIntegratedGradients,
)
from small_networks import KINDS, Residual, Small, relative_error
from torch import Tensor

from glassguard.influence.distributions import InputLine, LayerLine
from glassguard.influence.internal import InternalInfluence
from glassguard.influence.profiles import profiles_of_images
from glassguard.recognizer.network import FaceRecognizer


@pytest.mark.parametrize("steps", [1, 4])
def test_point_and_input_line_are_captums_internal_influence(
    network: FaceRecognizer, pixels: Tensor, steps: int
) -> None:
    classes = network(pixels).argmax(1)
    baseline = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)
    as_picture = baseline.expand(1, 3, 32, 32)
    modules = network.slice_modules()
    point = InternalInfluence(network, modules).neurons(pixels)
    line = InternalInfluence(
        network, modules, distribution=InputLine(steps=steps, baseline=baseline)
    ).neurons(pixels)
    for name in ("conv1_1", "conv3_2", "conv5_3", "fc6", "fc7"):
        peer = CaptumInternalInfluence(network, modules[name])
        expected = peer.attribute(pixels, baselines=pixels, target=classes, n_steps=steps)
        assert relative_error(point.slices[name], expected) <= 1e-5, name
        expected = peer.attribute(pixels, baselines=as_picture, target=classes, n_steps=steps)
        assert relative_error(line.slices[name], expected) <= 1e-5, name
    assert torch.allclose(line.logits, network(pixels), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("baseline", [None, 0.3])
def test_layer_line_is_captums_integrated_gradient_of_the_layer(
    kind: str, baseline: float | None, pixels: Tensor
) -> None:
    clean, network = Small("plain").eval(), Small(kind).eval()
    classes = clean(pixels).argmax(1)
    line = LayerLine(steps=5, baseline=baseline)
    ours = InternalInfluence(network, network.slices(), distribution=line).neurons(pixels)
    assert torch.equal(ours.logits, clean(pixels).detach())
    for name, module in clean.slices().items():
        if baseline is None:
            # Captum starts from a picture only: the same line as a network of what lies behind.
            activation: list[Tensor] = []
            handle = module.register_forward_hook(lambda m, i, o, a=activation: a.append(o))
            clean(pixels)
            handle.remove()
            end = activation[0].detach().clone()
            places, weights = np.polynomial.legendre.leggauss(5)
            expected = torch.zeros_like(end)
            for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
                leaf = (float(place) * end).requires_grad_(True)
                handle = module.register_forward_hook(lambda m, i, o, leaf=leaf: leaf)
                total = clean(pixels).gather(1, classes[:, None]).sum()
                handle.remove()
                expected += float(weight) * torch.autograd.grad(total, leaf)[0]
        else:
            peer = LayerIntegratedGradients(clean, module, multiply_by_inputs=False)
            expected = peer.attribute(
                pixels, baselines=torch.full_like(pixels, baseline), target=classes, n_steps=5
            )
        assert relative_error(ours.slices[name], expected) <= 1e-5, name


@pytest.mark.parametrize("baseline", [None, 0.3])
def test_along_a_layers_line_times_activation_sums_to_what_the_logit_owes(
    baseline: float | None, pixels: Tensor
) -> None:
    network = Small("plain").double().eval()
    given = pixels.double()
    line = LayerLine(steps=64, baseline=baseline)
    owed = InternalInfluence(
        network, {"relu3": network.relu3}, distribution=line, times_activation=True
    ).neurons(given)
    start = network.fc(torch.zeros(1, 8 * 8 * 8).double())
    if baseline is not None:
        start = network(torch.full_like(given[:1], baseline))
    classes = owed.logits.argmax(1)
    gained = (owed.logits - start).gather(1, classes[:, None])[:, 0]
    # Pooling is not smooth: completeness holds up to the quadrature.
    assert relative_error(owed.slices["relu3"].flatten(1).sum(1), gained) <= 2e-3


def test_classes_are_chosen_on_the_picture_and_not_along_the_line(
    network: FaceRecognizer, pixels: Tensor
) -> None:
    fc7 = {"fc7": network.slice_modules()["fc7"]}
    line = InputLine(steps=3, baseline=1.0)
    ours = InternalInfluence(network, fc7, distribution=line).profiles(pixels).profiles["fc7"]
    # Behind fc7 the network is linear: the influence is a row of its weights wherever asked.
    assert torch.allclose(ours, network.classifier.fc8.weight[network(pixels).argmax(1)])


def test_baselines_must_fit(network: FaceRecognizer, pixels: Tensor) -> None:
    for wrong in (torch.zeros(2, 3, 32, 32), torch.zeros(1, 3, 16, 32), torch.zeros(3, 32, 32)):
        line = InputLine(steps=2, baseline=wrong)
        with pytest.raises(ValueError, match="baseline of shape"):
            InternalInfluence(network, network.slice_modules(), distribution=line).profiles(pixels)
    for steps in (0, 2.5, True):
        with pytest.raises(ValueError, match=f"a whole number of steps, at least one: {steps}"):
            LayerLine(steps=steps)  # type: ignore[arg-type]


def test_a_line_in_a_layer_that_others_go_past_is_refused(pixels: Tensor) -> None:
    network = Residual().eval()
    slices = {"second": network.second}
    for steps, baseline in ((3, None), (1, torch.zeros_like(pixels)), (1, 0.3)):
        line = LayerLine(steps=steps, baseline=baseline)
        with pytest.raises(ValueError, match="second: what lies behind it depends on the picture"):
            InternalInfluence(network, slices, distribution=line).profiles(pixels)


def test_a_batch_holds_the_points_of_its_lines(network: FaceRecognizer) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    line = InternalInfluence(
        network, {"fc7": network.slice_modules()["fc7"]}, distribution=InputLine(steps=3)
    )
    sizes: list[int] = []
    handle = network.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    profiles_of_images(line, images, batch_size=8)
    handle.remove()
    assert sizes == [8, 8, 4]
