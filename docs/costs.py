"""Write what benchmarks measured into docs/influence.md and docs/saliency.md.

The benchmarks write the tables (``--table docs/tables/cost-….csv``); ``python docs/costs.py`` puts
the same figures into the pages.
"""

import csv
from pathlib import Path

HERE = Path(__file__).parent
TABLES = HERE / "tables"
SHOWN = {
    "influence.md": ("influence",),
    "saliency.md": ("grid", "grid-of-embedded", "grid-shards"),
}
"""By page, the benchmarks whose table stands in it."""
SIGNS = {"<=": "≤", ">=": "≥"}


def main() -> None:
    """Write the pages anew from the tables; not one where a table is missing."""
    tables = {one: rendered(one) for benchmarks in SHOWN.values() for one in benchmarks}
    for name, benchmarks in SHOWN.items():
        page = (HERE / name).read_text(encoding="utf-8")
        for benchmark in benchmarks:
            start, end = (f"<!-- cost of {benchmark}: {place} -->" for place in ("start", "end"))
            before, rest = page.split(start)
            page = f"{before}{start}\n\n{tables[benchmark]}\n\n{end}{rest.split(end)[1]}"
        (HERE / name).write_text(page, encoding="utf-8")


def table_of(benchmark: str) -> Path:
    """The committed table of a benchmark."""
    return TABLES / f"cost-{benchmark}.csv"


def rendered(benchmark: str) -> str:
    """The table of a benchmark in Markdown, the machine below it."""
    path = table_of(benchmark)
    if not path.is_file():
        raise SystemExit(f"{path}: no such table; the benchmark writes it by --table {path}")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    machine = rows.pop()
    lines = ["| | measured | bound |", "|---|---|---|"]
    for row in rows:
        bound = f"{SIGNS[row['relation']]} {row['bound']}{missed(row)}" if row["relation"] else ""
        lines.append(f"| {row['figure']} | {row['measured']} | {bound} |")
    return "\n".join([*lines, "", f"Machine: {machine['measured']}."])


def missed(row: dict[str, str]) -> str:
    """What stands behind a bound that a figure does not keep."""
    measured, bound = float(row["measured"]), float(row["bound"])
    kept = measured <= bound if row["relation"] == "<=" else measured >= bound
    return "" if kept else ", **missed**"


if __name__ == "__main__":
    main()
