"""Intervals against published values and against simulation."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from glassguard.statistics import (
    Rate,
    area_under_curve,
    bootstrap_auc_difference_interval,
    bootstrap_auc_interval,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # statsmodels.stats.proportion.proportion_confint(..., method="wilson")
        (15, 148, 0.062386, 0.160485),
        (0, 20, 0.0, 0.161125),
        (10, 10, 0.722467, 1.0),
        (81, 263, 0.255290, 0.366208),  # Newcombe 1998, table I
    ],
)
def test_wilson_known_values(successes: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-4)


def test_wilson_of_nothing_is_not_a_number() -> None:
    assert all(math.isnan(bound) for bound in wilson_interval(0, 0))


def test_wilson_refuses_more_successes_than_trials() -> None:
    for impossible in (3, -1):
        with pytest.raises(ValueError, match=f"{impossible} of 2: a rate lies between 0 and 1"):
            wilson_interval(impossible, 2)


def test_wilson_is_scipys_and_goes_on_between_whole_numbers() -> None:
    for n in (1, 7, 300):
        for successes in {0, 1, n // 2, n}:
            peer = binomtest(successes, n).proportion_ci(0.95, method="wilson")
            assert wilson_interval(successes, n) == pytest.approx((peer.low, peer.high), abs=1e-12)
    for n in range(1, 600):
        assert wilson_interval(0, n)[0] == 0.0
        assert wilson_interval(n, n)[1] == 1.0
    lows, highs = zip(*(wilson_interval(10 + part / 10, 40) for part in range(11)), strict=True)
    assert list(lows) == sorted(set(lows))
    assert list(highs) == sorted(set(highs))


def test_area_agrees_with_scikit_learn_under_ties() -> None:
    generator = np.random.default_rng(0)
    negatives, positives = generator.integers(0, 6, 50), generator.integers(2, 9, 40)
    truth = np.r_[np.zeros(50), np.ones(40)]
    expected = roc_auc_score(truth, np.r_[negatives, positives])
    assert area_under_curve(negatives, positives) == pytest.approx(expected, abs=1e-12)
    assert math.isnan(area_under_curve([], [1.0]))


def test_bootstrap_interval_holds_the_area_and_repeats() -> None:
    generator = np.random.default_rng(1)
    negatives, positives = generator.normal(0, 1, 200), generator.normal(1, 1, 200)
    low, high = bootstrap_auc_interval(negatives, positives, resamples=400, seed=3)
    assert low < area_under_curve(negatives, positives) < high
    # Hanley and McNeil's standard error at area 0.76 and 200 against 200 is 0.024.
    assert 0.06 < high - low < 0.13
    assert (low, high) == bootstrap_auc_interval(negatives, positives, resamples=400, seed=3)
    assert all(math.isnan(bound) for bound in bootstrap_auc_interval([], positives))


def test_paired_interval_is_sharper_than_those_of_either_area() -> None:
    generator = np.random.default_rng(2)
    first = generator.normal(0, 1, 200), generator.normal(1, 1, 200)
    # The same pictures, seen a little less well.
    second = tuple(side + generator.normal(0, 0.4, 200) for side in first)
    difference = area_under_curve(*first) - area_under_curve(*second)
    low, high = bootstrap_auc_difference_interval(first, second, resamples=400, seed=3)
    assert low < difference < high
    single = bootstrap_auc_interval(*first, resamples=400, seed=3)
    assert high - low < 0.6 * (single[1] - single[0])
    assert (low, high) == bootstrap_auc_difference_interval(first, second, resamples=400, seed=3)
    assert bootstrap_auc_difference_interval(first, first, resamples=20) == (0, 0)
    empty = bootstrap_auc_difference_interval(([], [1.0]), ([], [2.0]))
    assert all(math.isnan(bound) for bound in empty)
    with pytest.raises(ValueError, match="paired scores are of the same examples"):
        bootstrap_auc_difference_interval(([1.0], [2.0]), ([1.0, 3.0], [2.0]))


def test_a_rate_is_the_same_counted_averaged_and_read_from_its_columns() -> None:
    judged = np.array([[True, False, True, True], [True, True, False, True]])
    rate = Rate.mean(judged)
    assert (rate.value, rate.n) == (0.75, 4)
    assert rate == Rate.estimated(0.75, 4) == Rate.counted(3, 4)
    assert list(rate.columns("x")) == ["x", "x_n", "x_low", "x_high"]
    assert Rate.read(rate.columns("x"), "x") == rate
    nothing = Rate.mean(judged[:, :0])
    assert nothing.n == 0
    assert nothing.known("x") == {"x_n": 0}
