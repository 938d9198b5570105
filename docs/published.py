"""Tables of figures in ``docs/tables``, and how pages show them (``docs/templates``)."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from glassguard.report.tables import decimals
from glassguard.report.wording import NOTHING
from glassguard.statistics import Rate

DOCS = Path(__file__).parent
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(DOCS / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
COLUMNS = ("part", "name", "figure", "here", "low", "high", "n")
PLACES = re.compile(r"(<!-- (?P<name>[^>]+?)(?:: start)? -->\n).*?(<!-- [^>]*end -->)", re.DOTALL)
"""Where a page shows a table: between a marker with its name and one that ends with ``end``."""

Row = Mapping[str, Any]


class Figures(dict[tuple[str, str, str], Row]):
    """Figures by part, name and figure, in the order of the rows of their table."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Figures":
        """The figures of rows with :data:`COLUMNS`."""
        return cls({(row["part"], row["name"], row["figure"]): row for row in rows})

    def parts(self, start: str) -> list[str]:
        """The parts whose names start so."""
        return list(dict.fromkeys(part for part, _, _ in self if part.startswith(start)))

    def rows(self, part: str) -> dict[str, Callable[[str], str]]:
        """By name in a part, what gives the text of a figure there (:meth:`cell`)."""
        names = dict.fromkeys(name for where, name, _ in self if where == part)
        return {name: partial(self.cell, part, name) for name in names}

    def best(self, part: str, figure: str) -> list[tuple[str, Callable[[str], str]]]:
        """The rows of a part, those first in which a figure is largest."""
        return sorted(self.rows(part).items(), key=lambda row: -float(row[1](figure)))

    def called(self, part: str, name: str) -> dict[str, Row]:
        """The figures of a name in a part."""
        return {figure: row for (*of, figure), row in self.items() if of == [part, name]}

    def cell(self, part: str, name: str, figure: str) -> str:
        """A figure as text: with its interval where ``±`` is behind it, a dash where none is."""
        row = self.get((part, name, figure.removesuffix("±")))
        if row is None or row["here"] == "":
            return NOTHING
        interval = f" [{row['low']}–{row['high']}]" if figure.endswith("±") and row["low"] else ""
        return f"{row['here']}{interval}"

    def of_run(self) -> defaultdict[str, str]:
        """What was run, and the counts behind the rates; a dash for what the table lacks."""
        found = {figure: self.cell(part, "", figure) for part, _, figure in self if part == "run"}
        return defaultdict(lambda: NOTHING, found)


def figures_of(
    records: pd.DataFrame | Row, part: str, name: str, figures: Mapping[str, Any] | Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Rows of a table of figures.

    Args:
        records: what was measured: a table of a run, or an object of one of its JSON files.
        part: where the figures belong, a template that every record fills.
        name: of what they are, likewise.
        figures: key by figure, a template as well; or keys of figures that are called so.
    """
    keys = figures if isinstance(figures, Mapping) else {key: key for key in figures}
    table = isinstance(records, pd.DataFrame)
    for record in records.to_dict("records") if table else [records]:
        for figure, key in keys.items():
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


def kept(measured: str, relation: str, bound: float | str) -> bool:
    """Whether a figure, with or without interval, is ``<=`` or ``>=`` its bound, or not known."""
    if measured == NOTHING:
        return True
    value, limit = float(measured.partition(" ")[0]), float(bound)
    return value <= limit if relation == "<=" else value >= limit


def bound(relation: str, value: float | str) -> str:
    """A bound in words."""
    return f"{'≤' if relation == '<=' else '≥'} {float(value):g}"


def read(table: str) -> list[dict[str, str]]:
    """The rows of ``docs/tables/<table>.csv``, as text."""
    path = DOCS / "tables" / f"{table}.csv"
    return pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")


def write(table: str, rows: Iterable[Row], columns: Iterable[str] = COLUMNS) -> None:
    """Write ``docs/tables/<table>.csv``."""
    frame = pd.DataFrame(list(rows), columns=list(columns), dtype=object)
    frame.to_csv(DOCS / "tables" / f"{table}.csv", index=False, lineterminator="\n")


def read_json(path: Path) -> Any:
    """What a file of a run says."""
    return json.loads(path.read_text(encoding="utf-8"))


def rendered(page: str, table: str, **given: Any) -> str:
    """A block of ``docs/templates/<page>.jinja``."""
    template = TEMPLATES.get_template(f"{page}.jinja", globals={"kept": kept, "bound": bound})
    return "".join(template.blocks[table](template.new_context(given))).strip()


def filled(page: str, render: Callable[[str], str]) -> str:
    """A page with its tables anew; ``render`` gives a table by the name in its marker."""
    return PLACES.sub(lambda at: f"{at[1]}\n{render(at['name'])}\n\n{at[3]}", page)


def rewrite(render: Callable[[str], str], *pages: str) -> None:
    """Write ``docs/<page>.md`` with its tables anew; no page where a table is missing."""
    paths = [DOCS / f"{page}.md" for page in pages]
    texts = [filled(path.read_text(encoding="utf-8"), render) for path in paths]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
