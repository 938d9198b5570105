"""A set of pictures as the detectors see it: profiles, what the network says, who it is."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOBODY = -1


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
    """

    profiles: Mapping[str, NDArray]
    prediction: NDArray[np.integer]
    confidence: NDArray[np.floating]
    identity: NDArray[np.integer]
    target: NDArray[np.integer]
    split: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.prediction)

    def where(self, rows: NDArray[np.bool_]) -> "Pictures":
        """The pictures of a row mask."""
        return Pictures(
            {name: profile[rows] for name, profile in self.profiles.items()},
            self.prediction[rows],
            self.confidence[rows],
            self.identity[rows],
            self.target[rows],
            self.split[rows],
        )

    def in_split(self, split: str) -> "Pictures":
        """The pictures of one split."""
        return self.where(self.split == split)

    @property
    def impersonating(self) -> NDArray[np.bool_]:
        """Which pictures the network takes for the person they are meant to be taken for."""
        return (self.target != NOBODY) & (self.prediction == self.target)
