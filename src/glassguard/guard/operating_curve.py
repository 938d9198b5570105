"""Every defence on one curve: what it costs honest people, and what it does to attacks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.guard.decision import NOBODY
from glassguard.saliency.evaluation import Predictions
from glassguard.statistics import Rate, area_under_curve

POINTS = 101
"""Thresholds of a curve, at most."""


@dataclass(frozen=True)
class Doubted:
    """What a defence answers to N pictures, and how much it doubts each answer.

    Attributes:
        answer: N int64, a class, or :data:`NOBODY` where it rejects whatever the threshold is.
        doubt: N float; a picture is rejected where its doubt exceeds the threshold.
    """

    answer: NDArray[np.int64]
    doubt: NDArray[np.floating]

    def at(self, threshold: float) -> NDArray[np.int64]:
        """The answers at a threshold, N int64."""
        # A comparison with NaN is false: a picture without a doubt that can be told is rejected.
        return np.where(self.doubt <= threshold, self.answer, NOBODY)


def agreement(full: Predictions, banded: Predictions) -> Doubted:
    """The guard in mode ``accept_or_reject``: the doubt is that of the less sure recognizer."""
    sure = np.minimum(full.confidences, banded.confidences)
    return Doubted(np.where(full.classes == banded.classes, full.classes, NOBODY), 1.0 - sure)


def alone(answers: Predictions) -> Doubted:
    """A recognizer by itself: the doubt is one less its confidence."""
    return Doubted(answers.classes, 1.0 - answers.confidences)


def flagging(full: Predictions, scores: NDArray[np.floating]) -> Doubted:
    """A detector that rejects what it flags; its score is the doubt."""
    return Doubted(full.classes, scores)


def combined(
    full: Predictions, banded: Predictions, masked: Predictions, scores: NDArray[np.floating]
) -> Doubted:
    """Recognize, detect, mask, and ask the banded recognizer: two of three must agree with it.

    Accepted is whom the recognizer and the banded one both name, if the detector does not flag the
    picture. Otherwise the picture is masked by its saliency: where the masked answer is the banded
    one, it is the corrected answer. All else is rejected.

    Args:
        full: of the recognizer that sees everything.
        banded: of the one that does not see the eye band.
        masked: of the recognizer to the picture without what its saliency mask removes.
        scores: N, of a detector; its threshold decides only where the mask disagrees.
    """
    repaired = masked.classes == banded.classes
    agreed = full.classes == banded.classes
    answer = np.where(agreed | repaired, banded.classes, NOBODY)
    # What the mask confirms is never rejected: no score exceeds any threshold.
    return Doubted(answer, np.where(repaired, -np.inf, scores))


@dataclass(frozen=True)
class Side:
    """Honest or attacked pictures, as all defences see them.

    Attributes:
        full: of the recognizer that sees everything.
        banded: of the one that does not see the eye band.
        masked: of the recognizer behind the saliency mask.
        scores: of each detector, N float.
    """

    full: Predictions
    banded: Predictions
    masked: Predictions
    scores: Mapping[str, NDArray[np.floating]]

    def defences(self, detector: str) -> dict[str, Doubted]:
        """Every defence by name; :func:`combined` has the named detector."""
        return {
            "none": alone(self.full),
            "guard": agreement(self.full, self.banded),
            "guard_correcting": alone(self.banded),
            "saliency_mask": alone(self.masked),
            "combined": combined(self.full, self.banded, self.masked, self.scores[detector]),
            **{name: flagging(self.full, scores) for name, scores in self.scores.items()},
        }


def best_detector(honest: Side, attacked: Side) -> str:
    """The detector with the largest area under the curve; the first of equals."""
    areas = {
        name: area_under_curve(scores, attacked.scores[name])
        for name, scores in honest.scores.items()
    }
    return max(areas, key=lambda name: np.nan_to_num(areas[name]))


def operating_curve(
    honest: Mapping[str, Doubted],
    attacked: Mapping[str, Doubted],
    *,
    people: NDArray[np.int64],
    attacker: NDArray[np.int64],
    target: NDArray[np.int64],
) -> pd.DataFrame:
    """``operating_curve.csv``: rates of every defence at every threshold.

    Columns, each rate with n and interval: ``false_reject``, honest pictures that are rejected or
    get another name than their own; ``accepted_as_target``, attacks that are; ``corrected``,
    attacks that get the attacker's own name.

    Args:
        honest: defences by name on M benign pictures, of which half wear honest frames.
        attacked: the same defences on N attacked pictures.
        people: M int64, who is in the honest pictures.
        attacker: N int64, who is in the attacked ones.
        target: N int64, who is impersonated there; :data:`NOBODY` for none.
    """
    rows = []
    for name, of_honest in honest.items():
        for threshold in _thresholds(of_honest, attacked[name]):
            named, taken = of_honest.at(threshold), attacked[name].at(threshold)
            counted = {
                "false_reject": named != people,
                "accepted_as_target": (taken == target) & (target != NOBODY),
                "corrected": taken == attacker,
            }
            row: dict[str, object] = {"defence": name, "threshold": threshold}
            for rate_name, which in counted.items():
                row |= Rate.counted(int(which.sum()), len(which)).columns(rate_name)
            rows.append(row)
    return pd.DataFrame(rows)


def _thresholds(*seen: Doubted) -> Iterator[float]:
    """Quantiles of all doubts, the largest first: nothing is rejected there that need not be."""
    both = np.concatenate([one.doubt for one in seen]).astype(np.float64)
    finite = both[np.isfinite(both)]
    shares = np.linspace(0, 1, POINTS)
    yield from np.unique(np.quantile(finite, shares, method="higher"))[::-1]
