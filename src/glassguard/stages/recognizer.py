"""Train the dense layers of the recognizer on a frozen network."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from glassguard.attack.controls import framed_copies
from glassguard.configuration.sections import RecognizerSection
from glassguard.errors import InputError
from glassguard.faces.manifest import EYES
from glassguard.files.formats import (
    check_rows,
    check_top_classes,
    read_images,
    read_json,
    read_manifest,
    write_csv,
    write_json,
)
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.head import (
    chance_warning,
    copies_to_mask,
    in_batches,
    train_dense_layers,
    untrained_recognizer,
)
from glassguard.recognizer.network import Recognizer
from glassguard.recognizer.onnx_file import OnnxError
from glassguard.recognizer.predictions import accuracies, parameter_counts, predictions_table
from glassguard.recognizer.trainer import LabelledPictures
from glassguard.recognizer.weights import read_backbone, write_recognizer
from glassguard.saliency.explanation import explainer
from glassguard.saliency.masked_copies import masked_copies
from glassguard.stages.paths import OutputPath


def run(
    config: RecognizerSection,
    *,
    images: Path,
    manifest: Path,
    backbone: Path,
    backbone_metrics: Path,
    recognizer: OutputPath,
    metrics: OutputPath,
    predictions: OutputPath,
    history: OutputPath,
) -> dict[str, float | int | str]:
    """Train on split ``train``; report accuracy on every split, choose nothing on any."""
    settings, seed = config.recognizer, config.seed
    torch.set_num_threads(settings.threads)
    rows = read_manifest(manifest)
    pictures = read_images(images)
    check_rows(rows, pictures, manifest, images)
    identities, labels = np.unique(rows["identity"].to_numpy(dtype=str), return_inverse=True)
    masks = settings.copy_masks
    if settings.masked_copies:
        key = "recognizer.copy_masks.top_classes"
        check_top_classes(key, masks.top_classes, identities, manifest)
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
        LabelledPictures.chosen(pictures, labels, split[name]) for name in ("train", "val")
    )

    def further(trained: Recognizer) -> Iterator[Tensor]:
        if settings.masked_copies:
            # Covered in other places than the occluded copies, which have the seed itself.
            copies = copies_to_mask(train.images, settings, seed=seed + 1)
            explain = explainer(trained, masks.map, masks)
            yield from masked_copies(copies, explain, masks, generator=np.random.default_rng(seed))
        if worn_copies := settings.framed_copies:
            eyes = rows.loc[split["train"], list(EYES)].to_numpy(dtype=float).reshape(-1, 2, 2)
            for worn in framed_copies(train.images, eyes, copies=worn_copies, seed=seed):
                yield from in_batches(worn)

    epochs = train_dense_layers(
        network, train, validation, settings, seed=seed, further_copies=further
    )
    write_recognizer(recognizer, network, identities.tolist())
    write_csv(pd.DataFrame(epochs), history)

    table = predictions_table(rows, identities.tolist(), probabilities_of(network, pictures))
    write_csv(table, predictions)
    described = {
        **accuracies(table, tuple(split)),
        "identities": len(identities),
        "epochs": settings.epochs,
        "backbone": read_json(backbone_metrics)["backbone"],
        **parameter_counts(network),
    }
    write_json(described, metrics)
    if warning := chance_warning(described["train_accuracy"], len(identities)):
        print(warning, file=sys.stderr)
    return described
