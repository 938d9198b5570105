"""Makes the study's aligned faces, their splits and the list of pictures that were not used."""

from pathlib import Path

from glassguard.configuration.sections import DataSection
from glassguard.configuration.sources import digests
from glassguard.datasets.collection import Limits, Splitting
from glassguard.datasets.intake import Reading, collect_enough, open_scratch, split_and_write
from glassguard.datasets.settings import PhotographData
from glassguard.datasets.tables import Outputs
from glassguard.stages.paths import OutputPath

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

    A call that was interrupted continues from ``<images>.partial``.

    Args:
        config: the section.
        images: uint8 N×H×W×3 to write.
        manifest: table to write, a row per picture (:mod:`glassguard.faces.manifest`).
        rejected: table to write, a row per picture that was given and is not used.
        listing: pictures that ``fetch_pictures`` downloaded
            (:data:`glassguard.datasets.tables.LISTING_COLUMNS`).

    Returns:
        How many people and pictures there are, by split and by kind of alignment.

    Raises:
        InputError: the source or the detector cannot be used, or too few people are left.
    """
    data = config.data
    outputs = Outputs(images, manifest, rejected)
    if not isinstance(data, PhotographData):
        return data.draw(
            {f"person_{number:03d}": number for number in range(data.identities)},
            outputs,
            images_per_identity=data.images_per_identity,
            fractions=data.fractions,
            seed=config.seed,
            fold=data.fold,
        )
    root = data.inputs.get("data.root")
    place = f"data.source={data.source}" if root is None else f"data.root: {root}"
    limits = Limits("data", data.identities, data.images_per_identity, data.minimum_images)
    splitting = Splitting(data.fractions, data.duplicate_distance, data.fold)
    reading = Reading.with_detector(
        data.detector, size=data.image_size, maximum_pixels=data.maximum_pixels
    )
    with (
        data.open_people(listing=listing, scratch=images.parent) as given,
        open_scratch(images, reading, code=digests("data")) as scratch,
    ):
        collection = collect_enough(
            given,
            limits=limits,
            splitting=splitting,
            reading=reading,
            seed=config.seed,
            scratch=scratch,
            place=place,
        )
        return split_and_write(
            collection,
            scratch,
            outputs,
            limits=limits,
            splitting=splitting,
            least_people=LEAST_PEOPLE,
            seed=config.seed,
            place=place,
        )
