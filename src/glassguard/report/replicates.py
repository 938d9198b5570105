"""The headlines of several studies as one table: mean and interval of every figure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from glassguard.settings import leaves
from glassguard.statistics import mean_interval

COLUMNS = (
    *("variant", "figure", "n", "mean", "mean_low", "mean_high"),
    *("standard_deviation", "minimum", "maximum"),
)
# Of one study alone, or of its clock; parameters that were chosen are no measurements.
LEFT_OUT = ("seed", "wall_s", "n", "pairs", "mu", "phi", "paper_index", "size", "seeds")
FOLD = "fold_"
"""Prefix of variants that test on other pictures of the same people, as the experiment does."""

ALL_FOLDS = "all_folds"
ABOUT_ANOTHER_FIGURE = ("_n", "_low", "_high")


def replicate_table(
    summaries: Sequence[Mapping[str, Any]], variants: Sequence[str]
) -> pd.DataFrame:
    """Mean, interval and spread over seeds of every headline figure.

    Args:
        summaries: ``summary.json`` of each study.
        variants: the variant of each; empty for the experiment itself.

    Returns:
        A row for every variant and figure, in the order in which they are first met, with columns
        :data:`COLUMNS`; where there are variants ``fold_...``, also for :data:`ALL_FOLDS`, the
        experiment itself and these together. ``n`` is the number of seeds that have the figure,
        ``mean_low`` and ``mean_high`` Student's 95 % interval of the mean over seeds, cut to [0, 1]
        for figures that all lie there (rates, confidences, areas); NaN for a single seed.
    """
    found: dict[tuple[str, str], list[float]] = {}
    folds = {one for one in variants if one.startswith(FOLD)}
    for summary, variant in zip(summaries, variants, strict=True):
        groups = [variant]
        if folds and variant in {"", *folds}:
            groups.append(ALL_FOLDS)
        for figure, value in figures_of(summary):
            for group in groups:
                found.setdefault((group, figure), []).append(value)
    names = [*dict.fromkeys(variants), ALL_FOLDS]
    order = {variant: position for position, variant in enumerate(names)}
    of_variant = sorted(found.items(), key=lambda item: order[item[0][0]])
    rows = [_row(variant, figure, np.array(values)) for (variant, figure), values in of_variant]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def figures_of(summary: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Every headline figure of a study by its dotted name.

    Pairs of people differ from seed to seed: their figures are averaged within a study.
    """
    pairs = summary.get("detection", {}).get("pairs") or []
    for name in ("benign_target", "benign_other", "impersonation"):
        values = [pair[name] for pair in pairs if pair.get(name) is not None]
        if values:
            yield f"detection.pairs.{name}", float(np.mean(values))
    areas: dict[str, float] = {}
    for point in summary.get("detection", {}).get("detectors") or []:
        where = f"detection.detectors.{point['detector']}.{point['population']}"
        for name in ("tpr", "fpr"):
            if point.get(name) is not None:
                yield f"{where}.{name}_at_fpr.{point['wanted_fpr']:g}", float(point[name])
        # The area is the same at every rate.
        if point.get("auc") is not None:
            areas[f"{where}.auc"] = float(point["auc"])
    yield from areas.items()
    for figure, value in leaves(summary):
        about_another = any(
            part in LEFT_OUT or part.endswith(ABOUT_ANOTHER_FIGURE) for part in figure.split(".")
        )
        if isinstance(value, int | float) and not isinstance(value, bool) and not about_another:
            yield figure, float(value)


def _row(variant: str, figure: str, values: np.ndarray) -> dict[str, Any]:
    low, high = mean_interval(values)
    if values.min() >= 0 and values.max() <= 1:
        low, high = np.clip((low, high), 0.0, 1.0)
    deviation = values.std(ddof=1) if len(values) > 1 else math.nan
    measured = (values.mean(), low, high, deviation, values.min(), values.max())
    return dict(zip(COLUMNS, (variant, figure, len(values), *measured), strict=True))
