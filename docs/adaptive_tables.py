"""What informed attackers reached, in docs/tables/<study>-adaptive.csv and docs/adaptive.md.

The figures come from ``adaptive/table.csv`` and ``adaptive/guard.csv`` of a finished run.
"""

from pathlib import Path

import pandas as pd
import published
from published import Figures, figures_of

from glassguard.adaptive.evaluation import WORST
from glassguard.report.wording import NOTHING

GUARD = ("covered", "banded_target", "beyond_bound")


def render(study: str) -> str:
    """A row for each defence, a column for each attacker."""
    figures = Figures.of(published.read(f"{study}-adaptive"))
    defences = [part for part in figures.parts("") if part != "guard, confronted"]
    attackers = dict.fromkeys(name for part in defences for name in figures.rows(part))
    return published.rendered(
        "adaptive",
        "study",
        figures=figures,
        defences=defences,
        attackers=sorted(attackers, key=lambda name: name == WORST),
        nothing=NOTHING,
    )


def write(results: Path) -> None:
    """Write the table of a finished run."""
    table = pd.read_csv(results / "adaptive" / "table.csv")
    guard = pd.read_csv(results / "adaptive" / "guard.csv")
    rates = table["wanted_fpr"].map(lambda rate: "" if pd.isna(rate) else f" at {100 * rate:g} %")
    found = figures_of(table.assign(rate=rates), "{defence}{rate}", "{attacker}", ("success",))
    bound = figures_of(guard.astype({"n": int}), "guard, confronted", "{attacker}", GUARD)
    published.write(f"{results.name}-adaptive", [*found, *bound])
