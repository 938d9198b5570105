"""Makes the study's aligned faces, their splits and the list of pictures that were not used."""

from pathlib import Path

import numpy as np

from glassguard.configuration.schema import EmbeddedData, FolderData
from glassguard.configuration.slices import DataSlice
from glassguard.errors import InputError
from glassguard.stages.aligned_faces import (
    FolderLimits,
    Scratch,
    collect,
    draw,
    group_and_split,
    read_detector,
    reject_shared,
    summary,
    write_pictures,
    write_rejected,
)

LEAST_PEOPLE = 4
"""Two pairs of attacker and target that share nobody."""


def run(
    config: DataSlice, *, images: Path, manifest: Path, rejected: Path
) -> dict[str, float | int | str]:
    """Draw the study's people, or read them from a folder.

    Args:
        config: the slice.
        images: uint8 N×H×W×3 to write.
        manifest: table to write, a row per picture (:mod:`glassguard.faces.manifest`).
        rejected: table to write, a row per picture that was given and is not used.

    Returns:
        How many people and pictures there are, by split and by kind of alignment.

    Raises:
        InputError: the folder or the detector cannot be used, or too few people are left.
    """
    data = config.data
    if isinstance(data, FolderData):
        return _read_people(data, config.seed, images, manifest, rejected)
    frame = draw(
        {f"person_{number:03d}": number for number in range(data.identities)},
        images_per_identity=data.images_per_identity,
        size=data.image_size,
        fractions=_fractions(data),
        seed=config.seed,
        images=images,
        manifest=manifest,
    )
    write_rejected([], rejected)
    return summary(frame)


def _read_people(
    data: FolderData, seed: int, images: Path, manifest: Path, rejected: Path
) -> dict[str, float | int | str]:
    if data.root is None:
        raise InputError("data.root is required: a folder with one sub-folder per person")
    detector = read_detector(data.detector)
    limits = FolderLimits(
        section="data",
        identities=data.identities,
        images_per_identity=data.images_per_identity,
        minimum_images=data.minimum_images,
        maximum_pixels=data.maximum_pixels,
    )
    with Scratch(images.parent, data.image_size) as scratch:
        collection = collect(
            data.root,
            key="data.root",
            limits=limits,
            detector=detector,
            size=data.image_size,
            seed=seed,
            scratch=scratch,
            excluded=set(),
        )
        reject_shared(collection, scratch, data.duplicate_distance)
        groups, splits = group_and_split(
            collection,
            distance=data.duplicate_distance,
            limits=limits,
            fractions=_fractions(data),
            seed=seed,
        )
        people = len(set(collection.labels()))
        if people < LEAST_PEOPLE:
            raise InputError(
                f"data.root: {data.root}: {people} people with at least {data.minimum_images} "
                f"usable pictures (data.minimum_images); at least {LEAST_PEOPLE} are needed"
                f"{collection.commonest_reason()}"
            )
        frame = write_pictures(collection, scratch, splits, images, manifest)
    write_rejected(collection.rejected, rejected)
    return {
        **summary(frame),
        "rejected": len(collection.rejected),
        "near_duplicates": len(groups) - len(np.unique(groups)),
    }


def _fractions(data: EmbeddedData | FolderData) -> dict[str, float]:
    return {"val": data.validation_fraction, "test": data.test_fraction}
