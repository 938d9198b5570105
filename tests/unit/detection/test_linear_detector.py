"""The linear detectors of one person each, and their estimators."""

from typing import get_args

import numpy as np
import pytest
from detection.made_up_profiles import made_up
from sklearn.base import BaseEstimator, clone
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.linear_model import SGDClassifier
from sklearn.utils.estimator_checks import check_estimator

from glassguard.detection.characteristic_profiles import (
    METRICS,
    CharacteristicProfiles,
)
from glassguard.detection.intrinsic_dimensionality import LocalIntrinsicDimensionality
from glassguard.detection.linear_detector import (
    ProfileDetector,
    QuadraticTerms,
    fit_detectors,
)
from glassguard.detection.settings import Variant


def test_detector_is_the_sources_classifier_when_raw() -> None:
    benign, _ = made_up()
    values, truth = benign.profiles["conv4_1"], benign.identity == 0
    ours = ProfileDetector("raw", 0.005, 500, 7).fit(values, truth)
    peer = SGDClassifier(alpha=0.005, max_iter=500, random_state=7).fit(values, truth)
    assert np.array_equal(ours.decision_function(values), peer.decision_function(values))
    assert np.array_equal(ours.predict(values), peer.predict(values))


def test_raw_gradients_degenerate_and_standardised_ones_do_not() -> None:
    benign, _ = made_up(scale=1e-3)
    values, truth = benign.profiles["conv4_1"], benign.identity == 0
    assert not ProfileDetector("raw").fit(values, truth).predict(values).any()
    for variant in ("standardised", "unit_standardised"):
        found = ProfileDetector(variant).fit(values, truth).predict(values)
        assert found[truth].mean() > 0.9
        assert found[~truth].mean() < 0.05


def test_unit_variant_ignores_the_length_of_a_profile() -> None:
    benign, _ = made_up()
    values, truth = benign.profiles["conv4_1"], benign.identity == 0
    stretch = np.random.default_rng(1).uniform(0.1, 10, (len(values), 1))
    unit = ProfileDetector("unit_standardised").fit(values, truth)
    assert np.allclose(unit.decision_function(values * stretch), unit.decision_function(values))
    plain = ProfileDetector("standardised").fit(values, truth)
    assert not np.allclose(
        plain.decision_function(values * stretch), plain.decision_function(values)
    )


def test_detector_is_an_estimator_and_repeats() -> None:
    benign, _ = made_up()
    values, truth = benign.profiles["conv4_1"], benign.identity == 1
    detector = ProfileDetector("standardised", random_state=3)
    copy = clone(detector)
    assert copy.get_params() == detector.get_params()
    assert np.array_equal(
        detector.fit(values, truth).decision_function(values),
        copy.fit(values, truth).decision_function(values),
    )
    assert detector.decision_function(values[:0]).shape == (0,)
    with pytest.raises(ValueError, match="must be one of raw, standardised"):
        ProfileDetector("squared").fit(values, truth)  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", get_args(Variant))
def test_a_bank_is_its_detectors(variant: Variant) -> None:
    benign, _ = made_up()
    values = benign.profiles["conv4_1"]
    settings = {"variant": variant, "alpha": 0.01, "max_iter": 50}
    bank = fit_detectors(values, benign.identity, people=[1, 4], seeds=[3, 8], **settings)
    margins = bank.margins(values)
    assert margins.shape == (2, 2, len(values))
    for row, seed in enumerate((3, 8)):
        for column, person in enumerate((1, 4)):
            one = ProfileDetector(**settings, random_state=seed).fit(
                values, benign.identity == person
            )
            assert np.allclose(margins[row, column], one.decision_function(values), atol=1e-9)
    assert bank.margins(values[:0]).shape == (2, 2, 0)


def test_quadratic_boundary_where_no_line_will_do() -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(size=(1200, 6))
    # Unit length is taken out first: the sign of a product is left, which no plane can follow.
    truth = values[:, 0] * values[:, 1] > 0
    fitted = {
        variant: ProfileDetector(variant, 0.0005, 500).fit(values[:800], truth[:800])
        for variant in ("unit_standardised", "quadratic")
    }
    right = {
        name: (one.predict(values[800:]) == truth[800:]).mean() for name, one in fitted.items()
    }
    assert right["unit_standardised"] < 0.65
    assert right["quadratic"] > 0.9
    peer = QuadraticDiscriminantAnalysis().fit(values[:800], truth[:800])
    assert right["quadratic"] > (peer.predict(values[800:]) == truth[800:]).mean() - 0.05


def test_quadratic_terms_leave_out_what_is_rounding() -> None:
    generator = np.random.default_rng(3)
    plane = generator.normal(size=(200, 2)) @ generator.normal(size=(2, 30))
    rounding = 1e-9 * generator.normal(size=plane.shape)
    # Two components, their squares and their product.
    assert QuadraticTerms().fit(plane + rounding).transform(plane).shape == (200, 5)
    assert QuadraticTerms().fit(np.ones((5, 3))).transform(np.ones((1, 3))).shape == (1, 2)


@pytest.mark.parametrize(
    "estimator",
    [
        ProfileDetector(),
        ProfileDetector("unit_standardised"),
        *(CharacteristicProfiles(metric) for metric in METRICS),
        QuadraticTerms(),
        LocalIntrinsicDimensionality(),
    ],
    ids=repr,
)
def test_estimators_keep_scikit_learns_rules(estimator: BaseEstimator) -> None:
    checked = check_estimator(estimator, on_skip=None)
    assert {one["status"] for one in checked} <= {"passed", "skipped"}
    assert len(checked) > 20
