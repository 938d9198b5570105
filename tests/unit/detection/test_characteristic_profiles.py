"""Characteristic profiles, distances to them and projections."""

import numpy as np
import pytest
from detection.made_up_profiles import made_up
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from glassguard.detection.calibration import (
    threshold_at,
)
from glassguard.detection.characteristic_profiles import (
    METRICS,
    CharacteristicProfiles,
    Metric,
    Projection,
    profiles_of_people,
)
from glassguard.detection.tables import (
    distances_table,
)


@pytest.mark.parametrize("metric", METRICS)
def test_profiles_that_never_vary_within_a_class_have_finite_distances(metric: Metric) -> None:
    identity = np.repeat(np.arange(3), 4)
    profiles = np.eye(3)[identity]
    found = CharacteristicProfiles(metric).fit(profiles, identity).transform(profiles)
    assert np.allclose(found, np.sqrt(2) * (1 - np.eye(3)[identity]))


def test_distances_of_known_geometry() -> None:
    generator = np.random.default_rng(0)
    spread = np.array([1.0, 10.0])
    identity = np.repeat([0, 1], 4000)
    centres = np.array([[0.0, 0.0], [3.0, 40.0]])
    values = centres[identity] + spread * generator.normal(size=(8000, 2))
    expected = {"euclidean": np.hypot(3, 40), "standardised": 5.0, "mahalanobis": 5.0}
    for metric, distance in expected.items():
        fitted = CharacteristicProfiles(metric).fit(values, identity)
        assert np.allclose(fitted.centres_, [values[:4000].mean(0), values[4000:].mean(0)])
        assert fitted.between()[0, 1] == pytest.approx(distance, rel=0.05)
        assert fitted.transform(fitted.centres_[:1])[0, 0] == pytest.approx(0, abs=1e-9)
        assert fitted.transform(np.zeros((0, 2))).shape == (0, 2)


def test_mahalanobis_survives_dead_and_doubled_filters() -> None:
    benign, _ = made_up()
    values = benign.profiles["conv4_1"]
    values = np.hstack([values, values, np.zeros((len(values), 3))])
    distances = CharacteristicProfiles("mahalanobis").fit(values, benign.identity).transform(values)
    assert np.isfinite(distances).all()
    assert (distances.argmin(axis=1) == benign.identity).mean() > 0.95


def test_distances_table_shows_where_the_attack_is_seen() -> None:
    benign, attacks = made_up()
    found = distances_table(benign, attacks, slices=["conv4_1", "fc7"]).set_index(
        ["slice", "metric"]
    )
    near = found.loc[("fc7", "euclidean")]
    far = found.loc[("conv4_1", "euclidean")]
    assert far["auc"] > 0.95
    assert near["auc"] == pytest.approx(0.5, abs=0.2)
    assert far["within_mean"] < far["impersonation_mean"]
    assert far["within_mean"] < far["between_mean"]


def test_characteristic_profiles_are_an_estimator() -> None:
    copy = clone(CharacteristicProfiles("standardised"))
    assert copy.get_params() == {"metric": "standardised"}
    with pytest.raises(NotFittedError):
        copy.transform([[0.0]])
    with pytest.raises(ValueError, match="must be one of euclidean"):
        CharacteristicProfiles("cosine").fit([[0.0]], [0])  # type: ignore[arg-type]


def test_people_without_a_profile_and_impossible_rates_are_named() -> None:
    with pytest.raises(ValueError, match="class 1 has no training profile"):
        profiles_of_people([[0.0], [1.0]], [0, 2], "euclidean")
    for rate in (-0.2, 1.0):
        with pytest.raises(ValueError, match="at least 0 and below 1"):
            threshold_at(np.arange(5.0), rate)


def test_projection_is_fitted_on_what_it_is_given_and_nothing_else() -> None:
    generator = np.random.default_rng(2)
    benign = generator.normal(size=(200, 6))
    benign[:, 1] = benign[:, 0]
    projection = Projection.fitted(benign)
    shown = projection(benign)
    assert np.allclose(shown.mean(axis=0), 0, atol=1e-9)
    assert shown[:, 0].var() > shown[:, 1].var() > 0
    assert projection.explained[0] > 0.25
    # The length of a profile says nothing here.
    assert np.allclose(projection(7 * benign), shown)
    assert projection(benign[:0]).shape == (0, 2)
