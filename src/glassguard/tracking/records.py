"""Records of stages as runs; :mod:`glassguard.tracking.mlflow_store` writes them."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from glassguard.errors import InputError
from glassguard.settings import leaves

LONGEST_VALUE = 5000
"""Characters that are kept of a value; MLflow refuses parameters beyond 6,000."""

Curves = dict[str, list[tuple[int, float]]]
"""Metrics with steps: per name the steps, rising, and the values there."""

OWN_RUNS = ("attack", "mask_grid")
"""Stages whose jobs are runs of their own; the jobs of other stages are one run together."""

SHARD = re.compile(r"_\d+-of-\d+$")
GRID_SETTINGS = ("map", "mu", "mu_as", "n", "phi", "fill")


class Record(BaseModel):
    """What the command line wrote when a stage had finished.

    Attributes:
        job: name of the job, unique within an experiment (``attack_shard_glasses_0``).
        stage: name of the stage.
        started: seconds since 1970, UTC.
        ended: seconds since 1970, UTC.
        params: the stage's section of the configuration.
        metrics: flat results; numbers and words.
        jobs: how many jobs were folded into this record.
        seconds: what they took together.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    job: str
    stage: str
    started: float
    ended: float
    params: dict[str, Any]
    metrics: dict[str, Any]
    jobs: int = 1
    seconds: float = 0.0


@dataclass(frozen=True)
class Point:
    """One point of a grid: a run below its stage's run."""

    name: str
    params: dict[str, str]
    metrics: dict[str, float]


@dataclass(frozen=True)
class Artifact:
    """A file that belongs to a run, and the folder of the run's artifacts that it goes to."""

    path: Path
    sha256: str
    folder: str = ""


@dataclass(frozen=True)
class Dataset:
    """Pictures that a run has read.

    Attributes:
        name: what the study calls them.
        digest: of the table that lists them.
        split: which of them.
        profile: what is counted in them.
    """

    name: str
    digest: str
    split: str
    profile: dict[str, int]


@dataclass(frozen=True)
class StageRun:
    """One stage's run with everything that is logged about it."""

    record: Record
    params: dict[str, str]
    metrics: dict[str, float]
    words: dict[str, str]
    artifacts: tuple[Artifact, ...] = ()
    points: tuple[Point, ...] = ()
    curves: Curves = field(default_factory=dict)
    pictures: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    model: Path | None = None
    digest: str = field(default="", compare=False)


def parse_record(job: str, values: Any) -> Record:
    """Check a record.

    Raises:
        InputError: a key is missing or has another type than the command line writes.
    """
    if not isinstance(values, dict):
        raise InputError(f"{job}.json: a record must be an object")
    try:
        return Record(**values | {"job": job})
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{job}.json: {first['loc'][0]}: {first['msg']}") from None


def folded(records: Iterable[Record]) -> list[Record]:
    """One record for each run: shards and the jobs of all sets of pictures come together.

    The numbers of a set keep its name (``glasses.profiles``). A shard adds its time only, since
    the job that gathers shards reports what they found.
    """
    groups: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda one: one.job):
        stage = record.stage.removesuffix("_shard")
        name = SHARD.sub("", record.job) if stage in OWN_RUNS else stage
        groups.setdefault(name, []).append(record)
    return [_together(name, group) for name, group in sorted(groups.items())]


def _together(name: str, group: list[Record]) -> Record:
    results = [one for one in group if not one.stage.endswith("_shard")] or group
    metrics: dict[str, Any] = {}
    for one in results:
        of_set = one.job.removeprefix(name).strip("_")
        metrics |= {f"{of_set}.{key}" if of_set else key: one.metrics[key] for key in one.metrics}
    return results[0].model_copy(
        update={
            "job": name,
            "started": min(one.started for one in group),
            "ended": max(one.ended for one in group),
            "metrics": metrics,
            "jobs": len(group),
            "seconds": sum(one.ended - one.started for one in group),
        }
    )


