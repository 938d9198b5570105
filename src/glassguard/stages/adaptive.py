"""Gather the shards of informed attackers into tables."""

from pathlib import Path

import numpy as np

from glassguard.adaptive.evaluation import WORST, Outcome, guard_table, informed_table
from glassguard.adaptive.guarded import Bound
from glassguard.configuration.sections import AdaptiveSection
from glassguard.errors import InputError
from glassguard.files.formats import read_arrays, write_csv
from glassguard.stages.paths import OutputPath


def run(
    config: AdaptiveSection, *, shards: list[Path], table: OutputPath, guard: OutputPath
) -> dict[str, float | int | str]:
    """Write what every attacker reached against every defence.

    Raises:
        InputError: a shard cannot be used, or shards are not of one study.
    """
    parts = [read_arrays(path, kind="a shard of informed attackers") for path in shards]
    first = parts[0]
    for path, part in zip(shards, parts, strict=True):
        same = ("defences", "attackers", "rates", "iterations", "restarts")
        if not all(
            np.array_equal(part[name], first[name], equal_nan=name == "rates") for name in same
        ):
            raise InputError(f"{path}: made by other attackers than {shards[0]}; delete both")
    order = np.argsort(np.concatenate([part["order"] for part in parts]), kind="stable")
    fooled, passed = (
        np.concatenate([part[name] for part in parts], axis=1)[:, order]
        for name in ("fooled", "passed")
    )
    outcomes = [
        Outcome(
            *(str(defence), str(attacker), int(first["iterations"][row])),
            *(int(first["restarts"][row]), fooled[row], passed[row]),
        )
        for row, (defence, attacker) in enumerate(
            zip(first["defences"], first["attackers"], strict=True)
        )
    ]
    rates = dict(zip(first["defences"].tolist(), first["rates"].tolist(), strict=True))
    found = informed_table(outcomes, rates)
    write_csv(found, table)
    banded_target, covered = (
        np.concatenate([part[name] for part in parts])[order]
        for name in ("banded_target", "covered")
    )
    confronted = guard_table(outcomes, Bound(banded_target, covered))
    write_csv(confronted, guard)
    worst = found[found["attacker"] == WORST]
    return {
        "pictures": int(passed.shape[1]),
        "beyond_bound_of_guard": int(confronted["beyond_bound"].max()),
        **{
            f"{row['defence']}_{row['wanted_fpr']:g}".removesuffix("_nan"): row["success"]
            for row in worst.to_dict("records")
        },
    }
