"""What tracking shows of each stage: read from its tables, pictures and files."""

import hashlib
from pathlib import Path
from typing import Any

from glassguard.files.formats import (
    read_arrays,
    read_examples,
    read_images,
    read_manifest,
    read_table,
)
from glassguard.files.layout import ARTIFACTS
from glassguard.tracking import curves
from glassguard.tracking.records import Artifact, Record, StageRun, grid_points, stage_run

GRID_RUNS = 40
OF_STUDY = {"figures": "figures", "report": ""}
"""Stages whose files belong to the study's own run, and the folder there."""


def run_of(record: Record, results: Path) -> StageRun:
    """A stage's run with what its tables and pictures show."""
    own: dict[str, Any] = {}
    attack = results / "attacks" / str(record.params.get("name"))
    grid = results / _searched(record) / "grid.csv"
    saliency, detection = results / "saliency", results / "detection"
    if record.stage == "recognizer" and (results / "recognizer" / "history.csv").exists():
        own["curves"] = curves.training_curves(read_table(results / "recognizer" / "history.csv"))
        own["model"] = results / "recognizer" / "recognizer.safetensors"
    elif record.stage.startswith("attack") and (attack / "examples.csv").exists():
        examples = read_examples(attack / "examples.csv")
        own["curves"] = curves.attack_curves(examples)
        own["pictures"] = curves.attack_pictures(
            examples,
            read_images(attack / "images.npy"),
            read_images(results / "data" / "images.npy"),
            read_manifest(results / "data" / "manifest.csv")["image_id"],
        )
    elif record.stage == "detection" and (detection / "layers.csv").exists():
        own["curves"] = curves.layer_curves(read_table(detection / "layers.csv"))
        own["points"] = curves.detector_points(read_table(detection / "attacks.csv"))
    elif record.stage == "mask_evaluation" and (saliency / "threshold_curve.csv").exists():
        own["curves"] = curves.threshold_curves(read_table(saliency / "threshold_curve.csv"))
        masks = read_arrays(saliency / "masks.npz", kind="masks of pictures")
        own["pictures"] = curves.mask_pictures(masks)
    elif record.stage == "mask_grid" and grid.exists():
        own["points"] = grid_points(read_table(grid), limit=GRID_RUNS)
    files = () if record.stage in OF_STUDY else files_of(record, results)
    return stage_run(record, artifacts=files, **own)


def files_of(record: Record, results: Path) -> list[Artifact]:
    """The files that tracking keeps of a stage."""
    attack = str(record.params.get("name", "*"))
    places = {"attack": attack, "figure": "*", "searched": _searched(record)}
    patterns = [pattern.format(**places) for pattern in ARTIFACTS.get(record.stage, ())]
    paths = sorted(path for pattern in patterns for path in results.glob(pattern))
    folder = OF_STUDY.get(record.stage, "")
    return [
        Artifact(path, hashlib.sha256(path.read_bytes()).hexdigest(), folder)
        for path in paths
        if path.is_file()
    ]


def _searched(record: Record) -> str:
    """Folder of the tables of a search over masks; further attacks have their own."""
    attack = record.job.removeprefix("mask_grid").removeprefix("_")
    return f"saliency/tuned_on/{attack}" if attack else "saliency"
