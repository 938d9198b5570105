"""What the scripts of the pages share: tables of figures, and what a page shows between markers."""

import argparse
import csv
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from glassguard.report.tables import decimals, markdown
from glassguard.report.wording import NOTHING
from glassguard.statistics import Rate

DOCS = Path(__file__).parent
COLUMNS = ("part", "name", "figure", "here", "low", "high", "n")
PLACES = re.compile(r"(<!-- (?P<name>[^>]+?)(?:: start)? -->\n).*?(<!-- [^>]*end -->)", re.DOTALL)
"""Where a page shows a table: between a marker with its name and one that ends with ``end``."""

Row = Mapping[str, Any]


class Figures(dict[tuple[str, str, str], Row]):
    """Figures of a committed table by part, name and figure, in the order of its rows."""

    @classmethod
    def read(cls, table: str) -> "Figures":
        """The figures of ``docs/tables/<table>.csv``."""
        return cls.of(read(table))

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Figures":
        """The figures of rows with :data:`COLUMNS`."""
        return cls({(row["part"], row["name"], row["figure"]): row for row in rows})

    def names(self, part: str) -> list[str]:
        """The names in a part, each once."""
        return list(dict.fromkeys(name for where, name, _ in self if where == part))

    def cell(self, part: str, name: str, figure: str) -> str:
        """A figure as text: with its interval where ``±`` is behind it, a dash where none is."""
        row = self.get((part, name, figure.removesuffix("±")))
        if row is None or row["here"] == "":
            return NOTHING
        interval = f" [{row['low']}–{row['high']}]" if figure.endswith("±") and row["low"] else ""
        return f"{row['here']}{interval}"

    def cells(self, part: str, name: str, figures: Iterable[str]) -> list[str]:
        """Several cells; figures with a semicolon between them share one."""
        return [
            "; ".join(self.cell(part, name, one) for one in joined.split("; "))
            for joined in figures
        ]

    def of_run(self) -> defaultdict[str, str]:
        """What was run, and the counts behind the rates; a dash for what the table lacks."""
        found = {figure: self.cell(part, "", figure) for part, _, figure in self if part == "run"}
        return defaultdict(lambda: NOTHING, found)

    def listed(self, part: str, figures: Mapping[str, str]) -> str:
        """A table in Markdown: a row for every name in a part.

        Args:
            part: the part.
            figures: figure by heading, a template that counts of the run fill; the first column
                has names.
        """
        header = [heading.format_map(self.of_run()) for heading in figures]
        wanted = list(figures.values())[1:]
        rows = ([f"`{name}`", *self.cells(part, name, wanted)] for name in self.names(part))
        return markdown(header, rows)


def figures_of(
    records: pd.DataFrame | Mapping[Any, Any], part: str, name: str, *keys: str, **called: str
) -> Iterator[dict[str, Any]]:
    """Rows of a table of figures.

    Args:
        records: what was measured: a table of a run, or an object of one of its JSON files.
        part: where the figures belong, a template that every record fills.
        name: of what they are, likewise.
        keys: keys of figures that are called as their keys.
        called: key by figure of all others; the figure is a template as well.
    """
    table = isinstance(records, pd.DataFrame)
    for record in records.to_dict("records") if table else [records]:
        for figure, key in {**dict(zip(keys, keys, strict=True)), **called}.items():
            texts = {"part": part, "name": name, "figure": figure}
            named = {column: text.format_map(record) for column, text in texts.items()}
            yield named | measured(record, key)


def measured(record: Mapping[Any, Any], key: Any) -> dict[str, Any]:
    """A figure with its interval and n, where they are given: rates with three decimals."""
    value, bounded = record.get(key), f"{key}_low" in record
    n = record.get(f"{key}_n", record.get("n") if bounded else None)
    number = value is None or isinstance(value, float) or bounded
    rate = Rate.read({**record, key: value if number else None, f"{key}_n": n}, key)
    here, low, high = (decimals(one, "") for one in (rate.value, rate.low, rate.high))
    n = "" if rate.n is None else rate.n
    return {"here": here if number else value, "low": low, "high": high, "n": n}


def kept(measured: str | float, relation: str, bound: float) -> bool:
    """Whether a figure keeps its bound; the relation is ``<=`` or ``>=``."""
    return float(measured) <= bound if relation == "<=" else float(measured) >= bound


def bound(relation: str, value: float | str) -> str:
    """A bound in words."""
    return f"{'≤' if relation == '<=' else '≥'} {value if isinstance(value, str) else f'{value:g}'}"


def read(table: str) -> list[dict[str, str]]:
    """The rows of ``docs/tables/<table>.csv``."""
    with (DOCS / "tables" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(table: str, columns: Iterable[str], rows: Iterable[Row]) -> None:
    """Write ``docs/tables/<table>.csv``; nothing where a row cannot be made."""
    rows = list(rows)
    with (DOCS / "tables" / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(columns), "", "ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_json(path: Path) -> Any:
    """What a file of a run says."""
    return json.loads(path.read_text(encoding="utf-8"))


def filled(page: str, render: Callable[[str], str | None]) -> str:
    """The page with its tables anew.

    Args:
        page: text of the page.
        render: gives a table by the name in its marker; None where it is another script's.
    """

    def fill(found: re.Match[str]) -> str:
        table = render(found["name"])
        return found[0] if table is None else f"{found[1]}\n{table}\n\n{found[3]}"

    return PLACES.sub(fill, page)


def rewrite(render: Callable[[str], str | None], *pages: str) -> None:
    """Write ``docs/<page>.md`` with its tables anew; no page where a table is missing."""
    paths = [DOCS / f"{page}.md" for page in pages]
    texts = [filled(path.read_text(encoding="utf-8"), render) for path in paths]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")


def folders(description: str | None, write_table: Callable[[Path], None]) -> list[Path]:
    """The folders of runs on the command line, whose tables are written."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="*", help="folders of finished runs, or none")
    results: list[Path] = parser.parse_args().results
    for folder in results:
        try:
            write_table(folder)
        except OSError as error:
            sys.exit(f"{error.filename}: {error.strerror}; give the folder of a finished run")
    return results
