"""Networks of every floating-point type, and numbers that are not finite."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassguard.detection.activations import activation_profiles
from glassguard.influence import (
    Distribution,
    Experts,
    InputLine,
    InternalInfluence,
    LayerLine,
    Logit,
    Softmax,
    class_experts,
    expert_gradients,
    find_experts,
    heat_maps,
    profiles_of_images,
    share_inside,
    top_neurons,
)
from glassguard.influence.guided_backpropagation import guided_backpropagation
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.network import pixels_for
from glassguard.saliency.classification import probabilities
from glassguard.saliency.relative_map import relative_maps
from glassguard.saliency.saliency_map import saliency_maps

TYPES = {torch.float64: 1e-5, torch.float16: 0.02, torch.bfloat16: 0.15}
LINES = [None, InputLine(steps=3), LayerLine(steps=3), LayerLine(steps=2, baseline=0.5)]
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
CLASSES = torch.tensor([0, 1, 2, 0, 1])


def network_of(kind: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(1)
    return (
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * 16, 16),
            nn.ReLU(),
            nn.Linear(16, 3),
        )
        .eval()
        .to(kind)
    )


def slices_of(network: nn.Sequential) -> dict[str, nn.Module]:
    return {"conv": network[0], "relu": network[1], "dense": network[5]}


def near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    assert found.dtype == expected.dtype == torch.float32
    assert found.shape == expected.shape
    assert expected.norm() > 0
    assert float((found - expected).norm() / expected.norm()) <= tolerance


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("quantity", [Logit(CLASSES), Softmax(CLASSES)])
@pytest.mark.parametrize("times", [False, True])
def test_influence_is_float32_and_that_of_the_float32_network(
    kind: torch.dtype, line: Distribution | None, quantity: Logit | Softmax, times: bool
) -> None:
    found, expected = (
        InternalInfluence(
            one, slices_of(one), quantity=quantity, distribution=line, times_activation=times
        )
        for one in (network_of(kind), network_of())
    )
    ours, theirs = (pixels_for(one.network, IMAGES) for one in (found, expected))
    assert ours.dtype == kind
    images, wanted = found.profiles(ours, places=(2, 2)), expected.profiles(theirs, places=(2, 2))
    near(images.logits, wanted.logits, TYPES[kind])
    for name, profile in wanted.profiles.items():
        near(images.profiles[name], profile, TYPES[kind])
    for name, neurons in expected.neurons(theirs).slices.items():
        near(found.neurons(ours).slices[name], neurons, TYPES[kind])
    for name, one in find_experts(found, ours, share=0.2).items():
        other = find_experts(expected, theirs, share=0.2)[name]
        near(one.influence, other.influence, TYPES[kind])


@pytest.mark.parametrize("kind", [torch.float32, *TYPES])
@pytest.mark.parametrize("line", LINES)
def test_profiles_of_images_are_float32_arrays(
    kind: torch.dtype, line: Distribution | None
) -> None:
    network, seen = network_of(kind), []
    handle = network.register_forward_pre_hook(lambda module, given: seen.append(given[0].dtype))
    influence = InternalInfluence(network, slices_of(network), distribution=line)
    found = profiles_of_images(influence, IMAGES, batch_size=8)
    handle.remove()
    assert set(seen) == {kind}
    plain = InternalInfluence(network_of(), slices_of(network_of()), distribution=line)
    plain.slices = slices_of(plain.network)
    expected = profiles_of_images(plain, IMAGES, batch_size=8)
    assert found.confidence.dtype == np.float32
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=TYPES.get(kind, 0))
    for name, profile in expected.profiles.items():
        assert found.profiles[name].dtype == np.float32
        if np.array_equal(found.prediction, expected.prediction):
            near(*map(torch.from_numpy, (found.profiles[name], profile)), TYPES.get(kind, 0))


@pytest.mark.parametrize("kind", TYPES)
def test_maps_are_float32_and_those_of_the_float32_network(kind: torch.dtype) -> None:
    whole = network_of()
    theirs = pixels_for(whole, IMAGES)
    experts = find_experts(
        InternalInfluence(whole, slices_of(whole), quantity=Logit(CLASSES)), theirs, share=0.5
    )
    # As small as the gradients of a deep network: nothing in float16.
    small = {
        name: Experts(one.indices, one.influence * 1e-9, one.shape) for name, one in experts.items()
    }

    def maps(network: nn.Sequential, pixels: Tensor) -> dict[str, Tensor]:
        slices = slices_of(network)
        found = {
            "guided": guided_backpropagation(network, pixels, CLASSES),
            "relative": relative_maps(network, network[1], pixels, blur=0.1, floor=0.5)[0],
            "saliency": saliency_maps(network, pixels)[0],
        }
        for name, one in heat_maps(network, slices, pixels, experts).items():
            found[f"heat {name}"] = one
        for name, one in heat_maps(network, slices, pixels, small).items():
            found[f"small heat {name}"] = one
        for guided in (True, False):
            for name, one in expert_gradients(
                network, slices, pixels, experts, guided=guided
            ).items():
                found[f"fields {guided} {name}"] = one
        return found

    half = network_of(kind)
    with torch.no_grad():
        same = torch.equal(
            half(pixels_for(half, IMAGES)).float().argsort(1), whole(theirs).argsort(1)
        )
    found = maps(half, pixels_for(half, IMAGES))
    for name, one in maps(whole, theirs).items():
        assert same or name not in ("relative", "saliency")
        near(found[name], one, TYPES[kind])
        assert np.isfinite(found[name].numpy()).all()


@pytest.mark.parametrize("kind", [torch.float32, *TYPES])
def test_the_share_inside_takes_tensors_of_every_type(kind: torch.dtype) -> None:
    maps = torch.arange(16.0).view(1, 4, 4).to(kind)
    frames = np.zeros((1, 4, 4), dtype=bool)
    frames[0, 3] = True
    inside, area = share_inside(maps.requires_grad_(True), frames)
    assert inside.dtype == np.float64
    assert inside.tolist() == [(12 + 13 + 14 + 15) / 120]
    assert area.tolist() == [0.25]


@pytest.mark.parametrize("kind", TYPES)
def test_activations_and_confidences_are_float32_arrays(kind: torch.dtype) -> None:
    network, whole = network_of(kind), network_of()
    with torch.no_grad():
        expected = whole(pixels_for(whole, IMAGES)).softmax(1).numpy()
    for found in (
        probabilities_of(network, IMAGES),  # type: ignore[arg-type]
        np.stack(list(probabilities(network, IMAGES, batch_size=2))),
    ):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=TYPES[kind])
    ours = activation_profiles(network, slices_of(network), IMAGES, batch_size=2)
    theirs = activation_profiles(whole, slices_of(whole), IMAGES, batch_size=2)
    for name in theirs.largest:
        near(*map(torch.from_numpy, (ours.largest[name], theirs.largest[name])), TYPES[kind])


@pytest.mark.parametrize("kind", TYPES)
def test_pixels_of_another_type_than_the_network_are_refused(kind: torch.dtype) -> None:
    network = network_of(kind)
    slices, pixels = slices_of(network), pixels_for(network_of(), IMAGES)
    experts = {name: top_neurons(torch.rand(5, 4), 0.5) for name in slices}
    asked: list[Callable[[], object]] = [
        lambda: guided_backpropagation(network, pixels),
        lambda: heat_maps(network, slices, pixels, experts),
    ]
    for line in LINES:
        influence = InternalInfluence(network, slices, distribution=line)
        asked.append(lambda one=influence: one.profiles(pixels))
    for ask in asked:
        with pytest.raises(ValueError, match=rf"pixels are torch\.float32, .* are {kind}"):
            ask()


def test_a_network_that_takes_pixels_of_another_type_may_have_them() -> None:
    class Casting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network_of(torch.bfloat16)

        def forward(self, seen: Tensor) -> Tensor:
            return self.inner(seen.to(torch.bfloat16))

    network = Casting().eval()
    pixels = pixels_for(network_of(), IMAGES)
    slices = slices_of(network.inner)
    found = InternalInfluence(network, slices).profiles(pixels).profiles
    inner = InternalInfluence(network.inner, slices).profiles(pixels.bfloat16()).profiles
    assert all(torch.equal(found[name], inner[name]) for name in slices)
    assert guided_backpropagation(network, pixels).dtype == torch.float32


class Broken(nn.Module):
    """A network whose answer to bright pictures is not finite."""

    def __init__(self, value: float) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.relu, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 3)
        nn.init.constant_(self.conv.weight, 1 / 27)
        self.value = value

    def forward(self, seen: Tensor) -> Tensor:
        middle = self.relu(self.conv(seen)).mean(dim=(2, 3))
        bright = middle.detach().mean(dim=1, keepdim=True) > 0.5
        return self.head(middle).masked_fill(bright, self.value)


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
@pytest.mark.parametrize("line", LINES)
def test_pictures_whose_logits_are_not_finite_are_named(
    value: float, line: Distribution | None
) -> None:
    network = Broken(value).eval()
    images = np.zeros((9, 8, 8, 3), dtype=np.uint8)
    images[[2, 5, 8]] = 255
    pixels = pixels_for(network, images)
    slices = {"conv": network.conv}
    influence = InternalInfluence(network, slices, distribution=line)
    experts = {"conv": top_neurons(torch.rand(9, 4, 6, 6), 0.1)}
    said = "the network's logits: not finite at pictures 2, 5, 8$"
    for ask in (
        lambda: influence.profiles(pixels),
        lambda: influence.neurons(pixels),
        lambda: find_experts(influence, pixels, share=0.5),
        lambda: class_experts(influence, pixels.split(4), share=0.5),
        lambda: profiles_of_images(influence, images, batch_size=8),
        lambda: guided_backpropagation(network, pixels),
        lambda: saliency_maps(network, pixels),
        lambda: relative_maps(network, network.relu, pixels, blur=0.0, floor=0.1),
        lambda: heat_maps(network, slices, pixels, experts),
        lambda: expert_gradients(network, slices, pixels, experts, guided=True),
    ):
        with pytest.raises(ValueError, match=said):
            ask()
    assert influence.profiles(pixels[[0, 1]]).profiles["conv"].isfinite().all()


def test_many_pictures_are_named_in_part() -> None:
    network = Broken(torch.inf).eval()
    influence = InternalInfluence(network, {"conv": network.conv})
    with pytest.raises(ValueError, match=r"at pictures 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more$"):
        influence.profiles(torch.ones(12, 3, 8, 8))


def test_pixels_and_influence_that_are_not_finite_are_named() -> None:
    class Rooted(nn.Module):
        """The root has no slope at 0, where black pictures lie."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 4, 3, bias=False), nn.ReLU()

        def forward(self, seen: Tensor) -> Tensor:
            brightness = seen.sum(dim=(1, 2, 3)).sqrt()[:, None]
            return self.relu(self.conv(seen)).sum(dim=(2, 3)).sqrt() + brightness

    network = Rooted().eval()
    pixels = torch.rand(4, 3, 8, 8)
    pixels[1] = 0
    slices = {"relu": network.relu}
    influence = InternalInfluence(network, slices)
    for ask in (
        lambda: influence.profiles(pixels),
        lambda: influence.neurons(pixels),
        lambda: find_experts(influence, pixels, share=0.5),
        lambda: class_experts(influence, [pixels], share=0.5),
    ):
        with pytest.raises(ValueError, match=r"influence at relu: not finite at picture 1$"):
            ask()
    with pytest.raises(ValueError, match=r"the guided gradient: not finite at picture 1$"):
        guided_backpropagation(network, pixels)
    broken = copy.deepcopy(pixels)
    broken[2, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"pixels: not finite at picture 2$"):
        influence.profiles(broken)
