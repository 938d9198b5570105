"""Which defences of ``saliency/evaluation.csv`` are shown, and in which order."""

from collections.abc import Mapping

import pandas as pd

DEFENCES = {
    "none": "none",
    "saliency": "saliency mask",
    "saliency_affordable": "affordable mask",
    "saliency_guided": "guided map, tuned",
    "saliency_source": "Study S's setting",
    "oracle": "oracle mask",
    "random": "random mask",
}
"""Rows of ``evaluation.csv`` in the order in which they are shown."""

TUNED = ("saliency_affordable", "saliency_guided")
"""Rows that may be the same mask as another row."""


def repeats(measured: Mapping[str, str]) -> dict[str, str]:
    """Tuned masks that equal another row's mask, and that row; such masks are shown once.

    Args:
        measured: by defence, everything that was measured of it, as text.
    """
    return {
        name: other
        for name in TUNED
        for other in ("saliency_source", "saliency")
        if name in measured and measured[name] == measured.get(other)
    }


def rows_as_text(evaluation: pd.DataFrame) -> dict[str, str]:
    """The rows of ``saliency/evaluation.csv`` by defence, as text that can be compared."""
    return {
        str(name): rows.drop(columns="defence").to_csv(index=False)
        for name, rows in evaluation.groupby("defence")
    }


def guided_and_tuned(measured: Mapping[str, str]) -> str:
    """Which row is Study S's method with tuned parameters, to compare with its figures.

    Args:
        measured: see :func:`repeats`.
    """
    if "saliency_guided" not in measured:
        return "saliency"
    return repeats(measured).get("saliency_guided", "saliency_guided")
