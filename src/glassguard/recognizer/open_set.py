"""Face verification by cosine similarity to enrolled people, as embedding networks are used.

Nobody is told apart by a trained layer: a person is enrolled as the mean direction of some
pictures, and a claim to be that person is accepted where the cosine similarity reaches a threshold
that few impostors reach (Deng et al. 2019, section 4; ISO/IEC 19795-1 for the rates).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassguard.statistics import Rate

FALSE_ACCEPTS = (0.001, 0.01)
"""Shares of impostors' claims at which thresholds are set."""


def enrolled(embeddings: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Mean directions of people.

    Args:
        embeddings: N x D, of any length but zero.
        labels: N, from 0 on; everybody has at least one picture.

    Returns:
        People x D, each of length one.

    Raises:
        ValueError: somebody has no picture, or an embedding or a mean has no direction.
    """
    people = int(labels.max()) + 1 if len(labels) else 0
    missing = sorted(set(range(people)) - set(labels.tolist()))
    if missing or not people:
        raise ValueError(f"person {missing[0] if missing else 0} has no picture to enrol")
    unit = directions(embeddings)
    return directions(np.stack([unit[labels == one].mean(axis=0) for one in range(people)]))


def directions(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Vectors of length one, N x D (``ValueError`` where one has no direction)."""
    wide = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError("an embedding is zero or not finite: it has no direction")
    return wide / lengths


def similarities(
    embeddings: NDArray[np.floating], people: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Cosine similarity of N embeddings (N x D) to enrolled people (people x D), N x people."""
    return directions(embeddings) @ directions(people).T


def threshold_at(impostors: NDArray[np.floating], rate: float) -> float:
    """The lowest threshold that at most a share ``rate`` of impostors' similarities reach.

    A claim is accepted where its similarity is greater than the threshold.

    Raises:
        ValueError: there are too few impostors to tell such a share, i.e. less than one of them.
    """
    needed = math.ceil(1 / rate)
    if len(impostors) < needed:
        raise ValueError(
            f"a threshold at {rate:g} false accepts needs {needed} impostors: {len(impostors)}"
        )
    allowed = math.floor(len(impostors) * rate + 1e-9)
    return float(np.sort(impostors)[::-1][allowed])


@dataclass(frozen=True)
class Verification:
    """Thresholds that were set on validation pictures.

    Attributes:
        people: enrolled directions, people x D.
        thresholds: by the share of false accepts that they were set at.
    """

    people: NDArray[np.float64]
    thresholds: dict[float, float]

    @classmethod
    def fitted(
        cls,
        people: NDArray[np.floating],
        embeddings: NDArray[np.floating],
        labels: NDArray[np.integer],
        rates: tuple[float, ...] = FALSE_ACCEPTS,
    ) -> "Verification":
        """Thresholds on validation pictures, each of which claims to be everybody else.

        Args:
            people: enrolled directions, people x D.
            embeddings: of validation pictures, N x D.
            labels: who they show, N.
            rates: shares of false accepts, in (0, 1).

        Raises:
            ValueError: there are too few pictures for a rate.
        """
        scores = similarities(embeddings, people)
        others = scores[labels[:, None] != np.arange(len(people))]
        return cls(directions(people), {rate: threshold_at(others, rate) for rate in rates})

    def accepted(
        self, embeddings: NDArray[np.floating], claims: NDArray[np.integer], rate: float
    ) -> Rate:
        """Share of pictures that are accepted as the person whom each claims to be.

        Of people's own pictures that is the true accept rate; of impersonations and their targets
        the attack's success; of dodging attackers and themselves what is left of the true accepts.

        Args:
            embeddings: N x D.
            claims: index of a person, N.
            rate: one of the shares of false accepts.
        """
        scores = similarities(embeddings, self.people)[np.arange(len(claims)), claims]
        return Rate.counted(int((scores > self.thresholds[rate]).sum()), len(claims))
