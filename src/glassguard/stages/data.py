"""Makes the study's aligned faces, their splits and the list of pictures that were not used."""

import sys
from collections.abc import Sequence
from pathlib import Path

from glassguard.configuration.sections import DataSection
from glassguard.datasets.settings import DataCommon, EmbeddedData, PhotographData
from glassguard.stages.aligned_faces import (
    Collection,
    Limits,
    collect,
    draw,
    open_scratch,
    people_left_out,
    read_detector,
    reject_shared,
    split_and_write,
    summary,
    write_rejected,
)
from glassguard.stages.paths import OutputPath
from glassguard.stages.picture_files import GivenPeople
from glassguard.stages.picture_sources import open_people
from glassguard.stages.scratch import Scratch

LEAST_PEOPLE = 4
"""Two pairs of attacker and target that share nobody."""


def run(
    config: DataSection,
    *,
    images: OutputPath,
    manifest: OutputPath,
    rejected: OutputPath,
    listing: Path | None = None,
) -> dict[str, float | int | str]:
    """Draw the study's people, or read their photographs.

    A call that was interrupted takes up its work from ``<images>.partial``.

    Args:
        config: the section.
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
        collection = _collect_enough(given, data, seed, detector, limits, scratch, place)
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


def _collect_enough(
    given: GivenPeople,
    data: PhotographData,
    seed: int,
    detector: bytes | None,
    limits: Limits,
    scratch: Scratch,
    place: str,
) -> Collection:
    """Pictures of as many people as are wanted, where there are so many.

    Who has too few pictures once those are gone that show somebody else too, or that are one
    photograph, is replaced by the person with the next most pictures. Those who fell out are read
    all the same: their pictures say which of the others' are theirs. What was aligned once is not
    aligned again.
    """
    substitutes = 0
    while True:
        collection = collect(
            given,
            key="data",
            limits=limits,
            detector=detector,
            size=data.image_size,
            seed=seed,
            scratch=scratch,
            excluded=set(),
            substitutes=substitutes,
        )
        read = list(dict.fromkeys(collection.labels()))
        reject_shared(collection, scratch, data.duplicate_distance)
        if limits.identities is None:
            return collection
        reasons = people_left_out(
            collection,
            distance=data.duplicate_distance,
            limits=limits,
            fractions=_fractions(data),
            fold=data.fold,
        )
        shown = set(collection.labels())
        for name in read:
            if name not in shown:
                reasons[name] = "every picture is filed under somebody else too"
        if len(reasons) == substitutes or len(read) < limits.identities + substitutes:
            _say_who_fell_out(reasons, read, limits.identities, place)
            return collection
        substitutes = len(reasons)


def _say_who_fell_out(
    reasons: dict[str, str], read: Sequence[str], identities: int, place: str
) -> None:
    if not reasons:
        return
    who = "; ".join(f"{name} ({why})" for name, why in sorted(reasons.items()))
    left = len(read) - len(reasons)
    instead = "others took their place"
    if left < identities:
        instead = f"nobody is left to take their place: {left} of data.identities={identities}"
    print(f"{place}: left out after reading: {who}; {instead}", file=sys.stderr)


def _fractions(data: DataCommon) -> dict[str, float]:
    return {"val": data.validation_fraction, "test": data.test_fraction}
