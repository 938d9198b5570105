"""Detectors that score pictures: a larger score is more suspicious.

None is fitted to an attack. What has to be learned is learned from benign pictures. A detector is
a frozen dataclass of arrays, names and other detectors, so that
:mod:`glassguard.detection.detector_file` can write it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassguard.detection.characteristic_profiles import (
    CharacteristicProfiles,
    Metric,
    profiles_of_people,
)
from glassguard.detection.intrinsic_dimensionality import LocalIntrinsicDimensionality
from glassguard.detection.pictures import Pictures, joined, with_activations

Score = Callable[[Pictures], NDArray[np.float64]]


@dataclass(frozen=True)
class Distance:
    """Distance of a picture to the characteristic profile of whom the network sees in it.

    Attributes:
        slice: name of the slice.
        profiles: of every person.
    """

    slice: str
    profiles: CharacteristicProfiles

    @classmethod
    def fitted(cls, training: Pictures, *, slice_name: str, metric: Metric) -> "Distance":
        """Fit on benign training pictures."""
        profiles = training.profiles[slice_name]
        return cls(slice_name, profiles_of_people(profiles, training.identity, metric))

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score N pictures."""
        distances = self.profiles.transform(pictures.profiles[self.slice])
        return distances[np.arange(len(pictures)), pictures.prediction]


@dataclass(frozen=True)
class Confidence:
    """Doubt of the network: one minus the softmax of its prediction."""

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score N pictures, in [0, 1]."""
        return 1.0 - np.asarray(pictures.confidence, dtype=np.float64)


@dataclass(frozen=True)
class Masking:
    """How much of the decision is lost when what speaks for it is masked out."""

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score N pictures."""
        return -np.asarray(pictures.agreement, dtype=np.float64)


@dataclass(frozen=True)
class OnPixels:
    """A score that was computed from the pixels (:mod:`glassguard.detection.pixel_detectors`).

    Attributes:
        name: its name in :attr:`Pictures.pixel_scores`.
    """

    name: str

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score N pictures."""
        return np.asarray(pictures.pixel_scores[self.name], dtype=np.float64)


@dataclass(frozen=True)
class OnActivations:
    """A detector of profiles that is given activations in their place."""

    detector: Score

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score N pictures."""
        return self.detector(with_activations(pictures))


@dataclass(frozen=True)
class OnJoined:
    """A detector of the joined profiles of several slices (:func:`..pictures.joined`)."""

    slices: tuple[str, ...]
    detector: Score

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score N pictures."""
        return self.detector(joined(pictures, self.slices))


@dataclass(frozen=True)
class NearestClass:
    """Mahalanobis distance of mean activations to the nearest class."""

    slice: str
    profiles: CharacteristicProfiles

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score N pictures."""
        return self.profiles.transform(pictures.mean_activations[self.slice]).min(axis=1)


@dataclass(frozen=True)
class Dimensionality:
    """Local intrinsic dimensionality around mean activations."""

    slice: str
    around: LocalIntrinsicDimensionality

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score N pictures."""
        return self.around.score_samples(pictures.mean_activations[self.slice])


@dataclass(frozen=True)
class Sum:
    """Sum of several detectors, each in standard deviations above its mean on benign pictures.

    Nothing is fitted to an attack: every detector counts the same.

    Attributes:
        detectors: K detectors.
        means: K, of each on benign validation pictures.
        deviations: K, positive.

    Raises:
        ValueError: there are not as many means and deviations as detectors.
    """

    detectors: tuple[Score, ...]
    means: NDArray[np.float64]
    deviations: NDArray[np.float64]

    def __post_init__(self) -> None:
        count = (len(self.detectors),)
        if self.means.shape != count or self.deviations.shape != count:
            raise ValueError(f"a mean and a deviation for each of {count[0]} detectors")

    @classmethod
    def fitted(cls, detectors: Sequence[Score], *, benign: Pictures) -> "Sum":
        """Measure each detector on benign validation pictures."""
        seen = [detector(benign) for detector in detectors]
        return cls(
            tuple(detectors),
            np.array([scores.mean() for scores in seen]),
            np.array([scores.std() or 1.0 for scores in seen]),
        )

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score N pictures."""
        return np.sum(
            [
                (detector(pictures) - mean) / deviation
                for detector, mean, deviation in zip(
                    self.detectors, self.means, self.deviations, strict=True
                )
            ],
            axis=0,
        )


def mahalanobis_over_layers(training: Pictures, *, validation: Pictures) -> Sum:
    """Mahalanobis distance to the nearest class, over all layers (Lee et al. 2018, section 2).

    Class means and one covariance for all classes, of activations averaged over space. The source
    weighs the layers by a regression on attacks; here each counts the same (:class:`Sum`).

    Args:
        training: benign pictures to fit on.
        validation: benign pictures that say how large distances are in each layer.
    """
    layers = [
        NearestClass(name, profiles_of_people(values, training.identity, "mahalanobis"))
        for name, values in training.mean_activations.items()
    ]
    return Sum.fitted(layers, benign=validation)


def dimensionality_over_layers(training: Pictures, *, validation: Pictures, neighbours: int) -> Sum:
    """Local intrinsic dimensionality over all layers (Ma et al. 2018), each counting the same.

    The source weighs the layers by a regression on attacks and measures against minibatches; here
    nothing sees an attack, and all benign training pictures are measured against.

    Args:
        training: benign pictures to measure against.
        validation: benign pictures that say how large values are in each layer.
        neighbours: how many of the nearest are used.
    """
    layers = [
        Dimensionality(name, LocalIntrinsicDimensionality(neighbours).fit(values))
        for name, values in training.mean_activations.items()
    ]
    return Sum.fitted(layers, benign=validation)


def remembered(score: Score) -> Score:
    """The same score, computed once for each set of pictures."""
    known: dict[int, tuple[Pictures, NDArray[np.float64]]] = {}

    def recall(pictures: Pictures) -> NDArray[np.float64]:
        # The pictures are kept beside their score, so that no other set gets their identity.
        if id(pictures) not in known:
            known[id(pictures)] = pictures, score(pictures)
        return known[id(pictures)][1]

    return recall
