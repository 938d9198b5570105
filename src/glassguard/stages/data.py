"""Makes the study's aligned faces, their splits and the list of pictures that were not used."""

from pathlib import Path

from glassguard.configuration.schema import DataCommon, EmbeddedData, PhotographData
from glassguard.configuration.slices import DataSlice
from glassguard.stages.aligned_faces import (
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
from glassguard.stages.picture_sources import open_people

LEAST_PEOPLE = 4
"""Two pairs of attacker and target that share nobody."""


def run(
    config: DataSlice,
    *,
    images: OutputPath,
    manifest: OutputPath,
    rejected: OutputPath,
    listing: Path | None = None,
) -> dict[str, float | int | str]:
    """Draw the study's people, or read their photographs.

    A call that was interrupted takes up its work from ``<images>.partial``.

    Args:
        config: the slice.
        images: uint8 N×H×W×3 to write.
        manifest: table to write, a row per picture (:mod:`glassguard.faces.manifest`).
        rejected: table to write, a row per picture that was given and is not used.
        listing: pictures that a fetching stage put on disk
            (:data:`glassguard.stages.picture_sources.LISTING_COLUMNS`).

    Returns:
        How many people and pictures there are, by split and by kind of alignment.

    Raises:
        InputError: the source or the detector cannot be used, or too few people are left.
    """
    data = config.data
    if not isinstance(data, EmbeddedData):
        return _read_people(data, config.seed, images, manifest, rejected, listing)
    frame = draw(
        {f"person_{number:03d}": number for number in range(data.identities)},
        images_per_identity=data.images_per_identity,
        size=data.image_size,
        fractions=_fractions(data),
        fold=data.fold,
        seed=config.seed,
        images=images,
        manifest=manifest,
    )
    write_rejected([], rejected)
    return summary(frame)


def _read_people(
    data: PhotographData,
    seed: int,
    images: Path,
    manifest: Path,
    rejected: Path,
    listing: Path | None,
) -> dict[str, float | int | str]:
    detector = read_detector(data.detector)
    limits = Limits(
        section="data",
        identities=data.identities,
        images_per_identity=data.images_per_identity,
        minimum_images=data.minimum_images,
        maximum_pixels=data.maximum_pixels,
    )
    root = getattr(data, "root", None)
    place = f"data.source={data.source}" if root is None else f"data.root: {root}"
    with (
        open_people(data, listing=listing, scratch=images.parent) as given,
        open_scratch(
            images, detector=detector, size=data.image_size, maximum_pixels=data.maximum_pixels
        ) as scratch,
    ):
        collection = collect(
            given,
            key="data",
            limits=limits,
            detector=detector,
            size=data.image_size,
            seed=seed,
            scratch=scratch,
            excluded=set(),
        )
        reject_shared(collection, scratch, data.duplicate_distance)
        return split_and_write(
            collection,
            scratch,
            place=place,
            limits=limits,
            least_people=LEAST_PEOPLE,
            distance=data.duplicate_distance,
            fractions=_fractions(data),
            fold=data.fold,
            seed=seed,
            images=images,
            manifest=manifest,
            rejected=rejected,
        )


def _fractions(data: DataCommon) -> dict[str, float]:
    return {"val": data.validation_fraction, "test": data.test_fraction}
