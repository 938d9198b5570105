"""Whom the guard accepts: two recognizers must agree, and one of them never sees the eyes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassguard.guard.settings import Mode
from glassguard.saliency.evaluation import Predictions

ACCEPT, REJECT, CORRECT = "accept", "reject", "correct"
NOBODY = -1
"""The answer to a picture that is rejected."""


@dataclass(frozen=True)
class Verdict:
    """What the guard does with N pictures.

    Attributes:
        decision: N str, :data:`ACCEPT`, :data:`REJECT` or :data:`CORRECT`.
        answer: N int64, a class, or :data:`NOBODY`.
    """

    decision: NDArray[np.str_]
    answer: NDArray[np.int64]


def agreed(
    full: Predictions, banded: Predictions, *, least_full: float = 0.0, least_banded: float = 0.0
) -> NDArray[np.bool_]:
    """Which pictures both recognizers name alike, each with at least its confidence.

    Args:
        full: of the recognizer that sees everything.
        banded: of the one that does not see the eye band.
        least_full: confidence that the first must have, in [0, 1].
        least_banded: the same of the second.

    Returns:
        N bool.
    """
    return (
        (full.classes == banded.classes)
        & (full.confidences >= least_full)
        & (banded.confidences >= least_banded)
    )


def decided(
    full: Predictions, banded: Predictions, accepted: NDArray[np.bool_], *, mode: Mode
) -> Verdict:
    """Accept what is agreed on; reject the rest, or answer with the banded recognizer alone.

    Args:
        full: of the recognizer that sees everything.
        banded: of the one that does not see the eye band.
        accepted: N bool, of :func:`agreed`.
        mode: what becomes of the rest.
    """
    corrects = mode == "correct"
    other = CORRECT if corrects else REJECT
    answer = np.where(accepted, full.classes, banded.classes if corrects else NOBODY)
    return Verdict(np.where(accepted, ACCEPT, other), answer)


def least_confidence(right: NDArray[np.floating], *, largest_rejected: float) -> float:
    """The highest threshold that rejects no more than a share of right answers.

    Args:
        right: confidences in right answers to benign validation pictures.
        largest_rejected: the share, in [0, 1].

    Returns:
        A confidence in [0, 1]; answers below it are rejected. 0 where no answer is right.
    """
    if not len(right):
        return 0.0
    # A share of whole pictures, whatever its binary fraction is.
    rejected = int(np.floor(largest_rejected * len(right) + 1e-9))
    return float(np.sort(right)[min(rejected, len(right) - 1)])
