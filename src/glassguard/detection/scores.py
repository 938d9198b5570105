"""Detectors that score pictures: a larger score is more suspicious.

None is fitted to an attack; they learn from benign pictures. A detector is a frozen dataclass of
arrays, names and other detectors, so that :mod:`glassguard.detection.detector_file` can write it.
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
    """Distance of a picture to the characteristic profile of the person the network sees in it."""

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
    """How much of the decision is lost when the pixels that speak for it are masked."""

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
    """A detector of profiles that reads activations instead."""

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
        means, deviations = zip(*((one.mean(), one.std() or 1.0) for one in seen), strict=True)
        return cls(tuple(detectors), np.array(means), np.array(deviations))

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score N pictures."""
        parts = zip(self.detectors, self.means, self.deviations, strict=True)
        units = [(detector(pictures) - mean) / deviation for detector, mean, deviation in parts]
        return np.sum(units, axis=0)


def mahalanobis_over_layers(training: Pictures, *, validation: Pictures) -> Sum:
    """Mahalanobis distance to the nearest class, over all layers (Lee et al. 2018, section 2).

    Class means and one covariance for all classes, of activations averaged over space. The source
    weighs the layers by a regression on attacks; here each counts the same (:class:`Sum`), in the
    deviations of benign validation pictures.
    """
    layers = [
        NearestClass(name, profiles_of_people(values, training.identity, "mahalanobis"))
        for name, values in training.mean_activations.items()
    ]
    return Sum.fitted(layers, benign=validation)


def dimensionality_over_layers(training: Pictures, *, validation: Pictures, neighbours: int) -> Sum:
    """Local intrinsic dimensionality over all layers (Ma et al. 2018), each counting the same.

    The source weighs the layers by a regression on attacks and measures against minibatches. Here
    nothing sees an attack: the reference is all benign training pictures, and layers are added in
    the deviations of benign validation pictures (:class:`Sum`).
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
        # Keeping the pictures keeps their id from another set.
        if id(pictures) not in known:
            known[id(pictures)] = pictures, score(pictures)
        return known[id(pictures)][1]

    return recall
