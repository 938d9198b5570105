"""The headline of a detection study, as plain values for JSON."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from glassguard.detection.selection import GROUPS, Choice
from glassguard.detection.study import Reading
from glassguard.detection.thresholds import BARE
from glassguard.recognizer.layers import paper_index

SOURCE_SETTING = {"slice": "conv3_2", "variant": "raw"}
"""Study I's own: "the eighth layer, vector size 256" and gradients as they are."""


def best_layer(chosen: Choice, reading: Reading, sizes: Mapping[str, int]) -> dict[str, object]:
    """``best_layer.json``: the choice of most pairs, and how often each was made.

    Args:
        chosen: slice and variant that most pairs chose.
        reading: the votes behind it.
        sizes: filters per slice.
    """
    counted = {f"{name} {variant}": count for name, variant, count in reading.votes}
    return {
        "slice": chosen.slice,
        "paper_index": paper_index(chosen.slice),
        "size": sizes[chosen.slice],
        "variant": chosen.variant,
        "chosen_on": "validation pictures and attacks; each pair without those that share its "
        "target or attacker; the most frequent of these choices",
        "score": chosen.score,
        "choices": dict(sorted(counted.items())),
    }


def headline(
    chosen: Choice,
    pairs: pd.DataFrame,
    points: pd.DataFrame,
    flagged: pd.DataFrame,
    rates: pd.DataFrame,
) -> dict[str, Any]:
    """``detection/summary.json``.

    Args:
        chosen: slice and variant that most pairs chose.
        pairs: ``table1.csv``.
        points: the first attack's rows of ``attacks.csv``.
        flagged: ``controls.csv``.
        rates: :func:`glassguard.detection.evaluation.sweep_rates`.
    """
    influence = points[(points["detector"] == "influence") & (points["population"] == BARE)]
    flag_rates = flagged[flagged["detector"] == "influence"].set_index("control")["flag_rate"]
    own = rates[(rates[list(SOURCE_SETTING)] == list(SOURCE_SETTING.values())).all(axis=1)]
    own = own[own["split"] == "test"]
    return {
        "slice": chosen.slice,
        "variant": chosen.variant,
        "pairs": _records(pairs[["target", "attacker", *GROUPS]]),
        "mean": _means(pairs),
        **{name: _number(influence[name].iloc[0]) for name in ("auc", "auc_low", "auc_high")},
        "tpr_at_fpr": {
            f"{rate:g}": _number(tpr)
            for rate, tpr in zip(influence["wanted_fpr"], influence["tpr"], strict=True)
        },
        "flag_rate": {str(control): _number(rate) for control, rate in flag_rates.items()},
        "detectors": _records(points),
        # Not every study sweeps the source's own setting.
        "source_setting": None if own.empty else {**SOURCE_SETTING, **_means(own)},
    }


def metrics(summary: Mapping[str, Any]) -> dict[str, float | int | str]:
    """The figures of :func:`headline` that are tracked, by flat names."""
    values = {
        **summary["mean"],
        "auc": summary["auc"],
        **{f"tpr_at_fpr_{rate}": tpr for rate, tpr in summary["tpr_at_fpr"].items()},
        **{f"flag_rate_{control}": rate for control, rate in summary["flag_rate"].items()},
    }
    return {
        "slice": summary["slice"],
        "variant": summary["variant"],
        "pairs": len(summary["pairs"]),
        **{name: value for name, value in values.items() if value is not None},
    }


def _means(rates: pd.DataFrame) -> dict[str, float | None]:
    return {name: _number(rates[name].mean()) for name in GROUPS}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(key): one if isinstance(one, str) else _number(one) for key, one in row.items()}
        for row in table.to_dict("records")
    ]


def _number(value: float) -> float | None:
    """Six significant digits; None for NaN, which JSON does not have."""
    return None if math.isnan(value) else float(f"{value:.6g}")
