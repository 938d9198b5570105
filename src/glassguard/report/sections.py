"""The body of the page: which tables and figures it shows, and in which order."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from glassguard.files.layout import reported
from glassguard.report.attack_tables import (
    attack_table,
    open_set_table,
    recognizer_table,
    robustness_table,
)
from glassguard.report.detection_tables import (
    POPULATIONS,
    attacks_table,
    choices_table,
    controls_table,
    operating_table,
    pairs_table,
    variants_table,
)
from glassguard.report.figures import FIGURES
from glassguard.report.guard_tables import NOT_COVERED, certificate_table
from glassguard.report.overview import numbers, sentence
from glassguard.report.page import Picture, Section, headline
from glassguard.report.saliency_tables import (
    evaluation_table,
    generality_table,
    masks_table,
    working_point_table,
)
from glassguard.report.tables import Table
from glassguard.report.verdicts import verdicts
from glassguard.report.wording import TABLE_1_RATES

FIRST_SCREEN = "operating_curves"
"""The figure that the page shows first, and therefore not among the guard's."""


def contents(
    read: Mapping[str, Any],
    *,
    summary: Mapping[str, Any],
    pictures: Mapping[str, Picture],
    threshold: float,
) -> dict[str, Any]:
    """What :func:`glassguard.report.page.render` shows of the tables, by its arguments' names.

    Args:
        read: see :func:`sections`.
        summary: what ``summary.json`` holds.
        pictures: the figures by name.
        threshold: the study's confidence threshold.
    """
    means = {name: float(read["pairs"][name].mean()) for name in TABLE_1_RATES}
    return {
        "summary": summary,
        "sentence": sentence(summary, people=read["manifest"]["identity"].nunique()),
        "numbers": numbers(summary),
        "verdicts": verdicts(summary),
        "curve": pictures[FIRST_SCREEN],
        "not_covered": NOT_COVERED,
        "sentences": headline(summary, means=means, threshold=threshold),
        "sections": sections(read, summary=summary, pictures=pictures, threshold=threshold),
    }


def sections(
    read: Mapping[str, Any],
    *,
    summary: Mapping[str, Any],
    pictures: Mapping[str, Picture],
    threshold: float,
) -> tuple[Section, ...]:
    """The sections of the page.

    Args:
        read: tables and parsed JSON by their names in :func:`glassguard.files.layout.reported`.
        summary: what ``summary.json`` holds.
        pictures: the figures by name.
        threshold: the study's confidence threshold.
    """
    several = "generality" in read
    robustness = {name: f"robustness_{name}" for name in summary["attacks"]}
    paths = reported(summary["attacks"], embedding="open_set" in read) | {"summary": "summary.json"}

    def of(table: Table, *names: str) -> Table:
        return replace(table, files=tuple(paths[name] for name in names))

    found: tuple[Section, ...] = (
        Section(
            "Recognizer and attack",
            f"The convolutions were {read['recognizer']['backbone']} and are frozen; the fully "
            "connected layers are trained here. Then pixels inside a pair of glasses are changed "
            "until the recognizer sees the target.",
            (
                of(recognizer_table(summary), "recognizer"),
                of(attack_table(summary), "summary"),
                of(
                    robustness_table({name: read[one] for name, one in robustness.items()}),
                    *robustness.values(),
                ),
            ),
            _of(pictures, "attack"),
        ),
        Section(
            "Study I: detection by influence",
            "How much each filter matters for the answer, at a slice through the network, is a "
            "profile. A linear detector for every person says whether a profile is that person's.",
            (
                of(pairs_table(read["pairs"]), "pairs"),
                of(variants_table(read["layers"], chosen=read["best_layer"]["slice"]), "layers"),
                of(choices_table(read["choices"]), "choices"),
                *(
                    of(operating_table(read["detection"], name), "detection")
                    for name in POPULATIONS
                ),
                of(controls_table(read["controls"]), "controls"),
                *([of(attacks_table(read["points"]), "points")] if several else []),
            ),
            _of(pictures, "detection", "influence"),
        ),
        Section(
            "Study S: repair by a saliency mask",
            "The pixels that a saliency map finds the answer to hang on are masked and the picture "
            "is classified again. The kind of map – Study S's guided backpropagation, or evidence "
            "relative to sensitivity – and the mask's parameters are searched on validation "
            "attacks.",
            (
                of(masks_table(read["best_masks"]), "best_masks"),
                of(
                    evaluation_table(
                        summary["saliency"]["test"],
                        threshold=threshold,
                        others=read.get("generality"),
                    ),
                    *("evaluation", "generality")[: 1 + several],
                ),
                of(working_point_table(read["working_point"]), "working_point"),
            ),
            _of(pictures, "saliency"),
        ),
        Section(
            "The guard: a recognition that does not see the eyes",
            "A second recognizer never sees the band of the eyes, so nothing that is painted there "
            "moves its answer. The guard accepts a name that both recognizers give.",
            (
                of(
                    certificate_table(
                        read["certificate"], band=read["band"], thresholds=read["guard_thresholds"]
                    ),
                    *("certificate", "band", "guard_thresholds"),
                ),
            ),
            tuple(one for one in _of(pictures, "guard") if one.name != FIRST_SCREEN),
        ),
    )
    if "open_set" in read:
        found += (
            Section(
                "The embedding alone",
                "Embedding networks are mostly used without a trained layer: a person is accepted "
                "whose embedding is similar enough to an enrolled one. Attacks are those above.",
                (of(open_set_table(read["open_set"]), "open_set"),),
                (),
            ),
        )
    if several:
        found += (
            Section(
                "Study S: other attacks",
                "The source expects its mask to undo whatever is worn. What the search found on "
                "validation attacks of one kind was tried on all.",
                (of(generality_table(read["generality"]), "generality"),),
                _of(pictures, several_attacks=True),
            ),
        )
    return found


def _of(
    pictures: Mapping[str, Picture], *acts: str, several_attacks: bool = False
) -> tuple[Picture, ...]:
    """The figures of some acts, or those that only studies with several attacks have."""
    return tuple(
        pictures[one.name]
        for one in FIGURES
        if one.several_attacks == several_attacks and (several_attacks or one.act in acts)
    )
