"""Files of prepared pictures: listings of downloads, aligned pictures, and their tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.datasets.pictures import FileOnDisk, GivenPeople, GivenPicture
from glassguard.faces.manifest import COLUMNS, REJECTED_COLUMNS, SPLITS
from glassguard.faces.rectangles import Rectangle
from glassguard.files.formats import read_table, require_columns, write_csv

LISTING_COLUMNS = ("identity", "source", "path", "left", "top", "right", "bottom")
"""A row of a listing is a downloaded picture: the person, the picture's name in tables, its file,
and the rectangle of the face in pixels of the stored picture
(:data:`glassguard.faces.rectangles.Rectangle`)."""


@dataclass(frozen=True)
class Outputs:
    """The files of a set of aligned pictures.

    Attributes:
        images: uint8 N×H×W×3.
        manifest: a row per picture (:mod:`glassguard.faces.manifest`).
        rejected: a row per picture that was given and is not used, with the reason.
    """

    images: Path
    manifest: Path
    rejected: Path

    def write(
        self,
        pictures: Iterable[tuple[np.ndarray, Sequence[object]]],
        *,
        count: int,
        size: int,
        rejected: Sequence[tuple[str, str]] = (),
    ) -> dict[str, float | int | str]:
        """Write all three files with one picture at a time in memory.

        Args:
            pictures: uint8 size×size×3, and its row of the manifest.
            count: number of pictures.
            size: side of a picture, pixels.
            rejected: (source, reason) of what is not used.

        Returns:
            How many people and pictures there are, by split, and how many only a crop aligned.
        """
        rows = []
        # The pages of a memory map would count as memory until the end.
        with self.images.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
            np.lib.format.write_array_header_1_0(file, header)
            for image, row in pictures:
                file.write(image.tobytes())
                rows.append(tuple(row))
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        write_csv(frame, self.manifest)
        write_rejected(rejected, self.rejected)
        counts = frame.split.value_counts()
        return {
            "people": int(frame.identity.nunique()),
            "pictures": len(frame),
            **{str(split): int(counts[split]) for split in SPLITS if split in counts},
            "aligned_by_crop": int((frame.aligned_by == "crop").sum()),
        }


def write_rejected(rejected: Iterable[tuple[str, str]], path: Path) -> None:
    """Write which pictures are not used and why, sorted."""
    write_csv(pd.DataFrame(sorted(rejected), columns=list(REJECTED_COLUMNS)), path)


def write_listing(pictures: Iterable[tuple[str, str, Path, Rectangle]], path: Path) -> None:
    """Write a listing: person, name in tables, file and rectangle of every picture."""
    rows = [(person, source, str(file), *edges) for person, source, file, edges in pictures]
    write_csv(pd.DataFrame(rows, columns=list(LISTING_COLUMNS)), path)


def people_of_listing(listing: Path) -> GivenPeople:
    """The people and pictures of a listing.

    Raises:
        InputError: the file is missing or no listing.
    """
    frame = read_table(listing)
    require_columns(frame, LISTING_COLUMNS, listing)
    given = GivenPeople()
    columns = [frame[name].tolist() for name in LISTING_COLUMNS]
    for person, source, path, *edges in zip(*columns, strict=True):
        left, top, right, bottom = edges
        picture = GivenPicture(source, FileOnDisk(Path(path)), (left, top, right, bottom))
        given.people.setdefault(person, []).append(picture)
    return given
