"""How much of a face is covered, and scores that are judged by it.

Wearers are compared with wearers, bare faces with bare faces. Neither study does this; it answers
the objection that a detector merely finds frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from glassguard.detection.pictures import Pictures
from glassguard.detection.scores import Score

REGULARISATIONS = tuple(np.logspace(-1, 4, 6).tolist())


@dataclass(frozen=True)
class CoveredArea:
    """An estimate of the covered share of a picture, by a ridge regression on activations.

    Attributes:
        slice: the slice whose activations are read.
        model: the fitted steps.
    """

    slice: str
    model: Pipeline

    @classmethod
    def fitted(cls, training: Pictures) -> "CoveredArea":
        """Choose the slice whose regression is best at pictures left out one at a time.

        ``training`` holds benign training pictures with and without honest frames.
        """
        fits: dict[str, Pipeline] = {}
        for name, activations in training.activations.items():
            model = make_pipeline(StandardScaler(), RidgeCV(REGULARISATIONS))
            fits[name] = model.fit(np.asarray(activations, dtype=np.float64), training.covered)
        best = max(fits, key=lambda name: fits[name][-1].best_score_)
        return cls(best, fits[best])

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Shares of N pictures, not cut to [0, 1]."""
        if not len(pictures):
            return np.zeros(0)
        return self.model.predict(np.asarray(pictures.activations[self.slice], dtype=np.float64))


@dataclass(frozen=True)
class GivenArea:
    """A detector's score minus the usual score of benign pictures with as much covered.

    Attributes:
        detector: a larger score is more suspicious.
        area: estimates the covered share.
        usual: a line through the scores of benign pictures.
    """

    detector: Score
    area: Score
    usual: LinearRegression

    @classmethod
    def fitted(cls, detector: Score, *, area: Score, benign: Pictures) -> "GivenArea":
        """Fit the line on benign validation pictures with and without honest frames."""
        usual = LinearRegression().fit(area(benign)[:, None], detector(benign))
        return cls(detector, area, usual)

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score N pictures, in the unit of the detector; negative where less than usual."""
        if not len(pictures):
            return np.zeros(0)
        return self.detector(pictures) - self.usual.predict(self.area(pictures)[:, None])
