"""Characteristic profiles and distances to them (Study I, section 2.2)."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf

Metric = Literal["euclidean", "standardised", "mahalanobis"]
METRICS: tuple[Metric, ...] = ("euclidean", "standardised", "mahalanobis")


class CharacteristicProfiles:
    """Mean training profile of every class, and distances to it.

    Args:
        metric: ``euclidean`` is the source's; ``standardised`` divides every filter by its
            deviation within classes; ``mahalanobis`` uses the within-class covariance, shrunk
            after Ledoit and Wolf (2004).

    Attributes:
        centres: C x filters, row = class.
    """

    def __init__(self, metric: Metric = "euclidean") -> None:
        if metric not in METRICS:
            raise ValueError(f"metric {metric!r}: must be one of {', '.join(METRICS)}")
        self.metric = metric

    def fit(self, profiles: ArrayLike, identity: ArrayLike) -> "CharacteristicProfiles":
        """Learn from N x filters benign training profiles and N class indices 0 to C - 1.

        Raises:
            ValueError: a class has no profile.
        """
        values, classes = np.asarray(profiles, dtype=np.float64), np.asarray(identity)
        counts = np.bincount(classes)
        if not counts.all():
            raise ValueError(f"class {int(np.argmin(counts))} has no training profile")
        self.centres = np.array([values[classes == k].mean(axis=0) for k in range(len(counts))])
        self._whitening = self._fit_whitening(values - self.centres[classes])
        return self

    def _fit_whitening(self, residuals: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.metric == "euclidean":
            return np.eye(residuals.shape[1])
        deviation = residuals.std(axis=0)
        # A filter that never varies within a class carries no unit; it keeps its own.
        scale = np.diag(1.0 / np.where(deviation > 0, deviation, 1.0))
        if self.metric == "standardised":
            return scale
        # Shrinking towards a multiple of the identity only makes sense on one common scale.
        covariance, _ = ledoit_wolf(residuals @ scale, assume_centered=True)
        values, vectors = np.linalg.eigh(covariance)
        kept = np.clip(values, values.max(initial=0.0) * 1e-12 + np.finfo(float).tiny, None)
        return scale @ (vectors / np.sqrt(kept))

    def distances(self, profiles: ArrayLike) -> NDArray[np.float64]:
        """Distance of N profiles to every characteristic profile, N x C."""
        values = np.asarray(profiles, dtype=np.float64).reshape(-1, self.centres.shape[1])
        return cdist(values @ self._whitening, self.centres @ self._whitening)

    def between(self) -> NDArray[np.float64]:
        """Distance between characteristic profiles, C x C, zero diagonal."""
        return self.distances(self.centres)
