"""Make the study's aligned faces, their splits and the list of pictures that are not used."""

from pathlib import Path

from glassguard.configuration.sections import DataSection
from glassguard.configuration.sources import digests
from glassguard.datasets.collection import Limits, Splitting
from glassguard.datasets.intake import Intake
from glassguard.datasets.reading import Reading
from glassguard.datasets.settings import Metrics, PhotographData
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
) -> Metrics:
    """Draw the study's people, or read their photographs.

    An interrupted call continues from ``<images>.partial``. ``listing`` is what ``fetch_pictures``
    wrote.
    """
    data, outputs = config.data, Outputs(images, manifest, rejected)
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
    reading = Reading.of(data)
    with (
        data.open_people(listing=listing, scratch=images.parent) as given,
        reading.open_scratch(images, code=digests("data")) as scratch,
    ):
        intake = Intake(
            place=f"data.source={data.source}" if root is None else f"data.root: {root}",
            limits=Limits("data", data.identities, data.images_per_identity, data.minimum_images),
            splitting=Splitting(data.fractions, data.duplicate_distance, data.fold),
            reading=reading,
            scratch=scratch,
            seed=config.seed,
        )
        collection = intake.collect_enough(given)
        return intake.split_and_write(collection, outputs, least_people=LEAST_PEOPLE)
