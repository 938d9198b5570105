"""Stamps: small files that record what a result depends on, apart from other results.

A stamp holds a section of the configuration, the digests of a stage's source files, or the digests
of the files that the user gave. Every start computes the stamps again and compares them with those
that the last run left. So the results alone show what has changed: without Snakemake's hidden
metadata, in a copy, and on machines whose clocks differ.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from glassguard.configuration.schema import Study
from glassguard.configuration.sections import sections
from glassguard.configuration.sources import digests, inventory
from glassguard.datasets.settings import PhotographData

STAGING = Path(".snakemake") / "stamps"
DIGESTS = STAGING / "digests.json"
"""What files of the user contained at a date, so that a start reads only those that are new."""

OLD = 86_400.0
"""A date before that of every result, in seconds since 1970."""


@dataclass(frozen=True)
class Stamp:
    """What a file should say.

    Attributes:
        file: where a run keeps it, relative to the working directory.
        text: what it should say.
    """

    file: Path
    text: str

    @property
    def staged(self) -> Path:
        """Where the text waits for the job that copies it to :attr:`file`.

        The name contains a digest of both. So a dry run with other settings does not change what a
        run at the same time copies.
        """
        digest = hashlib.sha256(f"{self.file}\0{self.text}".encode()).hexdigest()
        return STAGING / f"{self.file.name}-{digest[:16]}"


def section_stamps(folder: Path, sections: Mapping[str, Any]) -> list[Stamp]:
    """Sections of the configuration, ``NAME.yaml`` below ``folder``.

    Args:
        folder: relative to the working directory.
        sections: plain values by name.
    """
    return [Stamp(folder / f"{name}.yaml", _as_yaml(values)) for name, values in sections.items()]


def download_stamps(study: Study) -> dict[str, Stamp]:
    """The section that each download was made for, by the file name of the download."""
    wanted = sections(study)
    return {
        one.file: Stamp(
            study.downloads.folder / f"{one.file}.yaml", _as_yaml(wanted[f"fetch_{name}"])
        )
        for name, one in study.downloads.files.items()
    }


def _as_yaml(values: Any) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def code_stamps(folder: Path, stages: Iterable[str], study: Study) -> list[Stamp]:
    """Source files of stages, ``STAGE.sha256`` below ``folder``, as ``sha256sum`` prints them.

    Args:
        folder: relative to the working directory.
        stages: their names.
        study: says which source of pictures some of them read.
    """
    source = [type(study.data).__module__]
    drawn = not isinstance(study.data, PhotographData)
    chosen = {"data": source, "fetch_pictures": source, "pool": source if drawn else []}
    return [
        Stamp(
            folder / f"{stage}.sha256",
            "".join(
                f"{digest}  {name}\n"
                for name, digest in digests(stage, *chosen.get(stage, [])).items()
            ),
        )
        for stage in stages
    ]


def given_stamps(folder: Path, study: Study) -> list[Stamp]:
    """Files and folders that the user gave, ``RULE.txt`` below ``folder``.

    Args:
        folder: relative to the working directory.
        study: the study.

    Returns:
        For each rule that reads such files, their digests. Downloads are left out: their own rule
        makes them.
    """
    known = _known()
    before = dict(known)
    found = [
        Stamp(
            folder / f"{rule}.txt",
            "".join(
                f"{key}: {inventory(path, known)}\n"
                for key, path in paths.items()
                if path not in study.downloaded
            ),
        )
        for rule, paths in study.given.items()
    ]
    if known != before:
        DIGESTS.parent.mkdir(parents=True, exist_ok=True)
        DIGESTS.write_text(json.dumps(known))
    return found


def _known() -> dict[str, list]:
    """Digests of files that an earlier start has read; none where they cannot be read back."""
    try:
        known = json.loads(DIGESTS.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def stage(stamps: Iterable[Stamp]) -> None:
    """Write the staged file of every stamp: new where the stamp's own file says something else.

    Where that is the same, or is not there, the staged file is old and no reason to run anything.
    A stamp that is not there is made, since ``rule all`` asks for it, and is then newer than
    whatever depends on it.
    """
    for stamp in stamps:
        stamp.staged.parent.mkdir(parents=True, exist_ok=True)
        wanted = stamp.text.encode()
        if not stamp.staged.exists() or stamp.staged.read_bytes() != wanted:
            stamp.staged.write_bytes(wanted)
        if not stamp.file.is_file() or stamp.file.read_bytes() == wanted:
            os.utime(stamp.staged, (OLD, OLD))
        else:
            # Clocks of two machines may differ: what is staged is newer than the file all the same.
            newer = max(time.time(), stamp.file.stat().st_mtime + 1)
            os.utime(stamp.staged, (newer, newer))
