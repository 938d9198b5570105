"""Tables as text, and how cells and Markdown are written."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from glassguard.report.wording import NOTHING, percent
from glassguard.statistics import Rate

LEADING = 6
"""Rows of a long table that are shown at first."""


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        title: what it shows.
        header: a heading for every column.
        rows: cells; the first of a row names it.
        emphasised: positions of rows that carry the result.
        from_source: positions of rows that a source prints.
        note: how to read it.
        files: where its numbers come from, below the study's folder.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    emphasised: frozenset[int] = frozenset()
    from_source: frozenset[int] = frozenset()
    note: str = ""
    files: tuple[str, ...] = ()

    @property
    def leading(self) -> frozenset[int]:
        """Positions of the rows that a page shows before it is asked for all.

        At most :data:`LEADING`, first those that carry the result, then those of a source, then
        others in their order; all where that would hide a single row or two.
        """
        places = range(len(self.rows))
        if len(places) <= LEADING + 2:
            return frozenset(places)
        rank = sorted(
            places, key=lambda at: (at not in self.emphasised, at not in self.from_source, at)
        )
        return frozenset(rank[:LEADING])


def rate(values: Mapping[Any, Any], name: str, *, counted: bool = True) -> str:
    """A rate with its interval and, if ``counted``, n: ``85.3 % [81.2–88.6], n = 360``."""
    found = Rate.read(values, name)
    if not math.isfinite(found.value):
        return NOTHING
    text = percent(found.value)
    if math.isfinite(found.low) and math.isfinite(found.high):
        text += f" [{100 * found.low:.1f}–{100 * found.high:.1f}]"
    return text if found.n is None or not counted else f"{text}, n = {found.n}"


def decimals(value: float, nothing: str = NOTHING) -> str:
    """``0.9`` to ``0.900``; ``nothing`` where there is no number."""
    return f"{value:.3f}" if math.isfinite(value) else nothing


def area(values: Mapping[Any, Any]) -> str:
    """An area under the curve, ``auc``, with its interval: ``0.900 [0.850–0.950]``."""
    found = Rate.read(values, "auc")
    if not math.isfinite(found.value):
        return NOTHING
    return f"{found.value:.3f} [{found.low:.3f}–{found.high:.3f}]"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, without empty lines around it."""
    headings = "|".join(f" {cell} " if cell else " " for cell in header)
    lines = [f"|{headings}|", "|---" * len(header) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def timings_table(timings: pd.DataFrame) -> Table:
    """Time and memory of every job."""

    def number(value: float, digits: int) -> str:
        return f"{value:.{digits}f}" if math.isfinite(value) else NOTHING

    rows = tuple(
        (
            str(row["stage"]),
            number(row["wall_s"], 1),
            number(row["cpu_s"], 1),
            number(row["max_rss_mb"], 0),
        )
        for row in timings.to_dict("records")
    )
    return Table("Time and memory", ("job", "wall s", "CPU s", "largest memory MB"), rows)
