"""Local intrinsic dimensionality (Ma et al. 2018)."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors


class LocalIntrinsicDimensionality(BaseEstimator):
    """How many dimensions benign activations seem to have around a picture.

    The maximum-likelihood estimate (Ma et al., equation 4) from the distances to the nearest of a
    set of benign training pictures. Adversarial pictures lie off the benign pictures' surface,
    where more directions are open.

    Args:
        neighbours: how many of the nearest are used; all there are where there are fewer.
    """

    def __init__(self, neighbours: int = 20) -> None:
        self.neighbours = neighbours

    def fit(self, activations: ArrayLike) -> Self:
        """Remember N x filters activations of benign training pictures, N at least 2."""
        values = np.asarray(activations, dtype=np.float64)
        count = min(self.neighbours, len(values))
        self.index_ = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(values)
        return self

    def score_samples(self, activations: ArrayLike) -> NDArray[np.float64]:
        """Dimensionality around N x filters activations that are not among the remembered."""
        values = np.asarray(activations, dtype=np.float64)
        if not len(values):
            return np.zeros(0)
        distances, _ = self.index_.kneighbors(values)
        # A picture twice in the set, or dead filters only: no distance, and no logarithm of it.
        floor = np.finfo(np.float64).tiny
        ratios = np.log(np.maximum(distances, floor) / np.maximum(distances[:, -1:], floor))
        return -1.0 / np.minimum(ratios.mean(axis=1), -np.finfo(np.float64).eps)
