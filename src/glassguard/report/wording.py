"""How names and numbers of files are written for readers."""

import math
from typing import Any

NOTHING = "–"
TABLE_1_RATES = {
    "benign_target": "benign target accepted",
    "benign_other": "benign others rejected",
    "impersonation": "impersonations rejected",
}
"""Columns of ``table1.csv`` that are rates, and what they mean."""

RATES = {
    "adversarial_success": "attack succeeds",
    "adversarial_correct": "attacked, right",
    "clean_accuracy": "clean, right",
    "defence_success": "attack undone",
}
"""Columns of ``saliency/evaluation.csv`` that are rates, and what they mean."""

OVERLAPS = {"mask_iou": "mask overlap (IoU)", "mask_recall": "accessory masked (recall)"}
"""Columns there that are means over attacked pictures."""

HEADLINE_RATE = 0.05
"""False-alarm rate that the page reports; the files also have the others."""


def percent(value: Any) -> str:
    """``0.853`` to ``85.3 %``; a dash for nothing."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{100 * value:.1f} %"


def whole_percent(value: float) -> str:
    """``0.05`` to ``5 %``, ``0.0991`` to ``9.9 %``: no decimal where it would be a zero."""
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def spelt(name: str) -> str:
    """A name from a file as words: ``plain_frames`` to ``plain frames``."""
    return name.replace("_", " ")


def shortened(name: str, longest: int = 13) -> str:
    """A name as words, cut with an ellipsis where it is longer."""
    words = spelt(name)
    return words if len(words) <= longest else words[: longest - 1] + "…"
