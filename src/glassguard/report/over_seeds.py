"""The headline figures of one experiment over seeds, as a page shows them."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from glassguard.detection.thresholds import HALF_WEARING
from glassguard.report.page import AMONG_WEARERS
from glassguard.report.replicates import figures_of
from glassguard.report.tables import decimals
from glassguard.report.verdicts import FIGURES, FIRST, compared
from glassguard.report.wording import HEADLINE_RATE, percent, spelt, whole_percent
from glassguard.statistics import mean_interval

GUARD = {
    "guard: faces certified against every texture in the eye band": ("certified.rate", False),
    "guard: bare faces accepted under a wrong name": ("wrong_accepts.rate", True),
    "guard: attacks accepted as the target": ("attack.accepted_as_target.rate", True),
    "guard that corrects: attacked faces named right": ("attack.corrected.rate", False),
    "guard: bare faces rejected": ("honest.bare.rejected", True),
    "guard: wearers of plain frames rejected": ("honest.plain_frames.rejected", True),
    "guard: wearers of random frames rejected": ("honest.random_frames.rejected", True),
}
"""By title, the name below ``guard`` in ``summary.json`` and whether less is better."""

SCORES = ("saliency.best.goodness", "detection.auc")
"""Figures that are no shares and stand as decimals."""


class Figure(NamedTuple):
    """A figure that seeds are compared by.

    Attributes:
        title: what it is, for readers.
        name: its dotted name (:func:`glassguard.report.replicates.figures_of`).
        study: what a study prints, if it does.
        falls: whether less is better.
    """

    title: str
    name: str
    study: float | None
    falls: bool


class Row(NamedTuple):
    """A figure over seeds, in words.

    Attributes:
        title: what it is.
        printed: what a study prints; may be empty.
        mean: mean over seeds.
        interval: Student's 95 % interval of the mean; empty for a single seed.
        worst: the worst value and its seed; empty where seeds read alike.
        best: the best value and its seed; empty where seeds read alike.
        verdict: of the mean and its interval (:func:`glassguard.report.verdicts.compared`).
        marks: value and seed of every study, the value in [0, 1].
        least: the seed of the worst value; None where seeds read alike.
    """

    title: str
    printed: str
    mean: str
    interval: str
    worst: str
    best: str
    verdict: str
    marks: tuple[tuple[float, int], ...]
    least: int | None


def over_seeds(summaries: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    """Every headline figure that at least one of some studies has.

    Args:
        summaries: ``summary.json`` of studies that differ by their seeds alone, at least one.

    Returns:
        Rows in the order of the report's verdicts, then detectors among wearers, then the guard.
        A figure that some seeds lack is the mean over the others.
    """
    values = [(int(summary["seed"]), dict(figures_of(summary))) for summary in summaries]
    found = []
    for figure in _figures(summaries[0]):
        marks = tuple((of[figure.name], seed) for seed, of in values if figure.name in of)
        if marks:
            found.append(_row(figure, marks))
    return tuple(found)


def _figures(summary: Mapping[str, Any]) -> Iterator[Figure]:
    attack = next(iter(summary["attacks"]), "")
    for figure in FIGURES.values():
        if len(figure.path) > 1:
            name = ".".join(attack if key == FIRST else key for key in figure.path)
            yield Figure(figure.title, name, figure.study, figure.falls)
    for detector in AMONG_WEARERS:
        title = (
            f"{spelt(detector)}: attacks found at {whole_percent(HEADLINE_RATE)} false alarms "
            "where half of the honest wear glasses"
        )
        name = f"detection.detectors.{detector}.{HALF_WEARING}.tpr_at_fpr.{HEADLINE_RATE:g}"
        yield Figure(title, name, None, False)
    for title, (name, falls) in GUARD.items():
        yield Figure(title, f"guard.{name}", None, falls)


def _row(figure: Figure, marks: tuple[tuple[float, int], ...]) -> Row:
    values = np.array([value for value, _ in marks])
    low, high = (float(bound) for bound in np.clip(mean_interval(values), 0.0, 1.0))
    known = math.isfinite(low)
    score = figure.name in SCORES
    written = decimals if score else percent
    ends = (decimals(low), decimals(high)) if score else (f"{100 * low:.1f}", f"{100 * high:.1f}")
    ordered = sorted(marks, key=lambda mark: mark[0], reverse=figure.falls)
    # Seeds that read alike are no extremes.
    differ = known and written(ordered[0][0]) != written(ordered[-1][0])
    worst, best = (f"{written(value)} (seed {seed})" for value, seed in (ordered[0], ordered[-1]))
    mean, study = float(values.mean()), figure.study
    verdict = ""
    if study is not None:
        ends_of_mean = (low, high) if known else (None, None)
        verdict = compared(mean, *ends_of_mean, study=study, falls=figure.falls)
    return Row(
        title=figure.title,
        printed="" if study is None else written(study),
        mean=written(mean),
        interval=f"[{'–'.join(ends)}]" if known else "",
        worst=worst if differ else "",
        best=best if differ else "",
        verdict=verdict,
        marks=marks,
        least=ordered[0][1] if differ else None,
    )


def worst_seed(rows: Sequence[Row]) -> str:
    """Which seed is the worst in most rows, in a sentence; empty where seeds do not differ."""
    counts = Counter(row.least for row in rows if row.least is not None)
    if not counts:
        return ""
    seed, count = max(counts.items(), key=lambda item: (item[1], -item[0]))
    return f"Seed {seed} is worst most often, in {count} of {len(rows)} figures."
