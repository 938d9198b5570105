"""Internal influence and guided backpropagation against Captum."""

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
    GuidedBackprop,
    LayerGradientXActivation,
    LayerIntegratedGradients,
)
from captum.attr import InternalInfluence as CaptumInternalInfluence
from torch import Tensor, nn

from glassguard.influence.convolution_inputs import inputs_forgotten
from glassguard.influence.distributions import InputLine, LayerLine
from glassguard.influence.experts import find_experts, heat_maps
from glassguard.influence.guided_backpropagation import guided_backpropagation
from glassguard.influence.internal import Call, InfluenceProfiles, InternalInfluence, Slices
from glassguard.influence.profiles import profiles_of_images
from glassguard.influence.quantities import (
    Comparative,
    Logit,
    Quantity,
    Softmax,
    quantity_named,
)
from glassguard.influence.settings import Reduction
from glassguard.recognizer.layers import LAYERS, PRE_RELU, SLICES
from glassguard.recognizer.network import FaceRecognizer, to_pixels

DOCS = Path(__file__).resolve().parents[2] / "docs"


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


@pytest.mark.parametrize("kind", KINDS)
def test_guided_backpropagation_through_inplace_and_shared_activations(
    kind: str, pixels: Tensor
) -> None:
    clean, network = Small("plain").eval(), Small(kind).eval()
    classes = clean(pixels).argmax(1)
    expected = GuidedBackprop(clean).attribute(pixels.clone().requires_grad_(True), classes)
    assert relative_error(guided_backpropagation(network, pixels), expected) <= 1e-6
    assert hooks_left(network) == 0


def test_slice_beside_the_network_is_refused(network: FaceRecognizer, pixels: Tensor) -> None:
    slices = {**network.slice_modules(), "elsewhere": nn.ReLU()}
    with pytest.raises(ValueError, match="elsewhere"):
        profiles_at(network, slices, pixels)


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


def test_the_worked_example_of_the_documentation_runs() -> None:
    failed, tried = doctest.testfile(str(DOCS / "influence.md"), module_relative=False)
    assert failed == 0
    assert tried > 20


def test_guided_backpropagation_wants_one_class_a_picture(
    network: FaceRecognizer, pixels: Tensor
) -> None:
    with pytest.raises(ValueError, match="one class a picture"):
        guided_backpropagation(network, pixels, torch.tensor([1]))


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


def test_a_line_in_a_layer_that_others_go_past_is_refused(pixels: Tensor) -> None:
    network = Residual().eval()
    slices = {"second": network.second}
    for steps, baseline in ((3, None), (1, torch.zeros_like(pixels)), (1, 0.3)):
        line = LayerLine(steps=steps, baseline=baseline)
        with pytest.raises(ValueError, match="second: what lies behind it depends on the picture"):
            InternalInfluence(network, slices, distribution=line).profiles(pixels)


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
