"""Face verification by cosine similarity to enrolled people, as embedding networks are used.

Nobody is told apart by a trained layer: a person is enrolled as the mean direction of some
pictures, and a claim to be that person is accepted where the cosine similarity reaches a threshold
that few impostors reach (Deng et al. 2019, section 4; ISO/IEC 19795-1 for the rates).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.files.layout import BENIGN
from glassguard.statistics import Rate

FALSE_ACCEPTS = (0.001, 0.01)
"""Shares of impostors' claims at which thresholds are set."""

KINDS = ("genuine", "impostor", "impersonation", "dodging")
"""Claims that are counted: honest pictures' to be the person shown and to be anybody else, and
attacked pictures' to be the target and to be the attacker."""


def enrolled(
    embeddings: NDArray[np.floating], labels: NDArray[np.integer], people: int
) -> NDArray[np.float64]:
    """Mean directions of people.

    Args:
        embeddings: N x D, of any length but zero.
        labels: N, from 0 to ``people`` - 1.
        people: how many there are; everybody has at least one picture.

    Returns:
        People x D, each of length one.

    Raises:
        ValueError: somebody has no picture, or an embedding or a mean has no direction.
    """
    if missing := sorted(set(range(people)) - set(labels.tolist())):
        raise ValueError(f"person {missing[0]} has no picture to enrol")
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


def impostors(scores: NDArray[np.float64], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Of N pictures' similarities to people (N x people) those to others than the one shown.

    Returns:
        N x (people - 1).
    """
    others = labels[:, None] != np.arange(scores.shape[1])
    return scores[others].reshape(len(scores), scores.shape[1] - 1)


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
        others = impostors(similarities(embeddings, people), labels).ravel()
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

    def false_accepts(
        self, embeddings: NDArray[np.floating], labels: NDArray[np.integer], rate: float
    ) -> Rate:
        """Share of claims to be somebody else that are accepted, with an interval over pictures.

        Args:
            embeddings: N x D.
            labels: who they show, N. Each picture claims to be everybody else.
            rate: one of the shares of false accepts.
        """
        others = impostors(similarities(embeddings, self.people), labels)
        return Rate.mean((others > self.thresholds[rate]).mean(axis=1))


@dataclass(frozen=True)
class Embedded:
    """Pictures as the network sees them, and whom they show.

    Attributes:
        embeddings: N x D.
        labels: the person shown, N; of attacked pictures the attacker.
        targets: the person to be taken for, N; None for honest pictures and for dodging.
    """

    embeddings: NDArray[np.floating]
    labels: NDArray[np.integer]
    targets: NDArray[np.integer] | None = None


def verification_table(
    people: NDArray[np.floating],
    *,
    validation: Embedded,
    test: Embedded,
    attacks: Mapping[str, Embedded],
    rates: tuple[float, ...] = FALSE_ACCEPTS,
) -> pd.DataFrame:
    """What is accepted at thresholds that few impostors among validation pictures reach.

    Args:
        people: enrolled directions, people x D.
        validation: pictures that thresholds are set on.
        test: honest pictures.
        attacks: attacked test pictures by the attack's name.
        rates: shares of false accepts that thresholds are set at.

    Returns:
        A row for every rate, set (``benign`` or an attack) and kind of claim in :data:`KINDS`:
        ``set``, ``kind``, ``wanted_false_accepts``, ``threshold``, and the rate ``accepted`` with
        ``accepted_n`` pictures and a Wilson interval over them. Where validation has too few
        impostors to set a threshold, ``threshold`` and ``accepted`` are NaN and n is 0.

    Raises:
        ValueError: an embedding has no direction.
    """
    tries = len(validation.labels) * (len(people) - 1)
    fitted = Verification.fitted(
        people,
        validation.embeddings,
        validation.labels,
        tuple(rate for rate in rates if tries >= math.ceil(1 / rate)),
    )
    rows = []
    for rate in rates:
        for name, kind, shown, claims in _claims(test, attacks):
            if rate not in fitted.thresholds:
                accepted = Rate.counted(0, 0)
            elif claims is None:
                accepted = fitted.false_accepts(shown.embeddings, shown.labels, rate)
            else:
                accepted = fitted.accepted(shown.embeddings, claims, rate)
            row: dict[str, object] = {"set": name, "kind": kind, "wanted_false_accepts": rate}
            row["threshold"] = fitted.thresholds.get(rate, math.nan)
            rows.append(row | accepted.columns("accepted"))
    return pd.DataFrame(rows)


def _claims(
    test: Embedded, attacks: Mapping[str, Embedded]
) -> Iterator[tuple[str, str, Embedded, NDArray[np.integer] | None]]:
    """Set, kind, pictures, and whom each claims to be; None is everybody else."""
    genuine, impostor, impersonation, dodging = KINDS
    yield BENIGN, genuine, test, test.labels
    yield BENIGN, impostor, test, None
    for name, attacked in attacks.items():
        if attacked.targets is not None:
            yield name, impersonation, attacked, attacked.targets
        yield name, dodging, attacked, attacked.labels
