"""Local intrinsic dimensionality (Ma et al. 2018)."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_is_fitted, validate_data


class LocalIntrinsicDimensionality(BaseEstimator):
    """How many dimensions benign activations seem to have around a picture.

    The maximum-likelihood estimate (Ma et al., equation 4) from the distances to the nearest
    benign training pictures. Adversarial pictures lie off the surface of benign ones, where more
    directions are open.

    Args:
        neighbours: number of nearest pictures; all where there are fewer.

    Attributes:
        index_: the remembered activations.
        n_features_in_: number of filters.
    """

    def __init__(self, neighbours: int = 20) -> None:
        self.neighbours = neighbours

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Remember activations of benign training pictures.

        Args:
            X: N x filters, N at least 2.
            y: ignored.

        Raises:
            ValueError: ``neighbours`` is below 2, or there are too few activations.
        """
        if self.neighbours < 2:
            raise ValueError(f"neighbours: two at least are compared, not {self.neighbours}")
        values = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        count = min(self.neighbours, len(values))
        self.index_ = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(values)
        return self

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Dimensionality around activations that are not among the remembered.

        Args:
            X: N x filters, N possibly 0.

        Returns:
            N, from 0 to the number of filters: all directions are open where the nearest are
            equally far away, none where all lie at the picture itself.
        """
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False, ensure_min_samples=0)
        if not len(values):
            return np.zeros(0)
        distances, _ = self.index_.kneighbors(values)
        farthest = distances[:, -1:]
        # A neighbour at the picture itself has no logarithm of its distance.
        floor = np.finfo(np.float64).tiny
        ratios = np.log(np.maximum(distances, floor) / np.maximum(farthest, floor))
        most = float(self.n_features_in_)
        found = -1.0 / np.minimum(ratios.mean(axis=1), -1.0 / most)
        return np.where(farthest[:, 0] > 0, found, 0.0)
