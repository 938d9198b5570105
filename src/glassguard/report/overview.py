"""What a reader sees first: one sentence and five numbers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from glassguard.detection.thresholds import BARE, HALF_WEARING
from glassguard.report.summary import DETECTOR
from glassguard.report.tables import rate
from glassguard.report.wording import HEADLINE_RATE, percent, spelt, whole_percent


class Number(NamedTuple):
    """One of the five numbers.

    Attributes:
        value: the number.
        label: what it is the share of.
        interval: 95 % interval and n.
        detail: what belongs to it.
    """

    value: str
    label: str
    interval: str
    detail: str


def sentence(summary: Mapping[str, Any], *, people: int) -> str:
    """What was attacked and what defends, in one sentence.

    Args:
        summary: what ``summary.json`` holds.
        people: how many people the recognizer knows.
    """
    name, attack = next(iter(summary["attacks"].items()))
    return (
        f"A face recognizer of {people} people was attacked with {attack['n']} test pictures (the "
        f"attack called {spelt(name)}); detectors on its internal influence, a saliency mask and a "
        "guard that never sees the eyes defend it."
    )


def numbers(summary: Mapping[str, Any]) -> tuple[Number, ...]:
    """The five numbers: the attack, three defences and what the last one costs.

    Args:
        summary: what ``summary.json`` holds.
    """
    attack = next(iter(summary["attacks"].values()))
    after, guard = summary["saliency"]["test"]["after"], summary["guard"]
    points = {
        point["population"]: point
        for point in summary["detection"]["detectors"]
        if point["detector"] == DETECTOR and point["wanted_fpr"] == HEADLINE_RATE
    }
    honest = guard["honest"]
    bare, plain = (honest.get(name, {}) for name in ("bare", "plain_frames"))
    random = honest.get("random_frames", {})
    alarms = whole_percent(HEADLINE_RATE)
    return (
        _number(
            attack,
            "success",
            "of the attacks succeed undefended",
            f"{percent(attack.get('success_jpeg'))} after a JPEG round trip.",
        ),
        _number(
            points.get(HALF_WEARING, {}),
            "tpr",
            "of the successful attacks are flagged by influence",
            f"At {alarms} false alarms where half of the honest wear glasses; "
            f"{percent(points.get(BARE, {}).get('tpr'))} where nobody does.",
        ),
        _number(
            after,
            "adversarial_success",
            "of the attacks succeed behind the saliency mask",
            f"{percent(after['adversarial_correct'])} of the attacked and "
            f"{percent(after['clean_accuracy'])} of the clean faces are named right.",
        ),
        _number(
            guard["certified"],
            "rate",
            "of the faces are certified by the guard",
            f"It accepts {percent(guard['attack']['accepted_as_target'].get('rate'))} of the "
            f"attacks as their target and {percent(guard['wrong_accepts'].get('rate'))} of the "
            "bare faces under a wrong name.",
        ),
        _number(
            plain,
            "rejected",
            "of honest wearers of plain frames are rejected by the guard",
            f"{percent(bare.get('rejected'))} of bare faces, {percent(random.get('rejected'))} of "
            "wearers of random frames.",
        ),
    )


def _number(values: Mapping[str, Any], name: str, label: str, detail: str) -> Number:
    value, _, interval = rate(values, name).partition(" [")
    return Number(value, label, f"[{interval}" if interval else "", detail)
