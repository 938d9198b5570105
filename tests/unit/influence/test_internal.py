"""Internal influence against Captum, and how its wrong use is refused."""

import copy
import doctest
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import (
    LayerGradientXActivation,
)
from small_networks import profiles_at, relative_error
from torch import Tensor, nn

from glassguard.influence.distributions import InputLine
from glassguard.influence.guided_backpropagation import guided_backpropagation
from glassguard.influence.internal import InternalInfluence
from glassguard.influence.profiles import profiles_of_images
from glassguard.influence.quantities import (
    Comparative,
    Logit,
    Softmax,
    quantity_named,
)
from glassguard.influence.settings import Reduction
from glassguard.influence.watching import Call
from glassguard.recognizer.layers import LAYERS, PRE_RELU, SLICES
from glassguard.recognizer.network import FaceRecognizer, to_pixels

DOCS = Path(__file__).resolve().parents[3] / "docs"


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
    ours = profiles_at(network, network.slice_modules([position]), pixels, reduction=reduction)
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


@pytest.mark.parametrize("reduction", ["max", "abs_max", "mean"])
def test_profiles_of_several_places_are_those_of_the_parts(
    network: FaceRecognizer, pixels: Tensor, reduction: Reduction
) -> None:
    modules = network.slice_modules(["pre_relu"])
    influence = InternalInfluence(network, modules)
    by_place = influence.profiles(pixels, reduction=reduction, places=(2, 1)).profiles
    neurons = influence.neurons(pixels).slices
    reductions = {
        "max": lambda part: part.amax(dim=(2, 3)),
        "abs_max": lambda part: part.abs().amax(dim=(2, 3)),
        "mean": lambda part: part.mean(dim=(2, 3)),
    }
    divided = 0
    for name, whole in neurons.items():
        if whole.ndim == 2:
            assert torch.equal(by_place[name], whole), name
        elif whole.shape[2] % 2 == 0:
            halves = [reductions[reduction](part) for part in whole.chunk(2, dim=2)]
            expected = torch.stack(halves, dim=2).flatten(1)
            assert relative_error(by_place[name], expected) <= 1e-5, name
            divided += 1
        else:
            assert by_place[name].shape == (len(pixels), 2 * whole.shape[1])
    assert divided > 5
    with pytest.raises(ValueError, match=r"places \(0, 1\): rows and columns"):
        influence.profiles(pixels, places=(0, 1))


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
    ours = profiles_at(network, network.slice_modules(["pre_relu"]), pixels)
    for name in LAYERS:
        expected = post[name] * (activations[name + PRE_RELU] > 0)
        expected = expected.amax((2, 3)) if expected.ndim == 4 else expected
        assert torch.allclose(ours.profiles[name + PRE_RELU], expected, rtol=1e-5, atol=1e-9), name


def test_quantities_of_interest(network: FaceRecognizer, pixels: Tensor) -> None:
    fc7 = {"fc7": network.slice_modules()["fc7"]}
    last = network.classifier.fc8.weight
    order = network(pixels).argsort(dim=1, descending=True)
    logit = profiles_at(network, fc7, pixels).profiles["fc7"]
    assert torch.allclose(logit, last[order[:, 0]])
    comparative = profiles_at(network, fc7, pixels, quantity=Comparative()).profiles["fc7"]
    assert torch.allclose(comparative, last[order[:, 0]] - last[order[:, 1]], atol=1e-6)
    softmax = profiles_at(network, fc7, pixels, quantity=Softmax()).profiles["fc7"]
    probability = network(pixels).softmax(1)
    best = probability.max(1, keepdim=True).values
    expected = best * (logit - probability @ last)
    assert torch.allclose(softmax, expected, atol=1e-6)


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
    profiles_at(network, network.slice_modules(), pixels)
    handle.remove()
    second.remove()
    # The first convolution lies before the first slice: it is outside the graph.
    assert passes == [False]
    assert reached == [True]


def test_works_under_no_grad(network: FaceRecognizer, pixels: Tensor) -> None:
    expected = profiles_at(network, network.slice_modules(), pixels).profiles["conv3_2"]
    with torch.no_grad():
        ours = profiles_at(network, network.slice_modules(), pixels).profiles["conv3_2"]
    assert torch.equal(ours, expected)


