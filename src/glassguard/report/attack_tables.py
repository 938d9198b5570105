"""Tables of the recognizer and of the attack on it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from glassguard.files.layout import BENIGN
from glassguard.report import sources_figures
from glassguard.report.tables import Table, decimals, rate
from glassguard.report.wording import NOTHING, percent, spelt

CLAIMS = {
    "genuine": "honest pictures as the person shown",
    "impostor": "honest pictures as anybody else",
    "impersonation": "attacked pictures as the target",
    "dodging": "attacked pictures as the attacker",
}
"""Kinds of claim in ``recognizer/open_set.csv``, for readers."""


def recognizer_table(summary: Mapping[str, Any]) -> Table:
    """Accuracy of the recognizer, here and in Study S."""
    ours = summary["recognizer"]
    source = sources_figures.RECOGNIZER
    return Table(
        "Recognizer",
        ("split", "here", "Study S"),
        (
            ("training", rate(ours, "train_accuracy"), percent(source.train_accuracy)),
            ("validation", rate(ours, "val_accuracy"), percent(source.validation_accuracy)),
            ("test", rate(ours, "test_accuracy"), NOTHING),
        ),
        note="Nothing is chosen on the test split, which the sources do not have.",
    )


def attack_table(summary: Mapping[str, Any]) -> Table:
    """Success of the undefended attacks, here and in Study S."""
    source = sources_figures.UNDEFENDED
    rows = []
    for name, attack in summary["attacks"].items():
        for split, values in (("test", attack), ("validation", attack["validation"])):
            if not values["n"]:
                continue
            cells = (rate(values, one) for one in ("success", "success_jpeg", "still_correct"))
            rows.append((f"{spelt(name)}, {split}", str(values["pairs"]), *cells))
    success, correct = percent(source.adversarial_success), percent(source.adversarial_correct)
    rows.append(("Study S", NOTHING, success, NOTHING, correct))
    return Table(
        "Attacks, undefended",
        ("attack", "pairs", "success", "success after JPEG", "still recognized"),
        tuple(rows),
        emphasised=frozenset({0}),
        from_source=frozenset({len(rows) - 1}),
        note="Success is counted after rounding to 8 bits.",
    )


def open_set_table(measured: pd.DataFrame) -> Table:
    """What verification by embeddings accepts, before and under attack.

    Args:
        measured: ``recognizer/open_set.csv``.
    """
    by_rate = {
        wanted: {
            (str(row["set"]), str(row["kind"])): row
            for row in measured[measured["wanted_false_accepts"] == wanted].to_dict("records")
        }
        for wanted in sorted(set(measured["wanted_false_accepts"]))
    }
    thresholds = [decimals(next(iter(of.values()))["threshold"]) for of in by_rate.values()]
    rows = [
        (
            f"{spelt(name)}, {CLAIMS[kind]}" if name != BENIGN else CLAIMS[kind],
            *(rate(of[name, kind], "accepted") for of in by_rate.values()),
        )
        for name, kind in next(iter(by_rate.values()))
    ]
    return Table(
        "Open set: claims that are accepted",
        ("claim", *(f"at {100 * wanted:g} % false accepts" for wanted in by_rate)),
        (("threshold of cosine similarity", *thresholds), *rows),
        note=(
            "People are enrolled as the mean embedding of their training pictures. Thresholds are "
            "set on validation pictures, each of which claims to be everybody else, and claims are "
            "counted on test pictures. A dash means that the validation pictures are too few to "
            "set the threshold."
        ),
    )


def robustness_table(measured: Mapping[str, pd.DataFrame]) -> Table:
    """How often attacks succeed under circumstances that no attack saw.

    Args:
        measured: by attack, its ``robustness.csv``.
    """
    by_kind = {
        name: {str(row["transformation"]): row for row in table.to_dict("records")}
        for name, table in measured.items()
    }
    first = next(iter(by_kind.values()))
    together = next(iter(first.values()))
    rows = [("none", *(rate(next(iter(of.values())), "undistorted") for of in by_kind.values()))]
    rows += [
        (spelt(kind), *(rate(of[kind], "success", counted=False) for of in by_kind.values()))
        for kind in first
    ]
    return Table(
        "What attacks survive",
        ("circumstances", *(spelt(name) for name in by_kind)),
        tuple(rows),
        emphasised=frozenset({1}),
        note=(
            f"Mean success of test attacks over circumstances that no attack saw, "
            f"{together['placements']} a picture with all kinds together and "
            f"{list(first.values())[-1]['placements']} with each alone: the frame moves on the "
            "face, is printed, photographed, aligned, reduced and compressed by the JPEG codec. "
            "Intervals are over pictures."
        ),
    )
