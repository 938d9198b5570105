"""Bring MLflow up to date with what the stages left behind."""

import contextlib
import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path

import yaml

from glassguard.configuration.sections import TrackSection
from glassguard.files.formats import read_json, read_table, write_json
from glassguard.files.layout import ARTIFACTS
from glassguard.progress import track
from glassguard.stages.paths import OutputPath
from glassguard.tracking.records import (
    Artifact,
    Point,
    Record,
    grid_points,
    parse_record,
    stage_run,
)

GRID_RUNS = 40


def run(
    config: TrackSection, *, records: list[Path], results: Path, done: OutputPath
) -> dict[str, float | int | str]:
    """Upsert the runs of one experiment.

    Args:
        config: the stage's section of the configuration.
        records: ``tracking/outbox/*.json``.
        results: folder of the experiment.
        done: JSON file that is written when everything is stored.

    Raises:
        InputError: a record is broken, or the store cannot be opened.
    """
    if not config.tracking.enabled:
        counts: dict[str, float | int | str] = {"enabled": 0}
        write_json(counts, done)
        return counts
    # MLflow takes a second or two to import, which a study without tracking should not pay.
    from glassguard.tracking.mlflow_store import MlflowStore

    parsed = [
        parse_record(path.stem, read_json(path))
        for path in sorted(records, key=lambda path: path.stem)
    ]
    runs = [
        stage_run(record, artifacts=_artifacts(record, results), points=_points(record, results))
        for record in track(parsed, description="tracking: reading records")
    ]
    summary = results / "summary.json"
    headline = read_json(summary) if summary.exists() else {}
    whole = results / "config" / "report.yaml"
    study = yaml.safe_load(whole.read_text())["study"] if whole.exists() else {}
    text = yaml.safe_dump(study, sort_keys=False)
    with _alone(config.tracking.artifacts):
        store = MlflowStore(config.tracking.uri, config.tracking.artifacts)
        upserted = store.upsert(config.experiment, runs, headline=headline, config=text)
    counts = {"enabled": 1, "runs": len(runs), **vars(upserted)}
    write_json(counts, done)
    return counts


@contextlib.contextmanager
def _alone(artifacts: Path) -> Iterator[None]:
    """Let one process at a time at the store: replicates end together, SQLite bears one writer."""
    artifacts.mkdir(parents=True, exist_ok=True)
    with (artifacts / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _artifacts(record: Record, results: Path) -> list[Artifact]:
    patterns = ARTIFACTS.get(record.stage, ())
    attack = str(record.params.get("name", "*"))
    places = {"attack": attack, "figure": "*", "searched": _searched(record)}
    paths = [path for pattern in patterns for path in results.glob(pattern.format(**places))]
    return [
        Artifact(path, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(paths)
        if path.is_file()
    ]


def _searched(record: Record) -> str:
    """Where a search over masks leaves its tables; of an attack beside the first, by its name."""
    attack = record.job.removeprefix("mask_grid").removeprefix("_")
    return f"saliency/tuned_on/{attack}" if attack else "saliency"


def _points(record: Record, results: Path) -> tuple[Point, ...]:
    grid = results / _searched(record) / "grid.csv"
    if record.stage != "mask_grid" or not grid.exists():
        return ()
    return grid_points(read_table(grid), limit=GRID_RUNS)
