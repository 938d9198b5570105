"""Write what benchmarks measured into docs/influence.md and docs/saliency.md.

The benchmarks write the tables (``--table docs/tables/cost-….csv``); ``python docs/costs.py`` puts
the same figures into the pages.
"""

import sys
from collections.abc import Mapping

import published

from glassguard.report.tables import markdown


def main() -> None:
    """Write the pages anew from the tables."""
    published.rewrite(render, "influence", "saliency")


def render(place: str) -> str | None:
    """The table of a benchmark in Markdown, the machine below it."""
    if not place.startswith("cost of "):
        return None
    table = f"cost-{place.removeprefix('cost of ')}"
    try:
        *rows, machine = published.read(table)
    except OSError as error:
        sys.exit(f"{error.filename}: no such table; the benchmark writes it by --table")
    cells = [[row["figure"], row["measured"], bound_of(row)] for row in rows]
    return f"{markdown(['', 'measured', 'bound'], cells)}\n\nMachine: {machine['measured']}."


def bound_of(row: Mapping[str, str]) -> str:
    """What a figure must not exceed, and whether it does."""
    if not row["relation"]:
        return ""
    kept = published.kept(row["measured"], row["relation"], float(row["bound"]))
    return published.bound(row["relation"], row["bound"]) + ("" if kept else ", **missed**")


if __name__ == "__main__":
    main()
