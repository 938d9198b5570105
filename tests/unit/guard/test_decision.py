"""Accept, reject or correct."""

import numpy as np
import pytest

from glassguard.guard.decision import NOBODY, agreed, decided, least_confidence
from glassguard.saliency.evaluation import Predictions


def predictions(classes, confidences):
    return Predictions(np.array(classes), np.array(confidences, dtype=np.float32))


FULL = predictions([0, 1, 2, 2, 0], [0.9, 0.9, 0.9, 0.2, 0.9])
BANDED = predictions([0, 2, 2, 2, 0], [0.9, 0.9, 0.3, 0.9, 0.9])


def test_both_must_agree_each_with_its_confidence():
    assert agreed(FULL, BANDED).tolist() == [True, False, True, True, True]
    least = {"least_full": 0.5, "least_banded": 0.25}
    assert agreed(FULL, BANDED, **least).tolist() == [True, False, True, False, True]
    assert agreed(FULL, BANDED, least_banded=0.5).tolist() == [True, False, False, True, True]


def test_what_is_not_agreed_on_is_rejected_or_corrected():
    accepted = agreed(FULL, BANDED, least_full=0.5)
    rejecting = decided(FULL, BANDED, accepted, mode="accept_or_reject")
    assert rejecting.answer.tolist() == [0, NOBODY, 2, NOBODY, 0]
    assert rejecting.decision.tolist() == ["accept", "reject", "accept", "reject", "accept"]
    correcting = decided(FULL, BANDED, accepted, mode="correct")
    assert correcting.answer.tolist() == [0, 2, 2, 2, 0]
    assert correcting.decision.tolist() == ["accept", "correct", "accept", "correct", "accept"]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 0.1), (0.24, 0.1), (0.25, 0.3), (0.5, 0.5), (1.0, 0.7)]
)
def test_a_threshold_rejects_no_more_than_its_share(share, expected):
    right = np.array([0.7, 0.1, 0.5, 0.3])
    assert least_confidence(right, largest_rejected=share) == pytest.approx(expected)
    assert (right < expected).mean() <= share


def test_without_a_right_answer_nothing_is_rejected():
    assert least_confidence(np.array([]), largest_rejected=0.5) == 0
