"""Gather the shards of an attack into one set of adversarial pictures."""

from pathlib import Path

import numpy as np

from glassguard.attack.examples import examples_table, join_shards, summary
from glassguard.configuration.sections import AttackSection
from glassguard.errors import InputError
from glassguard.files.formats import read_arrays, write_csv
from glassguard.stages.paths import OutputPath


def run(
    config: AttackSection,
    *,
    shards: list[Path],
    examples: OutputPath,
    images: OutputPath,
    frames: OutputPath,
) -> dict[str, float | int | str]:
    """Put every example back into the order of the plan."""
    try:
        attacked = join_shards([read_arrays(path, kind="a shard of an attack") for path in shards])
    except ValueError as error:
        raise InputError(f"{shards[0].parent}: {error}; delete them") from None
    np.save(images, attacked["images"])
    np.save(frames, attacked["frames"])
    table = examples_table(attacked, name=config.name, goal=config.attack.goal)
    write_csv(table, examples)
    return summary(table)
