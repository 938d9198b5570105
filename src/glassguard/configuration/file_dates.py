"""Keeps the dates of a run's files, so that a copied run is not computed again.

Snakemake compares dates, and copying a finished run gives its files new ones in any order. A record
in the same folder holds the date and the digest of each file. If a file still has that content, its
date is put back before Snakemake looks at it.

The record exists only while nothing runs: :func:`forget` removes it when a run starts and
:func:`record` writes it when the run ends. After a run that was killed, no date is put back: a
recorded date could be older than the files that the run had begun to make.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from glassguard.configuration.sources import file_digest

RECORD = "file_dates.json"


def record(folder: Path, files: Iterable[Path]) -> None:
    """Write the date, size and digest of files into :data:`RECORD` in the folder.

    Args:
        folder: nothing is written where it does not exist.
        files: below the folder; those that do not exist, and the record, are left out.
    """
    if not folder.is_dir():
        return
    recorded = {
        str(path.relative_to(folder)): {
            "made_ns": path.stat().st_mtime_ns,
            "bytes": path.stat().st_size,
            "sha256": file_digest(path),
        }
        for path in sorted(files)
        if path.is_file() and path.name != RECORD
    }
    (folder / RECORD).write_text(json.dumps(recorded, indent=1) + "\n")


def forget(*folders: Path) -> None:
    """Remove the records of some folders, where there are any."""
    for folder in folders:
        (folder / RECORD).unlink(missing_ok=True)


def restore(*folders: Path) -> list[Path]:
    """Put the recorded dates back where the content is the recorded one.

    Args:
        folders: as given to :func:`record`, or copies of them.

    Returns:
        Files whose dates could not be set, for example because somebody else owns them. A record
        that is missing or damaged restores nothing.
    """
    return [path for folder in folders for path in _restore(folder)]


def _restore(folder: Path) -> Iterator[Path]:
    try:
        files = json.loads((folder / RECORD).read_text())
        recorded = [
            (folder / name, int(one["made_ns"]), int(one["bytes"]), str(one["sha256"]))
            for name, one in files.items()
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    for path, made, size, digest in recorded:
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            continue
        now = path.stat()
        if now.st_mtime_ns == made or now.st_size != size or file_digest(path) != digest:
            continue
        try:
            os.utime(path, ns=(made, made))
        except OSError:
            yield path