def test_given_classes(network: FaceRecognizer, pixels: Tensor) -> None:
    fc7 = {"fc7": network.slice_modules()["fc7"]}
    last = network.classifier.fc8.weight
    one, two = torch.tensor([0, 1, 2, 3, 4, 0]), torch.tensor([1, 2, 3, 4, 0, 1])
    logit = profiles_at(network, fc7, pixels, quantity=Logit(one)).profiles["fc7"]
    assert torch.allclose(logit, last[one])
    between = profiles_at(network, fc7, pixels, quantity=Comparative(one, two)).profiles["fc7"]
    assert torch.allclose(between, last[one] - last[two], atol=1e-6)
    # Without another class it is the strongest beside the given one.
    beside = profiles_at(network, fc7, pixels, quantity=Comparative(one)).profiles["fc7"]
    rest = network(pixels).scatter(1, one[:, None], -torch.inf).argmax(1)
    assert torch.allclose(beside, last[one] - last[rest], atol=1e-6)
    with pytest.raises(ValueError, match="one class a picture"):
        profiles_at(network, fc7, pixels, quantity=Logit(one[:2]))
    with pytest.raises(ValueError, match="no quantity of interest 'odds'"):
        quantity_named("odds")  # type: ignore[arg-type]


def test_the_worked_example_of_the_documentation_runs() -> None:
    failed, tried = doctest.testfile(str(DOCS / "influence.md"), module_relative=False)
    assert failed == 0
    assert tried > 20


def test_many_pictures_in_batches(network: FaceRecognizer) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    modules = network.slice_modules()
    influence = InternalInfluence(network, modules)
    batched = profiles_of_images(influence, images, batch_size=3)
    whole = profiles_at(network, modules, to_pixels(torch.from_numpy(images)))
    for name in modules:
        assert batched.profiles[name].dtype == np.float32
        np.testing.assert_allclose(
            batched.profiles[name], whole.profiles[name].numpy(), rtol=1e-4, atol=1e-7
        )
    probability = whole.logits.softmax(1)
    assert np.array_equal(batched.prediction, probability.argmax(1).numpy())
    np.testing.assert_allclose(batched.confidence, probability.amax(1).numpy(), rtol=1e-5)
    none = profiles_of_images(influence, images[:0])
    assert none.profiles["conv3_2"].shape == (0, whole.profiles["conv3_2"].shape[1])
    assert none.prediction.shape == none.confidence.shape == (0,)


