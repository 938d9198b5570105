"""Pretrain the convolutions on a pool of people outside the study."""

from pathlib import Path

import numpy as np
import torch

from glassguard.configuration.slices import BackboneSlice
from glassguard.errors import InputError
from glassguard.recognizer.pretraining import pretrain
from glassguard.recognizer.weights import BackboneFile, write_backbone
from glassguard.stages.files import check_rows, read_images, read_manifest, write_json
from glassguard.stages.paths import OutputPath


def run(
    config: BackboneSlice,
    *,
    images: Path,
    manifest: Path,
    backbone: OutputPath,
    metrics: OutputPath,
) -> dict[str, float | int | str]:
    """Train on the rows of split ``train``, measure on those of split ``val``."""
    settings = config.backbone
    torch.set_num_threads(settings.pretraining.threads)
    rows = read_manifest(manifest)
    pictures = read_images(images)
    check_rows(rows, pictures, manifest, images)
    people, labels = np.unique(rows["identity"].to_numpy(dtype=str), return_inverse=True)
    if len(people) < 2:
        raise InputError(f"{manifest}: pretraining needs at least 2 people, there is {len(people)}")
    train = np.flatnonzero(rows["split"] == "train")
    validation = np.flatnonzero(rows["split"] == "val")
    tensors, measured = pretrain(
        np.ascontiguousarray(pictures[train]),
        labels[train].astype(np.int64),
        validation_images=np.ascontiguousarray(pictures[validation]),
        validation_labels=labels[validation].astype(np.int64),
        settings=settings,
        seed=config.seed,
    )
    write_backbone(backbone, BackboneFile(tensors, settings.width, *settings.normalisation()))
    # The study's own people are told from a pool's by the test split, which only the study has.
    own_people = bool((rows["split"] == "test").any())
    described = {
        "backbone": "pretrained on the study's own training pictures"
        if own_people
        else "pretrained on other people",
        "precision": settings.pretraining.precision,
        **measured,
    }
    write_json(described, metrics)
    return described
