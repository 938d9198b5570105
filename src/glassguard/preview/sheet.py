"""A contact sheet: every picture as the study would see it, or why it would not."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from glassguard.report.style import COLOURS, SOURCE, bare

COLUMNS = 8
CELL = 1.3
"""Width of a cell in inches; its caption takes a third of that below it."""
CAPTION = 1 / 3
REJECTED = COLOURS[6]
BY_CROP = COLOURS[1]


@dataclass(frozen=True)
class Previewed:
    """What a picture becomes.

    Attributes:
        name: of the file, below the folder.
        image: S x S x 3 uint8, aligned; None where the picture is rejected.
        said: how it was aligned, or why it is rejected.
    """

    name: str
    image: NDArray[np.uint8] | None
    said: str


def contact_sheet(pictures: Sequence[Previewed], *, title: str) -> Figure:
    """Draw pictures in rows of eight.

    Args:
        pictures: in their order; at least one.
        title: above them.
    """
    rows = -(-len(pictures) // COLUMNS)
    height = rows * (1 + CAPTION)
    figure = Figure(figsize=(COLUMNS * CELL, height * CELL + 0.4), layout="constrained")
    axes = figure.subplots()
    bare(axes)
    axes.set(xlim=(0, COLUMNS), ylim=(height, 0), aspect="equal")
    figure.suptitle(title, fontsize=9.5)
    for place, one in enumerate(pictures):
        row, column = divmod(place, COLUMNS)
        left, top = column + 0.03, row * (1 + CAPTION)
        name = _shortened(one.name, 22)
        if one.image is None:
            reason = textwrap.fill(one.said, 20, max_lines=7, placeholder=" …")
            middle: dict[str, Any] = {"ha": "center", "va": "center", "color": REJECTED}
            axes.text(column + 0.5, top + 0.5, reason, fontsize=6, **middle)
            colour, said = REJECTED, "rejected"
        else:
            axes.imshow(one.image, extent=(left, left + 0.94, top + 0.94, top), aspect="equal")
            colour, said = (BY_CROP if one.said == "crop" else SOURCE), f"by {one.said}"
        axes.text(left, top + 1.03, name, fontsize=5.5, va="center")
        axes.text(left, top + 1.15, said, fontsize=5.5, va="center", color=colour)
    # Each picture set the limits to itself.
    axes.set(xlim=(0, COLUMNS), ylim=(height, 0))
    return figure


def _shortened(name: str, length: int) -> str:
    return name if len(name) <= length else f"…{name[1 - length :]}"
