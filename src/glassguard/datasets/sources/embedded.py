"""Procedurally drawn faces: no download, not real people."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from glassguard.datasets.settings import DataCommon, Metrics

if TYPE_CHECKING:
    from glassguard.datasets.tables import Outputs


class Pictures(DataCommon):
    """Procedurally drawn faces."""

    source: Literal["embedded"]
    identities: int = Field(ge=4, le=1000, description="people to draw")
    images_per_identity: int = Field(ge=8, le=10000, description="pictures to draw of each")

    def draw(
        self,
        people: Mapping[str, int],
        outputs: "Outputs",
        *,
        images_per_identity: int,
        fractions: Mapping[str, float],
        seed: int,
        fold: int | None = None,
    ) -> Metrics:
        """Draw people, split their pictures, and write both.

        Every picture is drawn independently, so none is a near-duplicate of another.

        Args:
            people: number of the identity by name, in the order of the rows.
            outputs: files to write.
            images_per_identity: pictures of each person.
            fractions: share of each split; what is left is ``train``.
            seed: of the people and of the split.
            fold: see :func:`glassguard.faces.splits.split_by_person`.

        Returns:
            See :meth:`glassguard.datasets.tables.Outputs.write`.
        """
        import numpy as np  # imported late, since settings are read everywhere

        from glassguard.faces.duplicates import digest
        from glassguard.faces.embedded.population import render_people
        from glassguard.faces.splits import split_by_person
        from glassguard.progress import track

        size, count = self.image_size, len(people) * images_per_identity
        labels = np.repeat(list(people), images_per_identity)
        splits = split_by_person(
            labels, np.arange(count), fractions=fractions, seed=seed, fold=fold
        )

        def pictures() -> Iterator[tuple[np.ndarray, tuple[object, ...]]]:
            drawn = render_people(seed, [*people.values()], images=images_per_identity, size=size)
            split = iter(splits)
            for name, (images, eyes) in zip(
                people, track(drawn, description="drawing people", total=len(people)), strict=True
            ):
                for number, (image, points) in enumerate(zip(images, eyes, strict=True)):
                    yield image, (
                        f"{name}_{number:04d}", name, next(split), f"drawn:{name}/{number}",
                        digest(np.ascontiguousarray(image).data), size, size, *points.ravel(),
                        "drawn",
                    )  # fmt: skip

        return outputs.write(pictures(), count=count, size=size)
