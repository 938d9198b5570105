"""Bring MLflow up to date with what the stages left behind."""

import hashlib
from pathlib import Path

import yaml

from glassguard.configuration.sections import TrackSection
from glassguard.files.formats import read_json, read_table, write_json
from glassguard.files.layout import ARTIFACTS
from glassguard.locks import lock_or_wait
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
    """Upsert the runs of one experiment; ``done`` is written when everything is stored.

    Raises:
        InputError: a record is broken, or the store cannot be opened.
    """
    counts: dict[str, float | int | str] = {"enabled": int(config.tracking.enabled)}
    if config.tracking.enabled:
        # MLflow takes a second or two to import, which a study without tracking should not pay.
        from glassguard.tracking.mlflow_store import MlflowStore

        parsed = [
            parse_record(path.stem, read_json(path))
            for path in sorted(records, key=lambda path: path.stem)
        ]
        runs = [
            stage_run(one, artifacts=_artifacts(one, results), points=_points(one, results))
            for one in track(parsed, description="tracking: reading records")
        ]
        summary = results / "summary.json"
        headline = read_json(summary) if summary.exists() else {}
        whole = results / "config" / "report.yaml"
        study = yaml.safe_load(whole.read_text())["study"] if whole.exists() else {}
        artifacts = config.tracking.artifacts
        artifacts.mkdir(parents=True, exist_ok=True)
        # Replicates end together, and SQLite has room for one writer.
        with (artifacts / ".lock").open("w") as lock:
            lock_or_wait(lock, f"tracking: waiting for another study that writes to {artifacts}")
            store = MlflowStore(config.tracking.uri, artifacts)
            upserted = store.upsert(
                config.experiment,
                runs,
                headline=headline,
                config=yaml.safe_dump(study, sort_keys=False),
            )
        counts |= {"runs": len(runs), **vars(upserted)}
    write_json(counts, done)
    return counts


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
    """Folder of the tables of a search over masks; further attacks have their own."""
    attack = record.job.removeprefix("mask_grid").removeprefix("_")
    return f"saliency/tuned_on/{attack}" if attack else "saliency"


def _points(record: Record, results: Path) -> tuple[Point, ...]:
    grid = results / _searched(record) / "grid.csv"
    if record.stage != "mask_grid" or not grid.exists():
        return ()
    return grid_points(read_table(grid), limit=GRID_RUNS)
