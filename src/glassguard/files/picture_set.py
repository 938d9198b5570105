"""Pictures of a set with their table, and what was drawn on them or computed from them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.errors import InputError
from glassguard.files.formats import check_rows, read_frames, read_images, read_pictures_table
from glassguard.files.saliency_maps import Kind, read_maps


@dataclass(frozen=True)
class PictureSet:
    """Pictures of one set, benign or of an attack or a control, and their table.

    Attributes:
        table: the manifest or ``examples.csv``; row = picture.
        images: uint8 N×H×W×3, memory-mapped.
        files: table, pictures and, where they are given, frames (``.npy``) and maps (``.npz``).
        column: the table's column of ids.
    """

    table: pd.DataFrame
    images: np.ndarray
    files: tuple[Path, ...]
    column: str

    @classmethod
    def open(cls, files: Sequence[Path]) -> "PictureSet":
        """Open a set.

        Args:
            files: table, pictures and, where they are wanted, frames and saliency maps.

        Raises:
            InputError: a file is missing or damaged, or table and pictures do not fit.
        """
        if not 2 <= len(files) <= 4:
            named = " ".join(map(str, files))
            raise InputError(f"{named}: not a table, pictures and, where wanted, frames and maps")
        table, column = read_pictures_table(files[0])
        images = read_images(files[1])
        check_rows(table, images, files[0], files[1])
        return cls(table, images, tuple(files), column)

    @cached_property
    def frames(self) -> np.ndarray:
        """Where glasses or another accessory is worn: bool N×H×W, memory-mapped.

        Raises:
            InputError: no file of frames is given, it is damaged, or it does not fit the table.
        """
        path = self._file(".npy", "frames")
        frames = read_frames(path)
        check_rows(self.table, frames, self.files[0], path)
        return frames

    def ids(self, rows: pd.DataFrame) -> list[str]:
        """Ids of some rows of the table."""
        return rows[self.column].tolist()

    def maps(self, rows: pd.DataFrame, *, kinds: Collection[Kind]) -> dict[Kind, np.ndarray]:
        """Saliency maps of some rows: by kind, M×H×W float32 in [0, 1].

        Raises:
            InputError: no file of maps is given, it is damaged, or it lacks a picture or a kind.
        """
        return read_maps(self._file(".npz", "saliency maps"), self.ids(rows), kinds=kinds)

    def _file(self, suffix: str, what: str) -> Path:
        for path in self.files[2:]:
            if path.suffix == suffix:
                return path
        raise InputError(f"{self.files[0]}: {what} of this set must be given too ({suffix})")
