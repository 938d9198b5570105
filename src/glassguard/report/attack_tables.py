"""Tables of the recognizer and of the attack on it."""

from collections.abc import Mapping
from typing import Any

from glassguard.report import sources_figures
from glassguard.report.tables import Table, rate
from glassguard.report.wording import NOTHING, percent, spelt


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
