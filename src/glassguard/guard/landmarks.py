"""How far a frame moves the landmarks that a face is aligned by.

The certificate holds for the alignment that the band was computed with. Where alignment is computed
on the attacked picture, the band moves with the landmarks that a detector finds there.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

QUANTILES = (0.5, 0.95, 0.99)
MOVED = ("along", "across")
"""Columns of ``landmarks.csv``: distance along the line of the eyes and across it."""


def movement(
    bare: NDArray[np.float64] | None, worn: NDArray[np.float64] | None
) -> tuple[float, float]:
    """How far the worst landmark moved, in units of the distance between the bare eyes.

    Args:
        bare: K x 2 in pixels, the eye at the left of the picture and the eye at the right first.
        worn: the same landmarks in the same picture with a frame.

    Returns:
        Along the line of the bare eyes, and across it; two NaN where either face was not found.
    """
    if bare is None or worn is None:
        return np.nan, np.nan
    places = bare[:, 0] + 1j * bare[:, 1]
    moved = (worn[:, 0] + 1j * worn[:, 1] - places) / (places[1] - places[0])
    return float(np.abs(moved.real).max()), float(np.abs(moved.imag).max())


def within(moved: pd.DataFrame, margin: float) -> NDArray[np.bool_]:
    """Rows of ``landmarks.csv`` in which no landmark moved by more than the margin, N bool.

    A face that was not found is not within any margin.
    """
    return (moved[list(MOVED)].max(axis=1, skipna=False) <= margin).to_numpy()


def movements(moved: pd.DataFrame) -> Mapping[str, Any]:
    """For every set of pictures, n, faces that were not found, and quantiles of the movement.

    Args:
        moved: rows of ``landmarks.csv``.
    """
    found: dict[str, Any] = {}
    for name, rows in moved.groupby("set", sort=False):
        known = rows.dropna(subset=list(MOVED))
        found[str(name)] = {"n": len(rows), "not_found": len(rows) - len(known)}
        if len(known):
            found[str(name)] |= {
                column: {f"{q:g}": float(known[column].quantile(q)) for q in QUANTILES}
                for column in MOVED
            }
    return found
