"""Gather the shards of the mask grid and choose the best combinations."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.configuration.sections import MaskGridSection
from glassguard.errors import InputError
from glassguard.files.formats import read_arrays, read_examples, write_csv, write_json
from glassguard.saliency.choice import best_rows, goodness_at_most, measures
from glassguard.saliency.grid import PARAMETERS, Combination, exact_sum, source_combination
from glassguard.saliency.search import planned_points, searched_attacks
from glassguard.stages.paths import OutputPath

CONFIDENCES = (
    "clean_confidence_real",
    "adversarial_confidence_real",
    "adversarial_confidence_target",
)
IDS = ("clean_ids", "adversarial_ids")
PASSES = ("network_passes", "network_passes_naive")


def run(
    config: MaskGridSection,
    *,
    shards: list[Path],
    examples: Path,
    grid: OutputPath,
    best: OutputPath,
) -> dict[str, float | int | str]:
    """Mean confidences of every combination (``grid.csv``) and the best ones (``best.json``).

    A race leaves the confidences of dropped points empty, and writes into ``goodness_most`` what
    the goodness of each point can be at most.
    """
    points = planned_points(config.saliency, seed=config.seed)
    sums: dict[str, np.ndarray] = dict.fromkeys(CONFIDENCES, np.zeros(1, dtype=np.int64))
    missing = sums.copy()
    ids: dict[str, list[str]] = {name: [] for name in IDS}
    passes = dict.fromkeys(PASSES, 0)
    for path in shards:
        shard = _read_shard(path)
        points = points or _points_of(shard)
        if points != _points_of(shard):
            raise InputError(f"{path}: was made for another grid; delete it")
        for name in CONFIDENCES:
            sums[name] = sums[name] + exact_sum(np.nan_to_num(shard[name]))
            missing[name] = missing[name] + np.isnan(shard[name]).sum(axis=0)
        for name in IDS:
            ids[name] += shard[name].tolist()
        for name in PASSES:
            passes[name] += int(shard[name])
    attacks = searched_attacks(read_examples(examples), config.saliency, seed=config.seed)
    if attacks.empty:
        raise InputError(f"{examples}: has no attacked validation picture to search on")
    wanted = sorted(set(attacks["image_id"])), sorted(attacks["example_id"])
    if tuple(map(sorted, ids.values())) != wanted or points is None:
        folder = shards[0].parent
        raise InputError(f"{folder}: the shards do not make up the validation split; delete them")

    counts = {"n_clean": len(ids["clean_ids"]), "n_adv": len(ids["adversarial_ids"])}
    measured = measures(*sums.values(), clean=counts["n_clean"], attacked=counts["n_adv"])
    finished = np.logical_and.reduce([missing[name] == 0 for name in CONFIDENCES])
    table = pd.DataFrame([asdict(point) for point in points]).assign(**measured, **counts)
    if config.saliency.search.method == "racing":
        table["goodness_most"] = goodness_at_most(sums.values(), missing.values(), counts.values())
        table.loc[~finished, list(measured)] = np.nan
        passes["dropped"] = int((~finished).sum())
    write_csv(table, grid)
    rows = best_rows(
        [point for point, whole in zip(points, finished, strict=True) if whole],
        {name: values[finished] for name, values in measured.items()},
        source_combination(config.saliency.source_setting),
    )
    write_json({**rows, **counts, **passes}, best)
    return {
        **{f"best_{name}": value for name, value in rows["goodness"].items()},
        "source_setting_goodness": rows["source_setting"]["goodness"],
        "combinations": len(points),
        **passes,
    }


def _read_shard(path: Path) -> dict[str, np.ndarray]:
    shard = read_arrays(path, kind="a shard of the mask grid")
    if lacking := sorted({*PARAMETERS, *CONFIDENCES, *IDS, *PASSES} - set(shard)):
        raise InputError(f"{path}: not a shard of the mask grid: lacks {lacking[0]}")
    return shard


def _points_of(shard: dict[str, np.ndarray]) -> list[Combination]:
    columns = [shard[name].tolist() for name in PARAMETERS]
    return [Combination(*values) for values in zip(*columns, strict=True)]
