"""Informed attackers against small defences, and the sanity of their figures."""

import numpy as np
import pytest
import torch
from adaptive.small_defences import PEOPLE, images, masks, network, pixels, targets

from glassguard.adaptive.attacks import InformedAttack, OrthogonalAttack
from glassguard.adaptive.defences import MaskedAnswer, Squeezed, Undefended, straight_through
from glassguard.adaptive.gradient_free import random_search
from glassguard.attack.losses import LogitMargin
from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.detection.feature_squeezing import FeatureSqueezing, fewer_bits
from glassguard.recognizer.network import to_pixels

COUNT = 6
HOW = {"iterations": 25, "confidence": 0.6}
INFORMED = [InformedAttack, OrthogonalAttack]


def given() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return pixels(COUNT), masks(COUNT), targets(COUNT)


def squeezed(threshold: float) -> Squeezed:
    return Squeezed(network(), (lambda pictures: fewer_bits(pictures, 2),), threshold)


def upper_half_removed(pictures: np.ndarray) -> np.ndarray:
    found = pictures.copy()
    found[:, :12] = 128
    return found


def masked() -> MaskedAnswer:
    return MaskedAnswer(network(), upper_half_removed)


def test_straight_through_has_the_values_of_one_and_the_gradient_of_the_other():
    one, other = torch.rand(3), torch.rand(3, requires_grad=True)
    found = straight_through(one, other)
    assert torch.equal(found, one)
    (gradient,) = torch.autograd.grad((2 * found).sum(), other)
    assert gradient.tolist() == [2.0, 2.0, 2.0]


def test_without_a_defence_the_informed_attack_is_the_blind_one():
    blind = MaskedPixelAttack(network(), **HOW)(*given())
    for attack in INFORMED:
        found = attack(network(), defence=Undefended(network()), **HOW)(*given())
        assert torch.equal(found.gradients, blind.gradients)
        reached = blind.probabilities.gather(1, targets(COUNT)[:, None])[:, 0] >= 0.6
        assert torch.equal(found.pixels[reached], blind.pixels[reached])


def test_the_squeezers_score_is_the_defences_own():
    score = FeatureSqueezing(bits=2, median=3)
    defence = Squeezed(network(), (score._rounded, score._smoothed), 0.3)
    logits = network()(pixels(COUNT)).numpy()
    expected = score(network(), images(COUNT), logits, batch_size=4)
    labels = network()(pixels(COUNT)).argmax(1)
    found = defence.surplus(pixels(COUNT), labels, torch.zeros(COUNT)) + 0.3
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.array_equal(defence.passes(pixels(COUNT), labels).numpy(), expected <= 0.3)
    assert not defence.passes(pixels(COUNT), (labels + 1) % PEOPLE).any()


@pytest.mark.parametrize("attack", INFORMED)
@pytest.mark.parametrize("make", [lambda: squeezed(0.2), masked], ids=["squeezed", "masked"])
def test_informed_is_never_worse_than_blind(make, attack):
    defence = make()
    blind = InformedAttack(network(), defence=defence, weight=0.0, **HOW)(*given())
    informed = attack(network(), defence=defence, **HOW)(*given())
    through = [
        int(defence.passes(found.pixels, targets(COUNT)).sum()) for found in (blind, informed)
    ]
    assert through[1] >= through[0]
    outside = ~masks(COUNT)[:, None].expand_as(informed.pixels)
    assert torch.equal(informed.pixels[outside], pixels(COUNT)[outside])


def test_more_iterations_are_never_worse_for_the_attacker():
    defence = squeezed(0.3)
    scores = [
        InformedAttack(network(), defence=defence, iterations=count, confidence=1.0)(*given()).score
        for count in (0, 5, 15)
    ]
    assert (scores[1] >= scores[0]).all()
    assert (scores[2] >= scores[1]).all()


def test_a_kept_iterate_passes_wherever_one_did():
    found = InformedAttack(network(), defence=squeezed(0.4), **HOW)(*given())
    passed = squeezed(0.4).passes(found.pixels, targets(COUNT))
    assert torch.equal(passed, found.score > 1)


def test_success_grows_with_the_frame_to_all_of_the_picture():
    whole = torch.ones_like(masks(COUNT))
    attack = InformedAttack(network(), defence=squeezed(0.5), iterations=60, confidence=0.5)
    through = []
    for area in (masks(COUNT), whole):
        found = attack(pixels(COUNT), area, targets(COUNT)).pixels
        through.append(int(squeezed(0.5).passes(found, targets(COUNT)).sum()))
    assert through[1] >= through[0]
    assert through[1] == COUNT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": -1.0}, "weight must be finite, at least 0"),
        ({"goal": "dodging"}, "an informed attack impersonates"),
    ],
)
def test_arguments_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        InformedAttack(network(), defence=squeezed(0.1), **changes)


def judge(pictures: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with torch.no_grad():
        logits = network()(to_pixels(torch.from_numpy(pictures)))
    of = targets(COUNT)[torch.from_numpy(rows)]
    return LogitMargin()(logits, of).double().numpy(), logits.argmax(1).eq(of).numpy()


def search(queries: int, rows: slice = slice(None), seed: int = 0):
    def of_rows(pictures: np.ndarray, found: np.ndarray):
        return judge(pictures, np.arange(COUNT)[rows][found])

    return random_search(
        of_rows,
        images(COUNT)[rows],
        masks(COUNT).numpy()[rows],
        queries=queries,
        numbers=list(range(COUNT))[rows],
        seed=seed,
    )


def test_random_search_only_gains_and_stays_in_the_frame():
    few, many = search(1), search(60)
    assert (many.loss <= few.loss).all()
    assert (many.loss < few.loss).any()
    assert np.array_equal(many.images[~masks(COUNT).numpy()], images(COUNT)[~masks(COUNT).numpy()])
    loss, passed = judge(many.images, np.arange(COUNT))
    np.testing.assert_allclose(loss, many.loss, atol=1e-4)
    assert np.array_equal(passed, many.passed)
    assert (many.queries[~many.passed] == 60).all()
    alone = search(60, slice(3, 4))
    assert np.array_equal(alone.images[0], many.images[3])


def test_white_box_beats_search():
    found = MaskedPixelAttack(network(), iterations=60, confidence=0.5)(*given())
    success = (found.probabilities.argmax(1) == targets(COUNT)).sum()
    assert int(success) >= int(search(60).passed.sum())
