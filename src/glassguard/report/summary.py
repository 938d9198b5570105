"""The headline of a study as numbers: what ``summary.json`` holds, and how long it took."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from glassguard.statistics import Rate

EVALUATION_RATES = (
    "adversarial_success",
    "adversarial_correct",
    "clean_accuracy",
    "defence_success",
    "mask_iou",
    "mask_recall",
)
PAIR_RATES = ("benign_target", "benign_other", "impersonation")
POPULATION = "bare"
"""Benign pictures that the headline's false alarms are counted on."""

DETECTOR = "influence"
"""The study's own detector among those of ``controls.csv`` and ``roc.csv``."""

CONTROL_DEFENCES = (
    "saliency_affordable",
    "saliency_guided",
    "saliency_source",
    "oracle",
    "random",
)


def summarise(
    *,
    experiment: str,
    seed: int,
    faces: str,
    kernels: str,
    intervals: Sequence[tuple[float, float]],
    attacks: Mapping[str, pd.DataFrame],
    read: Mapping[str, Any],
) -> dict[str, Any]:
    """Gather the headline.

    Args:
        experiment: name of the experiment.
        seed: seed of the study.
        faces: ``embedded`` for drawn faces, ``folder`` for photographs.
        kernels: ``pinned``, or ``native`` to the processor.
        intervals: when each stage started and ended, seconds since 1970.
        attacks: per attack its ``examples.csv``.
        read: ``recognizer`` (``recognizer/metrics.json``), ``detection``
            (``detection/summary.json``), ``pairs`` (``detection/table1.csv``), ``controls``
            (``detection/controls.csv``), ``best_masks`` (``saliency/best.json``) and
            ``evaluation`` (``saliency/evaluation.csv``).

    Returns:
        JSON-able values; every rate has ``_n``, ``_low`` and ``_high`` beside it, and a rate of
        nothing is left out.
    """
    best_masks = read["best_masks"]
    best = best_masks["goodness"]
    return {
        "experiment": experiment,
        "seed": seed,
        "faces": faces,
        "kernels": kernels,
        "started": started(intervals),
        "wall_s": round(covered_seconds(intervals), 1),
        "recognizer": accuracies(read["recognizer"]),
        "attacks": {name: attack_rates(table) for name, table in attacks.items()},
        "detection": detection_rates(read["detection"], read["pairs"], read["controls"]),
        "saliency": {
            "best": {
                key: best[key] for key in ("map", "mu", "mu_as", "n", "phi", "fill", "goodness")
            },
            "source_setting": best_masks["source_setting"],
            **{
                by: {value: row["goodness"] for value, row in best_masks[by].items()}
                for by in ("by_fill", "by_map")
            },
            "test": evaluation_rates(read["evaluation"]),
        },
    }


def started(intervals: Sequence[tuple[float, float]]) -> str:
    """Earliest start as ISO 8601 in UTC, empty where nothing was recorded."""
    if not intervals:
        return ""
    first = datetime.fromtimestamp(min(start for start, _ in intervals), UTC)
    return first.isoformat(timespec="seconds")


