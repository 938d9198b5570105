"""Make the aligned faces of other people that the backbone is pretrained on."""

from pathlib import Path

import numpy as np

from glassguard.configuration.sections import PoolSection
from glassguard.configuration.sources import digests
from glassguard.datasets.collection import (
    Limits,
    Splitting,
    reject_people_of_study,
    reject_shared,
)
from glassguard.datasets.folders import people_of_folder, same_person_key
from glassguard.datasets.intake import Intake
from glassguard.datasets.reading import Reading
from glassguard.datasets.settings import Metrics, PhotographData
from glassguard.datasets.tables import Outputs
from glassguard.errors import InputError
from glassguard.faces.duplicates import perceptual_hash
from glassguard.files.formats import read_images, read_manifest
from glassguard.progress import track
from glassguard.stages.paths import OutputPath

LEAST_PEOPLE = 2
FRACTIONS = {"val": 0.1}
"""Shows how pretraining goes; nothing of the study is chosen on the pool."""

FIRST_IDENTITY = 10_000
"""Drawn people of the study are numbered from 0, at most 1,000 of them."""


def run(
    config: PoolSection,
    *,
    images: OutputPath,
    manifest: OutputPath,
    rejected: OutputPath,
    study_manifest: Path | None = None,
    study_images: Path | None = None,
) -> Metrics:
    """Draw other people, or read them from a folder and leave out whoever is in the study.

    Only a folder needs the study's manifest and pictures.
    """
    data, seed, outputs = config.data, config.seed, Outputs(images, manifest, rejected)
    wanted, root = config.backbone.pretraining, config.backbone.pool
    if not isinstance(data, PhotographData):
        if wanted.identities is None or wanted.images_per_identity is None:
            raise InputError(
                "backbone.pretraining.identities and images_per_identity: drawn people need numbers"
            )
        people = {f"other_{at:03d}": FIRST_IDENTITY + at for at in range(wanted.identities)}
        count = wanted.images_per_identity
        return data.draw(people, outputs, images_per_identity=count, fractions=FRACTIONS, seed=seed)
    if study_manifest is None or study_images is None:
        raise InputError("backbone.pool: needs --study-manifest and --study-images")
    if root is None:
        raise InputError("backbone.pool is required with photographs to make a pool")
    study, pictures = read_manifest(study_manifest), read_images(study_images)
    reading, distance = Reading.of(data), data.duplicate_distance
    with reading.open_scratch(images, code=digests("pool")) as scratch:
        intake = Intake(
            place=f"backbone.pool: {root}",
            limits=Limits(
                "backbone.pretraining",
                wanted.identities,
                wanted.images_per_identity,
                wanted.minimum_images,
            ),
            splitting=Splitting(FRACTIONS, distance),
            reading=reading,
            scratch=scratch,
            seed=seed,
        )
        collection = intake.collect(
            people_of_folder(root, key="backbone.pool"),
            excluded={same_person_key(name) for name in study.identity},
        )
        reject_shared(collection, scratch.image, distance)
        progress = track(pictures, description="hashing the study's pictures")
        reject_people_of_study(
            collection,
            scratch.image,
            digests=study.sha256,
            study=pictures,
            hashes=np.array([perceptual_hash(one) for one in progress], np.uint64),
            distance=distance,
        )
        return intake.split_and_write(collection, outputs, least_people=LEAST_PEOPLE)