def stage_run(
    record: Record,
    *,
    artifacts: Iterable[Artifact] = (),
    points: Iterable[Point] = (),
    curves: Curves | None = None,
    pictures: Mapping[str, NDArray[np.uint8]] | None = None,
    model: Path | None = None,
) -> StageRun:
    """Bring a record into the shape of a run and give it its digest.

    The digest covers job, parameters, metrics, grid points, curves, pictures and the contents of
    the artifacts, but no times: a stage that ran again and found the same is the same run.
    """
    params = flatten(record.params)
    metrics, words = split_metrics(record.metrics)
    artifacts, points = tuple(artifacts), tuple(points)
    curves, pictures = curves or {}, pictures or {}
    files = [[artifact.path.name, artifact.sha256] for artifact in artifacts]
    found = [[point.name, point.params, point.metrics] for point in points]
    shown = {
        name: hashlib.sha256(values.tobytes()).hexdigest() for name, values in pictures.items()
    }
    weights = hashlib.sha256(model.read_bytes()).hexdigest() if model else None
    covered = [
        record.job,
        record.stage,
        params,
        metrics,
        words,
        files,
        found,
        curves,
        shown,
        weights,
    ]
    digest = digest_of(covered)
    return StageRun(
        record, params, metrics, words, artifacts, points, curves, pictures, model, digest
    )


def datasets_of(manifest: pd.DataFrame, *, name: str) -> tuple[Dataset, ...]:
    """The splits of ``data/manifest.csv`` as data sets, by the digests of their pictures."""
    return tuple(
        Dataset(
            name=f"{name}, {split}",
            digest=digest_of(rows[["image_id", "identity", "sha256"]].astype(str).to_csv())[:16],
            split=str(split),
            profile={"pictures": len(rows), "people": int(rows["identity"].nunique())},
        )
        for split, rows in manifest.groupby("split", sort=False)
    )


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON-able value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def flatten(values: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings to dotted names and text, sorted by name.

    Lists become JSON; text longer than :data:`LONGEST_VALUE` is cut.
    """
    return {
        name: (
            value
            if isinstance(value, str)
            else json.dumps(value, sort_keys=True, ensure_ascii=False)
        )[:LONGEST_VALUE]
        for name, value in sorted(leaves(values))
    }


def split_metrics(values: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """Nested results to dotted names: finite numbers on one side, words on the other.

    Truth values count as numbers; ``None``, NaN and infinities are left out, since no tracking
    store can draw them; lists are left out, since tables are artifacts.
    """
    numbers: dict[str, float] = {}
    words: dict[str, str] = {}
    for name, value in sorted(leaves(values)):
        if isinstance(value, str):
            words[name] = value[:LONGEST_VALUE]
        elif isinstance(value, int | float) and math.isfinite(value):
            numbers[name] = float(value)
    return numbers, words


def grid_points(grid: pd.DataFrame, *, limit: int) -> tuple[Point, ...]:
    """The points of the mask grid that are worth a run of their own.

    Args:
        grid: ``saliency/grid.csv``, hundreds to thousands of points.
        limit: how many of the best by goodness become runs, in addition to the best of every fill.
    """
    settings = [name for name in GRID_SETTINGS if name in grid.columns]
    numbers = grid.select_dtypes("number").columns.difference(settings, sort=False)
    rising = [False] + [True] * len(settings)
    # A race drops points before their goodness is known.
    finished = grid.dropna(subset=["goodness"])
    ordered = finished.sort_values(["goodness", *settings], ascending=rising, kind="stable")
    kept = pd.concat([ordered.head(limit), ordered.groupby("fill", sort=True).head(1)])
    kept = kept.loc[~kept.index.duplicated()]
    points = []
    for row in kept.to_dict("records"):
        params = {
            name: f"{row[name]:g}" if isinstance(row[name], float) else str(row[name])
            for name in settings
        }
        metrics = {name: float(row[name]) for name in numbers if math.isfinite(row[name])}
        name = ", ".join(f"{key} {value}" for key, value in params.items())
        points.append(Point(name, params, metrics))
    return tuple(points)
