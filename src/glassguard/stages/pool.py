"""Makes the aligned faces of other people that the backbone is pretrained on."""

from pathlib import Path

import numpy as np

from glassguard.configuration.sections import PoolSection
from glassguard.datasets.settings import EmbeddedData, PhotographData
from glassguard.errors import InputError
from glassguard.faces import duplicates
from glassguard.faces.folder import same_person_key
from glassguard.files.formats import read_images, read_manifest
from glassguard.progress import track
from glassguard.stages.aligned_faces import (
    Collection,
    Limits,
    collect,
    draw,
    open_scratch,
    read_detector,
    reject_shared,
    split_and_write,
    summary,
    write_rejected,
)
from glassguard.stages.paths import OutputPath
from glassguard.stages.picture_sources import people_of_folder
from glassguard.stages.scratch import Scratch

LEAST_PEOPLE = 2
FRACTIONS = {"val": 0.1}
"""A look at how pretraining goes; nothing of the study is chosen on the pool."""

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
) -> dict[str, float | int | str]:
    """Draw other people, or read them from a folder and leave out whoever is in the study.

    Args:
        config: the section; where the study's faces are photographs, people are read from
            ``backbone.pool``.
        images: uint8 N×H×W×3 to write.
        manifest: table to write, a row per picture; splits ``train`` and ``val`` only.
        rejected: table to write, a row per picture that was given and is not used.
        study_manifest: the study's manifest; needed with a folder.
        study_images: the study's pictures; needed with a folder.

    Returns:
        How many people and pictures there are, by split and by kind of alignment.

    Raises:
        InputError: the folder or the detector cannot be used, or too few people are left.
    """
    if not isinstance(config.data, EmbeddedData):
        if study_manifest is None or study_images is None:
            raise InputError("backbone.pool: needs --study-manifest and --study-images")
        return _read_people(
            config, config.data, images, manifest, rejected, study_manifest, study_images
        )
    pretraining = config.backbone.pretraining
    if pretraining.identities is None or pretraining.images_per_identity is None:
        raise InputError(
            "backbone.pretraining.identities and images_per_identity: drawn people need numbers"
        )
    frame = draw(
        {
            f"other_{number:03d}": FIRST_IDENTITY + number
            for number in range(pretraining.identities)
        },
        images_per_identity=pretraining.images_per_identity,
        size=config.data.image_size,
        fractions=FRACTIONS,
        seed=config.seed,
        images=images,
        manifest=manifest,
    )
    write_rejected([], rejected)
    return summary(frame)


def _read_people(
    config: PoolSection,
    reading: PhotographData,
    images: Path,
    manifest: Path,
    rejected: Path,
    study_manifest: Path,
    study_images: Path,
) -> dict[str, float | int | str]:
    root = config.backbone.pool
    if root is None:
        raise InputError("backbone.pool is required with photographs to make a pool")
    detector = read_detector(reading.detector)
    pretraining = config.backbone.pretraining
    limits = Limits(
        section="backbone.pretraining",
        identities=pretraining.identities,
        images_per_identity=pretraining.images_per_identity,
        minimum_images=pretraining.minimum_images,
        maximum_pixels=reading.maximum_pixels,
    )
    study = read_manifest(study_manifest)
    with open_scratch(
        images, detector=detector, size=reading.image_size, maximum_pixels=reading.maximum_pixels
    ) as scratch:
        collection = collect(
            people_of_folder(root, key="backbone.pool"),
            key="backbone.pool",
            limits=limits,
            detector=detector,
            size=reading.image_size,
            seed=config.seed,
            scratch=scratch,
            excluded={same_person_key(name) for name in study.identity},
        )
        reject_shared(collection, scratch, reading.duplicate_distance)
        _reject_people_on_pictures_of_the_study(
            collection,
            scratch,
            set(study.sha256),
            read_images(study_images),
            reading.duplicate_distance,
        )
        return split_and_write(
            collection,
            scratch,
            place=f"backbone.pool: {root}",
            limits=limits,
            least_people=LEAST_PEOPLE,
            distance=reading.duplicate_distance,
            fractions=FRACTIONS,
            seed=config.seed,
            images=images,
            manifest=manifest,
            rejected=rejected,
        )


def _reject_people_on_pictures_of_the_study(
    collection: Collection,
    scratch: Scratch,
    digests: set[str],
    study: np.ndarray,
    distance: int,
) -> None:
    reasons = {
        at: "the same file is in the study"
        for at, picture in enumerate(collection.pictures)
        if picture.sha256 in digests
    }
    hashes = np.array(
        [
            duplicates.perceptual_hash(picture)
            for picture in track(study, description="hashing the study's pictures")
        ],
        dtype=np.uint64,
    )
    for at, other in duplicates.near_pairs(collection.hashes(), hashes, distance):
        image = scratch.image(collection.pictures[at].row)
        if at not in reasons and duplicates.same_photograph(image, study[other]):
            reasons[int(at)] = "the same photograph is in the study"
    # One photograph says who somebody is, whatever the collection calls that person.
    known: dict[str, str] = {}
    for at in sorted(reasons):
        known.setdefault(collection.pictures[at].identity, collection.pictures[at].source)
    for at, picture in enumerate(collection.pictures):
        if picture.identity in known and at not in reasons:
            reasons[at] = f"person is in the study: {known[picture.identity]} is a photograph of it"
    collection.reject(reasons)
