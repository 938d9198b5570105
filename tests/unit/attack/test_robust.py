"""Expectation over transformation, restarts, and success under held-out circumstances."""

import numpy as np
import pytest
import torch
from attack.small_attacks import CLASSES, HEIGHT, WIDTH, frames, levels, recognizer
from attack.test_transformations import NONE

from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.attack.robust import RobustAttack
from glassguard.attack.robustness import ALL, Attacked, held_out_success, robustness_table
from glassguard.attack.settings import Robustness, Transformations
from glassguard.attack.starts import Colour, Face, Noise
from glassguard.attack.transformations import KINDS, draw, seen_under
from glassguard.recognizer.network import to_images

MOVED = NONE.model_copy(update={"shift": 0.2, "brightness": 0.2, "noise": 0.05})


def faces(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return levels(count), frames(count), torch.arange(count) % CLASSES


def robust(**changes: object) -> RobustAttack:
    arguments = {"transformations": MOVED, "iterations": 12, "check_every": 4, "confidence": 1.0}
    return RobustAttack(recognizer(), **(arguments | changes))


def test_without_transformations_it_is_the_plain_attack_with_fewer_checks():
    arguments = {"iterations": 7, "confidence": 1.0}
    plain = MaskedPixelAttack(recognizer(), **arguments)(*faces(4))
    found = robust(transformations=NONE, check_every=1, samples=1, checks=1, **arguments)(*faces(4))
    assert torch.equal(found.pixels, plain.pixels)
    assert torch.equal(found.iterations, plain.iterations)


def test_it_is_better_on_average_over_circumstances_than_the_plain_attack():
    pixels, masks, labels = faces(6)

    def mean_confidence(attack: MaskedPixelAttack) -> float:
        worn = attack(pixels, masks, labels).pixels
        generators = [np.random.default_rng([9, one]) for one in range(200)]
        total = 0.0
        for row in range(len(pixels)):
            rows = torch.full((200,), row)
            drawn = draw(MOVED, generators, (HEIGHT, WIDTH))
            seen = seen_under(drawn, worn[rows], pixels[rows], masks[rows, None])
            total += attack.network(seen).softmax(1)[:, labels[row]].mean().item()
        return total / len(pixels)

    plain = MaskedPixelAttack(recognizer(), iterations=40, confidence=1.0)
    assert mean_confidence(robust(iterations=40, samples=4, checks=32)) > mean_confidence(plain)


def test_the_kept_iterate_is_the_best_of_the_checked_ones():
    found = robust()(*faces(5))
    assert (found.iterations % 4 == 0).all()
    pixels, masks, labels = faces(5)
    torch.testing.assert_close(
        recognizer()(found.pixels).softmax(1), found.probabilities, atol=1e-6, rtol=0
    )
    fewer = robust(iterations=8)(pixels, masks, labels)
    assert (found.score >= fewer.score).all(), "more steps are never worse"


def test_draws_depend_on_seed_and_number_and_not_on_batches():
    pixels, masks, labels = faces(4)
    together = robust(batch_size=4)(pixels, masks, labels, numbers=[3, 1, 4, 5])
    one_by_one = robust(batch_size=1)(pixels, masks, labels, numbers=[3, 1, 4, 5])
    assert torch.equal(together.pixels, one_by_one.pixels)
    alone = robust()(pixels[2:3], masks[2:3], labels[2:3], numbers=[4])
    assert torch.equal(alone.pixels, together.pixels[2:3])
    other = robust(seed=1)(pixels, masks, labels, numbers=[3, 1, 4, 5])
    assert not torch.equal(other.pixels, together.pixels)


def test_it_ends_where_the_mean_confidence_is_reached():
    found = robust(confidence=0.3, iterations=400)(*faces(4))
    reached = found.score >= 0.3
    assert reached.any()
    assert (found.gradients[reached] < 400).all()


def test_dodging_leaves_the_true_class():
    pixels, masks, _ = faces(4)
    labels = recognizer()(pixels).argmax(1)
    before = robust(goal="dodging", iterations=0, initial_colour=None)(pixels, masks, labels)
    after = robust(goal="dodging", initial_colour=None)(pixels, masks, labels)
    assert (after.score > before.score).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "samples must be a whole number, at least 1: 0"),
        ({"patience": 3}, "patience must be at least check_every=4: 3"),
        ({"transformations": {"shift": 2}}, "shift"),
    ],
)
def test_arguments_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        robust(**changes)


