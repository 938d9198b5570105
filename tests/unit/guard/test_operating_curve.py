"""Every defence on one curve."""

import numpy as np
import pytest

from glassguard.guard.decision import NOBODY
from glassguard.guard.operating_curve import Side, best_detector, combined, operating_curve
from glassguard.saliency.evaluation import Predictions


def predictions(classes, confidences):
    return Predictions(np.array(classes), np.array(confidences, dtype=np.float32))


def side(full, banded, masked, scores, sure=0.75):
    confidences = np.full(len(full), sure)
    answers = (predictions(one, confidences) for one in (full, banded, masked))
    return Side(*answers, scores={"blind": np.zeros(len(full)), "score": np.array(scores)})


HONEST = side([0, 1, 2, 1], [0, 1, 2, 2], [0, 1, 2, 2], [0.1, 0.2, 0.3, 0.9])
PEOPLE = np.array([0, 1, 2, 2])
ATTACKED = side([1, 1, 1], [0, 0, 1], [1, 0, 1], [0.8, 0.9, 0.25])
ATTACKER, TARGET = np.array([0, 0, 0]), np.array([1, 1, 1])


def curve():
    return operating_curve(
        HONEST.defences("score"),
        ATTACKED.defences("score"),
        people=PEOPLE,
        attacker=ATTACKER,
        target=TARGET,
    ).set_index("defence")


def test_the_first_point_of_a_defence_rejects_nothing_by_its_threshold():
    table = curve()
    assert list(dict.fromkeys(table.index)) == [
        *("none", "guard", "guard_correcting", "saliency_mask", "combined", "blind", "score")
    ]
    first = table.groupby(level=0).first()
    measures = ["false_reject", "accepted_as_target", "corrected"]
    found = {name: row.tolist() for name, row in first[measures].iterrows()}
    assert found["none"] == pytest.approx([1 / 4, 1, 0])
    # Of the attacks, the guard rejects those on which the recognizers disagree.
    assert found["guard"] == pytest.approx([1 / 4, 1 / 3, 0])
    assert found["guard_correcting"] == pytest.approx([0, 1 / 3, 2 / 3])
    assert found["saliency_mask"] == pytest.approx([0, 2 / 3, 1 / 3])
    assert found["combined"] == pytest.approx([0, 1 / 3, 1 / 3])
    assert found["blind"] == pytest.approx([1 / 4, 1, 0])
    assert first["false_reject_n"].tolist() == [4] * 7
    assert first["corrected_n"].tolist() == [3] * 7


def test_a_lower_threshold_of_a_detector_rejects_more():
    rows = curve().loc["score"]
    assert (np.diff(rows["threshold"]) < 0).all()
    assert (np.diff(rows["false_reject"]) >= 0).all()
    assert (np.diff(rows["accepted_as_target"]) <= 0).all()
    at = rows.set_index("threshold")
    # The attack that scores 0.25 still passes, and so do the honest with 0.1 and 0.2.
    assert at.loc[0.25, ["false_reject", "accepted_as_target"]].tolist() == pytest.approx(
        [1 / 2, 1 / 3]
    )


def test_the_combined_guard_accepts_what_agrees_and_corrects_what_the_mask_confirms():
    full = predictions([0, 0, 0, 0], [1, 1, 1, 1])
    banded = predictions([0, 0, 1, 1], [1, 1, 1, 1])
    masked = predictions([0, 2, 1, 2], [1, 1, 1, 1])
    found = combined(full, banded, masked, np.array([0.9, 0.9, 0.9, 0.1]))
    assert found.at(1.0).tolist() == [0, 0, 1, NOBODY]
    # Flagged, and not confirmed behind the mask.
    assert found.at(0.5).tolist() == [0, NOBODY, 1, NOBODY]


def test_a_doubt_that_is_no_number_rejects():
    honest = side([0, 1], [0, 1], [0, 1], [0.1, np.nan])
    assert honest.defences("score")["score"].at(5.0).tolist() == [0, NOBODY]


def test_the_detector_of_the_combined_guard_is_the_best_one():
    assert best_detector(HONEST, ATTACKED) == "score"
