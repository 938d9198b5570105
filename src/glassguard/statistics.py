"""Rates and areas under curves with their intervals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit  # scipy.stats takes a second

LEVEL = 0.95
QUANTILE = float(ndtri((1 + LEVEL) / 2))


@dataclass(frozen=True)
class Rate:
    """How often something happened, or a mean in [0, 1], with its 95 % interval.

    In files a rate called ``x`` is the columns or keys ``x``, ``x_n``, ``x_low`` and ``x_high``.

    Attributes:
        value: the rate, in [0, 1]; NaN without a trial.
        n: number of trials; None where it is not known.
        low: lower bound of the interval; NaN without one.
        high: upper bound of the interval; NaN without one.
    """

    ENDS: ClassVar = ("", "_n", "_low", "_high")

    value: float
    n: int | None = None
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def counted(cls, successes: float, n: int) -> "Rate":
        """The rate of ``successes`` in ``n`` trials, with :func:`wilson_interval`."""
        return cls(successes / n if n else math.nan, n, *wilson_interval(successes, n))

    @classmethod
    def estimated(cls, value: float, n: int) -> "Rate":
        """A mean in [0, 1] over ``n`` trials, with :func:`wilson_interval`."""
        return cls(float(value), n, *wilson_interval(value * n if n else 0, n))

    @classmethod
    def mean(cls, values: ArrayLike) -> "Rate":
        """The mean of ... x N values in [0, 1], as of several seeds that judge N pictures."""
        found = np.asarray(values, dtype=float)
        return cls.estimated(found.mean() if found.size else math.nan, found.shape[-1])

    @classmethod
    def read(cls, row: Mapping[Any, Any], name: Any) -> "Rate":
        """The rate called ``name`` in a row of a table or an object of a JSON file.

        A value that is absent or None is not known.
        """
        value, n, low, high = (
            math.nan if (found := row.get(f"{name}{end}")) is None else found for end in cls.ENDS
        )
        return cls(value, int(n) if math.isfinite(n) else None, low, high)

    def columns(self, name: str) -> dict[str, Any]:
        """The columns of the rate under a name."""
        values = self.value, self.n, self.low, self.high
        return {f"{name}{end}": value for end, value in zip(self.ENDS, values, strict=True)}

    def known(self, name: str) -> dict[str, float]:
        """The columns whose values are known: JSON has no NaN."""
        return {
            key: value
            for key, value in self.columns(name).items()
            if value is not None and math.isfinite(value)
        }


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a rate (Wilson 1927).

    Args:
        successes: 0 to ``n``; not a whole number where it is a mean, as over the seeds of a
            detector that judged the same ``n`` pictures.
        n: number of trials.

    Returns:
        Lower and upper bound in [0, 1]; two NaN without a trial.

    Raises:
        ValueError: ``successes`` is not between 0 and ``n``.
    """
    # A mean over seeds times n may miss the whole number by rounding.
    if not -1e-9 <= successes <= n + 1e-9:
        raise ValueError(f"{successes:g} of {n}: a rate lies between 0 and 1")
    if n == 0:
        return math.nan, math.nan
    share, z = min(max(successes / n, 0.0), 1.0), QUANTILE
    centre = share + z * z / (2 * n)
    reach = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    low, high = ((centre + sign * reach) / (1 + z * z / n) for sign in (-1, 1))
    # Rounding would miss the exact bounds.
    return 0.0 if share == 0 else low, 1.0 if share == 1 else high


def mean_interval(values: ArrayLike) -> tuple[float, float]:
    """Student's 95 % interval of the mean of independent repetitions.

    Args:
        values: one number per repetition.

    Returns:
        Lower and upper bound; two NaN for fewer than two repetitions.
    """
    repetitions = np.asarray(values, dtype=float)
    n = len(repetitions)
    if n < 2:
        return math.nan, math.nan
    mean = float(repetitions.mean())
    reach = float(stdtrit(n - 1, (1 + LEVEL) / 2) * repetitions.std(ddof=1) / math.sqrt(n))
    return mean - reach, mean + reach


def area_under_curve(negatives: ArrayLike, positives: ArrayLike) -> float:
    """Area under the receiver operating characteristic: Mann and Whitney's statistic.

    Args:
        negatives: scores of the negatives.
        positives: scores of the positives, expected to be the larger ones.

    Returns:
        Share of pairs in which the positive scores higher, in [0, 1]; ties count half. NaN where
        either side is empty.
    """
    from scipy.stats import rankdata

    negative, positive = np.asarray(negatives, dtype=float), np.asarray(positives, dtype=float)
    if not len(negative) or not len(positive):
        return math.nan
    ranks = rankdata(np.concatenate([negative, positive]))[len(negative) :].sum()
    smallest = len(positive) * (len(positive) + 1) / 2
    return float((ranks - smallest) / (len(negative) * len(positive)))


def bootstrap_auc_interval(
    negatives: ArrayLike, positives: ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap 95 % interval of the area under the curve.

    Negatives and positives are resampled separately, so that every resample has both.

    Args:
        negatives: scores of the negatives.
        positives: scores of the positives.
        resamples: number of resamples.
        seed: seed of the resampling.

    Returns:
        Lower and upper bound in [0, 1]; two NaN where either side is empty.
    """
    negative, positive = np.asarray(negatives, dtype=float), np.asarray(positives, dtype=float)
    if not len(negative) or not len(positive):
        return math.nan, math.nan
    generator = np.random.default_rng(seed)
    areas = [
        area_under_curve(
            generator.choice(negative, len(negative)), generator.choice(positive, len(positive))
        )
        for _ in range(resamples)
    ]
    return _percentile_interval(areas)


def bootstrap_auc_difference_interval(
    first: tuple[ArrayLike, ArrayLike],
    second: tuple[ArrayLike, ArrayLike],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap 95 % interval of the first area less the second, paired.

    Both scores are of the same examples, which are resampled together. What makes an example hard
    for both drops out of the difference.

    Args:
        first: scores of the negatives and of the positives.
        second: other scores of the same examples, in the same order.
        resamples: number of resamples.
        seed: seed of the resampling.

    Returns:
        Lower and upper bound in [-1, 1]; two NaN where either side is empty.

    Raises:
        ValueError: the scores are of different numbers of examples.
    """
    scores = [[np.asarray(side, dtype=float) for side in sides] for sides in (first, second)]
    sizes = [len(side) for side in scores[0]]
    if sizes != [len(side) for side in scores[1]]:
        raise ValueError("paired scores are of the same examples")
    if not all(sizes):
        return math.nan, math.nan
    generator = np.random.default_rng(seed)
    differences = []
    for _ in range(resamples):
        rows = [generator.integers(size, size=size) for size in sizes]
        areas = [
            area_under_curve(negative[rows[0]], positive[rows[1]]) for negative, positive in scores
        ]
        differences.append(areas[0] - areas[1])
    return _percentile_interval(differences)


def _percentile_interval(resampled: list[float]) -> tuple[float, float]:
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return float(low), float(high)
