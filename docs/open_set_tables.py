"""What thresholds on the similarity of embeddings accept, in docs/tables/<study>-open-set.csv.

The figures come from ``recognizer/open_set.csv`` of a run.
"""

from pathlib import Path

import pandas as pd
import published
from published import Figures, figures_of


def render(study: str) -> str:
    """A row for each share of false accepts that thresholds were set at."""
    figures = Figures.of(published.read(f"{study}-open-set"))
    rates = figures.parts("")
    attacks = [name for name in figures.rows(rates[0]) if name != "benign"]
    return published.rendered("open-set", "study", figures=figures, rates=rates, attacks=attacks)


def write(results: Path) -> None:
    """Write the table of a run."""
    table = pd.read_csv(results / "recognizer" / "open_set.csv")
    part, figure = "{wanted_false_accepts:g}", {"{kind}": "accepted"}
    rows = [*figures_of(table, part, "{set}", figure)]
    once = table.drop_duplicates("wanted_false_accepts")
    published.write(
        f"{results.name}-open-set", [*rows, *figures_of(once, part, "benign", ("threshold",))]
    )
