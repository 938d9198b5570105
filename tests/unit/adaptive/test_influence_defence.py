"""Influence detectors as an informed attacker sees them."""

import numpy as np
import pytest
import torch
from adaptive.small_defences import PEOPLE, images, network, pixels

from glassguard.adaptive.influence import InfluenceDetected, with_soft_slopes
from glassguard.detection.pictures import NOBODY, Pictures
from glassguard.detection.slice_detectors import DetectorSettings, SliceDetectors, fit_slice
from glassguard.influence.internal import InternalInfluence
from glassguard.influence.profiles import profiles_of_images

SLICE = "conv3_2"


def pictures(seed: int, count: int = 24) -> Pictures:
    model = network()
    modules = {SLICE: model.slice_modules()[SLICE]}
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


def detectors(variant: str = "unit_standardised") -> SliceDetectors:
    training = pictures(0)
    # A random network may see one person alone.
    identity = np.arange(len(training)) % PEOPLE
    training = training.take(np.arange(len(training)))
    object.__setattr__(training, "identity", identity)
    object.__setattr__(training, "prediction", identity)
    return fit_slice(
        training,
        training,
        slice_name=SLICE,
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
