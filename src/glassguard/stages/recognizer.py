"""Train the dense layers of the recognizer on frozen convolutions."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from glassguard.configuration.slices import RecognizerSlice
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.head import train_dense_layers
from glassguard.recognizer.network import FaceRecognizer, channels_last
from glassguard.recognizer.weights import read_backbone, write_recognizer
from glassguard.stages.files import (
    check_rows,
    read_images,
    read_json,
    read_manifest,
    write_csv,
    write_json,
)
from glassguard.stages.paths import OutputPath


def run(
    config: RecognizerSlice,
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
    """Train on split ``train``; accuracy is reported on every split, nothing is chosen on any."""
    settings = config.recognizer
    torch.set_num_threads(settings.threads)
    rows = read_manifest(manifest)
    pictures = read_images(images)
    check_rows(rows, pictures, manifest, images)
    identities, labels = np.unique(rows["identity"].to_numpy(dtype=str), return_inverse=True)
    pretrained = read_backbone(backbone)
    torch.manual_seed(config.seed)
    network = channels_last(
        FaceRecognizer(
            identities=len(identities),
            image_size=pictures.shape[1],
            width=pretrained.width,
            hidden=settings.hidden,
            mean=pretrained.mean,
            scale=pretrained.scale,
            dropout=settings.dropout,
        )
    )
    network.features.load_state_dict(pretrained.tensors)
    split = {name: np.flatnonzero(rows["split"] == name) for name in ("train", "val", "test")}
    epochs = train_dense_layers(
        network,
        train_images=np.ascontiguousarray(pictures[split["train"]]),
        train_labels=labels[split["train"]].astype(np.int64),
        validation_images=np.ascontiguousarray(pictures[split["val"]]),
        validation_labels=labels[split["val"]].astype(np.int64),
        settings=settings,
        seed=config.seed,
    )
    write_recognizer(recognizer, network, identities.tolist())
    write_csv(pd.DataFrame(epochs), history)

    probabilities = probabilities_of(network, pictures)
    predicted = probabilities.argmax(1)
    write_csv(
        pd.DataFrame(
            {
                "image_id": rows["image_id"],
                "identity": rows["identity"],
                "split": rows["split"],
                "prediction": identities[predicted],
                "confidence": probabilities.max(1),
                "confidence_true": probabilities[np.arange(len(labels)), labels],
            }
        ),
        predictions,
    )
    correct = predicted == labels
    trained = sum(p.numel() for p in network.classifier.parameters())
    described = {
        **{f"{name}_accuracy": float(correct[indices].mean()) for name, indices in split.items()},
        **{f"{name}_images": len(indices) for name, indices in split.items()},
        "identities": len(identities),
        "epochs": settings.epochs,
        "backbone": read_json(backbone_metrics)["backbone"],
        "parameters_trained": trained,
        "parameters_frozen": sum(p.numel() for p in network.parameters()) - trained,
    }
    write_json(described, metrics)
    return described
