"""What a benchmark measured beside what it must not exceed: printed, and written as a table."""

import csv
import operator
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HOLDS = {"<=": operator.le, ">=": operator.ge}
COLUMNS = ("figure", "measured", "relation", "bound")


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: what was measured, with its unit.
        measured: the value.
        digits: behind the point, as it is shown.
        relation: what must hold between value and bound, ``<=`` or ``>=``; None without a bound.
        bound: None likewise.
    """

    name: str
    measured: float
    digits: int = 2
    relation: str | None = None
    bound: float | None = None

    def holds(self) -> bool:
        """Whether the bound is kept; True without one."""
        if self.relation is None or self.bound is None:
            return True
        return bool(HOLDS[self.relation](self.measured, self.bound))


def reported(figures: Sequence[Figure], table: Path | None) -> int:
    """Print all figures, write them where a table is wanted.

    Args:
        figures: of one benchmark, in their order.
        table: CSV file to write; its last row names the machine.

    Returns:
        0 where every bound holds, otherwise 1: the exit status.
    """
    for figure in figures:
        bound = "" if figure.relation is None else f", {figure.relation} {figure.bound:g}"
        print(f"{figure.name}: {figure.measured:.{figure.digits}f}{bound}")
    if table is not None:
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for figure in figures:
                measured = f"{figure.measured:.{figure.digits}f}"
                writer.writerow((figure.name, measured, figure.relation, figure.bound))
            writer.writerow(("machine", f"{processor()}, {os.cpu_count()} cores", None, None))
    missed = [figure.name for figure in figures if not figure.holds()]
    print(f"missed: {'; '.join(missed)}" if missed else "every bound holds")
    return int(bool(missed))


def processor() -> str:
    """The name of this machine's processor."""
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
