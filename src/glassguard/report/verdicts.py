"""The headline figures of a study, and whether each reproduces what the two studies print."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from glassguard.detection.thresholds import HALF_WEARING
from glassguard.report import sources_figures as studies
from glassguard.report.summary import DETECTOR
from glassguard.report.tables import decimals
from glassguard.report.wording import NOTHING, percent, spelt

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
_REJECTING_BEFORE = f"before_threshold_{studies.CONFIDENCE_THRESHOLD:g}"
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
"""By the name of the metric, at most 25: what a list of runs shows."""

LEADING = (
    *("attack_success", "influence_rejects_attacks", "influence_at_10_percent"),
    *("masked_attack_success", "masked_attack_correct", "masked_clean_accuracy"),
)
"""The figures that say whether a study is reproduced."""


def verdict(summary: Mapping[str, Any], figure: Figure) -> str:
    """How a figure compares with the study's.

    Returns:
        ``reproduced`` where the study's figure lies in the interval here (or, without an interval,
        is the same to three decimals), ``exceeded`` or ``not reached`` where it does not, and
        nothing where the study prints none.
    """
    here = at(summary, figure.path)
    if here is None or figure.study is None:
        return ""
    low, high = bounds(summary, figure.path)
    return compared(here, low, high, study=figure.study, falls=figure.falls)


def compared(
    here: float, low: float | None, high: float | None, *, study: float, falls: bool
) -> str:
    """The words of :func:`verdict` for a value and its interval, if it has one.

    Args:
        here: what was measured.
        low: the interval's lower end, or None.
        high: its upper end, or None.
        study: what the study prints.
        falls: whether less is better.
    """
    if low is None or high is None:
        low, high = here - 5e-4, here + 5e-4
    if low <= study <= high:
        return "reproduced"
    return "exceeded" if (here < study) == falls else "not reached"


def at(values: Any, path: tuple[str, ...]) -> float | None:
    """The number at a path of keys, if there is one."""
    for key in path:
        if not isinstance(values, Mapping) or not values:
            return None
        values = next(iter(values.values())) if key == FIRST else values.get(key)
    known = isinstance(values, int | float) and math.isfinite(values)
    return float(values) if known else None


def bounds(summary: Any, path: tuple[str, ...]) -> list[float | None]:
    """The interval of a figure: beside it, or where a mapping holds the bounds of many."""
    beside = [(*path[:-1], f"{path[-1]}_{end}") for end in ("low", "high")]
    if len(path) > 1 and at(summary, beside[0]) is None:
        beside = [(*path[:-2], f"{path[-2]}_{end}", path[-1]) for end in ("low", "high")]
    return [at(summary, one) for one in beside]


class Verdict(NamedTuple):
    """How a figure of the study compares with the printed one, in words.

    Attributes:
        study: ``Study I`` or ``Study S``.
        figure: what is compared.
        printed: what the study prints.
        here: what was measured.
        interval: its 95 % interval, where it has one.
        verdict: see :func:`verdict`.
        why: what stands beside it in the tables and qualifies it; may be empty.
        leads: whether it is shown before all are asked for; what is not reached always is.
    """

    study: str
    figure: str
    printed: str
    here: str
    interval: str
    verdict: str
    why: str
    leads: bool


def verdicts(summary: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """Every figure that a study prints and that was measured, in the order of the page.

    Args:
        summary: ``summary.json``.
    """
    reasons = _reasons(summary)
    found = []
    for name, figure in FIGURES.items():
        here = at(summary, figure.path)
        if here is None or figure.study is None:
            continue
        low, high = bounds(summary, figure.path)
        interval = "" if low is None or high is None else f"[{100 * low:.1f}–{100 * high:.1f}]"
        found_here = verdict(summary, figure)
        written = decimals if name == "mask_goodness" else percent
        found.append(
            Verdict(
                "Study I" if figure.path[0] == "detection" else "Study S",
                figure.title,
                written(figure.study),
                written(here),
                interval,
                found_here,
                reasons.get(name, ""),
                name in LEADING or found_here == "not reached",
            )
        )
    return tuple(found)


def _reasons(summary: Mapping[str, Any]) -> dict[str, str]:
    """By figure, the number of the same study that explains or qualifies it, where it is known."""

    def known(*path: str) -> str:
        return percent(at(summary, path))

    saliency, detection = summary.get("saliency", {}), summary.get("detection", {})
    best, by_map = saliency.get("best", {}), saliency.get("by_map", {})
    masks = ", ".join(f"{kind} map {value:.3f}" for kind, value in by_map.items())
    source = (*_TEST, "saliency_source")
    oracle = (*_TEST, "oracle")
    fill = spelt(str(saliency.get("source_setting", {}).get("fill", "")))
    slice_name = detection.get("slice", "")
    return {
        "recognizer_accuracy": (
            f"On test pictures; training pictures {known('recognizer', 'train_accuracy')}. Study S "
            "prints validation pictures."
        ),
        "attack_success": f"After a JPEG round trip {known('attacks', FIRST, 'success_jpeg')}.",
        "attack_still_correct": "Fewer means a stronger attack.",
        "influence_accepts_target": "Mean over pairs, without an interval.",
        "influence_rejects_others": "Mean over pairs, without an interval.",
        "influence_rejects_attacks": (
            f"Most pairs chose {slice_name}, Study I its eighth layer. Detectors of everybody "
            f"there flag {known('detection', 'flag_rate', 'plain_frames')} of honest plain frames."
        ),
        "influence_at_10_percent": (
            "Bare benign faces. Where half of them wear glasses: "
            f"{percent(_among_wearers(detection))}."
        ),
        "mask_goodness": f"Validation attacks; {masks or NOTHING}. No interval.",
        "masked_attack_success": (
            f"{str(best.get('map', '')).capitalize()} map, {spelt(str(best.get('fill', '')))} "
            f"fill. Study S's own setting, {fill} fill: {known(*source, 'adversarial_success')}."
        ),
        "masked_attack_correct": (
            f"Study S's own setting: {known(*source, 'adversarial_correct')}. Were the frame "
            f"known: {known(*oracle, 'adversarial_correct')}."
        ),
        "masked_clean_accuracy": (
            f"Study S's own setting: {known(*source, 'clean_accuracy')}. Undefended: "
            f"{known(*_TEST, 'before', 'clean_accuracy')}."
        ),
        "masked_attack_undone": (
            f"Study S's own setting: {known(*source, 'defence_success')}. Were the frame known: "
            f"{known(*oracle, 'defence_success')}."
        ),
        "rejecting_attack_success": (
            f"Answers below {studies.CONFIDENCE_THRESHOLD:g} are rejected; without a mask "
            f"{known(*_TEST, _REJECTING_BEFORE, 'adversarial_success')}."
        ),
        "rejecting_attack_correct": (
            f"The price of rejecting: {known(*_TEST, 'after', 'adversarial_correct')} without."
        ),
    }


def _among_wearers(detection: Mapping[str, Any]) -> float | None:
    """Detection by influence at AmI's false-alarm rate where half of the benign wear glasses."""
    for point in detection.get("detectors", ()):
        named = point["detector"], point["population"], point["wanted_fpr"]
        if named == (DETECTOR, HALF_WEARING, studies.AMI_FALSE_POSITIVE_RATE):
            return at(point, ("tpr",))
    return None
