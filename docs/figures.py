"""Write the figures of finished runs and of benchmarks into the pages.

``python docs/figures.py results/embedded`` writes what that run measured into ``docs/tables/`` and
from there into the pages; it also prints what no page shows. Without an argument, the pages are
written anew from the tables. Benchmarks write their tables themselves (``--table``). No person is
named.
"""

import argparse
import sys
from pathlib import Path

import adaptive_tables
import detection_tables
import guard_tables
import open_set_tables
import published
import real_faces_tables
import saliency_tables

PAGES = (
    "adaptive",
    "detection",
    "guard",
    "influence",
    "real-faces",
    "saliency",
    "your-own-recognizer",
    "../README",
)


def main() -> None:
    """Write the tables of the results that are given, and the pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="*", help="folders of finished runs, or none")
    for folder in parser.parse_args().results:
        try:
            write_tables(folder.resolve())
        except OSError as error:
            sys.exit(f"{error.filename}: {error.strerror}; give the folder of a finished run")
    try:
        published.rewrite(render, *PAGES)
    except OSError as error:
        sys.exit(f"{error.filename}: no such table; a run or, by --table, a benchmark writes it")


def write_tables(results: Path) -> None:
    """Write every table that a finished run has figures for."""
    saliency_tables.write(results)
    if results.name != saliency_tables.ALL_FILLS:
        detection_tables.write(results)
    if (results / "adaptive" / "table.csv").is_file():
        adaptive_tables.write(results)
    if (results / "recognizer" / "open_set.csv").is_file():
        open_set_tables.write(results)
    if (results / "guard").is_dir():
        guard_tables.write(results)
    if results.name == "faces":
        real_faces_tables.write(results)


def render(place: str) -> str:
    """What stands between the markers of a name."""
    page, _, name = place.rpartition(": ")
    if page == "figures":
        return detection_tables.render(name)
    if place.startswith("cost of "):
        rows = published.read(f"cost-{place.removeprefix('cost of ')}")
        return published.rendered("costs", "cost", rows=rows)
    if place == "headline":
        return headline()
    if place.startswith("attackers of "):
        return adaptive_tables.render(place.removeprefix("attackers of "))
    if place.startswith("open set of "):
        return open_set_tables.render(place.removeprefix("open set of "))
    if place.startswith("guard of "):
        return guard_tables.render(place.removeprefix("guard of "))
    if place in ("figures", "backbones"):
        rows = published.read("real-faces" if place == "figures" else place)
        return published.rendered("real-faces", place, rows=rows)
    return saliency_tables.render(place)


def headline() -> str:
    """What the default study found, for the README."""
    found, masks, guard = (
        published.Figures.of(published.read(f"{detection_tables.STUDY}-{table}"))
        for table in ("detection", "saliency", "guard")
    )
    given = {"found": found, "masks": masks, "guard": guard, "run": found.of_run()}
    return published.rendered("readme", "headline", **given)


if __name__ == "__main__":
    main()
