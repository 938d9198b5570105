"""Descent for many people, seeds and matrices at once, beside scikit-learn's for one."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier

from glassguard.detection import gradient_descent, linear_detector
from glassguard.detection.gradient_descent import descend, orders
from glassguard.detection.linear_detector import fit_banks

PEOPLE = 5


def matrices(
    count: int = 3, *, profiles: int = 150, filters: int = 9, apart: float = 1.5
) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    identity = generator.permutation(np.arange(profiles) % PEOPLE)
    centres = generator.normal(0, apart, (count, PEOPLE, filters))
    return centres[:, identity] + generator.normal(size=(count, profiles, filters)), identity


@pytest.mark.parametrize(
    ("alpha", "max_iter", "scale"),
    [
        (0.005, 500, 1.0),
        (0.005, 5, 1.0),
        (0.0005, 40, 1.0),
        (0.5, 500, 1.0),
        # Steps so large that the first takes all weights away.
        (100.0, 500, 1.0),
        # Gradients as they are: no detector gets anywhere.
        (0.005, 500, 1e-3),
        (0.005, 500, 0.0),
    ],
)
def test_coefficients_and_passes_are_scikit_learns(
    alpha: float, max_iter: int, scale: float
) -> None:
    values, identity = matrices()
    values = values * scale
    people, seeds = np.array([3, 0, 4]), [7, 0, 2**32 - 1]
    found = descend(values, identity, people=people, alpha=alpha, max_iter=max_iter, seeds=seeds)
    assert found[0].shape == (3, 3, 3, 9)
    for one in np.ndindex(3, 3, 3):
        peer = SGDClassifier(alpha=alpha, max_iter=max_iter, random_state=seeds[one[1]])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            peer.fit(values[one[0]], identity == people[one[2]])
        weights, intercept, passes = (part[one] for part in found)
        assert np.abs(weights - peer.coef_[0]).max() <= 1e-9
        assert abs(intercept - peer.intercept_[0]) <= 1e-9
        assert passes == peer.n_iter_


def test_orders_are_permutations_by_seed() -> None:
    (first, second) = orders(50, [3, 4])
    assert sorted(first) == list(range(50))
    assert not np.array_equal(first, second)
    assert np.array_equal(orders(50, [4])[0], second)


def test_what_is_fitted_together_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    values, identity = matrices(4)
    settings = {"people": np.arange(PEOPLE), "alpha": 0.005, "max_iter": 60, "seeds": [1, 2]}
    together = descend(values, identity, **settings)
    alone = [descend(values[row : row + 1], identity, **settings) for row in range(4)]
    assert all(
        np.array_equal(whole, np.concatenate(parts))
        for whole, parts in zip(together, zip(*alone, strict=True), strict=True)
    )
    monkeypatch.setattr(gradient_descent, "PRODUCTS", 2 * 150**2)
    in_twos = descend(values, identity, **settings)
    assert all(np.array_equal(*pair) for pair in zip(together, in_twos, strict=True))


def test_banks_of_several_widths_come_in_the_order_they_were_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(linear_detector, "NARROW", 4)
    wide, identity = matrices(2, filters=9)
    narrow, _ = matrices(1, filters=4)
    asked = [(wide[0], "raw"), (narrow[0], "standardised"), (wide[1], "unit_standardised")]
    settings = {"people": [0, 2], "alpha": 0.01, "max_iter": 30, "seeds": [5]}
    for bank, one in zip(fit_banks(asked, identity, **settings), asked, strict=True):
        (alone,) = fit_banks([one], identity, **settings)
        assert np.array_equal(bank.margins(one[0]), alone.margins(one[0]))


@pytest.mark.parametrize("narrow", [0, 9])
def test_scikit_learn_fits_narrow_matrices_and_too_many_profiles(
    narrow: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_detector, "NARROW", 0)
    values, identity = matrices(2)
    asked = [(one, "standardised") for one in values]
    settings = {"people": [0, 2], "alpha": 0.005, "max_iter": 30, "seeds": [5, 6]}
    ours = fit_banks(asked, identity, **settings)
    monkeypatch.setattr(linear_detector, "NARROW", narrow)
    if not narrow:
        monkeypatch.setattr(gradient_descent, "PRODUCTS", 149**2)
    calls = []
    classifier = linear_detector._classifier
    monkeypatch.setattr(
        linear_detector, "_classifier", lambda *one: calls.append(one) or classifier(*one)
    )
    for bank, peer in zip(ours, fit_banks(asked, identity, **settings), strict=True):
        assert np.allclose(bank.weights, peer.weights, rtol=0, atol=1e-9)
        assert np.allclose(bank.intercepts, peer.intercepts, rtol=0, atol=1e-9)
    assert len(calls) == 2 * 2 * 2


def test_what_cannot_be_separated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    values, identity = matrices(1)
    settings = {"alpha": 0.005, "max_iter": 5, "seeds": [0]}
    with pytest.raises(ValueError, match="person 9: nothing to tell apart"):
        descend(values, identity, people=np.array([0, 9]), **settings)
    with pytest.raises(ValueError, match="each may be named once"):
        descend(values, identity, people=np.array([0, 0]), **settings)
    with pytest.raises(ValueError, match="do not fit"):
        descend(values[0], identity, people=np.array([0]), **settings)
    with monkeypatch.context() as patch:
        patch.setattr(gradient_descent, "PRODUCTS", 149**2)
        with pytest.raises(ValueError, match="150 profiles: at most 149 at once"):
            descend(values, identity, people=np.array([0]), **settings)
    values[0, 3, 2] = np.nan
    with pytest.raises(ValueError, match="not all are finite"):
        descend(values, identity, people=np.array([0]), **settings)
