"""A job opens the files that its rule declares, and no others."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkouts import Checkout

pytestmark = [pytest.mark.integration, pytest.mark.slow]

STATED = ("/config/code/", "/config/given/")
"""Stamps, which a job does not open: they say when it has to run again."""


@dataclass(frozen=True)
class Call:
    """What a call of a stage opened below the checkout, relative to it."""

    command: str
    read: frozenset[str]
    written: frozenset[str]


def calls(log: Path, folder: Path) -> Iterator[Call]:
    for path in sorted(log.iterdir()):
        command, *lines = path.read_text().splitlines()
        opened = {"r": set(), "w": set()}
        for line in lines:
            kind, _, file = line.partition(" ")
            # What is gone was of the job's own, such as the checkpoint of a training.
            if Path(file).is_relative_to(folder / "results") and Path(file).exists():
                opened[kind].add(os.path.relpath(file, folder))
        yield Call(command, frozenset(opened["r"] - opened["w"]), frozenset(opened["w"]))


def declared_inputs(folder: Path) -> dict[str, frozenset[str]]:
    """Inputs of every job by its command, from what Snakemake keeps of jobs that ran."""
    kept = [
        json.loads(path.read_text())
        for path in (folder / ".snakemake" / "metadata").rglob("*")
        if path.is_file()
    ]
    return {
        " ".join(one["shellcmd"].partition(" > ")[0].split()[1:]): frozenset(
            file for file in one["input"] if not any(part in file for part in STATED)
        )
        for one in kept
        if (one["shellcmd"] or "").startswith("glassguard ")
    }


def test_every_stage_reads_what_its_rule_declares(finished: Checkout, opened_files: Path) -> None:
    declared = declared_inputs(finished.folder.resolve())
    ran = list(calls(opened_files, finished.folder.resolve()))
    assert {one.command for one in ran} == declared.keys()
    wrong = []
    for one in ran:
        name = " ".join(one.command.split()[:3])
        wrong += [f"{name} reads undeclared {f}" for f in sorted(one.read - declared[one.command])]
        wrong += [f"{name} never opens {f}" for f in sorted(declared[one.command] - one.read)]
    assert wrong == []
