"""The figures of the guard in docs/tables/<study>-guard.csv, and what docs/guard.md shows of them.

They come from ``guard/certificate.csv`` and ``guard/operating_curve.csv`` of a finished run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import published
from published import Figures, figures_of

SHARES = ("certified", "accepted", "wrong_accepts", "corrected_right")
PRICES = ("false_reject", "accepted_as_target", "corrected")
AFFORDABLE = 0.1
"""Share of honest pictures that a defence may reject or misname."""


def render(study: str) -> str:
    """What is certified, and what every defence leaves at a price that one can pay."""
    figures = Figures.of(published.read(f"{study}-guard"))
    return published.rendered("guard", "study", figures=figures, affordable=AFFORDABLE)


def write(results: Path) -> None:
    """Write the table of a finished run."""
    certificate = pd.read_csv(results / "guard" / "certificate.csv")
    curve = pd.read_csv(results / "guard" / "operating_curve.csv")
    rows = [*figures_of(certificate, "{set}", "{region}", SHARES), *prices(curve)]
    published.write(f"{results.name}-guard", rows)


def prices(curve: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The point of every defence at which fewest attacks pass, of those that one can afford.

    Where no point is affordable, the cheapest one.
    """
    for defence, points in curve.groupby("defence", sort=False):
        affordable = points[points["false_reject"] <= AFFORDABLE]
        order = ["accepted_as_target", "false_reject"]
        if affordable.empty:
            affordable, order = points, order[::-1]
        yield from figures_of(affordable.sort_values(order).iloc[:1], "price", str(defence), PRICES)
