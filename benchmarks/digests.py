"""Whether a finished study has the tables that it has on other machines, byte for byte.

python benchmarks/digests.py results/smoke [--write]

compares the SHA-256 of every table of a run with those in ``docs/digests/<study>.csv``, names those
that differ, and fails if there are any. ``--write`` writes that file instead. Times, addresses and
what names the machine are left out.
"""

import argparse
import csv
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "digests"
TABLES = (
    "attacks",
    "backbone",
    "data",
    "detection",
    "guard",
    "influence",
    "recognizer",
    "saliency",
)
"""Folders of a run whose tables depend on the seed and the settings alone."""


def digests(results: Path) -> Iterator[tuple[str, str]]:
    """Path and SHA-256 of the tables of a run, in the order of their paths."""
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        if name.parts[0] in TABLES and path.suffix in (".csv", ".json"):
            yield name.as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Compare a run with what is committed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of a finished run")
    parser.add_argument("--write", action="store_true", help="keep this run's digests")
    given = parser.parse_args()
    committed = FOLDER / f"{given.results.resolve().name}.csv"
    found = dict(digests(given.results))
    if not found:
        sys.exit(f"{given.results}: no finished run, it has no tables")
    if given.write:
        committed.parent.mkdir(exist_ok=True)
        with committed.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("table", "sha256"), *found.items()])
        return
    if not committed.is_file():
        sys.exit(f"{committed}: no digests of such a study are committed")
    with committed.open(newline="", encoding="utf-8") as file:
        wanted = {row["table"]: row["sha256"] for row in csv.DictReader(file)}
    differing = sorted(
        name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
    )
    for name in differing:
        state = "differs" if name in found and name in wanted else "is missing here or there"
        print(f"{name}: {state}")
    print(f"{len(found) - len([name for name in differing if name in found])} tables are the same")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
