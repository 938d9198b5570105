"""Scores by which pictures are flagged: a larger one is more suspicious.

None is fitted to an attack. What has to be learned is learned from benign pictures.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from glassguard.detection.characteristic_profiles import Metric, profiles_of_people
from glassguard.detection.intrinsic_dimensionality import LocalIntrinsicDimensionality
from glassguard.detection.pictures import Pictures, with_activations

Score = Callable[[Pictures], NDArray[np.float64]]


def distance_score(training: Pictures, *, slice_name: str, metric: Metric) -> Score:
    """Distance of a picture to the characteristic profile of whom the network sees in it."""
    fitted = profiles_of_people(training.profiles[slice_name], training.identity, metric)

    def score(pictures: Pictures) -> NDArray[np.float64]:
        distances = fitted.transform(pictures.profiles[slice_name])
        return distances[np.arange(len(pictures)), pictures.prediction]

    return score


def confidence_score(pictures: Pictures) -> NDArray[np.float64]:
    """Doubt of the network: one minus the softmax of its prediction."""
    return 1.0 - np.asarray(pictures.confidence, dtype=np.float64)


def masking_score(pictures: Pictures) -> NDArray[np.float64]:
    """How much of the decision is lost when what speaks for it is masked out."""
    return -np.asarray(pictures.agreement, dtype=np.float64)


def squeezing_score(pictures: Pictures) -> NDArray[np.float64]:
    """How far the answer moves when the picture is squeezed (Xu et al. 2018)."""
    return np.asarray(pictures.squeezed, dtype=np.float64)


def on_activations(score: Score) -> Score:
    """A score of profiles, given activations in their place."""
    return lambda pictures: score(with_activations(pictures))


def mahalanobis_over_layers(training: Pictures, *, validation: Pictures) -> Score:
    """Mahalanobis distance to the nearest class, over all layers (Lee et al. 2018, section 2).

    Class means and one covariance for all classes, of activations averaged over space. The source
    weighs the layers by a regression on attacks; here each counts the same (:func:`joint_score`).

    Args:
        training: benign pictures to fit on.
        validation: benign pictures that say how large distances are in each layer.
    """

    def of_layer(name: str) -> Score:
        fitted = profiles_of_people(
            training.mean_activations[name], training.identity, "mahalanobis"
        )
        return lambda pictures: fitted.transform(pictures.mean_activations[name]).min(axis=1)

    return joint_score([of_layer(name) for name in training.mean_activations], benign=validation)


def dimensionality_over_layers(
    training: Pictures, *, validation: Pictures, neighbours: int
) -> Score:
    """Local intrinsic dimensionality over all layers (Ma et al. 2018), each counting the same.

    The source weighs the layers by a regression on attacks and measures against minibatches; here
    nothing sees an attack, and all benign training pictures are measured against.

    Args:
        training: benign pictures to measure against.
        validation: benign pictures that say how large values are in each layer.
        neighbours: how many of the nearest are used.
    """

    def of_layer(name: str) -> Score:
        fitted = LocalIntrinsicDimensionality(neighbours).fit(training.mean_activations[name])
        return lambda pictures: fitted.score_samples(pictures.mean_activations[name])

    return joint_score([of_layer(name) for name in training.mean_activations], benign=validation)


def remembered(score: Score) -> Score:
    """The same score, computed once for each set of pictures."""
    known: dict[int, tuple[Pictures, NDArray[np.float64]]] = {}

    def recall(pictures: Pictures) -> NDArray[np.float64]:
        # The pictures are kept beside their score, so that no other set gets their identity.
        if id(pictures) not in known:
            known[id(pictures)] = pictures, score(pictures)
        return known[id(pictures)][1]

    return recall


def joint_score(scores: Sequence[Score], *, benign: Pictures) -> Score:
    """Sum of several scores, each in standard deviations above its mean on benign pictures.

    Nothing is fitted to an attack: every score counts the same.

    Args:
        scores: larger is more suspicious.
        benign: benign validation pictures.
    """
    references = [(score, score(benign)) for score in scores]

    def joint(pictures: Pictures) -> NDArray[np.float64]:
        return np.sum(
            [(score(pictures) - seen.mean()) / (seen.std() or 1.0) for score, seen in references],
            axis=0,
        )

    return joint