def test_wrong_use_is_named(network: FaceRecognizer, pixels: Tensor) -> None:
    slices = network.slice_modules(["post_relu"])
    fc6 = {"fc6": slices["fc6"]}
    with pytest.raises(ValueError, match="no slice to measure"):
        InternalInfluence(network, {})
    with pytest.raises(ValueError, match="slices are modules by name, not a list"):
        InternalInfluence(network, list(fc6.values()))  # type: ignore[arg-type]
    for distribution in ("point", InputLine, 42):
        with pytest.raises(ValueError, match=r"a distribution of interest is Point\(\), InputLine"):
            InternalInfluence(network, fc6, distribution=distribution)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"the network is an nn\.Module, not a function"):
        InternalInfluence(lambda seen: seen, fc6)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="names of slices are text: 6"):
        InternalInfluence(network, {6: slices["fc6"]})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="a call is of a module and has a number from 0 on"):
        Call("fc6", 0)  # type: ignore[arg-type]
    for baseline in ("black", np.zeros(3), [0.0]):
        with pytest.raises(ValueError, match="a baseline is a tensor or a number in"):
            InputLine(2, baseline)  # type: ignore[arg-type]
    for wrong, message in (
        (pixels.numpy(), "pixels are a tensor, not a ndarray"),
        (pixels[0], "N x channels x height x width: torch.float32, 3 x 32 x 32"),
        ((255 * pixels).byte(), "pixels are floating point"),
        (pixels * torch.nan, "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            InternalInfluence(network, fc6).profiles(wrong)  # type: ignore[arg-type]
    itself = torch.ones(len(pixels), dtype=torch.int64)
    with pytest.raises(ValueError, match="class 1 is compared with itself"):
        InternalInfluence(network, fc6, quantity=Comparative(itself, itself)).profiles(pixels)
    for quantity in (Logit, 3):
        with pytest.raises(ValueError, match="a quantity of interest is one of logit, comparative"):
            InternalInfluence(network, fc6, quantity=quantity)  # type: ignore[arg-type]
    for classes in (3, torch.zeros(6)):
        with pytest.raises(ValueError, match="classes are a tensor of int64"):
            Logit(classes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fc6: a slice is a module"):
        InternalInfluence(network, {"fc6": "fc6"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="no quantity of interest 'odds'"):
        InternalInfluence(network, slices, quantity="odds")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no reduction 'median'; allowed are max, abs_max, mean"):
        InternalInfluence(network, fc6).profiles(pixels, reduction="median")  # type: ignore[arg-type]
    words = nn.Sequential(nn.Flatten(2), nn.Linear(pixels[0, 0].numel(), 6), nn.Flatten())
    in_words = InternalInfluence(words, {"words": words[1]})
    words.eval()
    with pytest.raises(ValueError, match=r"shape N x 3 x 6 is neither N x filters x height x"):
        in_words.profiles(pixels)
    assert in_words.neurons(pixels).slices["words"].shape == (len(pixels), 3, 6)
    dropping = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(pixels[0].numel(), 5))
    with pytest.raises(ValueError, match=r"Sequential is in training mode: call eval\(\) first"):
        InternalInfluence(dropping, {"last": dropping[2]}).profiles(pixels)
    rectified = nn.Sequential(
        nn.Flatten(), nn.Dropout(), nn.Linear(pixels[0].numel(), 5), nn.ReLU()
    )
    with pytest.raises(ValueError, match="Sequential is in training mode"):
        guided_backpropagation(rectified, pixels)
    with pytest.raises(ValueError, match=r"places 2: rows and columns"):
        InternalInfluence(network, fc6).profiles(pixels, places=2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"places \(3,\): rows and columns"):
        InternalInfluence(network, fc6).profiles(pixels, places=(3,))  # type: ignore[arg-type]
    classes = network(pixels).shape[1]
    for unknown in (-1, classes):
        asked = Logit(torch.full((len(pixels),), unknown))
        with pytest.raises(ValueError, match=f"no class {unknown}: the network has classes 0 to"):
            InternalInfluence(network, fc6, quantity=asked).profiles(pixels)


def test_a_quantity_may_be_given_by_name(network: FaceRecognizer, pixels: Tensor) -> None:
    slices = network.slice_modules(["post_relu"])
    named, built = (
        InternalInfluence(network, slices, quantity=one).profiles(pixels).profiles["conv3_2"]
        for one in ("comparative", Comparative())
    )
    assert torch.equal(named, built)


def test_functional_dropout_is_refused_in_training_mode(pixels: Tensor) -> None:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(pixels[0].numel(), 5)

        def forward(self, seen: Tensor) -> Tensor:
            return nn.functional.dropout(self.dense(seen.flatten(1)), training=self.training)

    network = Dropping()
    influence = InternalInfluence(network, {"dense": network.dense})
    with pytest.raises(ValueError, match=r"Dropping is in training mode: call eval\(\) first"):
        influence.profiles(pixels)
    network.eval()
    assert influence.profiles(pixels).profiles["dense"].shape == (len(pixels), 5)


def test_pixels_of_inference_mode_are_asked_like_others(
    network: FaceRecognizer, pixels: Tensor
) -> None:
    slices = network.slice_modules(["post_relu"])
    expected = profiles_at(network, slices, pixels).profiles
    with torch.inference_mode():
        made_there = pixels.clone()
        inside = profiles_at(network, slices, made_there).profiles
        guided = guided_backpropagation(network, made_there)
    outside = profiles_at(network, slices, made_there).profiles
    for name, wanted in expected.items():
        assert torch.equal(inside[name], wanted)
        assert torch.equal(outside[name], wanted)
    assert torch.equal(guided, guided_backpropagation(network, pixels))


def test_answers_that_are_no_logits_are_named(pixels: Tensor) -> None:
    class Answering(nn.Module):
        def __init__(self, answer: Callable[[Tensor], Any]) -> None:
            super().__init__()
            self.dense, self.relu, self.answer = (
                nn.Linear(pixels[0].numel(), 5),
                nn.ReLU(),
                answer,
            )

        def forward(self, seen: Tensor) -> Any:
            return self.answer(self.relu(self.dense(seen.flatten(1))))

    for answer, message in (
        (lambda values: {"logits": values}, "answers with a dict, not with logits"),
        (lambda values: values.sum(1), r"answers \(6,\) to 6 pictures; logits are 6 x classes"),
    ):
        network = Answering(answer).eval()
        with pytest.raises(ValueError, match=message):
            InternalInfluence(network, {"dense": network.dense}).profiles(pixels)
        with pytest.raises(ValueError, match=message):
            guided_backpropagation(network, pixels)
    one = Answering(lambda values: values[:, :1]).eval()
    with pytest.raises(ValueError, match="needs two classes: the network has one"):
        InternalInfluence(one, {"dense": one.dense}, quantity=Comparative()).profiles(pixels)


def test_pictures_are_read_as_the_network_wants_them(network: FaceRecognizer) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    double = copy.deepcopy(network).double()
    influence = InternalInfluence(double, {"fc7": double.slice_modules()["fc7"]})
    found = profiles_of_images(influence, images)
    assert found.profiles["fc7"].dtype == found.confidence.dtype == np.float32
    for wrong in (images.astype(np.float32) / 255, images[0], images.transpose(0, 3, 1, 2)):
        with pytest.raises(ValueError, match="pictures are uint8, N x height x width x 3: "):
            profiles_of_images(influence, wrong)
    with pytest.raises(ValueError, match="a batch has at least one picture: 0"):
        profiles_of_images(influence, images, batch_size=0)
