"""Put frames that are not adversarial on benign pictures: honest wearers of glasses."""

from pathlib import Path

import numpy as np
import torch

from glassguard.attack.controls import controls_table, honest_wearers
from glassguard.configuration.sections import ControlsSection
from glassguard.errors import InputError
from glassguard.faces.manifest import EYES
from glassguard.files.formats import check_rows, read_images, read_manifest, write_csv
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.weights import read_recognizer
from glassguard.stages.paths import OutputPath


def run(
    config: ControlsSection,
    *,
    kind: str,
    images: Path,
    manifest: Path,
    recognizer: Path,
    examples: OutputPath,
    control_images: OutputPath,
    frames: OutputPath,
) -> dict[str, float | int | str]:
    """Draw the attack's frame in one colour (``plain``) or in random colours (``random``)."""
    settings = config.controls
    torch.set_num_threads(settings.threads)
    network, identities = read_recognizer(recognizer)
    rows = read_manifest(manifest)
    pictures = read_images(images)
    check_rows(rows, pictures, manifest, images)
    try:
        wearers = honest_wearers(
            pictures,
            rows["split"].to_numpy(),
            rows[list(EYES)].to_numpy(dtype=float).reshape(-1, 2, 2),
            kind=kind,
            limits={
                "val": settings.validation_images,
                "test": settings.images,
                "train": settings.training_images,
            },
            colour=settings.colour,
            seed=config.seed,
        )
    except ValueError as error:
        raise InputError(f"--{error}") from None
    np.save(control_images, wearers.images)
    np.save(frames, wearers.frames)
    confidences = probabilities_of(network, wearers.images)
    table = controls_table(kind, wearers, rows, confidences, identities)
    write_csv(table, examples)
    test = table[table["split"] == "test"]
    return {
        "examples": len(table),
        "test_accuracy": float((test["prediction"] == test["identity"]).mean()),
        "frame_area": float(table["frame_area"].mean()),
    }
