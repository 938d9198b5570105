"""Verification by cosine similarity against counting by hand."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from glassguard.recognizer.open_set import Verification, enrolled, similarities, threshold_at

DRAW = np.random.default_rng(0)
CENTRES = DRAW.standard_normal((6, 16))
LABELS = np.arange(600) % 6
EMBEDDINGS = CENTRES[LABELS] + 1.5 * DRAW.standard_normal((600, 16))


def test_similarities_are_scikit_learns_and_lengths_do_not_count() -> None:
    people = enrolled(EMBEDDINGS, LABELS, 6)
    np.testing.assert_allclose(
        similarities(EMBEDDINGS, people), cosine_similarity(EMBEDDINGS, people)
    )
    longer = EMBEDDINGS * DRAW.uniform(0.1, 9, (600, 1))
    np.testing.assert_allclose(enrolled(longer, LABELS, 6), people)
    np.testing.assert_allclose(np.linalg.norm(people, axis=1), 1)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.25])
def test_a_threshold_is_the_lowest_that_keeps_the_rate(rate: float) -> None:
    impostors = DRAW.standard_normal(2000)
    threshold = threshold_at(impostors, rate)
    assert (impostors > threshold).mean() == pytest.approx(rate)
    lower = np.sort(impostors[impostors < threshold])[-1]
    assert (impostors > lower).mean() > rate


def test_rates_are_counted_on_the_pictures_given() -> None:
    train, val, test = (np.arange(600) // 6 % 3 == one for one in range(3))
    people = enrolled(EMBEDDINGS[train], LABELS[train], 6)
    fitted = Verification.fitted(people, EMBEDDINGS[val], LABELS[val], rates=(0.01,))
    scores = cosine_similarity(EMBEDDINGS[val], people)
    others = scores[LABELS[val][:, None] != np.arange(6)]
    assert (others > fitted.thresholds[0.01]).mean() <= 0.01
    own = cosine_similarity(EMBEDDINGS[test], people)[np.arange(test.sum()), LABELS[test]]
    found = fitted.accepted(EMBEDDINGS[test], LABELS[test], 0.01)
    assert found.value == pytest.approx((own > fitted.thresholds[0.01]).mean())
    assert found.n == test.sum()
    stranger = fitted.accepted(EMBEDDINGS[test], (LABELS[test] + 1) % 6, 0.01)
    assert stranger.value < found.value


def test_what_tells_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at 0\.001 false accepts needs 1000 impostors: 999"):
        threshold_at(np.zeros(999), 0.001)
    with pytest.raises(ValueError, match="person 1 has no picture"):
        enrolled(np.ones((2, 4)), np.array([0, 2]), 3)
    with pytest.raises(ValueError, match="person 2 has no picture"):
        enrolled(np.ones((2, 4)), np.array([0, 1]), 3)
    with pytest.raises(ValueError, match="has no direction"):
        similarities(np.zeros((1, 4)), np.ones((2, 4)))
