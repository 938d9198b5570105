"""Train the dense layers of the recognizer on frozen convolutions."""

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassguard.configuration.sections import RecognizerSection
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
from glassguard.recognizer.head import BATCH, train_dense_layers, training_copies
from glassguard.recognizer.network import FaceRecognizer, channels_last
from glassguard.recognizer.weights import read_backbone, write_recognizer
from glassguard.saliency.explanation import explainer
from glassguard.saliency.masked_copies import masked_copies
from glassguard.stages.paths import OutputPath

LEAST_ABOVE_CHANCE = 0.2
"""Share of the way from chance to perfection that a recognizer must make to be worth a study."""


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
    """Train on split ``train``; accuracy is reported on every split, nothing is chosen on any."""
    settings = config.recognizer
    torch.set_num_threads(settings.threads)
    rows = read_manifest(manifest)
    pictures = read_images(images)
    check_rows(rows, pictures, manifest, images)
    identities, labels = np.unique(rows["identity"].to_numpy(dtype=str), return_inverse=True)
    if settings.masked_copies:
        key = "recognizer.copy_masks.top_classes"
        check_top_classes(key, settings.copy_masks.top_classes, identities, manifest)
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
    train_images = np.ascontiguousarray(pictures[split["train"]])
    epochs = train_dense_layers(
        network,
        train_images=train_images,
        train_labels=labels[split["train"]].astype(np.int64),
        validation_images=np.ascontiguousarray(pictures[split["val"]]),
        validation_labels=labels[split["val"]].astype(np.int64),
        settings=settings,
        seed=config.seed,
        further_copies=_masked(train_images, config),
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
    chance = 1 / len(identities)
    if described["train_accuracy"] - chance < LEAST_ABOVE_CHANCE * (1 - chance):
        print(
            f"the recognizer names {described['train_accuracy']:.3f} of its own training pictures: "
            f"with {len(identities)} people that is hardly more than chance, and nothing that is "
            "measured on it means anything; more pictures, a pool of other people or published "
            "weights are needed (docs/own-data.md)",
            file=sys.stderr,
        )
    return described


def _masked(
    images: NDArray[np.uint8], config: RecognizerSection
) -> Callable[[FaceRecognizer], Iterator[Tensor]] | None:
    """What makes masked copies of training pictures, where there are to be any."""
    settings = config.recognizer
    masks = settings.copy_masks
    if not settings.masked_copies:
        return None
    # The first are bare and mirrored, all others wear something, as attackers do.
    worn = settings.occlusion.model_copy(update={"covers": ("texture",)})
    occluded = max(0, settings.masked_copies - 1 - settings.flipped_copies)
    unmasked = settings.model_copy(update={"occluded_copies": occluded, "occlusion": worn})
    batches = settings.masked_copies * -(-len(images) // BATCH)

    def copies(network: FaceRecognizer) -> Iterator[Tensor]:
        return masked_copies(
            # Covered at other places than the occluded copies, which share their seed.
            islice(training_copies(images, unmasked, seed=config.seed + 1), batches),
            explainer(network, masks.map, masks),
            masks,
            generator=np.random.default_rng(config.seed),
        )

    return copies
