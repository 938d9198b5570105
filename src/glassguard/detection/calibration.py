"""Thresholds from benign validation pictures ("adjusting the fit", Study I, section 3).

Margins of different people's detectors have different zero points and scales, and a person has a
dozen validation pictures: too few for a quantile each. So a margin is measured from the mean margin
of the person's own validation pictures, in standard deviations of everybody else's, which are many.
The mean over all people enters with the weight of one picture. The shape of the distribution is
pooled over people, and only its quantile is used. Nothing here sees an attack or a test picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from numpy.typing import NDArray

from glassguard.statistics import wilson_interval

PSEUDO_PICTURES = 1.0
"""Weight of the mean over all people in one person's mean, counted in pictures."""


@dataclass(frozen=True)
class Calibration:
    """What turns margins into comparable scores.

    Attributes:
        location: ... x P, expected margin of a benign picture of each person.
        scale: ... x P, unit of each person's margins, positive.
        cut: ..., calibrated margin below which a picture is rejected.
        others: ... x N, of each validation picture the ``location`` of the person in it without
            that picture; NaN where the person has no detector.
    """

    location: NDArray[np.float64]
    scale: NDArray[np.float64]
    cut: NDArray[np.float64]
    others: NDArray[np.float64]

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """The cut as a margin of each person, ... x P."""
        return self.location + self.cut[..., None] * self.scale


def calibrate(
    margins: NDArray[np.float64], own: NDArray[np.bool_], *, acceptance: float
) -> Calibration:
    """Calibrate detectors on benign validation pictures.

    Each own picture is measured from the mean of the person's *other* pictures: a mean that has
    seen the picture would make the quantile too good.

    Args:
        margins: ... x P x N margins of N benign validation pictures; leading axes, such as
            seeds, are calibrated one by one.
        own: P x N, which pictures are of the person that the detector stands for.
        acceptance: share of own pictures to accept, in (0, 1).

    Raises:
        ValueError: there is no own picture at all.
    """
    if not own.any():
        raise ValueError("no benign validation picture of any person to calibrate on")
    if margins.ndim > 2:
        parts = [calibrate(part, own, acceptance=acceptance) for part in margins]
        names = [field.name for field in fields(Calibration)]
        return Calibration(*(np.array([getattr(part, name) for part in parts]) for name in names))
    foreign = [row[~is_own] for row, is_own in zip(margins, own, strict=True)]
    zero = np.array([row.mean() if len(row) else 0.0 for row in foreign])
    scale = np.array([row.std() if len(row) else 0.0 for row in foreign])
    scale[scale == 0] = 1.0
    units = (margins - zero[:, None]) / scale[:, None]
    pooled = units[own].mean()
    sums, counts = np.where(own, units, 0.0).sum(axis=1), own.sum(axis=1)
    location = (sums + PSEUDO_PICTURES * pooled) / (counts + PSEUDO_PICTURES)
    person, picture = np.nonzero(own)
    value = units[person, picture]
    without = (sums[person] - value + PSEUDO_PICTURES * pooled) / (
        counts[person] - 1 + PSEUDO_PICTURES
    )
    cut = np.quantile(value - without, 1 - acceptance, method="lower")
    others = np.full(margins.shape[1], np.nan)
    others[picture] = zero[person] + without * scale[person]
    return Calibration(zero + location * scale, scale, np.asarray(cut), others)


def threshold_at(scores: NDArray[np.float64], rate: float) -> float:
    """The lowest threshold above which at most ``rate`` of benign ``scores`` lie.

    A picture is flagged when its score is larger than the threshold.

    Args:
        scores: N scores of benign validation pictures.
        rate: false-positive rate in [0, 1).

    Raises:
        ValueError: there are no scores, or the rate is out of range.
    """
    if not len(scores):
        raise ValueError("no benign validation picture to set a threshold on")
    if not 0 <= rate < 1:
        raise ValueError(f"a false-positive rate is at least 0 and below 1: {rate:g}")
    return float(np.sort(scores)[::-1][int(np.floor(rate * len(scores)))])


MOST_OF_A_KIND = 2.0
"""How many times the wanted rate any kind of benign picture may be flagged."""


def threshold_for_every_kind(
    population: NDArray[np.float64], kinds: Sequence[NDArray[np.float64]], rate: float
) -> float:
    """The lowest threshold that suits a population and every kind of picture in it.

    It flags at most ``rate`` of the population, and of every kind so few that the upper end of
    Wilson's 95 % interval is at most :data:`MOST_OF_A_KIND` times ``rate``. With the first alone,
    wearers of colourful frames, who are hard to tell from attacks, would pay for easy kinds.

    Args:
        population: scores of benign validation pictures.
        kinds: the same for each kind, none where the population is of one kind.
        rate: false-positive rate in (0, 1).

    Raises:
        ValueError: there are no scores, or a kind has none.
    """
    shares = [_sure_share(len(scores), MOST_OF_A_KIND * rate) for scores in kinds]
    of_kinds = [threshold_at(one, share) for one, share in zip(kinds, shares, strict=True)]
    return max(threshold_at(population, rate), *of_kinds, -np.inf)


@cache
def _sure_share(n: int, rate: float) -> float:
    """The largest share of n whose Wilson interval does not exceed ``rate``."""
    sure = [count for count in range(n + 1) if wilson_interval(count, n)[1] <= rate]
    # Half a picture more, so that rounding loses none.
    return (max(sure, default=0) + 0.5) / max(n, 1)
