"""A set of pictures as the detectors see it: profiles, what the network says, who it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

NOBODY = -1

JOINED = "joined"
"""Name of a profile that several slices share."""


@dataclass(frozen=True)
class Pictures:
    """Pictures of one kind; row = picture, people are indices of the network's classes.

    Attributes:
        profiles: per slice N x filters.
        prediction: N int, whom the network sees.
        confidence: N float in [0, 1], softmax of the prediction.
        identity: N int, who is in the picture; the attacker in an adversarial one.
        target: N int, who is impersonated; :data:`NOBODY` in a benign picture.
        split: N str, ``train``, ``val`` or ``test``.
        agreement: N float, at most 0: mean logarithm of the confidence in ``prediction`` that is
            left when the picture is masked; NaN in training pictures, which are not masked.
        misnamed_bare: N bool, whether the network misnames the same face without any glasses.
        activations: per slice N x filters, largest activation over space.
        mean_activations: per slice N x filters, mean activation over space.
        squeezed: N float in [0, 2], how far squeezing the picture moves the answer
            (:mod:`glassguard.detection.feature_squeezing`); NaN in training pictures.
    """

    profiles: Mapping[str, NDArray]
    prediction: NDArray[np.integer]
    confidence: NDArray[np.floating]
    identity: NDArray[np.integer]
    target: NDArray[np.integer]
    split: NDArray[np.str_]
    agreement: NDArray[np.floating]
    misnamed_bare: NDArray[np.bool_]
    activations: Mapping[str, NDArray]
    mean_activations: Mapping[str, NDArray]
    squeezed: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.prediction)

    def where(self, rows: NDArray[np.bool_]) -> "Pictures":
        """The pictures of a row mask."""
        return Pictures(**_by_field(lambda name: _rows(getattr(self, name), rows)))

    def in_split(self, split: str) -> "Pictures":
        """The pictures of one split."""
        return self.where(self.split == split)

    @property
    def impersonating(self) -> NDArray[np.bool_]:
        """Which pictures the network takes for the person they are meant to be taken for."""
        return (self.target != NOBODY) & (self.prediction == self.target)


def half_wearing(bare: Pictures, plain: Pictures, random: Pictures) -> Pictures:
    """Benign pictures of which half wear honest frames.

    Every second picture is bare; of the others every second wears a plain frame, the rest a
    frame of random texture. The three sets hold the same pictures in the same order.
    """
    parts = [
        part.where(np.arange(len(part)) % 4 == position)
        for position, part in ((0, bare), (1, plain), (2, bare), (3, random))
    ]
    return together(parts)


def together(parts: Sequence[Pictures]) -> Pictures:
    """The pictures of several sets, one set after the other."""
    return Pictures(**_by_field(lambda name: _joined([getattr(part, name) for part in parts])))


def only(pictures: Pictures, slice_name: str) -> Pictures:
    """The same pictures with the profiles of one slice and no activations."""
    profiles = {slice_name: pictures.profiles[slice_name]}
    return replace(pictures, profiles=profiles, activations={}, mean_activations={})


def joined(pictures: Pictures, slices: Sequence[str]) -> Pictures:
    """The same pictures with one profile, :data:`JOINED`: those of several slices side by side.

    Each is of unit length first, so that the slice with the steepest gradients does not drown the
    others.
    """
    parts = (
        [normalize(pictures.profiles[name]) for name in slices]
        if len(pictures)
        else [pictures.profiles[name] for name in slices]
    )
    return replace(pictures, profiles={JOINED: np.concatenate(parts, axis=1)})


def with_activations(pictures: Pictures) -> Pictures:
    """The same pictures with activations in the place of influence."""
    return replace(pictures, profiles=pictures.activations)


def _by_field(values: Callable[[str], Any]) -> dict[str, Any]:
    return {field.name: values(field.name) for field in fields(Pictures)}


def _rows(values: Any, rows: NDArray[np.bool_]) -> Any:
    if isinstance(values, Mapping):
        return {name: profile[rows] for name, profile in values.items()}
    return values[rows]


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], Mapping):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate(parts)
