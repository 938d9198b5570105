"""Characteristic profiles, distances to them (Study I, section 2.2) and their projection."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

Metric = Literal["euclidean", "standardised", "mahalanobis"]
METRICS: tuple[Metric, ...] = get_args(Metric)


class CharacteristicProfiles(TransformerMixin, BaseEstimator):
    """Mean training profile of every class, and distances to it.

    Args:
        metric: ``euclidean`` is the source's; ``standardised`` divides every filter by its
            deviation within classes; ``mahalanobis`` uses the within-class covariance, shrunk
            after Ledoit and Wolf (2004).

    Attributes:
        classes_: C labels, in order.
        centres_: C x filters, row = class.
        whitening_: what profiles are multiplied by: a factor for every filter, or filters x filters
            for ``mahalanobis``.
        n_features_in_: number of filters.
    """

    def __init__(self, metric: Metric = "euclidean") -> None:
        self.metric = metric

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that fitting needs classes."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from benign training profiles.

        Args:
            X: N x filters profiles.
            y: N classes.

        Raises:
            ValueError: the metric is unknown, or the profiles or classes are not of that kind.
        """
        if self.metric not in METRICS:
            raise ValueError(f"metric {self.metric!r}: must be one of {', '.join(METRICS)}")
        values, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_, classes = np.unique(labels, return_inverse=True)
        self.centres_ = np.array(
            [values[classes == row].mean(axis=0) for row in range(len(self.classes_))]
        )
        self.whitening_ = self._fit_whitening(values - self.centres_[classes])
        return self

    def _fit_whitening(self, residuals: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.metric == "euclidean":
            return np.ones(residuals.shape[1])
        deviation = residuals.std(axis=0)
        # A filter that never varies within a class keeps its own unit.
        scale = 1.0 / np.where(deviation > 0, deviation, 1.0)
        if self.metric == "standardised":
            return scale
        # Shrinkage towards a multiple of the identity needs one common scale.
        covariance, _ = ledoit_wolf(residuals * scale, assume_centered=True)
        values, vectors = np.linalg.eigh(covariance)
        if values.max(initial=0.0) <= 0:
            # Nothing varies within any class, as before the logits: there is no unit.
            return scale
        kept = np.clip(values, values.max() * 1e-12, None)
        return np.ascontiguousarray(scale[:, None] * (vectors / np.sqrt(kept)))

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Distance of N x filters profiles, N possibly 0, to every characteristic profile, N x C.

        Raises:
            ValueError: the profiles have another number of filters.
        """
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False, ensure_min_samples=0)
        return cdist(self._whitened(values), self._whitened(self.centres_))

    def _whitened(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.whitening_.ndim == 1:
            return values * self.whitening_
        return values @ self.whitening_

    def between(self) -> NDArray[np.float64]:
        """Distance between characteristic profiles, C x C, zero diagonal."""
        check_is_fitted(self)
        return self.transform(self.centres_)


def profiles_of_people(
    profiles: ArrayLike, identity: ArrayLike, metric: Metric
) -> CharacteristicProfiles:
    """Characteristic profiles of people who are numbered: row and column k are person k.

    Args:
        profiles: N x filters benign training profiles.
        identity: N indices, 0 to C - 1.
        metric: see :class:`CharacteristicProfiles`.

    Raises:
        ValueError: a person has no profile.
    """
    counts = np.bincount(np.asarray(identity))
    if not counts.all():
        raise ValueError(f"class {int(np.argmin(counts))} has no training profile")
    return CharacteristicProfiles(metric).fit(profiles, identity)


@dataclass(frozen=True)
class Projection:
    """Principal components of profiles of unit length, standardised by filter.

    Attributes:
        pipeline: the fitted steps.
        explained: share of the fitted profiles' variance on each of the two components.
    """

    pipeline: Pipeline
    explained: tuple[float, float]

    @classmethod
    def fitted(cls, profiles: ArrayLike) -> Self:
        """Fit on N x filters profiles, N and filters at least 2."""
        pipeline = make_pipeline(
            Normalizer(), StandardScaler(), PCA(n_components=2, svd_solver="full")
        ).fit(np.asarray(profiles, dtype=np.float64))
        first, second = pipeline[-1].explained_variance_ratio_
        return cls(pipeline, (float(first), float(second)))

    def __call__(self, profiles: ArrayLike) -> NDArray[np.float64]:
        """N x filters profiles, also none, to N x 2."""
        values = np.asarray(profiles, dtype=np.float64)
        return self.pipeline.transform(values) if len(values) else np.zeros((0, 2))
