"""How far a frame moves the landmarks."""

import math

import numpy as np
import pandas as pd
import pytest

from glassguard.guard.landmarks import movement, movements, within

BARE = np.array([[10.0, 10.0], [20.0, 10.0], [15.0, 16.0], [11.0, 22.0], [19.0, 22.0]])


def test_the_worst_landmark_counts_in_distances_between_the_eyes():
    worn = BARE + np.array([[0.5, 0], [0, -1], [0, 0], [-2, 0], [0, 0.4]])
    assert movement(BARE, worn) == pytest.approx((0.2, 0.1))
    # The same in a picture that is turned by a right angle and twice as large.
    turned = [2 * one @ np.array([[0.0, 1.0], [-1.0, 0.0]]) for one in (BARE, worn)]
    assert movement(*turned) == pytest.approx((0.2, 0.1))
    assert movement(BARE, BARE) == (0, 0)


def test_a_face_that_is_not_found_is_within_no_margin():
    for pair in ((None, BARE), (BARE, None)):
        assert all(math.isnan(value) for value in movement(*pair))
    moved = pd.DataFrame({"along": [0.0, 0.1, 0.3, np.nan], "across": [0.1, 0.2, 0.0, np.nan]})
    assert within(moved, 0.2).tolist() == [True, True, False, False]
    assert within(moved, 0.0).tolist() == [False] * 4


def test_quantiles_are_of_the_faces_that_were_found():
    moved = pd.DataFrame(
        {
            "set": ["plain"] * 4 + ["random"],
            "along": [0.1, 0.2, 0.3, np.nan, np.nan],
            "across": [0.0, 0.0, 0.1, np.nan, np.nan],
        }
    )
    found = movements(moved)
    assert found["plain"]["n"] == 4
    assert found["plain"]["not_found"] == 1
    assert found["plain"]["along"]["0.5"] == pytest.approx(0.2)
    assert found["random"] == {"n": 1, "not_found": 1}
