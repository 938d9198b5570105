"""How much of a face is covered, and scores that are judged by it.

Conditioning on the area of a frame: a wearer is compared with wearers, a bare face with bare faces.
Neither study has it; it answers the objection that a detector merely finds frames.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from glassguard.detection.pictures import Pictures
from glassguard.detection.scores import Score

REGULARISATIONS = tuple(np.logspace(-1, 4, 6))


def estimated_area(training: Pictures) -> Score:
    """An estimate of the covered share of a picture, by a ridge regression on activations.

    The slice is the one whose regression is best at training pictures left out one at a time.

    Args:
        training: benign training pictures with and without honest frames.

    Returns:
        N float64 for N pictures: shares of the picture, not cut to [0, 1].
    """
    fits: dict[str, Pipeline] = {}
    for name, activations in training.activations.items():
        model = make_pipeline(StandardScaler(), RidgeCV(REGULARISATIONS))
        fits[name] = model.fit(np.asarray(activations, dtype=np.float64), training.covered)
    best = max(fits, key=lambda name: fits[name][-1].best_score_)

    def area(pictures: Pictures) -> NDArray[np.float64]:
        if not len(pictures):
            return np.zeros(0)
        return fits[best].predict(np.asarray(pictures.activations[best], dtype=np.float64))

    return area


def given_area(score: Score, *, area: Score, benign: Pictures) -> Score:
    """A score less what is usual of benign pictures with as much of the face covered.

    Args:
        score: larger is more suspicious.
        area: :func:`estimated_area`.
        benign: benign validation pictures with and without honest frames, which say what is usual:
            a line through their scores.

    Returns:
        N float64 for N pictures, in the unit of ``score``; negative where less than usual.
    """
    usual = LinearRegression().fit(area(benign)[:, None], score(benign))

    def conditioned(pictures: Pictures) -> NDArray[np.float64]:
        if not len(pictures):
            return np.zeros(0)
        return score(pictures) - usual.predict(area(pictures)[:, None])

    return conditioned
