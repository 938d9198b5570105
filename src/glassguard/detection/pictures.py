"""A set of pictures as the detectors see it: profiles, what the network says, who it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

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
        agreement: N float, at most 0: mean logarithm of the confidence in ``prediction`` that is
            left when the picture is masked; NaN in training pictures, which are not masked.
        misnamed_bare: N bool, whether the network misnames the same face without any glasses.
    """

    profiles: Mapping[str, NDArray]
    prediction: NDArray[np.integer]
    confidence: NDArray[np.floating]
    identity: NDArray[np.integer]
    target: NDArray[np.integer]
    split: NDArray[np.str_]
    agreement: NDArray[np.floating]
    misnamed_bare: NDArray[np.bool_]

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
    return Pictures(**_by_field(lambda name: _joined([getattr(part, name) for part in parts])))


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
