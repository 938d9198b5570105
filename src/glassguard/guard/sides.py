"""Decisions and detectors' scores of the same pictures, brought together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.detection.pictures import Pictures, half_wearing, half_wearing_rows
from glassguard.detection.scores import Score
from glassguard.guard.operating_curve import Side
from glassguard.guard.tables import PARTS, predictions_in


@dataclass(frozen=True)
class Scored:
    """Pictures of a set.

    Attributes:
        table: their rows of ``decisions.csv``.
        pictures: the same pictures as detectors see them.

    Raises:
        ValueError: they are not of the same faces in the same order.
    """

    table: pd.DataFrame
    pictures: Pictures

    def __post_init__(self) -> None:
        if self.table["image_id"].tolist() != self.pictures.face.tolist():
            raise ValueError("decisions and profiles are of other pictures")

    @classmethod
    def half_wearing(cls, bare: "Scored", plain: "Scored", random: "Scored") -> "Scored":
        """See :func:`glassguard.detection.pictures.half_wearing`."""
        kinds = bare, plain, random
        rows = half_wearing_rows(*(one.pictures.face for one in kinds))
        table = pd.concat([kinds[kind].table.iloc[of_kind] for kind, of_kind in rows])
        return cls(table, half_wearing(*(one.pictures for one in kinds)))

    def where(self, rows: NDArray[np.bool_]) -> "Scored":
        """The pictures of a row mask."""
        return Scored(self.table[rows], self.pictures.where(rows))

    def side(self, detectors: Mapping[str, Score], identities: Sequence[str]) -> Side:
        """What every defence reads of the pictures.

        Args:
            detectors: by name.
            identities: names of the classes.
        """
        answers = {part: predictions_in(self.table, part, identities) for part in PARTS}
        scores = {name: detector(self.pictures) for name, detector in detectors.items()}
        return Side(**answers, scores=scores)
