"""Pretrain the convolutions on a pool of people outside the study."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glassguard.configuration.sections import BackboneSection
from glassguard.configuration.sources import sources
from glassguard.errors import InputError
from glassguard.files.formats import (
    check_rows,
    read_embeddings,
    read_images,
    read_manifest,
    write_json,
)
from glassguard.recognizer.pretraining import pretrain
from glassguard.recognizer.trainer import LabelledPictures
from glassguard.recognizer.weights import BackboneFile, write_backbone
from glassguard.stages.paths import OutputPath


def run(
    config: BackboneSection,
    *,
    images: Path,
    manifest: Path,
    backbone: OutputPath,
    metrics: OutputPath,
    teacher: Path | None = None,
) -> dict[str, float | int | str]:
    """Train on the rows of split ``train``, measure on those of split ``val``.

    ``<backbone>.checkpoint`` stores the state after every epoch; a second call for the same
    settings and pictures resumes a killed one from there. ``teacher`` (embeddings of all pictures)
    is required with ``pretraining.teacher``.
    """
    settings = config.backbone
    torch.set_num_threads(settings.pretraining.threads)
    rows = read_manifest(manifest)
    pictures = read_images(images)
    check_rows(rows, pictures, manifest, images)
    people, labels = np.unique(rows["identity"].to_numpy(dtype=str), return_inverse=True)
    if len(people) < 2:
        raise InputError(f"{manifest}: pretraining needs at least 2 people, there is {len(people)}")
    splits = rows["split"].to_numpy()
    trained, validation = (
        LabelledPictures.chosen(pictures, labels, splits == name) for name in ("train", "val")
    )
    taught = None
    if settings.pretraining.teacher is not None:
        if teacher is None:
            raise InputError("backbone.pretraining.teacher: needs --teacher, its embeddings")
        embeddings = read_embeddings(teacher)
        check_rows(rows, embeddings, manifest, teacher)
        taught = np.ascontiguousarray(embeddings[splits == "train"])
    checkpoint = backbone.with_name(f"{backbone.name}.checkpoint")
    tensors, measured = pretrain(
        trained,
        validation,
        settings,
        seed=config.seed,
        taught=taught,
        checkpoint=checkpoint,
        bound_to=_digest(config, trained.images, trained.labels, taught),
    )
    write_backbone(backbone, BackboneFile(tensors, settings.width, *settings.normalisation()))
    # Only the study has a test split: it tells the study's own people from a pool's.
    own_people = bool((splits == "test").any())
    described = {
        "backbone": "pretrained on the study's own training pictures"
        if own_people
        else "pretrained on other people",
        "precision": settings.pretraining.precision,
        "margin_kind": settings.pretraining.margin_kind,
        **measured,
    }
    write_json(described, metrics)
    checkpoint.unlink(missing_ok=True)
    return described


def _digest(config: BackboneSection, *arrays: NDArray[Any] | None) -> str:
    """Digest of everything that decides what is trained."""
    settings = config.model_dump(mode="json")
    versions = [version("torch"), version("pytorch-lightning")]
    digest = hashlib.sha256(json.dumps([settings, versions], sort_keys=True).encode())
    for file in sources("pretrain"):
        digest.update(file.read_bytes())
    for array in arrays:
        if array is not None:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(array.data)
    return digest.hexdigest()
