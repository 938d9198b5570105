"""Attack the study's defences, knowing them, with one shard of the attacked test pictures."""

import math
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from glassguard.adaptive.evaluation import Victims, attack_all
from glassguard.adaptive.guarded import GUARD, Guarded
from glassguard.adaptive.known_defences import known_defences, removal
from glassguard.attack.robustness import first_of_pairs
from glassguard.configuration.sections import AdaptiveSection
from glassguard.detection.detector_file import from_arrays
from glassguard.detection.detectors import Detectors
from glassguard.detection.feature_squeezing import FeatureSqueezing
from glassguard.errors import InputError
from glassguard.faces.manifest import EYES
from glassguard.files.formats import read_json, read_safetensors
from glassguard.guard.guard import Guard
from glassguard.saliency.explanation import explainer
from glassguard.stages.judged_masks import read_best
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import open_pictures, use_threads


def run(
    config: AdaptiveSection,
    *,
    manifest: Path,
    images: Path,
    examples: Path,
    adversarial_images: Path,
    frames: Path,
    recognizer: Path,
    detectors: Path,
    description: Path,
    best: Path,
    banded_recognizer: Path,
    band: Path,
    thresholds: Path,
    shard: int,
    shards: int,
    results: OutputPath,
) -> dict[str, float | int | str]:
    """Attack with every ``shards``-th of the chosen pictures, from ``shard`` (counted from 0) on.

    Raises:
        InputError: a file cannot be used, files do not fit together, or there is no such shard.
    """
    settings = config.adaptive
    use_threads(settings.threads)
    if not 0 <= shard < shards:
        raise InputError(f"--shard must be between 0 and {shards - 1}: {shard}")
    study = open_pictures(
        benign=[manifest, images],
        attack=[examples, adversarial_images, frames],
        recognizer=recognizer,
    )
    faces, attack = study.benign, study.attack
    rows = first_of_pairs(attack.table, settings.pictures)[shard::shards]
    chosen = attack.table.iloc[rows]
    _, targets = study.attacked_classes(chosen)
    row_of = {name: row for row, name in enumerate(faces.table["image_id"])}
    if unknown := sorted(set(chosen["image_id"]) - set(row_of)):
        raise InputError(f"{examples}: {unknown[0]} is not in {manifest}")
    own = [row_of[name] for name in chosen["image_id"]]
    try:
        fitted = from_arrays(read_json(description), read_safetensors(detectors))
    except ValueError as error:
        raise InputError(f"{description}, {detectors}: not fitted detectors: {error}") from None
    if not isinstance(fitted, Detectors) or fitted.identities != tuple(study.identities):
        raise InputError(f"{description}: not the detectors of {recognizer}")
    combination, _ = read_best(best)
    explain = explainer(study.network, combination.map, config.explanation)
    defences = known_defences(
        study.network,
        fitted,
        squeezing=FeatureSqueezing(**config.squeezing.model_dump()),
        remove=partial(removal, explain, combination, kernel=config.kernel),
        reduction=config.reduction,
        places=config.places,
    )
    pictures = (faces.images[own], attack.frames[rows], targets, attack.images[rows])
    shown, frames_worn, aims, blind = map(np.ascontiguousarray, pictures)
    victims = Victims(shown, frames_worn, aims, blind, rows.tolist())
    guard = Guard.open(recognizer, banded_recognizer, band, thresholds)
    eyes = faces.table.iloc[own][list(EYES)].to_numpy(dtype=float).reshape(-1, 2, 2)
    guarded = Guarded.worn(guard, eyes, victims.numbers)
    known = {name: one.defence for name, one in defences.items()} | {GUARD: guarded}
    rates = {name: one.rate for name, one in defences.items()} | {GUARD: math.nan}
    outcomes = attack_all(study.network, known, victims, settings, seed=config.seed)
    np.savez(
        results,
        allow_pickle=False,
        order=rows,
        defences=np.array([one.defence for one in outcomes], dtype=np.str_),
        attackers=np.array([one.attacker for one in outcomes], dtype=np.str_),
        rates=np.array([rates[one.defence] for one in outcomes], dtype=np.float64),
        iterations=np.array([one.iterations for one in outcomes]),
        restarts=np.array([one.restarts for one in outcomes]),
        fooled=np.array([one.fooled for one in outcomes]),
        passed=np.array([one.passed for one in outcomes]),
        **asdict(guarded.bound(victims.faces, victims.frames, targets)),
    )
    return {"attacked": len(rows), "defences": len(rates), "attackers": len(outcomes)}
