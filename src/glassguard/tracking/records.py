"""What a stage leaves for tracking, brought into the shape of runs.

Pure: records come in as parsed JSON, runs go out; :mod:`glassguard.tracking.mlflow_store` writes
them.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from glassguard.errors import InputError

RECORD_KEYS = ("stage", "started", "ended", "params", "metrics")
LONGEST_VALUE = 5000
"""Characters that are kept of a value; MLflow refuses parameters beyond 6,000."""

GRID_SETTINGS = ("map", "mu", "mu_as", "n", "phi", "fill")


@dataclass(frozen=True)
class Record:
    """What the command line wrote when a stage had finished.

    Attributes:
        job: name of the job, unique within an experiment (``attack_shard_glasses_0``).
        stage: name of the stage.
        started: seconds since 1970, UTC.
        ended: seconds since 1970, UTC.
        params: the stage's slice of the configuration.
        metrics: flat results; numbers and words.
    """

    job: str
    stage: str
    started: float
    ended: float
    params: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Point:
    """One point of a grid: a run below its stage's run."""

    name: str
    params: dict[str, str]
    metrics: dict[str, float]


@dataclass(frozen=True)
class Artifact:
    """A file that belongs to a run."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class StageRun:
    """One stage's run with everything that is logged about it."""

    record: Record
    params: dict[str, str]
    metrics: dict[str, float]
    words: dict[str, str]
    artifacts: tuple[Artifact, ...] = ()
    points: tuple[Point, ...] = ()
    digest: str = field(default="", compare=False)


def parse_record(job: str, values: Any) -> Record:
    """Check a record.

    Raises:
        InputError: a key is missing or has another type than the command line writes.
    """
    lacking = [key for key in RECORD_KEYS if not isinstance(values, Mapping) or key not in values]
    if lacking:
        raise InputError(
            f"{job}.json: a record must have {', '.join(RECORD_KEYS)}; lacks {lacking[0]}"
        )
    for key, kind in (
        ("started", (int, float)),
        ("ended", (int, float)),
        ("params", Mapping),
        ("metrics", Mapping),
    ):
        if not isinstance(values[key], kind):
            raise InputError(f"{job}.json: {key} has the wrong type: {type(values[key]).__name__}")
    return Record(
        job=job,
        stage=str(values["stage"]),
        started=float(values["started"]),
        ended=float(values["ended"]),
        params=dict(values["params"]),
        metrics=dict(values["metrics"]),
    )


def stage_run(
    record: Record, *, artifacts: Iterable[Artifact] = (), points: Iterable[Point] = ()
) -> StageRun:
    """Bring a record into the shape of a run and give it its digest.

    The digest covers job, parameters, metrics, grid points and the contents of the artifacts, but
    no times: a stage that ran again and found the same is the same run.
    """
    params = flatten(record.params)
    metrics, words = split_metrics(record.metrics)
    artifacts, points = tuple(artifacts), tuple(points)
    covered = [
        record.job,
        record.stage,
        params,
        metrics,
        words,
        [[artifact.path.name, artifact.sha256] for artifact in artifacts],
        [[point.name, point.params, point.metrics] for point in points],
    ]
    return StageRun(record, params, metrics, words, artifacts, points, digest_of(covered))


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON-able value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings to dotted names and text, sorted by name.

    Lists become JSON; text longer than :data:`LONGEST_VALUE` is cut.
    """
    flat: dict[str, str] = {}
    for key in sorted(values):
        value, name = values[key], f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}."))
        elif isinstance(value, str):
            flat[name] = value[:LONGEST_VALUE]
        else:
            flat[name] = json.dumps(value, sort_keys=True, ensure_ascii=False)[:LONGEST_VALUE]
    return flat


def split_metrics(
    values: Mapping[str, Any], prefix: str = ""
) -> tuple[dict[str, float], dict[str, str]]:
    """Nested results to dotted names: finite numbers on one side, words on the other.

    Truth values count as numbers; ``None``, NaN and infinities are left out, since no tracking
    store can draw them; lists are left out, since tables are artifacts.
    """
    numbers: dict[str, float] = {}
    words: dict[str, str] = {}
    for key in sorted(values):
        value, name = values[key], f"{prefix}{key}"
        if isinstance(value, Mapping):
            below_numbers, below_words = split_metrics(value, f"{name}.")
            numbers.update(below_numbers)
            words.update(below_words)
        elif isinstance(value, (int, float)):
            if math.isfinite(value):
                numbers[name] = float(value)
        elif isinstance(value, str):
            words[name] = value[:LONGEST_VALUE]
    return numbers, words


def grid_points(grid: pd.DataFrame, *, limit: int) -> tuple[Point, ...]:
    """The points of the mask grid that are worth a run of their own.

    A grid has hundreds to thousands of points, and the whole of it is an artifact; as runs stand
    the ``limit`` best by goodness and the best of every fill.

    Args:
        grid: ``saliency/grid.csv``.
        limit: how many of the best become runs.
    """
    settings = [name for name in GRID_SETTINGS if name in grid.columns]
    numbers = [
        name
        for name in grid.columns
        if name not in settings and pd.api.types.is_numeric_dtype(grid[name])
    ]
    ordered = grid.sort_values(
        ["goodness", *settings], ascending=[False] + [True] * len(settings), kind="stable"
    )
    kept = pd.concat([ordered.head(limit), ordered.groupby("fill", sort=True).head(1)])
    kept = kept.loc[~kept.index.duplicated()]
    points = []
    for row in kept.to_dict("records"):
        params = {
            name: f"{row[name]:g}" if isinstance(row[name], float) else str(row[name])
            for name in settings
        }
        metrics = {name: float(row[name]) for name in numbers if math.isfinite(row[name])}
        points.append(
            Point(", ".join(f"{key} {value}" for key, value in params.items()), params, metrics)
        )
    return tuple(points)
