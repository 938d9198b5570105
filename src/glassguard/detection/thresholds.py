"""Thresholds of scores at set false-positive rates, from benign validation pictures."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from glassguard.detection.calibration import threshold_for_every_kind
from glassguard.detection.pictures import Pictures
from glassguard.detection.scores import Score

FALSE_POSITIVE_RATES = (0.01, 0.05, 0.0991)
"""False-positive rates at which detection is reported; the last is AmI's (Tao et al. 2018)."""

BARE = "bare"
"""Benign pictures as they are."""

HALF_WEARING = "half_wearing"
"""Benign pictures of which half wear honest frames (:func:`..pictures.half_wearing`)."""

Thresholds = Mapping[str, Mapping[str, tuple[float, ...]]]
"""By population and detector, the threshold at each of :data:`FALSE_POSITIVE_RATES`."""


def detector_name(detector: str, population: str) -> str:
    """How tables call a detector that meets another population than :data:`BARE` pictures."""
    return detector if population == BARE else f"{detector}@{population}"


def thresholds_of(
    scores: Mapping[str, Score], validation: Mapping[str, Sequence[Pictures]]
) -> Thresholds:
    """Thresholds of every detector in every population.

    Args:
        scores: by detector.
        validation: by population, benign validation pictures: first the population, then its kinds,
            if it has several (:func:`..calibration.threshold_for_every_kind`).
    """
    found: dict[str, dict[str, tuple[float, ...]]] = {}
    for population, benign_kinds in validation.items():
        found[population] = {}
        for name, score in scores.items():
            whole, *kinds = [score(pictures) for pictures in benign_kinds]
            found[population][name] = tuple(
                threshold_for_every_kind(whole, kinds, rate) for rate in FALSE_POSITIVE_RATES
            )
    return found


def flags_at_rates(scores: Mapping[str, Score], thresholds: Thresholds) -> dict[str, Score]:
    """What flags a picture: every score at every set false-positive rate, in every population.

    Args:
        scores: by detector.
        thresholds: :func:`thresholds_of`.
    """

    def above(score: Score, threshold: float) -> Score:
        def flag(pictures: Pictures) -> NDArray[np.float64]:
            return (score(pictures) > threshold).astype(np.float64)

        return flag

    return {
        detector_name(f"{name}@{rate:g}", population): above(scores[name], threshold)
        for population, of_detectors in thresholds.items()
        for name, at_rates in of_detectors.items()
        for rate, threshold in zip(FALSE_POSITIVE_RATES, at_rates, strict=True)
    }
