"""Thresholds of scores at set false-positive rates, from benign validation pictures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glassguard.detection.calibration import threshold_for_every_kind

if TYPE_CHECKING:  # scikit-learn's import takes a second, and the report needs none of it
    from glassguard.detection.pictures import Pictures
    from glassguard.detection.scores import Score

FALSE_POSITIVE_RATES = (0.01, 0.05, 0.0991)
"""False-positive rates at which detection is reported; the last is AmI's (Tao et al. 2018)."""

BARE = "bare"
"""Benign pictures as they are."""

HALF_WEARING = "half_wearing"
"""Benign pictures of which half wear honest frames
(:func:`~glassguard.detection.pictures.half_wearing`)."""

Thresholds = Mapping[str, Mapping[str, tuple[float, ...]]]
"""By population and detector, the threshold at each of :data:`FALSE_POSITIVE_RATES`."""


def detector_name(detector: str, population: str) -> str:
    """Name in tables of a detector whose population is not :data:`BARE`."""
    return detector if population == BARE else f"{detector}@{population}"


def thresholds_of(
    scores: Mapping[str, "Score"], validation: Mapping[str, Sequence["Pictures"]]
) -> Thresholds:
    """Thresholds of every detector in every population.

    Args:
        scores: by detector.
        validation: by population, benign validation pictures: all, then each kind among them
            (:func:`~glassguard.detection.calibration.threshold_for_every_kind`).
    """

    def at_rates(score: "Score", benign: Sequence["Pictures"]) -> tuple[float, ...]:
        everybody, *kinds = [score(pictures) for pictures in benign]
        return tuple(
            threshold_for_every_kind(everybody, kinds, rate) for rate in FALSE_POSITIVE_RATES
        )

    return {
        population: {name: at_rates(score, benign) for name, score in scores.items()}
        for population, benign in validation.items()
    }


def flags_at_rates(scores: Mapping[str, "Score"], thresholds: Thresholds) -> dict[str, "Score"]:
    """Flags of every detector at every false-positive rate, in every population."""

    def above(score: "Score", threshold: float) -> "Score":
        def flag(pictures: "Pictures") -> NDArray[np.float64]:
            return (score(pictures) > threshold).astype(np.float64)

        return flag

    return {
        detector_name(f"{name}@{rate:g}", population): above(scores[name], threshold)
        for population, of_detectors in thresholds.items()
        for name, at_rates in of_detectors.items()
        for rate, threshold in zip(FALSE_POSITIVE_RATES, at_rates, strict=True)
    }
