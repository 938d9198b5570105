"""Gather the shards of an attack into one set of adversarial pictures."""

from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.configuration.sections import AttackSection
from glassguard.errors import InputError
from glassguard.files.formats import read_arrays, write_csv
from glassguard.stages.paths import OutputPath


def run(
    config: AttackSection,
    *,
    shards: list[Path],
    examples: OutputPath,
    images: OutputPath,
    frames: OutputPath,
) -> dict[str, float | int | str]:
    """Put every example back into the order of the plan."""
    parts = [read_arrays(path, kind="a shard of an attack") for path in shards]
    gathered = {
        key: np.concatenate([part[key] for part in parts])
        for key in parts[0]
        if key != "identities"
    }
    order = np.argsort(gathered["order"])
    if not np.array_equal(gathered["order"][order], np.arange(len(order))):
        raise InputError(f"{shards[0].parent}: the shards do not make up one attack; delete them")
    gathered = {key: value[order] for key, value in gathered.items()}
    identities = parts[0]["identities"]
    np.save(images, gathered["images"])
    np.save(frames, gathered["frames"])
    table = pd.DataFrame(
        {
            "example_id": [f"{config.name}_{row:05d}" for row in range(len(order))],
            "image_id": gathered["image_id"],
            "split": gathered["split"],
            "attacker": identities[gathered["attacker"]],
            "target": identities[gathered["target"]],
            "goal": config.attack.goal,
            "iterations": gathered["iterations"],
            "gradients": gathered["gradients"],
            "initial_prediction": identities[gathered["initial_prediction"]],
            "prediction": identities[gathered["prediction"]],
            "confidence_true": gathered["confidence_true"],
            "confidence_target": gathered["confidence_target"],
            "success": gathered["success"],
            "success_jpeg": gathered["success_jpeg"],
            "frame_area": gathered["frames"].mean(axis=(1, 2)),
        }
    )
    write_csv(table, examples)
    test = table[table["split"] == "test"]
    return {
        "examples": len(table),
        "test_examples": len(test),
        "pairs": len(table[["target", "attacker"]].drop_duplicates()),
        "test_success": float(test["success"].mean()),
        "test_success_jpeg": float(test["success_jpeg"].mean()),
        "test_still_correct": float((test["prediction"] == test["attacker"]).mean()),
        "frame_area": float(table["frame_area"].mean()),
    }