def test_restarts_keep_the_best_and_stop_at_success():
    pixels, masks, labels = faces(6)
    scores = MaskedPixelAttack(recognizer(), iterations=6, confidence=1.0)(pixels, masks, labels)
    middle = float(scores.score.median())
    arguments = {"iterations": 6, "confidence": middle}
    once = MaskedPixelAttack(recognizer(), **arguments)(pixels, masks, labels)
    tried = []

    class Counted(Noise):
        def __call__(self, pixels, masks, generators):
            tried.append(len(pixels))
            return super().__call__(pixels, masks, generators)

    often = MaskedPixelAttack(recognizer(), restarts=[Counted(), Face()], **arguments)
    found = often(pixels, masks, labels)
    unfinished = int((once.score < middle).sum())
    assert 0 < unfinished < 6
    assert tried == [unfinished]
    assert (found.score >= once.score).all()
    same = once.score >= middle
    assert torch.equal(found.pixels[same], once.pixels[same])
    torch.testing.assert_close(
        recognizer()(found.pixels).softmax(1), found.probabilities, atol=1e-6, rtol=0
    )


def test_starts_change_only_the_mask():
    pixels, masks, _ = faces(2)
    generators = [np.random.default_rng(one) for one in range(2)]
    noise = Noise()(pixels, masks[:, None], generators)
    outside = ~masks[:, None].expand_as(pixels)
    assert torch.equal(noise[outside], pixels[outside])
    assert noise[~outside].std() > 0.2
    assert torch.equal(Face()(pixels, masks[:, None], []), pixels)
    red = Colour((1.0, 0.0, 0.0))(pixels, masks[:, None], [])
    assert (red[:, 0][masks] == 1).all()
    assert not red[:, 1][masks].any()


def test_a_plateau_ends_an_attempt():
    pixels, masks, labels = faces(4)
    arguments = {"iterations": 200, "confidence": 1.0}
    patient = MaskedPixelAttack(recognizer(), **arguments)(pixels, masks, labels)
    found = MaskedPixelAttack(recognizer(), patience=5, **arguments)(pixels, masks, labels)
    assert (patient.gradients == 200).all()
    assert torch.equal(found.gradients, (found.iterations + 5).clamp(max=200))
    assert (found.gradients < 200).any()


def attacked(count: int = 3) -> Attacked:
    pixels, masks, labels = faces(count)
    worn = MaskedPixelAttack(recognizer(), iterations=20)(pixels, masks, labels).pixels
    attackers = (labels.numpy() + 1) % CLASSES
    images = (to_images(one).numpy() for one in (worn, pixels))
    return Attacked(*images, masks.numpy(), attackers, labels.numpy(), "impersonation")


def test_held_out_circumstances_are_the_same_for_every_picture_and_shard():
    network, of = recognizer(), attacked()
    found = held_out_success(network, of, MOVED, placements=50, seed=0)
    assert found.shape == (3, 50)
    assert 0 < found.mean() < 1
    second = held_out_success(network, of.picture(1, 1), MOVED, placements=50, seed=0)
    assert np.array_equal(second[0], found[1])
    undisturbed = held_out_success(network, of, NONE, placements=2, seed=0)
    assert (undisturbed == of.succeeds(network, of.images)[:, None]).all()


def test_the_table_has_a_row_of_each_kind():
    settings = Robustness(
        transformations=MOVED, pictures=3, placements=8, placements_per_kind=4, threads=1
    )
    table = robustness_table(recognizer(), attacked(), settings, seed=0)
    assert table["transformation"].tolist() == [ALL, *KINDS]
    assert table["placements"].tolist() == [8] + [4] * len(KINDS)
    assert (table["success_n"] == 3).all()
    absent = table[table["transformation"].isin(["rotation", "jpeg"])]
    assert (absent["success"] == absent["undistorted"]).all()
    assert ((table["success_low"] <= table["success"]) & (table["success"] <= 1)).all()
    assert isinstance(settings.transformations, Transformations)
