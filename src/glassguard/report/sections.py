"""The body of the page: which tables and figures it shows, and in which order."""

from collections.abc import Mapping
from typing import Any

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
from glassguard.report.guard_tables import certificate_table
from glassguard.report.page import Picture, Section
from glassguard.report.saliency_tables import (
    evaluation_table,
    generality_table,
    masks_table,
    working_point_table,
)


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
    found: tuple[Section, ...] = (
        Section(
            "Recognizer and attack",
            f"The convolutions were {read['recognizer']['backbone']} and are frozen; the fully "
            "connected layers are trained here. Then pixels inside a pair of glasses are changed "
            "until the recognizer sees the target.",
            (
                recognizer_table(summary),
                attack_table(summary),
                robustness_table({name: read[f"robustness_{name}"] for name in summary["attacks"]}),
            ),
            _of(pictures, "attack"),
        ),
        Section(
            "Study I: detection by influence",
            "How much each filter matters for the answer, at a slice through the network, is a "
            "profile. A linear detector for every person says whether a profile is that person's.",
            (
                pairs_table(read["pairs"]),
                variants_table(read["layers"], chosen=read["best_layer"]["slice"]),
                choices_table(read["choices"]),
                *(operating_table(read["detection"], name) for name in POPULATIONS),
                controls_table(read["controls"]),
                *([attacks_table(read["points"])] if several else []),
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
                masks_table(read["best_masks"]),
                evaluation_table(
                    summary["saliency"]["test"],
                    threshold=threshold,
                    others=read.get("generality"),
                ),
                working_point_table(read["working_point"]),
            ),
            _of(pictures, "saliency"),
        ),
        Section(
            "The guard: a recognition that does not see the eyes",
            "A second recognizer never sees the band of the eyes, so nothing that is painted there "
            "moves its answer. The guard accepts a name that both recognizers give.",
            (
                certificate_table(
                    read["certificate"], band=read["band"], thresholds=read["guard_thresholds"]
                ),
            ),
            _of(pictures, "guard"),
        ),
    )
    if "open_set" in read:
        found += (
            Section(
                "The embedding alone",
                "Embedding networks are mostly used without a trained layer: a person is accepted "
                "whose embedding is similar enough to an enrolled one. Attacks are those above.",
                (open_set_table(read["open_set"]),),
                (),
            ),
        )
    if several:
        found += (
            Section(
                "Study S: other attacks",
                "The source expects its mask to undo whatever is worn. What the search found on "
                "validation attacks of one kind was tried on all.",
                (generality_table(read["generality"]),),
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
