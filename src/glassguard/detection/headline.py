"""What is said first about a detection study, as plain values for JSON."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from glassguard.detection.selection import GROUPS, Choice
from glassguard.detection.study import Reading
from glassguard.detection.thresholds import BARE
from glassguard.recognizer.layers import paper_index

SOURCE_SETTING = ("conv3_2", "raw")
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
        "choices": {name: counted[name] for name in sorted(counted)},
    }


def source_setting(rates: pd.DataFrame) -> dict[str, float | str | None] | None:
    """Study I's own slice and variant on test pictures; None where they were not swept.

    Args:
        rates: :func:`glassguard.detection.evaluation.sweep_rates`.
    """
    own = rates[
        (rates["slice"] == SOURCE_SETTING[0])
        & (rates["variant"] == SOURCE_SETTING[1])
        & (rates["split"] == "test")
    ]
    if own.empty:
        return None
    return {
        "slice": SOURCE_SETTING[0],
        "variant": SOURCE_SETTING[1],
        **{name: _number(own[name].mean()) for name in GROUPS},
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
    return {
        "slice": chosen.slice,
        "variant": chosen.variant,
        "pairs": [
            {
                "target": row["target"],
                "attacker": row["attacker"],
                **{name: _number(row[name]) for name in GROUPS},
            }
            for row in pairs.to_dict("records")
        ],
        "mean": {name: _number(pairs[name].mean()) for name in GROUPS},
        "auc": _number(influence["auc"].iloc[0]),
        "auc_low": _number(influence["auc_low"].iloc[0]),
        "auc_high": _number(influence["auc_high"].iloc[0]),
        "tpr_at_fpr": {
            f"{row['wanted_fpr']:g}": _number(row["tpr"]) for row in influence.to_dict("records")
        },
        "flag_rate": {str(control): _number(rate) for control, rate in flag_rates.items()},
        "detectors": [
            {
                key: value if key in ("detector", "population") else _number(value)
                for key, value in row.items()
            }
            for row in points.to_dict("records")
        ],
        "source_setting": source_setting(rates),
    }


def metrics(summary: Mapping[str, Any]) -> dict[str, float | int | str]:
    """The figures of :func:`headline` that are tracked, by flat names."""
    values = {
        **summary["mean"],
        "auc": summary["auc"],
        **{f"tpr_at_fpr_{rate}": tpr for rate, tpr in summary["tpr_at_fpr"].items()},
        **{f"flag_rate_{control}": rate for control, rate in summary["flag_rate"].items()},
    }
    known = {name: value for name, value in values.items() if value is not None}
    return {
        "slice": summary["slice"],
        "variant": summary["variant"],
        "pairs": len(summary["pairs"]),
        **known,
    }


def _number(value: float) -> float | None:
    """Six significant digits; None in place of NaN, which JSON does not have."""
    return None if math.isnan(value) else float(f"{value:.6g}")
