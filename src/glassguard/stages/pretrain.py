"""Pretrain the convolutions on a pool of people outside the study."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

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

    After every epoch the state is kept in ``<backbone>.checkpoint``; a call that was killed goes on
    from there when it is made again for the same settings and pictures.

    Args:
        config: the section.
        images: uint8 N×H×W×3.
        manifest: table of the pictures.
        backbone: safetensors file to write.
        metrics: JSON file to write.
        teacher: embeddings of all pictures, needed with ``pretraining.teacher``.

    Returns:
        What is written to ``metrics``.

    Raises:
        InputError: the files do not belong together, there are too few people, or the accelerator
            is not here.
    """
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
    taught = None
    if settings.pretraining.teacher is not None:
        if teacher is None:
            raise InputError("backbone.pretraining.teacher: needs --teacher, its embeddings")
        embeddings = read_embeddings(teacher)
        check_rows(rows, embeddings, manifest, teacher)
        taught = np.ascontiguousarray(embeddings[train])
    chosen = np.ascontiguousarray(pictures[train]), labels[train].astype(np.int64)
    checkpoint = backbone.with_name(f"{backbone.name}.checkpoint")
    tensors, measured = pretrain(
        *chosen,
        validation_images=np.ascontiguousarray(pictures[validation]),
        validation_labels=labels[validation].astype(np.int64),
        settings=settings,
        seed=config.seed,
        taught=taught,
        checkpoint=checkpoint,
        bound_to=_digest(config, [*chosen, *([] if taught is None else [taught])]),
    )
    write_backbone(backbone, BackboneFile(tensors, settings.width, *settings.normalisation()))
    # The study's own people are told from a pool's by the test split, which only the study has.
    own_people = bool((rows["split"] == "test").any())
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


def _digest(config: BackboneSection, arrays: list[np.ndarray]) -> str:
    """Of everything that decides what is trained."""
    settings = config.model_dump(mode="json")
    versions = [version("torch"), version("pytorch-lightning")]
    digest = hashlib.sha256(json.dumps([settings, versions], sort_keys=True).encode())
    for file in sources("pretrain"):
        digest.update(file.read_bytes())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()
