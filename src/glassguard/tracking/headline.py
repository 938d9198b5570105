"""The headline of a study as MLflow lists it: few metrics under lasting names, and a verdict.

The intervals of rates stay in the tables: a list of runs with every bound is not read by anybody.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from glassguard.report import sources_figures as studies
from glassguard.report.tables import decimals, markdown

FIRST = "*"
"""In a path: the first entry, such as the headline attack."""


class Figure(NamedTuple):
    """A figure of the headline.

    Attributes:
        title: what it is, for readers.
        path: keys in ``summary.json``.
        study: what the study that it reproduces prints, if it does.
        falls: whether less is better.
    """

    title: str
    path: tuple[str, ...]
    study: float | None = None
    falls: bool = False


def _mean(column: str) -> float:
    return sum(getattr(pair, column) for pair in studies.TABLE_1) / len(studies.TABLE_1)


_TEST = ("saliency", "test")
_AMI = str(studies.AMI_FALSE_POSITIVE_RATE)
FIGURES = {
    "recognizer_accuracy": Figure(
        "faces named right", ("recognizer", "test_accuracy"), studies.RECOGNIZER.validation_accuracy
    ),
    "attack_success": Figure(
        "attacks that succeed",
        ("attacks", FIRST, "success"),
        studies.UNDEFENDED.adversarial_success,
    ),
    "attack_success_jpeg": Figure(
        "attacks that succeed after JPEG", ("attacks", FIRST, "success_jpeg")
    ),
    "attack_still_correct": Figure(
        "attacked faces named right",
        ("attacks", FIRST, "still_correct"),
        studies.UNDEFENDED.adversarial_correct,
        falls=True,
    ),
    "influence_accepts_target": Figure(
        "influence: target accepted",
        ("detection", "mean", "benign_target"),
        _mean("benign_target"),
    ),
    "influence_rejects_others": Figure(
        "influence: others rejected", ("detection", "mean", "benign_other"), _mean("benign_other")
    ),
    "influence_rejects_attacks": Figure(
        "influence: impersonations rejected",
        ("detection", "mean", "impersonation"),
        _mean("impersonation"),
    ),
    "influence_auc": Figure("influence: area under the curve", ("detection", "auc")),
    "influence_at_1_percent": Figure(
        "influence: attacks found at 1 % false alarms", ("detection", "tpr_at_fpr", "0.01")
    ),
    "influence_at_5_percent": Figure(
        "influence: attacks found at 5 % false alarms", ("detection", "tpr_at_fpr", "0.05")
    ),
    "influence_at_10_percent": Figure(
        "influence: attacks found at 9.91 % false alarms (AmI's)",
        ("detection", "tpr_at_fpr", _AMI),
        studies.AMI_DETECTION[0],
    ),
    "flagged_plain_frames": Figure(
        "honest plain frames flagged", ("detection", "flag_rate", "plain_frames"), falls=True
    ),
    "flagged_random_frames": Figure(
        "honest random frames flagged", ("detection", "flag_rate", "random_frames"), falls=True
    ),
    "mask_goodness": Figure(
        "best mask, goodness", ("saliency", "best", "goodness"), studies.BEST_GOODNESS
    ),
    "masked_attack_success": Figure(
        "masked: attacks that succeed",
        (*_TEST, "after", "adversarial_success"),
        studies.DEFENDED.adversarial_success,
        falls=True,
    ),
    "masked_attack_correct": Figure(
        "masked: attacked faces named right",
        (*_TEST, "after", "adversarial_correct"),
        studies.DEFENDED.adversarial_correct,
    ),
    "masked_clean_accuracy": Figure(
        "masked: clean faces named right",
        (*_TEST, "after", "clean_accuracy"),
        studies.DEFENDED.clean_accuracy,
    ),
    "masked_attack_undone": Figure(
        "masked: attacks undone",
        (*_TEST, "after", "defence_success"),
        studies.DEFENDED.defence_success,
    ),
    "rejecting_attack_success": Figure(
        "masked, unsure answers rejected: attacks that succeed",
        (*_TEST, f"after_threshold_{studies.CONFIDENCE_THRESHOLD:g}", "adversarial_success"),
        studies.DEFENDED_WITH_THRESHOLD.adversarial_success,
        falls=True,
    ),
    "rejecting_attack_correct": Figure(
        "masked, unsure answers rejected: attacked faces named right",
        (*_TEST, f"after_threshold_{studies.CONFIDENCE_THRESHOLD:g}", "adversarial_correct"),
        studies.DEFENDED_WITH_THRESHOLD.adversarial_correct,
    ),
    "open_set_genuine": Figure(
        "open set, 1 % false accepts: own faces accepted", ("open_set", "0.01", "genuine")
    ),
    "open_set_impersonation": Figure(
        "open set, 1 % false accepts: attacks accepted as the target",
        ("open_set", "0.01", "impersonation"),
    ),
    "open_set_dodging": Figure(
        "open set, 1 % false accepts: attackers accepted as themselves",
        ("open_set", "0.01", "dodging"),
        falls=True,
    ),
    "seconds": Figure("seconds that at least one job ran", ("wall_s",), falls=True),
}
"""By the name of the metric, at most 25: what the list of runs shows."""


def metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """The figures that a study has.

    Args:
        summary: ``summary.json``.
    """
    found = {name: _at(summary, figure.path) for name, figure in FIGURES.items()}
    return {name: value for name, value in found.items() if value is not None}


def verdict(summary: Mapping[str, Any], figure: Figure) -> str:
    """How a figure compares with the study's.

    Returns:
        ``reproduced`` where the study's figure lies in the interval here (or, without an interval,
        is the same to three decimals), ``exceeded`` or ``not reached`` where it does not, and
        nothing where the study prints none.
    """
    here = _at(summary, figure.path)
    if here is None or figure.study is None:
        return ""
    low, high = (_at(summary, path) for path in _bounds(summary, figure.path))
    if low is None or high is None:
        low, high = here - 5e-4, here + 5e-4
    if low <= figure.study <= high:
        return "reproduced"
    return "exceeded" if (here < figure.study) == figure.falls else "not reached"


def description(summary: Mapping[str, Any], links: Mapping[str, str]) -> str:
    """What the page of a study's run says, in Markdown.

    Args:
        summary: ``summary.json``.
        links: address of each stage's run, by the name of the run.
    """
    rows = []
    for figure in FIGURES.values():
        here = _at(summary, figure.path)
        if here is None or figure.study is None:
            continue
        bounds = [_at(summary, path) for path in _bounds(summary, figure.path)]
        text = decimals(here)
        if None not in bounds:
            text += f" [{'–'.join(decimals(float(one or 0)) for one in bounds)}]"
        rows.append([figure.title, text, decimals(figure.study), verdict(summary, figure)])
    faces = "drawn faces, no real people" if summary.get("faces") == "embedded" else "photographs"
    parts = [
        f"**{summary.get('experiment', '')}, seed {summary.get('seed', '')}**: {faces}.",
        markdown(["figure", "here, 95 % interval", "study", "verdict"], rows) if rows else "",
        "The studies used other faces: a verdict compares numbers, not faces. `report.html` among "
        "the artifacts has every table and figure.",
        " · ".join(f"[{name}]({link})" for name, link in links.items()),
    ]
    return "\n\n".join(part for part in parts if part)


def _at(values: Any, path: tuple[str, ...]) -> float | None:
    for key in path:
        if not isinstance(values, Mapping) or not values:
            return None
        values = next(iter(values.values())) if key == FIRST else values.get(key)
    known = isinstance(values, int | float) and math.isfinite(values)
    return float(values) if known else None


def _bounds(summary: Mapping[str, Any], path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Paths of a figure's interval: beside it, or where a mapping holds the bounds of many."""
    beside = [(*path[:-1], f"{path[-1]}_{end}") for end in ("low", "high")]
    if len(path) < 2 or _at(summary, beside[0]) is not None:
        return beside
    return [(*path[:-2], f"{path[-2]}_{end}", path[-1]) for end in ("low", "high")]
