"""Counting what is certified."""

import numpy as np
import pytest

from glassguard.guard.certificate import Judged, certificate_table, headline, targets_table
from glassguard.saliency.evaluation import Predictions
from glassguard.statistics import wilson_interval


def judged(full, banded, real, accepted, covered=None, confidences=None):
    count = len(real)
    ones = np.ones(count, dtype=np.float32)
    sure = ones if confidences is None else np.array(confidences, dtype=np.float32)
    return Judged(
        Predictions(np.array(full), ones),
        Predictions(np.array(banded), sure),
        np.array(real),
        np.array(accepted, dtype=bool),
        np.ones(count, dtype=bool) if covered is None else np.array(covered),
    )


BARE = judged([0, 1, 2, 0], [0, 1, 1, 1], [0, 1, 2, 0], [1, 1, 0, 0], None, [0.9, 0.9, 0.2, 0.8])
WRONG = judged([1, 1], [1, 0], [0, 0], [1, 0], [True, False])


def test_every_share_has_n_and_its_interval():
    table = certificate_table({"benign": BARE, "glasses": WRONG}).set_index("set")
    assert table["n"].tolist() == [4, 2]
    assert table["region"].tolist() == ["eye_band"] * 2
    row = table.loc["benign"]
    shares = ("certified", "accepted", "accepted_right", "wrong_accepts", "corrected_right")
    assert [row[name] for name in shares] == [0.5, 0.5, 0.5, 0.0, 0.5]
    assert (row["certified_low"], row["certified_high"]) == pytest.approx(wilson_interval(2, 4))
    row = table.loc["glasses"]
    # The second is right, but the banded recognizer saw something of the paint.
    assert [row[name] for name in shares] == [0.0, 0.5, 0.0, 0.5, 0.5]


def test_who_can_be_taken_for_whom():
    table = targets_table(BARE, ["ann", "bob", "cyd"], least_banded=0.5).set_index("target")
    assert table["n"].tolist() == [2, 3, 3]
    # Of the three who are not bob, two are taken for him, one of them with enough confidence.
    assert table["named"].tolist() == pytest.approx([0, 2 / 3, 0])
    assert table["acceptable"].tolist() == pytest.approx([0, 1 / 3, 0])


def test_headline_of_the_summary():
    found = headline({"bare": BARE, "plain_frames": WRONG}, WRONG, np.array([1, 1]))
    assert found["certified"]["rate"] == 0.5
    assert found["wrong_accepts"] == {"rate": 0, "rate_n": 4} | {
        f"rate_{end}": bound
        for end, bound in zip(("low", "high"), wilson_interval(0, 4), strict=True)
    }
    assert found["honest"]["bare"]["rejected"] == 0.5
    assert found["honest"]["plain_frames"]["wrong_accepts"] == 0.5
    assert found["attack"]["accepted_as_target"]["rate"] == 0.5
    assert found["attack"]["corrected"]["rate"] == 0.5
