"""The race against the whole grid."""

import numpy as np
import pandas as pd
import pytest

from glassguard.saliency.choice import affordable_row, best_rows, measures
from glassguard.saliency.grid import Combination, combinations, exact_sum
from glassguard.saliency.racing import ROUNDS, bounds, raced

SOURCE = Combination(map="guided", mu=0.98, mu_as="quantile", n=8, phi=80, fill="zero")
POINTS = combinations(
    map=("guided", "relative"),
    mu=(0.9, 0.94, 0.98),
    mu_as=("value", "quantile"),
    n=(0, 1),
    phi=(0, 4),
    fill=("zero", "telea"),
    extra=[SOURCE],
)
CLEAN, ATTACKED = 23, 31


def made_up(seed: int, contrast: float) -> np.ndarray:
    """Confidences whose points differ the more, the larger the contrast; many pictures are easy."""
    generator = np.random.default_rng(seed)
    quality = generator.normal(2, contrast, (1, len(POINTS), 1))
    logits = quality + generator.normal(0, 2, (CLEAN + ATTACKED, len(POINTS), 1))
    real = 1 / (1 + np.exp(-logits))
    target = (1 - real) * generator.random(real.shape) ** (1 + 2 * (seed % 3))
    # Equal points: the first has to win in the race as well.
    real[:, 7], target[:, 7] = real[:, 3], target[:, 3]
    real[:, 20:22] = real[:, 20:22].round()
    return np.concatenate([real, target], axis=2).astype(np.float32)


def run(confidences: np.ndarray) -> tuple[np.ndarray, int]:
    """What the race found, and how many points on pictures it asked for."""
    asked = np.zeros(confidences.shape[:2], dtype=int)

    def measure(wanted: np.ndarray) -> np.ndarray:
        asked[wanted] += 1
        return np.where(wanted[..., None], confidences, np.float32("nan"))

    source = POINTS.index(SOURCE)
    found = raced(measure, POINTS, clean=CLEAN, attacked=ATTACKED, source=source)
    assert asked.max() == 1
    assert np.array_equal(asked == 1, ~np.isnan(found[..., 0]))
    return found, int(asked.sum())


def tables(confidences: np.ndarray) -> tuple[dict, pd.DataFrame]:
    """Best rows and the grid of the points that were measured on every picture."""
    whole = ~np.isnan(confidences).any(axis=(0, 2))
    points = [point for point, one in zip(POINTS, whole, strict=True) if one]
    clean, attacked = np.split(confidences[:, whole], [CLEAN])
    sums = exact_sum(clean[..., 0]), exact_sum(attacked[..., 0]), exact_sum(attacked[..., 1])
    measured = measures(*sums, clean=CLEAN, attacked=ATTACKED)
    grid = pd.DataFrame([vars(point) for point in points])
    grid = grid.assign(**measured, n_clean=CLEAN, n_adv=ATTACKED)
    return best_rows(points, measured, SOURCE), grid


@pytest.mark.parametrize("contrast", [0.0, 0.3, 1.5, 4.0])
@pytest.mark.parametrize("seed", range(6))
def test_the_winners_are_those_of_the_whole_grid(seed: int, contrast: float) -> None:
    confidences = made_up(seed, contrast)
    found, _ = run(confidences)
    (best, grid), (expected, whole) = tables(found), tables(confidences)
    assert best == expected
    for loss in (0.0, 0.01, 0.03, 0.1, 0.3, 0.7):
        how = {"clean_confidence": 0.95, "largest_clean_loss": loss}
        affordable = [
            affordable_row(best["goodness"], one.round(6), **how) for one in (grid, whole)
        ]
        assert affordable[0] == affordable[1]
    by_both = ["fill", "mu_as"]
    best_of_both = [
        one.loc[one.groupby(by_both)["goodness"].idxmax()].reset_index(drop=True)
        for one in (grid, whole)
    ]
    pd.testing.assert_frame_equal(*best_of_both)


def test_points_that_differ_are_dropped_early() -> None:
    pairs = (CLEAN + ATTACKED) * len(POINTS)
    shares = [run(made_up(1, contrast))[1] / pairs for contrast in (0.0, 1.5, 4.0)]
    assert shares[0] > shares[1] > shares[2]
    assert shares[2] < 0.6


def test_bounds_hold_what_the_means_become() -> None:
    confidences = made_up(2, 1.5)
    seen = np.where(np.random.default_rng(0).random((*confidences.shape[:2], 1)) < 0.4, np.nan, 1)
    found = bounds((confidences * seen).astype(np.float32), CLEAN)
    whole = bounds(confidences, CLEAN)
    for name, value in whole.low.items():
        np.testing.assert_allclose(value, whole.high[name], atol=1e-12)
        assert (found.low[name] <= value + 1e-12).all()
        assert (value <= found.high[name] + 1e-12).all()
        assert (found.low[name] < found.high[name]).any()


def test_few_pictures_are_enough() -> None:
    confidences = made_up(3, 1.5)[CLEAN - 1 : CLEAN + 2]
    found = raced(lambda wanted: confidences, POINTS, clean=1, attacked=2, source=0)
    assert len(confidences) < ROUNDS
    assert np.array_equal(found[:, 0], confidences[:, 0])
