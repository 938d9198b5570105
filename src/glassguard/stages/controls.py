"""Put frames that are not adversarial on benign pictures: honest wearers of glasses."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from glassguard.attack.frames import frame_masks, random_texture, wear
from glassguard.configuration.sections import ControlsSection
from glassguard.errors import InputError
from glassguard.files.formats import check_rows, read_images, read_manifest, write_csv
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.weights import read_recognizer
from glassguard.stages.paths import OutputPath

KINDS = ("plain", "random")
DRAW = (0xC0, 1)
"""Sets the draw of wearers and of colours apart from other draws of a study."""


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
    if kind not in KINDS:
        raise InputError(f"--kind {kind}: must be one of {', '.join(KINDS)}")
    settings = config.controls
    torch.set_num_threads(settings.threads)
    network, identities = read_recognizer(recognizer)
    rows = read_manifest(manifest)
    pictures = read_images(images)
    check_rows(rows, pictures, manifest, images)
    # One draw for both kinds: the same faces wear either frame, so that kinds can be compared and
    # a mixture can show every face once.
    generator = np.random.default_rng([config.seed, *DRAW])
    chosen = np.concatenate(
        [
            np.sort(generator.permutation(np.flatnonzero(rows["split"] == split))[:limit])
            for split, limit in (
                ("val", settings.validation_images),
                ("test", settings.images),
                ("train", settings.training_images),
            )
        ]
    )
    originals = np.ascontiguousarray(pictures[chosen])
    size = originals.shape[1]
    wearers = rows.iloc[chosen]
    eyes = wearers[["left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"]].to_numpy(dtype=float)
    masks = frame_masks(eyes.reshape(-1, 2, 2), size)
    if kind == "plain":
        texture = np.round(np.array(settings.colour) * 255).astype(np.uint8)
    else:
        texture = random_texture(len(chosen), size, generator=generator)
    worn = wear(originals, masks, texture)
    np.save(control_images, worn)
    np.save(frames, masks)

    probabilities = probabilities_of(network, worn)
    labels = np.array([identities.index(name) for name in wearers["identity"]])
    predicted = probabilities.argmax(1)
    table = pd.DataFrame(
        {
            "example_id": [f"{kind}_{row:05d}" for row in range(len(chosen))],
            "image_id": wearers["image_id"].to_numpy(),
            "split": wearers["split"].to_numpy(),
            "identity": wearers["identity"].to_numpy(),
            "prediction": np.array(identities)[predicted],
            "confidence": probabilities.max(1),
            "confidence_true": probabilities[np.arange(len(chosen)), labels],
            "frame_area": masks.mean(axis=(1, 2)),
        }
    )
    write_csv(table, examples)
    test = (table["split"] == "test").to_numpy()
    return {
        "examples": len(table),
        "test_accuracy": float((predicted == labels)[test].mean()),
        "frame_area": float(table["frame_area"].mean()),
    }
