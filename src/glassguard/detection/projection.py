"""Two principal components of benign profiles, to look at."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler


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
