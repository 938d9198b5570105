"""Quadratic boundaries, Study I's wish (section 4), by a linear classifier on quadratic terms."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

COMPONENTS = 16
"""Sixteen components have 152 terms; all terms of 128 filters would be 8,384 for 1,500 profiles."""

LEAST_VARIANCE = 1e-6
"""Of a component, as a share of the first's. Below lies rounding, which unit variance would turn
into a coordinate like any other."""


class QuadraticTerms(TransformerMixin, BaseEstimator):
    """Leading principal components of unit variance, their squares and their products.

    Args:
        components: how many at most; fewer where the values vary in fewer directions.

    Attributes:
        steps_: the fitted steps.
        n_features_in_: number of filters.
    """

    def __init__(self, components: int = COMPONENTS) -> None:
        self.components = components

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Fit on N x filters values, N at least 2; ``y`` is ignored.

        Raises:
            ValueError: there is to be no component, or there are too few values.
        """
        if self.components < 1:
            raise ValueError(f"components: at least one is kept, not {self.components}")
        known = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        most = min(self.components, *known.shape)
        variance = PCA(most, svd_solver="full").fit(known).explained_variance_
        count = max(1, int((variance > LEAST_VARIANCE * variance[0]).sum()))
        self.steps_ = make_pipeline(
            PCA(count, whiten=True, svd_solver="full"),
            PolynomialFeatures(2, include_bias=False),
            StandardScaler(),
        ).fit(known)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """N x filters to N x terms."""
        check_is_fitted(self)
        return self.steps_.transform(validate_data(self, X, dtype=np.float64, reset=False))
