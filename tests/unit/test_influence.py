"""Internal influence and guided backpropagation against Captum."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop, LayerGradientXActivation
from torch import Tensor, nn

from glassguard.influence.guided_backpropagation import guided_backpropagation
from glassguard.influence.internal import influence_profiles
from glassguard.influence.profiles import profiles_of_images
from glassguard.recognizer.network import LAYERS, PRE_RELU, SLICES, FaceRecognizer, to_pixels


@pytest.fixture(scope="module")
def network() -> FaceRecognizer:
    torch.manual_seed(0)
    built = FaceRecognizer(
        identities=5, image_size=32, width=1 / 16, hidden=24, mean=(127.5,) * 3, scale=64.0
    )
    for module in built.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            # Kaiming's gain keeps activations alive through thirteen layers.
            nn.init.kaiming_normal_(module.weight)
    return built.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def hooks_left(network: nn.Module) -> int:
    return sum(
        len(m._forward_hooks) + len(m._backward_hooks) + len(m._forward_pre_hooks)
        for m in network.modules()
    )


def captum_gradients(
    network: FaceRecognizer, pixels: Tensor, position: str
) -> OrderedDict[str, Tensor]:
    modules = network.slice_modules([position])
    peer = LayerGradientXActivation(network, list(modules.values()), multiply_by_inputs=False)
    leaf = pixels.clone().requires_grad_(True)
    gradients = peer.attribute(leaf, target=network(pixels).argmax(1))
    return OrderedDict(zip(modules, (g.detach() for g in gradients), strict=True))


@pytest.mark.parametrize("position", ["post_relu", "pre_relu"])
@pytest.mark.parametrize("reduction", ["max", "abs_max", "mean"])
def test_profiles_agree_with_captum(
    network: FaceRecognizer, pixels: Tensor, position: str, reduction: str
) -> None:
    ours = influence_profiles(
        network, network.slice_modules([position]), pixels, reduction=reduction
    )
    assert tuple(ours.profiles) == tuple(
        n for n in SLICES if n.endswith(PRE_RELU) == (position == "pre_relu")
    )
    assert len(ours.profiles) == 15
    for name, gradient in captum_gradients(network, pixels, position).items():
        if gradient.ndim == 4:
            space = gradient.flatten(2)
            gradient = {
                "max": space.amax(2),
                "abs_max": space.abs().amax(2),
                "mean": space.mean(2),
            }[reduction]
        error = (ours.profiles[name] - gradient).norm() / gradient.norm()
        assert gradient.norm() > 0
        assert error <= 1e-5, name
    assert torch.equal(ours.logits, network(pixels))


def test_pre_is_post_where_the_activation_is_positive(
    network: FaceRecognizer, pixels: Tensor
) -> None:
    post = captum_gradients(network, pixels, "post_relu")
    activations: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(lambda m, i, o, name=name: activations.update({name: o}))
        for name, module in network.slice_modules(["pre_relu"]).items()
    ]
    network(pixels)
    for handle in handles:
        handle.remove()
    ours = influence_profiles(network, network.slice_modules(["pre_relu"]), pixels)
    for name in LAYERS:
        expected = post[name] * (activations[name + PRE_RELU] > 0)
        expected = expected.amax((2, 3)) if expected.ndim == 4 else expected
        assert torch.allclose(ours.profiles[name + PRE_RELU], expected, rtol=1e-5, atol=1e-9), name


def test_quantities_of_interest(network: FaceRecognizer, pixels: Tensor) -> None:
    fc7 = {"fc7": network.slice_modules()["fc7"]}
    last = network.classifier.fc8.weight
    order = network(pixels).argsort(dim=1, descending=True)
    logit = influence_profiles(network, fc7, pixels).profiles["fc7"]
    assert torch.allclose(logit, last[order[:, 0]])
    comparative = influence_profiles(network, fc7, pixels, quantity="comparative").profiles["fc7"]
    assert torch.allclose(comparative, last[order[:, 0]] - last[order[:, 1]], atol=1e-6)
    softmax = influence_profiles(network, fc7, pixels, quantity="softmax").profiles["fc7"]
    probability = network(pixels).softmax(1)
    best = probability.max(1, keepdim=True).values
    expected = best * (logit - probability @ last)
    assert torch.allclose(softmax, expected, atol=1e-6)


def test_nothing_is_left_behind(network: FaceRecognizer, pixels: Tensor) -> None:
    thawed = FaceRecognizer(
        identities=3, image_size=32, width=1 / 16, hidden=8, mean=(0.0,) * 3, scale=255.0
    ).eval()
    given = pixels.clone()
    influence_profiles(thawed, thawed.slice_modules(), given)
    guided_backpropagation(thawed, given)
    assert all(parameter.grad is None for parameter in thawed.parameters())
    assert not given.requires_grad
    assert given.grad is None
    assert hooks_left(thawed) == 0
    with pytest.raises(RuntimeError):
        influence_profiles(network, network.slice_modules(), pixels[:, :2])
    with pytest.raises(RuntimeError):
        guided_backpropagation(network, pixels[:, :2])
    assert hooks_left(network) == 0


def test_one_pass_each_and_no_gradient_of_the_pixels(
    network: FaceRecognizer, pixels: Tensor
) -> None:
    passes, reached = [], []

    def count(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        passes.append(output.requires_grad)

    handle = network.features.conv1_1.register_forward_hook(count)
    second = network.features.conv2_1.register_full_backward_hook(
        lambda module, into, out: reached.append(True)
    )
    influence_profiles(network, network.slice_modules(), pixels)
    handle.remove()
    second.remove()
    # The first convolution lies before the first slice: it is outside the graph.
    assert passes == [False]
    assert reached == [True]


def test_works_under_no_grad(network: FaceRecognizer, pixels: Tensor) -> None:
    expected = influence_profiles(network, network.slice_modules(), pixels).profiles["conv3_2"]
    with torch.no_grad():
        ours = influence_profiles(network, network.slice_modules(), pixels).profiles["conv3_2"]
    assert torch.equal(ours, expected)


def test_inplace_activations_are_refused_by_name(pixels: Tensor) -> None:
    wrong = nn.Sequential(
        OrderedDict(conv=nn.Conv2d(3, 4, 3), relu=nn.ReLU(inplace=True), flat=nn.Flatten())
    )
    with pytest.raises(ValueError, match="relu works in place"):
        influence_profiles(wrong, {"conv": wrong.conv}, pixels)
    with pytest.raises(ValueError, match="relu works in place"):
        guided_backpropagation(wrong, pixels)


def test_slice_beside_the_network_is_refused(network: FaceRecognizer, pixels: Tensor) -> None:
    slices = {**network.slice_modules(), "elsewhere": nn.ReLU()}
    with pytest.raises(ValueError, match="elsewhere"):
        influence_profiles(network, slices, pixels)


@pytest.mark.parametrize("given", [True, False])
def test_guided_backpropagation_equals_captum(
    network: FaceRecognizer, pixels: Tensor, given: bool
) -> None:
    classes = torch.tensor([0, 1, 2, 3, 4, 0]) if given else network(pixels).argmax(1)
    expected = GuidedBackprop(network).attribute(pixels.clone().requires_grad_(True), classes)
    ours = guided_backpropagation(network, pixels, classes if given else None)
    assert expected.abs().sum() > 0
    assert torch.equal(ours, expected)


def test_guided_backpropagation_wants_one_class_a_picture(
    network: FaceRecognizer, pixels: Tensor
) -> None:
    with pytest.raises(ValueError, match="one class a picture"):
        guided_backpropagation(network, pixels, torch.tensor([1]))


def test_many_pictures_in_batches(network: FaceRecognizer) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    modules = network.slice_modules()
    batched = profiles_of_images(network, modules, images, batch_size=3)
    whole = influence_profiles(network, modules, to_pixels(torch.from_numpy(images)))
    for name in modules:
        assert batched.profiles[name].dtype == np.float32
        np.testing.assert_allclose(
            batched.profiles[name], whole.profiles[name].numpy(), rtol=1e-4, atol=1e-7
        )
    probability = whole.logits.softmax(1)
    assert np.array_equal(batched.prediction, probability.argmax(1).numpy())
    np.testing.assert_allclose(batched.confidence, probability.amax(1).numpy(), rtol=1e-5)
    none = profiles_of_images(network, modules, images[:0])
    assert none.profiles["conv3_2"].shape == (0, whole.profiles["conv3_2"].shape[1])
    assert none.prediction.shape == none.confidence.shape == (0,)
