"""Influence detectors as an informed attacker sees them."""

import numpy as np
import pytest
import torch
from adaptive.small_defences import PEOPLE, SIZE, images, network, pixels
from recognizer.onnx_writing import residual_network, write
from torch import nn

from glassguard.adaptive.influence import InfluenceDetected, with_soft_slopes
from glassguard.detection.pictures import NOBODY, Pictures
from glassguard.detection.slice_detectors import DetectorSettings, SliceDetectors, fit_slice
from glassguard.influence.internal import InternalInfluence
from glassguard.influence.profiles import profiles_of_images
from glassguard.recognizer.embedding_recognizer import EmbeddingRecognizer
from glassguard.recognizer.network import Recognizer
from glassguard.recognizer.onnx_file import read_onnx

SLICE = "conv3_2"


def pictures(
    seed: int, count: int = 24, *, model: Recognizer | None = None, name: str = SLICE
) -> Pictures:
    model = model or network()
    modules = {name: model.slice_modules(("pre_relu", "post_relu"), "all")[name]}
    found = profiles_of_images(
        InternalInfluence(model, modules),
        images(count, seed),
        reduction="max",
        places=(1, 1),
        batch_size=8,
    )
    return Pictures(
        profiles=found.profiles,
        prediction=found.prediction,
        confidence=found.confidence,
        identity=found.prediction,
        target=np.full(count, NOBODY),
        split=np.full(count, "train"),
        face=np.array([f"{seed}-{row}" for row in range(count)]),
        agreement=np.zeros(count),
        covered=np.zeros(count),
        misnamed_bare=np.zeros(count, dtype=bool),
        activations={},
        mean_activations={},
        pixel_scores={},
    )


def detectors(
    variant: str = "unit_standardised", *, model: Recognizer | None = None, name: str = SLICE
) -> SliceDetectors:
    training = pictures(0, model=model, name=name)
    # A random network may see one person alone.
    identity = np.arange(len(training)) % PEOPLE
    training = training.take(np.arange(len(training)))
    object.__setattr__(training, "identity", identity)
    object.__setattr__(training, "prediction", identity)
    return fit_slice(
        training,
        training,
        slice_name=name,
        variant=variant,
        people=np.arange(PEOPLE),
        settings=DetectorSettings(alpha=0.005, max_iter=50, acceptance=0.9),
        seeds=[0, 1],
    )


@pytest.mark.parametrize("variant", ["raw", "standardised", "unit_standardised"])
def test_the_attacker_computes_the_detectors_own_score(variant):
    fitted, seen = detectors(variant), pictures(1, 6)
    defence = InfluenceDetected(network(), fitted, threshold=0.0)
    leaf = pixels(6, 1).requires_grad_(True)
    labels = torch.from_numpy(seen.prediction)
    found = defence._scores(defence.network, leaf, labels, differentiable=False)
    np.testing.assert_allclose(found.detach(), fitted(seen), rtol=1e-4, atol=1e-4)
    middle = float(np.median(fitted(seen)))
    passes = InfluenceDetected(network(), fitted, threshold=middle).passes(leaf, labels)
    assert np.array_equal(passes.numpy(), fitted(seen) <= middle)
    stranger = (labels + 1) % PEOPLE
    assert not InfluenceDetected(network(), fitted, threshold=1e9).passes(leaf, stranger).any()


@pytest.mark.parametrize("activation", ["PRelu", "LeakyRelu", "Clip"])
def test_a_recognizer_on_an_onnx_file_is_attacked_too(activation, tmp_path):
    torch.manual_seed(0)
    model = EmbeddingRecognizer(
        read_onnx(write(tmp_path / "network.onnx", residual_network(activation))),
        identities=PEOPLE,
        image_size=SIZE,
        hidden=8,
        mean=(127.5, 127.5, 127.5),
        scale=32.0,
        channels="rgb",
    )
    model.requires_grad_(False).eval()
    name = next(iter(model.slice_modules(("pre_relu",), "all")))
    fitted, seen = detectors(model=model, name=name), pictures(1, 6, model=model, name=name)
    defence, labels = InfluenceDetected(model, fitted, 0.0), torch.from_numpy(seen.prediction)
    leaf = pixels(6, 1).requires_grad_(True)
    found = defence._scores(model, leaf, labels, differentiable=False)
    np.testing.assert_allclose(found.detach(), fitted(seen), rtol=1e-4, atol=1e-4)
    soft = defence.surplus(leaf, labels, torch.full((6,), 0.5))
    (gradient,) = torch.autograd.grad(soft.sum(), leaf)
    assert gradient.isfinite().all()
    assert (gradient.abs().amax(dim=(1, 2, 3)) > 0).all()


@pytest.mark.parametrize(
    "activation",
    [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.5, 0.7), nn.PReLU(3, 0.3), nn.LeakyReLU(0.2)],
)
def test_a_sharp_soft_slope_is_the_activations(activation: nn.Module) -> None:
    soft, slopes = with_soft_slopes(nn.Sequential(activation))
    # No value lies on a kink.
    values = (torch.arange(-40, 41).repeat(2, 3, 1) / 5 + 0.03).requires_grad_(True)
    slopes[0].sharpness = torch.tensor([1e4, 1.0])
    assert torch.equal(soft(values), activation(values))
    (found,) = torch.autograd.grad(soft(values).sum(), values, create_graph=True)
    (expected,) = torch.autograd.grad(activation(values).sum(), values)
    torch.testing.assert_close(found[0], expected[0])
    assert (found[1] - expected[1]).abs().max() > 0.1
    (curvature,) = torch.autograd.grad(found[1].sum(), values)
    assert curvature[1].any()


def test_soft_slopes_keep_the_answers_and_sharpen_to_the_gradient():
    soft, slopes = with_soft_slopes(network())
    given = pixels(3)
    torch.testing.assert_close(soft(given), network()(given))
    assert len(slopes) == 15

    def gradient(model) -> torch.Tensor:
        leaf = given.clone().requires_grad_(True)
        (found,) = torch.autograd.grad(model(leaf).amax(dim=1).sum(), leaf)
        return found

    hard, distance = gradient(network()), []
    for sharpness in (1.0, 30.0, 1e6):
        for slope in slopes:
            slope.sharpness = sharpness
        distance.append(float((gradient(soft) - hard).abs().mean()))
    assert distance[0] > distance[1] > distance[2]
    assert distance[2] < 1e-3 * float(hard.abs().mean())


def test_the_plain_gradient_of_influence_is_zero_and_the_stand_ins_is_not():
    fitted, given = detectors(), pixels(4, 2)
    labels = network()(given).argmax(1)
    defence = InfluenceDetected(network(), fitted, threshold=0.0)
    leaf = given.clone().requires_grad_(True)
    soft = defence.surplus(leaf, labels, torch.full((4,), 0.5))
    (stand_in,) = torch.autograd.grad(soft.sum(), leaf)
    assert stand_in.isfinite().all()
    assert (stand_in.abs().amax(dim=(1, 2, 3)) > 0).all()
    with torch.enable_grad():
        leaf = given.clone().requires_grad_(True)
        hard = defence._scores(network(), leaf, labels, differentiable=True)
        (plain,) = torch.autograd.grad(hard.sum(), leaf, allow_unused=True)
    assert plain is None or not plain.any()


def test_quadratic_detectors_are_refused():
    with pytest.raises(ValueError, match="standardised profiles only: QuadraticTerms"):
        InfluenceDetected(network(), detectors("quadratic"), threshold=0.0)
