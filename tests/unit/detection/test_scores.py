"""Detectors that are compared with influence, and sets of pictures."""

from dataclasses import replace

import numpy as np
import pytest
from detection.made_up_profiles import made_up

from glassguard.detection.covered_area import CoveredArea, GivenArea
from glassguard.detection.intrinsic_dimensionality import LocalIntrinsicDimensionality
from glassguard.detection.pictures import (
    JOINED,
    Pictures,
    half_wearing,
    joined,
    together,
)
from glassguard.detection.scores import (
    Masking,
    OnPixels,
    Sum,
    dimensionality_over_layers,
    mahalanobis_over_layers,
    remembered,
)
from glassguard.statistics import area_under_curve


def test_scores_are_judged_among_those_who_wear_as_much() -> None:
    benign, _ = made_up()
    generator = np.random.default_rng(5)
    covered = np.where(np.arange(len(benign)) % 2, 0.07, 0.0)
    shows = generator.normal(size=(len(benign), 3))
    shows[:, 1] += 100 * covered
    worn = replace(
        benign,
        covered=covered,
        activations={"conv1_1": generator.normal(size=(len(benign), 3)), "conv2_1": shows},
    )
    area = CoveredArea.fitted(worn.in_split("train"))
    test = worn.in_split("test")
    assert np.corrcoef(area(test), test.covered)[0, 1] > 0.9
    assert len(area(test.where(np.zeros(len(test), dtype=bool)))) == 0

    def score(pictures: Pictures) -> np.ndarray:
        return 1 + 50 * area(pictures)

    conditioned = GivenArea.fitted(score, area=area, benign=worn.in_split("val"))
    # Whatever a score says of being covered alone is gone.
    assert np.allclose(conditioned(test), 0)


def test_half_of_the_benign_pictures_wear_frames() -> None:
    benign, _ = made_up()
    test = benign.in_split("test")
    kinds = [replace(test, confidence=np.full(len(test), value)) for value in (0.1, 0.2, 0.3)]
    mixed = half_wearing(*kinds)
    counts = {value: int((mixed.confidence == value).sum()) for value in (0.1, 0.2, 0.3)}
    assert counts == {0.1: len(test) / 2, 0.2: len(test) / 4, 0.3: len(test) / 4}
    # Every face once, with its own profile.
    rows = np.concatenate([np.arange(k, len(test), 4) for k in range(4)])
    assert np.array_equal(mixed.identity, test.identity[rows])
    assert np.array_equal(mixed.profiles["fc7"], test.profiles["fc7"][rows])


def test_faces_are_joined_by_name_where_few_wear_frames() -> None:
    benign, _ = made_up()
    test = benign.in_split("test")
    plain, random = (
        replace(test, confidence=np.full(len(test), value)).take(rows)
        for value, rows in ((0.2, np.arange(0, 40)[::-1]), (0.3, np.arange(8, 60)))
    )
    mixed = half_wearing(test, plain, random)
    # Thirty-two faces are in all three: each once, half of them bare.
    assert sorted(mixed.face) == sorted(test.face[8:40])
    assert np.isin(mixed.confidence, (0.2, 0.3)).sum() == 16
    of_face = dict(zip(test.face, test.identity, strict=True))
    assert mixed.identity.tolist() == [of_face[face] for face in mixed.face]
    with pytest.raises(ValueError, match="no face is in all three"):
        half_wearing(test.take(np.arange(4)), plain, test.take(np.arange(4, 8)))
    with pytest.raises(ValueError, match="more than once"):
        half_wearing(test, plain, together([random, random]))


def test_a_sum_counts_every_detector_the_same() -> None:
    benign, attacks = made_up()
    validation = benign.in_split("val")

    def thousandfold(pictures: Pictures) -> np.ndarray:
        return 1000 * Masking()(pictures) + 7

    one = Sum.fitted([Masking()], benign=validation)
    assert np.allclose(one(validation).mean(), 0)
    assert np.allclose(one(validation).std(), 1)
    both = Sum.fitted([Masking(), thousandfold], benign=validation)
    assert np.allclose(both(attacks), 2 * one(attacks))
    assert one(attacks).min() > one(validation).max()


def test_dimensionality_is_that_of_the_surface() -> None:
    generator = np.random.default_rng(4)
    for dimensions in (1, 3, 6):
        plane = np.hstack([generator.uniform(size=(4000, dimensions)), np.zeros((4000, 4))])
        fitted = LocalIntrinsicDimensionality(20).fit(plane[:3500])
        inside = np.abs(plane[3500:, :dimensions] - 0.5).max(axis=1) < 0.3
        found = fitted.score_samples(plane[3500:][inside])
        assert np.median(found) == pytest.approx(dimensions, rel=0.2)
    # By hand, with the distances of the definition.
    distances = np.sort(np.linalg.norm(plane[:3500] - plane[3500], axis=1))[:20]
    by_hand = -1 / np.mean(np.log(distances / distances[-1]))
    assert fitted.score_samples(plane[3500:3501])[0] == pytest.approx(by_hand)
    twice = LocalIntrinsicDimensionality(20).fit(np.zeros((5, 3)))
    assert twice.score_samples(np.zeros((1, 3))).tolist() == [0]
    assert twice.score_samples(np.zeros((0, 3))).shape == (0,)
    # All as far away as each other: as many directions are open as there are.
    assert twice.score_samples(np.ones((1, 3))).tolist() == [3]


def test_baselines_are_fitted_on_benign_pictures_and_see_the_attack() -> None:
    benign, attacks = made_up()
    training, validation = benign.in_split("train"), benign.in_split("val")
    test, attacked = benign.in_split("test"), attacks.in_split("test")
    for score in (
        OnPixels("squeezed"),
        mahalanobis_over_layers(training, validation=validation),
        dimensionality_over_layers(training, validation=validation, neighbours=10),
    ):
        assert area_under_curve(score(test), score(attacked)) > 0.9
        assert np.isfinite(score(validation)).all()


def test_a_remembered_score_is_computed_once_for_each_set() -> None:
    benign, attacks = made_up()
    asked = []

    def score(pictures: Pictures) -> np.ndarray:
        asked.append(len(pictures))
        return Masking()(pictures)

    recalled = remembered(score)
    for pictures in (benign, attacks, benign, attacks):
        assert np.array_equal(recalled(pictures), Masking()(pictures), equal_nan=True)
    assert asked == [len(benign), len(attacks)]


def test_joined_slices_lie_side_by_side_at_unit_length() -> None:
    benign, _ = made_up(scale=1e-3)
    both = joined(benign, ["conv4_1", "fc7"]).profiles[JOINED]
    assert both.shape == (len(benign), 24)
    assert np.allclose(np.linalg.norm(both[:, :12], axis=1), 1)
    assert np.allclose(np.linalg.norm(both, axis=1), np.sqrt(2))
    assert joined(benign.where(np.zeros(len(benign), dtype=bool)), ["fc7"]).profiles[
        JOINED
    ].shape == (0, 12)
