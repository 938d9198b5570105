"""Characteristic profiles and distances to them (Study I, section 2.2)."""

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator
from sklearn.covariance import ledoit_wolf
from sklearn.utils.validation import check_is_fitted

Metric = Literal["euclidean", "standardised", "mahalanobis"]
METRICS: tuple[Metric, ...] = ("euclidean", "standardised", "mahalanobis")


class CharacteristicProfiles(BaseEstimator):
    """Mean training profile of every class, and distances to it.

    Args:
        metric: ``euclidean`` is the source's; ``standardised`` divides every filter by its
            deviation within classes; ``mahalanobis`` uses the within-class covariance, shrunk
            after Ledoit and Wolf (2004).

    Attributes:
        centres_: C x filters, row = class.
    """

    def __init__(self, metric: Metric = "euclidean") -> None:
        self.metric = metric

    def fit(self, profiles: ArrayLike, identity: ArrayLike) -> Self:
        """Learn from N x filters benign training profiles and N class indices 0 to C - 1.

        Raises:
            ValueError: the metric is unknown, or a class has no profile.
        """
        if self.metric not in METRICS:
            raise ValueError(f"metric {self.metric!r}: must be one of {', '.join(METRICS)}")
        values, classes = np.asarray(profiles, dtype=np.float64), np.asarray(identity)
        counts = np.bincount(classes)
        if not counts.all():
            raise ValueError(f"class {int(np.argmin(counts))} has no training profile")
        self.centres_ = np.array([values[classes == k].mean(axis=0) for k in range(len(counts))])
        self.whitening_ = self._fit_whitening(values - self.centres_[classes])
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
        if values.max(initial=0.0) <= 0:
            # Nothing varies within any class, as right before the logits: there is no unit at all.
            return scale
        kept = np.clip(values, values.max() * 1e-12, None)
        return scale @ (vectors / np.sqrt(kept))

    def distances(self, profiles: ArrayLike) -> NDArray[np.float64]:
        """Distance of N profiles to every characteristic profile, N x C."""
        check_is_fitted(self)
        values = np.asarray(profiles, dtype=np.float64).reshape(-1, self.centres_.shape[1])
        return cdist(values @ self.whitening_, self.centres_ @ self.whitening_)

    def between(self) -> NDArray[np.float64]:
        """Distance between characteristic profiles, C x C, zero diagonal."""
        check_is_fitted(self)
        return self.distances(self.centres_)
