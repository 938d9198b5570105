"""The guard as an informed attacker sees it."""

import numpy as np
import pytest
import torch
from adaptive.small_defences import PEOPLE, SIZE, images, masks, pixels, targets
from adaptive.test_adaptive_stages import settings
from torch import nn
from worn_frames import EYES as EYES_AT_96

from glassguard.adaptive.attacks import InformedAttack, OrthogonalAttack
from glassguard.adaptive.evaluation import Outcome, Victims, attack_all, guard_table
from glassguard.adaptive.guarded import GUARD, Bound, Guarded
from glassguard.guard.eye_band import eye_band
from glassguard.guard.guard import Guard
from glassguard.guard.settings import Placements
from glassguard.recognizer.network import to_images

COUNT = 6
NUMBERS = [10 + row for row in range(COUNT)]
EYES = np.repeat(EYES_AT_96[None] * SIZE / 96, COUNT, axis=0)


def recognizer(seed: int = 0) -> nn.Module:
    """Linear in coarse pixels: unlike an untrained deep network, it tells pictures apart."""
    torch.manual_seed(seed)
    layer = nn.Linear(3 * (SIZE // 4) ** 2, PEOPLE)
    nn.init.normal_(layer.weight)
    layer.bias.data = -0.5 * layer.weight.data.sum(dim=1)
    found = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), layer)
    return found.requires_grad_(False).eval()


def guard(least: float = 0.0) -> Guard:
    band = eye_band(Placements(shift=0.018, rotation=4, scale=0.05))
    needed = {"least_full": 0.0, "least_banded": least}
    names = tuple(f"p{number}" for number in range(PEOPLE))
    return Guard(recognizer(), recognizer(1), names, SIZE, band, needed, "accept_or_reject")


def guarded(least: float = 0.0) -> Guarded:
    return Guarded.worn(guard(least), EYES, NUMBERS)


def frames() -> np.ndarray:
    """All of the band: what an attacker may paint at most."""
    return guard().band.masks(EYES, SIZE)


def attacked(kind: type[InformedAttack], labels: torch.Tensor) -> torch.Tensor:
    attack = kind(recognizer(), defence=guarded(), iterations=15, confidence=0.6)
    return attack(pixels(COUNT), torch.from_numpy(frames()), labels, numbers=NUMBERS).pixels


def test_a_picture_passes_where_the_guard_accepts_it_as_its_label():
    said = guard(0.3).inspect(images(COUNT), EYES)
    for person in range(PEOPLE):
        expected = [one.answer == f"p{person}" for one in said]
        labels = torch.full((COUNT,), person)
        assert guarded(0.3).passes(pixels(COUNT), labels).tolist() == expected
    assert any(one.decision == "accept" for one in said)
    assert any(one.decision == "reject" for one in said)


def test_each_picture_has_its_own_band():
    eyes = EYES.copy()
    eyes[1, :, 1] += 9
    whole, labels = Guarded.worn(guard(), eyes, NUMBERS), targets(COUNT)
    expected = whole.surplus(pixels(COUNT), labels, torch.zeros(COUNT))
    rows = [3, 1]
    part = whole.at([NUMBERS[row] for row in rows])
    found = part.surplus(pixels(COUNT)[rows], labels[rows], torch.zeros(2))
    torch.testing.assert_close(found, expected[rows])
    other = guarded().surplus(pixels(COUNT), labels, torch.zeros(COUNT))
    assert torch.equal(other != expected, torch.arange(COUNT) == 1)


def test_the_stand_in_moves_nothing_in_the_band_and_everything_outside():
    leaf = pixels(COUNT).requires_grad_(True)
    surplus = guarded().surplus(leaf, targets(COUNT), torch.zeros(COUNT))
    (gradient,) = torch.autograd.grad(surplus.sum(), leaf)
    inside = torch.from_numpy(frames())[:, None].expand_as(gradient)
    assert not gradient[inside].any()
    assert (gradient[~inside] != 0).float().mean() > 0.9


@pytest.mark.parametrize("kind", [InformedAttack, OrthogonalAttack])
def test_nobody_is_accepted_as_a_target_that_the_banded_recognizer_does_not_see(kind):
    seen = guarded().guard.inspect(images(COUNT), EYES)
    banded = torch.tensor([int(one.banded[1:]) for one in seen])
    # The same attack reaches the target where the certificate allows it.
    for labels, allowed in ((banded, True), ((banded + 1) % PEOPLE, False)):
        found = attacked(kind, labels)
        fooled = recognizer()(found).argmax(1) == labels
        assert fooled.any()
        assert torch.equal(guarded().passes(found, labels), fooled & allowed)
        shown = np.ascontiguousarray(to_images(found).numpy())
        answers = [one.answer for one in guard().inspect(shown, EYES)]
        accepted = [one == f"p{label}" for one, label in zip(answers, labels, strict=True)]
        assert accepted == (fooled & allowed).tolist()


def test_beyond_the_band_the_certificate_says_nothing_and_the_attacker_gets_through():
    everywhere = np.ones((COUNT, SIZE, SIZE), dtype=bool)
    labels = targets(COUNT)
    attack = InformedAttack(recognizer(), defence=guarded(), iterations=60, confidence=0.5)
    found = attack(pixels(COUNT), torch.from_numpy(everywhere), labels, numbers=NUMBERS).pixels
    assert guarded().passes(found, labels).any()
    bound = guarded().bound(images(COUNT), everywhere, labels.numpy())
    assert not bound.covered.any()
    assert guarded().bound(images(COUNT), frames(), labels.numpy()).covered.all()


def test_the_bound_is_the_banded_answer_to_the_bare_face():
    seen = [int(one.banded[1:]) for one in guard().inspect(images(COUNT), EYES)]
    labels = np.array([seen[0], *[(one + 1) % PEOPLE for one in seen[1:]]])
    bound = guarded().bound(images(COUNT), frames(), labels)
    assert bound.banded_target.tolist() == [True] + [False] * (COUNT - 1)


def test_the_guard_has_its_own_iterations_and_restarts():
    victims = Victims(
        images(COUNT), masks(COUNT).numpy(), targets(COUNT).numpy(), images(COUNT), NUMBERS
    )
    given = settings(guard={"iterations": 3, "restarts": 2}, queries=0)
    found = attack_all(recognizer(), {GUARD: guarded()}, victims, given, seed=0)
    efforts = {one.attacker: (one.iterations, one.restarts) for one in found}
    assert efforts["hinge"] == efforts["orthogonal"] == (3, 2)
    assert efforts["blind"] == (0, 0)


def test_a_picture_beyond_the_bound_is_counted():
    passed = np.array([True, True, True, False])
    bound = Bound(
        banded_target=np.array([True, False, False, False]),
        covered=np.array([True, True, False, True]),
    )
    outcomes = [
        Outcome(GUARD, "blind", 9, 0, passed, ~passed & False),
        Outcome(GUARD, "hinge", 9, 2, passed, passed),
        Outcome("none", "blind", 9, 0, passed, passed | True),
    ]
    table = guard_table(outcomes, bound).set_index("attacker")
    assert table["beyond_bound"].tolist() == [0, 1, 1]
    assert table["accepted_as_target"].tolist() == [0, 0.75, 0.75]
    assert (table["covered"] == 3).all()
    assert (table["banded_target"] == 1).all()
