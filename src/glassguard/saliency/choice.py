"""Which mask is best: by each objective, by fill and kind of map, and at little cost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from glassguard.saliency.grid import PARAMETERS, Combination, exact_mean, goodness

Row = dict[str, Any]
"""Parameters and measures of one combination, by the names of ``grid.csv``."""


def measures(
    clean_real: np.ndarray,
    adversarial_real: np.ndarray,
    adversarial_target: np.ndarray,
    *,
    clean: int,
    attacked: int,
) -> dict[str, np.ndarray]:
    """Mean confidences and goodness of points.

    Args:
        clean_real: int64 for each point: sum over clean pictures of the confidence in the real
            person, from :func:`glassguard.saliency.grid.exact_sum`.
        adversarial_real: the same over attacked pictures.
        adversarial_target: the same of the confidence in the target.
        clean: number of clean pictures.
        attacked: number of attacked pictures.

    Returns:
        ``ac_clean_real``, ``ac_adv_real``, ``ac_adv_target`` and ``goodness``, float64 in [0, 1].
    """
    means = (
        exact_mean(clean_real, clean),
        exact_mean(adversarial_real, attacked),
        exact_mean(adversarial_target, attacked),
    )
    names = ("ac_clean_real", "ac_adv_real", "ac_adv_target")
    return {**dict(zip(names, means, strict=True)), "goodness": goodness(*means)}


def goodness_at_most(
    sums: Iterable[np.ndarray], missing: Iterable[np.ndarray], counts: Iterable[int]
) -> np.ndarray:
    """What the goodness of points can be where they were not measured on all pictures.

    Args:
        sums: over the pictures seen, as the first three arguments of :func:`measures`.
        missing: for each of them, and each point, how many pictures were not seen.
        counts: number of clean and of attacked pictures.

    Returns:
        float64 in [0, 1]; the goodness itself where nothing is missing.
    """
    (clean_real, real, target), (unseen_clean, unseen, _) = sums, missing
    clean, attacked = counts
    return goodness(
        exact_mean(clean_real, clean) + unseen_clean / clean,
        exact_mean(real, attacked) + unseen / attacked,
        exact_mean(target, attacked),
    )


def best_rows(
    points: Sequence[Combination], measured: Mapping[str, np.ndarray], source: Combination
) -> dict[str, Any]:
    """The best point for each objective; the first of equals wins.

    Args:
        points: the combinations.
        measured: see :func:`measures`.
        source: Study S's setting, one of the points.

    Returns:
        ``clean`` (highest AC(clean, real)), ``adversarial_correct`` (highest AC(adv, real)),
        ``adversarial_success`` (lowest AC(adv, target)) and ``goodness``; ``by_fill`` and
        ``by_map``, the best goodness of each fill and of each kind of map; ``source_setting``.
    """
    rows = [
        {**asdict(point), **{name: float(values[place]) for name, values in measured.items()}}
        for place, point in enumerate(points)
    ]

    def best(rows: Sequence[Row]) -> Row:
        return max(rows, key=lambda row: row["goodness"])

    def best_of_each(field: str) -> dict[str, Row]:
        values = dict.fromkeys(row[field] for row in rows)
        return {value: best([row for row in rows if row[field] == value]) for value in values}

    return {
        "clean": max(rows, key=lambda row: row["ac_clean_real"]),
        "adversarial_correct": max(rows, key=lambda row: row["ac_adv_real"]),
        "adversarial_success": min(rows, key=lambda row: row["ac_adv_target"]),
        "goodness": best(rows),
        "by_fill": best_of_each("fill"),
        "by_map": best_of_each("map"),
        "source_setting": rows[points.index(source)],
    }


def affordable_row(
    best: Row, grid: pd.DataFrame, *, clean_confidence: float, largest_clean_loss: float
) -> Row | None:
    """The best goodness among the combinations that cost clean pictures little.

    Args:
        best: the row of the best goodness.
        grid: all rows, with ``n_clean`` and ``n_adv``; their digits may be rounded.
        clean_confidence: mean confidence in the true person of the clean pictures without a mask.
        largest_clean_loss: by how much a mask may lower it, in [0, 1].

    Returns:
        None if every combination costs more.
    """
    bound = clean_confidence - largest_clean_loss
    # Rounding may give others in the table the same goodness.
    if best["ac_clean_real"] >= bound:
        return best
    kept = grid[grid["ac_clean_real"] >= bound].drop(columns=["n_clean", "n_adv"])
    if kept.empty:
        return None
    found = kept.nlargest(1, "goodness").to_dict("records")[0]
    return {str(name): value for name, value in found.items()}


def combination_of(row: Mapping[str, Any]) -> Combination:
    """The combination of a row; ``KeyError`` if the row lacks a parameter."""
    return Combination(**{name: row[name] for name in PARAMETERS})
