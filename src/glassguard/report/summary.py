"""The headline of a study as numbers: what ``summary.json`` holds, and how long it took."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from glassguard.detection.thresholds import BARE
from glassguard.files.layout import BENIGN
from glassguard.report.defences import DEFENCES
from glassguard.report.wording import OVERLAPS, RATES, TABLE_1_RATES
from glassguard.statistics import Rate

DETECTOR = "influence"
"""The study's own detector among those of ``controls.csv`` and ``roc.csv``."""

BEST = ("map", "mu", "mu_as", "n", "phi", "fill", "goodness")
RATES_UNDEFENDED = tuple(RATES)[:3]
KEYS = {"none": "before", "saliency": "after"}
"""Names in the headline of defences that ``evaluation.csv`` calls otherwise."""


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
            (``detection/controls.csv``), ``best_masks`` (``saliency/best.json``), ``evaluation``
            (``saliency/evaluation.csv``), ``guard`` (``guard/summary.json``) and, where the
            recognizer has an embedding, ``open_set`` (``recognizer/open_set.csv``).

    Returns:
        JSON-able values; every rate has ``_n``, ``_low`` and ``_high``, and a rate of
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
            "best": {key: best[key] for key in BEST},
            "source_setting": best_masks["source_setting"],
            **{
                by: {value: row["goodness"] for value, row in best_masks[by].items()}
                for by in ("by_fill", "by_map")
            },
            "test": evaluation_rates(read["evaluation"]),
        },
        "guard": read["guard"],
        **(
            {"open_set": verification_rates(read["open_set"], next(iter(attacks)))}
            if "open_set" in read
            else {}
        ),
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
        name, n = f"{split}_accuracy", metrics.get(f"{split}_images")
        counted = Rate(metrics[name]) if n is None else Rate.counted(round(metrics[name] * n), n)
        found |= counted.known(name)
    return found


def attack_rates(examples: pd.DataFrame) -> dict[str, Any]:
    """Rates of an attack on the test split, and on the validation split below ``validation``."""
    test = _attack_rates(examples[examples["split"] == "test"])
    validation = _attack_rates(examples[examples["split"] == "val"])
    return {**test, "validation": validation}


def verification_rates(open_set: pd.DataFrame, attack: str) -> dict[str, dict[str, float]]:
    """Accepted shares of every kind of claim, by the wanted share of false accepts.

    Args:
        open_set: ``recognizer/open_set.csv``.
        attack: the headline attack.
    """
    found: dict[str, dict[str, float]] = {}
    for row in open_set[open_set["set"].isin((BENIGN, attack))].to_dict("records"):
        rates = found.setdefault(f"{row['wanted_false_accepts']:g}", {})
        accepted = Rate.read(row, "accepted")
        rates |= accepted.known(row["kind"]) if accepted.n else {}
    return found


def _attack_rates(rows: pd.DataFrame) -> dict[str, float]:
    happened = {
        "success": rows["success"].astype(bool),
        "success_jpeg": rows["success_jpeg"].astype(bool),
        "still_correct": rows["prediction"] == rows["attacker"],
    }
    found: dict[str, float] = {
        "n": len(rows),
        "pairs": len(rows[["target", "attacker"]].drop_duplicates()),
    }
    for name, which in happened.items():
        found |= Rate.counted(int(which.sum()), len(rows)).known(name)
    return found


def detection_rates(
    detection: Mapping[str, Any], pairs: pd.DataFrame, controls: pd.DataFrame
) -> dict[str, Any]:
    """The headline of the detection, its rates with n and interval.

    Args:
        detection: ``detection/summary.json``.
        pairs: ``detection/table1.csv``.
        controls: ``detection/controls.csv``.
    """
    found = dict(detection)
    rates = [f"{name}{end}" for name in TABLE_1_RATES for end in ("", "_n", "_low", "_high")]
    columns = ["target", "attacker", "slice", "variant", *rates]
    found["pairs"] = [
        {name: _known(value) for name, value in row.items()}
        for row in pairs[columns].to_dict("records")
    ]
    points = [
        row
        for row in detection["detectors"]
        if row["detector"] == DETECTOR and row["population"] == BARE
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
    found: dict[str, dict[str, Any]] = {}
    for row in evaluation[evaluation["defence"].isin(DEFENCES)].to_dict("records"):
        key = KEYS.get(row["defence"], row["defence"])
        if not math.isnan(row["threshold"]):
            key += f"_threshold_{row['threshold']:g}"
        values: dict[str, Any] = {}
        for name in RATES_UNDEFENDED if row["defence"] == "none" else (*RATES, *OVERLAPS):
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
        numbers = table.reindex(columns=["s", "cpu_time", "max_rss"])
        rows.append([job, *numbers.apply(pd.to_numeric, errors="coerce").mean()])
    return pd.DataFrame(rows, columns=["stage", "wall_s", "cpu_s", "max_rss_mb"])