def covered_seconds(intervals: Sequence[tuple[float, float]]) -> float:
    """Length of the union of intervals: time during which at least one stage ran."""
    total, reached = 0.0, -math.inf
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def accuracies(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Accuracy of the recognizer on every split."""
    found: dict[str, float] = {}
    for split in ("train", "val", "test"):
        name = f"{split}_accuracy"
        n = metrics.get(f"{split}_images")
        if n is None:
            found[name] = metrics[name]
        else:
            found |= Rate.counted(round(metrics[name] * n), n).known(name)
    return found


def attack_rates(examples: pd.DataFrame) -> dict[str, Any]:
    """Rates of an attack on the test split, and on the validation split below ``validation``."""
    test = _attack_rates(examples[examples["split"] == "test"])
    validation = _attack_rates(examples[examples["split"] == "val"])
    return {**test, "validation": validation}


def _attack_rates(rows: pd.DataFrame) -> dict[str, float]:
    n = len(rows)
    return {
        "n": n,
        "pairs": len(rows[["target", "attacker"]].drop_duplicates()),
        **Rate.counted(int(rows["success"].astype(bool).sum()), n).known("success"),
        **Rate.counted(int(rows["success_jpeg"].astype(bool).sum()), n).known("success_jpeg"),
        **Rate.counted(int((rows["prediction"] == rows["attacker"]).sum()), n).known(
            "still_correct"
        ),
    }


def detection_rates(
    detection: Mapping[str, Any], pairs: pd.DataFrame, controls: pd.DataFrame
) -> dict[str, Any]:
    """The headline of the detection with n and intervals beside its rates.

    Args:
        detection: ``detection/summary.json``.
        pairs: ``detection/table1.csv``.
        controls: ``detection/controls.csv``.
    """
    found = dict(detection)
    rates = [f"{name}{end}" for name in PAIR_RATES for end in ("", "_n", "_low", "_high")]
    columns = ["target", "attacker", "slice", "variant", *rates]
    found["pairs"] = [
        {name: _known(value) for name, value in row.items()}
        for row in pairs[columns].to_dict("records")
    ]
    points = [
        row
        for row in detection["detectors"]
        if row["detector"] == DETECTOR and row["population"] == POPULATION
    ]
    own = controls[controls["detector"] == DETECTOR]
    for end in ("n", "low", "high"):
        found[f"tpr_at_fpr_{end}"] = {f"{row['wanted_fpr']:g}": row[f"tpr_{end}"] for row in points}
        column = "n" if end == "n" else f"flag_rate_{end}"
        found[f"flag_rate_{end}"] = {
            str(name): _known(value)
            for name, value in zip(own["control"], own[column], strict=True)
        }
    return found


def _known(value: Any) -> Any:
    """``None`` in place of NaN, which JSON does not have."""
    return None if isinstance(value, float) and math.isnan(value) else value


def evaluation_rates(evaluation: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Rows of ``evaluation.csv`` by what they stand for.

    Keys: ``before`` and ``after`` the saliency mask, the controls by name, and each of them again
    as ``..._threshold_0.8`` (the study's threshold).
    """
    names = {"none": "before", "saliency": "after"} | {name: name for name in CONTROL_DEFENCES}
    found: dict[str, dict[str, Any]] = {}
    for row in evaluation.to_dict("records"):
        if row["defence"] not in names:
            continue
        free = math.isnan(row["threshold"])
        key = names[row["defence"]] + ("" if free else f"_threshold_{row['threshold']:g}")
        values: dict[str, Any] = {}
        for name in EVALUATION_RATES:
            if row["defence"] == "none" and name not in EVALUATION_RATES[:3]:
                continue
            values |= Rate.read(row, name).known(name)
        if isinstance(row.get("fill"), str) and row["fill"]:
            values["fill"] = row["fill"]
        found[key] = values
    return found


def timings(benchmarks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """``timings.csv`` from Snakemake's benchmarks.

    Args:
        benchmarks: per job its table, with columns ``s``, ``cpu_time`` and ``max_rss`` (MB);
            Snakemake writes ``-`` or ``NA`` where a job was too short to be measured.

    Returns:
        stage, wall_s, cpu_s, max_rss_mb, sorted by stage; empty cells where nothing was measured.
    """
    rows = []
    for job, table in sorted(benchmarks.items()):
        numbers = {
            column: pd.to_numeric(table[column], errors="coerce").mean()
            for column in ("s", "cpu_time", "max_rss")
            if column in table.columns
        }
        rows.append(
            {
                "stage": job,
                "wall_s": numbers.get("s", math.nan),
                "cpu_s": numbers.get("cpu_time", math.nan),
                "max_rss_mb": numbers.get("max_rss", math.nan),
            }
        )
    return pd.DataFrame(rows, columns=["stage", "wall_s", "cpu_s", "max_rss_mb"])
