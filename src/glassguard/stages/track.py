"""Bring MLflow up to date with what the stages left behind."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from glassguard.configuration.sections import TrackSection
from glassguard.files.formats import read_json, read_manifest, write_json
from glassguard.locks import lock_or_wait
from glassguard.progress import track
from glassguard.stages.paths import OutputPath
from glassguard.stages.tracked_runs import OF_STUDY, files_of, run_of
from glassguard.tracking.records import datasets_of, folded, parse_record


def run(
    config: TrackSection, *, records: list[Path], results: Path, done: OutputPath
) -> dict[str, float | int | str]:
    """Upsert the runs of one experiment; ``done`` is written when everything is stored.

    Raises:
        InputError: a record is broken, or the store cannot be opened or written.
    """
    counts: dict[str, float | int | str] = {"enabled": int(config.tracking.enabled)}
    if config.tracking.enabled:
        # MLflow takes a second or two to import, which a study without tracking should not pay.
        from glassguard.tracking.mlflow_store import MlflowStore, StudyRun

        jobs = folded(parse_record(path.stem, read_json(path)) for path in records)
        runs = [
            run_of(one, results) for one in track(jobs, description="tracking: reading records")
        ]
        whole = results / "config" / "report.yaml"
        settings = yaml.safe_load(whole.read_text())["study"] if whole.exists() else {}
        summary = read_json(results / "summary.json") if (results / "summary.json").exists() else {}
        manifest = results / "data" / "manifest.csv"
        data = datasets_of(read_manifest(manifest), name="faces") if manifest.exists() else ()
        study = StudyRun(
            config.experiment,
            summary,
            yaml.safe_dump(settings, sort_keys=False),
            tags={
                **_tags(config.experiment, settings),
                **{f"dataset.{d.split}": d.digest for d in data},
            },
            artifacts=[
                file for one in jobs if one.stage in OF_STUDY for file in files_of(one, results)
            ],
            datasets=data,
        )
        artifacts = config.tracking.artifacts
        artifacts.mkdir(parents=True, exist_ok=True)
        # Replicates end together, and SQLite has room for one writer.
        with (artifacts / ".lock").open("w") as lock:
            lock_or_wait(lock, f"tracking: waiting for another study that writes to {artifacts}")
            upserted = MlflowStore(config.tracking.uri, artifacts).upsert(study, runs)
        counts |= {"runs": len(runs), **vars(upserted)}
    write_json(counts, done)
    return counts


def _tags(name: str, settings: dict[str, Any]) -> dict[str, str]:
    """What runs are filtered and grouped by."""
    found = {
        "studies": "Dong 2019; blog 2019",
        "group": "/".join(part for part in name.split("/") if not part.startswith("seed_")),
        "seed": str(settings.get("seed", "")),
        "kernels": str(settings.get("kernels", "")),
        "device": str(settings.get("backbone", {}).get("pretraining", {}).get("accelerator", "")),
        "commit": _commit(),
    }
    return {key: value for key, value in found.items() if value}


def _commit() -> str:
    """The commit of the checkout that the study ran in, if it is one."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
