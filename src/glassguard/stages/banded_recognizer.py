"""Train the recognizer that never sees the band of the eyes, on frozen convolutions."""

from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.configuration.sections import BandedRecognizerSection
from glassguard.errors import InputError
from glassguard.faces.manifest import EYES
from glassguard.files.formats import (
    check_rows,
    read_images,
    read_manifest,
    write_csv,
    write_json,
)
from glassguard.guard.banding import banded
from glassguard.guard.eye_band import eye_band
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.head import train_dense_layers, untrained_recognizer
from glassguard.recognizer.onnx_file import OnnxError
from glassguard.recognizer.trainer import LabelledPictures
from glassguard.recognizer.weights import read_backbone, write_recognizer
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import use_threads


def run(
    config: BandedRecognizerSection,
    *,
    images: Path,
    manifest: Path,
    backbone: Path,
    recognizer: OutputPath,
    metrics: OutputPath,
    history: OutputPath,
) -> dict[str, float | int | str]:
    """Train on split ``train`` with the band filled; report accuracy on every split."""
    guard, seed = config.guard, config.seed
    settings = config.recognizer.model_copy(
        update={
            "occluded_copies": guard.occluded_copies,
            "masked_copies": 0,
            "framed_copies": 0,
        }
    )
    use_threads(settings.threads)
    rows, pictures = read_manifest(manifest), read_images(images)
    check_rows(rows, pictures, manifest, images)
    identities, labels = np.unique(rows["identity"].to_numpy(dtype=str), return_inverse=True)
    eyes = rows[list(EYES)].to_numpy(dtype=float).reshape(-1, 2, 2)
    band = eye_band(guard.placements, margin=guard.margin)
    hidden = banded(pictures, band.masks(eyes, pictures.shape[1]))
    try:
        network = untrained_recognizer(
            read_backbone(backbone),
            settings,
            identities=len(identities),
            image_size=pictures.shape[1],
            seed=seed,
        )
    except OnnxError as error:
        raise InputError(f"{backbone}: {error}") from None
    split = {name: rows["split"].to_numpy() == name for name in ("train", "val", "test")}
    train, validation = (
        LabelledPictures.chosen(hidden, labels, split[name]) for name in ("train", "val")
    )
    epochs = train_dense_layers(network, train, validation, settings, seed=seed)
    write_recognizer(recognizer, network, identities.tolist())
    write_csv(pd.DataFrame(epochs), history)
    correct = probabilities_of(network, hidden).argmax(1) == labels
    described: dict[str, float | int | str] = {
        **{f"{name}_accuracy": float(correct[chosen].mean()) for name, chosen in split.items()},
        **{f"{name}_images": int(chosen.sum()) for name, chosen in split.items()},
    }
    write_json(described, metrics)
    return described
