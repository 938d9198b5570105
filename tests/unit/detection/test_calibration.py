"""Calibration and thresholds, on benign validation pictures alone."""

from dataclasses import replace

import numpy as np
import pytest
from detection.made_up_profiles import PEOPLE, made_up, thresholds
from sklearn.pipeline import make_pipeline

from glassguard.detection.calibration import (
    calibrate,
    threshold_at,
    threshold_for_every_kind,
)
from glassguard.detection.linear_detector import DetectorBank
from glassguard.detection.pictures import (
    Pictures,
)
from glassguard.detection.slice_detectors import SliceDetectors
from glassguard.statistics import wilson_interval


def test_calibration_accepts_the_wanted_share_whatever_the_scale() -> None:
    generator = np.random.default_rng(0)
    people, each = 40, 25
    own = np.kron(np.eye(people, dtype=bool), np.ones((1, each), dtype=bool))
    scale, shift = generator.uniform(0.1, 100, (people, 1)), generator.normal(0, 50, (people, 1))

    def draw() -> np.ndarray:
        return scale * generator.normal(np.where(own, 4.0, 0.0)) + shift

    calibration = calibrate(draw(), own, acceptance=0.9)
    fresh = draw()
    accepted = (fresh > calibration.thresholds[:, None])[own]
    assert 0.86 < accepted.mean() < 0.94
    # Every person alike: a pooled raw threshold would favour large margins.
    assert accepted.reshape(people, each).mean(axis=1).min() > 0.5
    units = (fresh - calibration.location[:, None]) / calibration.scale[:, None]
    assert np.allclose(units[own].mean(), 0, atol=0.15)
    seeds = calibrate(np.stack([fresh, 2 * fresh]), own, acceptance=0.9)
    assert seeds.thresholds[1] == pytest.approx(2 * seeds.thresholds[0])


def test_calibration_lives_with_one_picture_or_none_of_a_person() -> None:
    own = np.array([[1, 0, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]], dtype=bool)
    calibration = calibrate(np.random.default_rng(0).normal(size=(3, 4)), own, acceptance=0.8)
    assert np.isfinite(calibration.thresholds).all()
    with pytest.raises(ValueError, match="no benign validation picture"):
        calibrate(np.zeros((3, 4)), np.zeros((3, 4), dtype=bool), acceptance=0.8)


def test_thresholds_on_faces_of_the_calibration_hold_for_new_faces() -> None:
    # A dozen pictures a person: with its own picture in the mean, a validation score is too good.
    people, each, rate = 30, 12, 0.05
    identity = np.repeat(np.arange(people), each)
    generator = np.random.default_rng(5)
    asis = make_pipeline("passthrough").fit(np.zeros((1, people)))
    bank = DetectorBank(np.arange(people), asis, np.eye(people)[None], np.zeros((1, people)))
    flagged: list[float] = []
    template, _ = made_up()
    template = template.take(np.zeros(len(identity), dtype=np.int64))

    def draw(start: str) -> Pictures:
        return replace(
            template,
            profiles={"fc7": generator.normal(4.0 * np.eye(people)[identity])},
            prediction=identity,
            identity=identity,
            face=np.array([f"{start}{row}" for row in range(len(identity))]),
        )

    for _ in range(40):
        known, new = draw("known"), draw("new")
        own = known.identity[None, :] == np.arange(people)[:, None]
        calibration = calibrate(bank.margins(known.profiles["fc7"]), own, acceptance=0.9)
        fitted = SliceDetectors("fc7", "raw", bank, calibration, known.face, known.identity)
        threshold = threshold_at(fitted(known), rate)
        flagged.append(float((fitted(new) > threshold).mean()))
        anew = replace(known, face=new.face)
        flattered = threshold_at(fitted(anew), rate)
        assert flattered < threshold
    assert np.mean(flagged) == pytest.approx(rate, abs=0.007)


def test_threshold_never_flags_more_than_the_rate() -> None:
    scores = np.arange(100.0)
    for rate, flagged in ((0.01, 1), (0.05, 5), (0.0991, 9), (0.0, 0)):
        assert (scores > threshold_at(scores, rate)).sum() == flagged
    assert (np.ones(10) > threshold_at(np.ones(10), 0.5)).sum() == 0


def test_threshold_for_every_kind_spares_the_hardest() -> None:
    easy, hard = np.arange(1000.0), np.arange(1000.0) + 100
    both = np.concatenate([easy, hard])
    alone = threshold_at(both, 0.05)
    assert (hard > alone).sum() == 100
    threshold = threshold_for_every_kind(both, [easy, hard], 0.05)
    flagged = int((hard > threshold).sum())
    assert flagged < 100
    assert wilson_interval(flagged, 1000)[1] <= 0.1 < wilson_interval(flagged + 1, 1000)[1]
    # Where no kind is harder than another, the population decides.
    assert threshold_for_every_kind(easy, [easy, easy], 0.05) == threshold_at(easy, 0.05)
    assert threshold_for_every_kind(easy, [], 0.05) == threshold_at(easy, 0.05)
    with pytest.raises(ValueError, match="no benign validation picture"):
        threshold_for_every_kind(easy, [easy[:0]], 0.05)


def test_a_misnamed_picture_has_no_say_in_calibration() -> None:
    benign, _ = made_up()
    first = int(np.flatnonzero(benign.split == "val")[0])

    elsewhere = {name: profile.copy() for name, profile in benign.profiles.items()}
    for profile in elsewhere.values():
        profile[first] = 100.0
    outlier = replace(benign, profiles=elsewhere)
    misnamed = benign.prediction.copy()
    misnamed[first] = (benign.identity[first] + 1) % PEOPLE
    without = np.delete(np.arange(len(benign)), first)
    assert not np.allclose(thresholds(outlier), thresholds(benign))
    assert np.array_equal(
        thresholds(replace(outlier, prediction=misnamed)), thresholds(benign.take(without))
    )


def test_a_network_that_names_nobody_right_is_calibrated_on_everybody() -> None:
    benign, _ = made_up()
    nobody = replace(benign, prediction=(benign.identity + 1) % PEOPLE)
    assert np.array_equal(thresholds(nobody), thresholds(benign))
