"""Put the shards of the mask grid together and choose the best combinations."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.configuration.sections import GridSection
from glassguard.errors import InputError
from glassguard.files.formats import read_arrays, read_examples, write_csv, write_json
from glassguard.saliency.grid import Combination, exact_mean, exact_sum, goodness, spread
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import PARAMETERS, planned_points, source_combination

SHARD = "a shard of the mask grid"
CONFIDENCES = {
    "ac_clean_real": "clean_confidence_real",
    "ac_adv_real": "adversarial_confidence_real",
    "ac_adv_target": "adversarial_confidence_target",
}


IDS = ("clean_ids", "adversarial_ids")
PASSES = ("network_passes", "network_passes_naive")


def run(
    config: GridSection, *, shards: list[Path], examples: Path, grid: OutputPath, best: OutputPath
) -> dict[str, float | int | str]:
    """Mean confidences of every combination, and the best one for each objective.

    Objectives of ``best.json``: ``clean`` (highest AC(clean, real)), ``adversarial_correct``
    (highest AC(adv, real)), ``adversarial_success`` (lowest AC(adv, target)) and ``goodness``;
    of equals the first row of ``grid.csv`` wins. Beside them ``by_fill`` and ``by_map`` (best
    goodness of each fill and of each kind of map) and ``source_setting``.
    """
    settings = config.saliency
    points = planned_points(settings, seed=config.seed)
    if points is None:
        points = _points_of(read_arrays(shards[0], kind=SHARD), shards[0])
    table = pd.DataFrame([asdict(point) for point in points])[list(PARAMETERS)]
    sums = {name: np.zeros(len(points), dtype=np.int64) for name in CONFIDENCES}
    adversarial_ids: list[str] = []
    clean_ids: list[str] = []
    passes = passes_naive = 0
    for path in shards:
        shard = read_arrays(path, kind=SHARD)
        if lacking := sorted({*PARAMETERS, *CONFIDENCES.values(), *IDS, *PASSES} - set(shard)):
            raise InputError(f"{path}: not a shard of the mask grid: lacks {lacking[0]}")
        for name in PARAMETERS:
            if shard[name].tolist() != table[name].tolist():
                raise InputError(f"{path}: was made for another grid; delete it")
        for name, confidences in CONFIDENCES.items():
            sums[name] += exact_sum(shard[confidences])
        adversarial_ids += shard["adversarial_ids"].tolist()
        clean_ids += shard["clean_ids"].tolist()
        passes += int(shard["network_passes"])
        passes_naive += int(shard["network_passes_naive"])
    _check_complete(config, adversarial_ids, clean_ids, examples, shards[0].parent)

    measured: dict[str, np.ndarray] = {}
    for name in CONFIDENCES:
        count = len(clean_ids) if name == "ac_clean_real" else len(adversarial_ids)
        measured[name] = exact_mean(sums[name], count)
    measured["goodness"] = goodness(
        measured["ac_clean_real"], measured["ac_adv_real"], measured["ac_adv_target"]
    )
    write_csv(table.assign(**measured, n_clean=len(clean_ids), n_adv=len(adversarial_ids)), grid)

    def row(position: int) -> dict[str, float | int | str]:
        values = {name: float(values[position]) for name, values in measured.items()}
        return {**asdict(points[position]), **values}

    def best_of(positions: list[int]) -> int:
        return max(positions, key=lambda position: measured["goodness"][position])

    everywhere = list(range(len(points)))

    def best_of_each(field: str) -> dict[str, dict[str, float | int | str]]:
        values = dict.fromkeys(getattr(point, field) for point in points)
        return {
            value: row(best_of([at for at in everywhere if getattr(points[at], field) == value]))
            for value in values
        }

    overall = row(best_of(everywhere))
    source = row(points.index(source_combination(settings)))
    passes_made = {"network_passes": passes, "network_passes_naive": passes_naive}
    chosen = {
        "clean": row(int(measured["ac_clean_real"].argmax())),
        "adversarial_correct": row(int(measured["ac_adv_real"].argmax())),
        "adversarial_success": row(int(measured["ac_adv_target"].argmin())),
        "goodness": overall,
        "by_fill": best_of_each("fill"),
        "by_map": best_of_each("map"),
        "source_setting": source,
        "n_clean": len(clean_ids),
        "n_adv": len(adversarial_ids),
        **passes_made,
    }
    write_json(chosen, best)
    return {
        **{f"best_{name}": value for name, value in overall.items()},
        "source_setting_goodness": source["goodness"],
        "combinations": len(points),
        **passes_made,
    }


def _points_of(shard: dict[str, np.ndarray], path: Path) -> list[Combination]:
    if lacking := sorted(set(PARAMETERS) - set(shard)):
        raise InputError(f"{path}: not a shard of the mask grid: lacks {lacking[0]}")
    columns = [shard[name].tolist() for name in PARAMETERS]
    return [
        Combination(**dict(zip(PARAMETERS, values, strict=True)))
        for values in zip(*columns, strict=True)
    ]


def _check_complete(
    config: GridSection,
    adversarial_ids: list[str],
    clean_ids: list[str],
    examples: Path,
    folder: Path,
) -> None:
    attacks = read_examples(examples)
    attacks = attacks[attacks["split"] == "val"].sort_values("example_id")
    if attacks.empty:
        raise InputError(f"{examples}: has no attacked validation picture to search on")
    attacks = attacks.iloc[spread(len(attacks), config.saliency.grid.images, config.seed)]
    wanted = sorted(attacks["example_id"]), sorted(set(attacks["image_id"]))
    if (sorted(adversarial_ids), sorted(clean_ids)) != wanted:
        raise InputError(f"{folder}: the shards do not make up the validation split; delete them")
