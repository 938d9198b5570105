"""The report: one self-contained page."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from glassguard.detection.thresholds import HALF_WEARING
from glassguard.report import sources_figures
from glassguard.report.figures import Figure
from glassguard.report.tables import Table
from glassguard.report.wording import HEADLINE_RATE, percent, spelt, whole_percent

KINDS = {
    "benign": "benign test pictures",
    "benign_targets": "benign test pictures of people who are a target",
    "plain_frames": "benign pictures with plain frames",
    "random_frames": "benign pictures with frames of random texture",
    "failed_attacks": "attacks that failed",
}
"""What is counted as flagged, in words."""


TEMPLATES = Environment(
    loader=PackageLoader("glassguard.report", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

SAFE = " !$()*+,-./:;=?@[]^_`{|}~"
"""Characters of an SVG that stand for themselves in an address in a quoted attribute of HTML."""


@dataclass(frozen=True)
class Picture:
    """A figure with its caption.

    Attributes:
        name: name of the figure.
        summary: what it shows, in one sentence.
        caption: plain text that says how many things were counted.
        svg: the file's bytes.
    """

    name: str
    summary: str
    caption: str
    svg: bytes

    @classmethod
    def of(cls, figure: Figure, caption: str, svg: bytes) -> "Picture":
        """The drawing of a figure."""
        return cls(figure.name, " ".join(figure.summary.split()), caption, svg)

    @property
    def address(self) -> str:
        """The picture itself as a ``data:`` address.

        Percent-encoded: base64 is a third longer, and pictures inside are in base64 already. Line
        ends, which an address must not have, become spaces, which they mean in XML.
        """
        return "data:image/svg+xml," + quote(self.svg.replace(b"\n", b" "), safe=SAFE)


@dataclass(frozen=True)
class Section:
    """A part of the page: tables, then figures."""

    title: str
    introduction: str
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]


def render(**parts: Any) -> str:
    """Write the page.

    Args:
        parts: ``summary``, what ``summary.json`` holds; ``sentence``, what was attacked and what
            defends; ``numbers``, the five of :func:`glassguard.report.overview.numbers`;
            ``verdicts``, of :func:`glassguard.report.verdicts.verdicts`; ``curve``, the figure of
            the first screen; ``story``, a sequence of :class:`glassguard.report.story.Step`;
            ``not_covered``, what the guard's numbers do not speak of;
            ``sentences``, the headline in words; ``sections``, a sequence of :class:`Section`;
            ``configuration``, the resolved one as YAML; ``versions`` and ``machine``, texts by
            name; ``timings``, a :class:`Table`.

    Returns:
        HTML without any address outside the page. Its policy forbids a browser to load anything
        and to run any script but the page's own.

    Raises:
        jinja2.UndefinedError: a part is missing.
    """
    script = TEMPLATES.get_template("page.js").render()
    return TEMPLATES.get_template("page.html.jinja").render(
        sources=(sources_figures.STUDY_I, sources_figures.STUDY_S),
        style=TEMPLATES.get_template("page.css").render(),
        script=script,
        script_digest=base64.b64encode(sha256(script.encode()).digest()).decode("ascii"),
        **parts,
    )


def render_over_seeds(**parts: Any) -> str:
    """Write the page on several studies of one experiment.

    Args:
        parts: ``experiment``, its name; ``faces``, ``embedded`` for drawn ones; ``groups``, by
            variant (empty for the experiment itself) a sequence of
            :class:`glassguard.report.over_seeds.Row`, the addresses of the reports by seed, and a
            sentence on the worst seed.

    Returns:
        HTML that links to the reports beside it and loads nothing.

    Raises:
        jinja2.UndefinedError: a part is missing.
    """
    style = TEMPLATES.get_template("page.css").render()
    return TEMPLATES.get_template("over_seeds.html.jinja").render(style=style, **parts)


MASKING = ("masking", "squeezing_and_masking")
AMONG_WEARERS = ("influence", "activations", "feature_squeezing", *MASKING)
"""Detectors in the headline: on either profile, and those that ask for a second decision."""


def headline(
    summary: Mapping[str, Any], *, means: Mapping[str, float], threshold: float
) -> list[str]:
    """The result in words, every number from the summary.

    Args:
        summary: what ``summary.json`` holds.
        means: mean over pairs of ``benign_target``, ``benign_other`` and ``impersonation``.
        threshold: the study's confidence threshold.
    """
    test = summary["saliency"]["test"]
    before, after = test["before"], test["after"]
    detection = summary["detection"]
    best = summary["saliency"]["best"]
    rejecting = test[f"after_threshold_{threshold:g}"]
    sentences = [
        f"The recognizer names {percent(summary['recognizer']['test_accuracy'])} of the held-out "
        "test pictures correctly."
    ]
    for name, attack in summary["attacks"].items():
        if attack["n"]:
            sentences.append(
                f"Undefended, {percent(attack['success'])} of {attack['n']} test attacks "
                f"called {spelt(name)} over {attack['pairs']} pairs succeed; "
                f"{percent(attack['still_correct'])} are still recognized as the attacker."
            )
    area = "" if detection["auc"] is None else f"; area under the curve {detection['auc']:.3f}"
    flagged = ", ".join(
        f"{percent(value)} of the {KINDS.get(kind, spelt(kind))}"
        for kind, value in detection["flag_rate"].items()
        if value is not None and kind != "impersonations"
    )
    sentences += [
        f"Detectors on influence profiles (most often at {detection['slice']}, "
        f"{spelt(detection['variant'])}) reject {percent(means['impersonation'])} of "
        f"the successful impersonations, accept {percent(means['benign_target'])} of the targets' "
        f"own pictures and reject {percent(means['benign_other'])} of other people's (means over "
        f"pairs){area}.",
        f"As controls, detectors of everybody at that slice flag {flagged}.",
        *_among_wearers(detection["detectors"]),
        f"The saliency mask ({best['map']} map, {spelt(best['fill'])} fill) takes "
        f"the attacks' success from {percent(before['adversarial_success'])} to "
        f"{percent(after['adversarial_success'])} and attacked pictures recognized from "
        f"{percent(before['adversarial_correct'])} to {percent(after['adversarial_correct'])}; "
        f"clean accuracy goes from {percent(before['clean_accuracy'])} to "
        f"{percent(after['clean_accuracy'])}. Rejecting answers below {threshold:g} leaves "
        f"{percent(rejecting['adversarial_success'])} success.",
    ]
    source = test.get("saliency_source")
    if source is not None:
        sentences.append(
            f"With Study S's own setting ({summary['saliency']['source_setting']['fill']} fill) "
            f"{percent(source['adversarial_success'])} of the attacks still succeed, "
            f"{percent(source['adversarial_correct'])} of the attacked and "
            f"{percent(source['clean_accuracy'])} of the clean pictures are recognized."
        )
    guard = summary["guard"]
    honest, attacked = guard["honest"], guard["attack"]
    wearing = ", ".join(
        f"{percent(rates.get('rejected'))} of the {KINDS.get(worn, f'{worn} faces')}"
        for worn, rates in honest.items()
    )
    sentences.append(
        "The guard, of which one recognizer never sees the band of the eyes, certifies "
        f"{percent(guard['certified'].get('rate'))} of the bare faces: no frame of any texture "
        f"changes its right answer. It accepts {percent(guard['wrong_accepts'].get('rate'))} of "
        "them under a wrong name and "
        f"{percent(attacked['accepted_as_target'].get('rate'))} of the attacks as their target, "
        f"and names {percent(attacked['corrected'].get('rate'))} of the attacked pictures right "
        f"with the band hidden. It rejects {wearing}."
    )
    return sentences


def _among_wearers(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """What some detectors do where half of the benign wear glasses; none without such detectors."""
    at = {
        str(point["detector"]): point
        for point in points
        if point["population"] == HALF_WEARING and point["wanted_fpr"] == HEADLINE_RATE
    }
    said = [
        f"{spelt(name)} {percent(at[name]['tpr'])} (and {percent(at[name]['fpr'])} of the benign)"
        for name in AMONG_WEARERS
        if name in at and at[name]["tpr"] is not None
    ]
    if not said:
        return []
    return [
        "Where half of the benign faces wear honest glasses, with thresholds for "
        f"{whole_percent(HEADLINE_RATE)} false alarms, of the impersonations are flagged: by "
        f"{', by '.join(said)}."
    ]
