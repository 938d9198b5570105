"""Quadratic boundaries, Study I's wish (section 4), by a linear classifier on quadratic terms."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

COMPONENTS = 16
"""Sixteen components have 152 terms; all terms of 128 filters would be 8,384 for 1,500 profiles."""


class QuadraticTerms(TransformerMixin, BaseEstimator):
    """Leading principal components of unit variance, their squares and their products.

    Args:
        components: how many at most.
    """

    def __init__(self, components: int = COMPONENTS) -> None:
        self.components = components

    def fit(self, values: ArrayLike, y: object = None) -> Self:
        """Fit on N x filters values."""
        known = np.asarray(values, dtype=np.float64)
        count = min(self.components, *known.shape)
        self.steps_ = make_pipeline(
            PCA(count, whiten=True, svd_solver="full"),
            PolynomialFeatures(2, include_bias=False),
            StandardScaler(),
        ).fit(known)
        return self

    def transform(self, values: ArrayLike) -> NDArray[np.float64]:
        """N x filters to N x terms."""
        return self.steps_.transform(np.asarray(values, dtype=np.float64))
