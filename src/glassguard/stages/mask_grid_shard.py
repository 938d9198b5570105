"""Classify one shard of the validation pictures under every saliency mask of the grid."""

from pathlib import Path

import numpy as np

from glassguard.configuration.sections import MaskGridSection
from glassguard.errors import InputError
from glassguard.files.saliency_maps import read_maps
from glassguard.saliency.grid import PARAMETERS, with_maps
from glassguard.saliency.search import mask_search, searched_attacks
from glassguard.saliency.settings import ONE_JOB
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import open_pictures, use_threads


def run(
    config: MaskGridSection,
    *,
    manifest: Path,
    images: Path,
    maps: Path,
    examples: Path,
    adversarial_images: Path,
    adversarial_maps: Path,
    recognizer: Path,
    shard: int,
    shards: int,
    results: OutputPath,
) -> dict[str, float | int | str]:
    """Search over this shard's part of the validation split.

    The attacked pictures (at most ``saliency.grid.images``, evenly spread) and the different clean
    pictures that they were made from are each sorted by id and dealt to the shards one by one. A
    Bayesian search and a race are one shard. The file of the first holds the points that were
    tried; that of a race has NaN where a point was dropped before a picture was reached.
    """
    settings = config.saliency
    use_threads(settings.threads)
    if not 0 <= shard < shards:
        raise InputError(f"--shard must be between 0 and {shards - 1}: {shard}")
    if settings.search.method in ONE_JOB and shards > 1:
        raise InputError(
            f"--shards {shards}: with saliency.search.method={settings.search.method} all pictures "
            "are one shard"
        )
    study = open_pictures(
        manifest=manifest,
        images=images,
        examples=examples,
        adversarial_images=adversarial_images,
        recognizer=recognizer,
    )
    attacks, people = searched_attacks(study.attacks, settings, seed=config.seed), study.people
    if unknown := sorted(set(attacks["image_id"]) - set(people["image_id"])):
        raise InputError(f"{examples}: image_id {unknown[0]} is not in {manifest}")
    clean = people[people["image_id"].isin(attacks["image_id"])].sort_values("image_id")
    attacks, clean = attacks.iloc[shard::shards], clean.iloc[shard::shards]
    clean_ids, attack_ids = clean["image_id"].tolist(), attacks["example_id"].tolist()
    kinds = {*settings.grid.map, settings.source_setting.map}
    points, found = mask_search(
        study.network,
        with_maps(study.clean, clean.index, read_maps(maps, clean_ids, kinds=kinds)),
        study.classes_of(clean),
        with_maps(
            study.attacked, attacks.index, read_maps(adversarial_maps, attack_ids, kinds=kinds)
        ),
        *study.attacked_classes(attacks),
        settings,
        seed=config.seed,
    )
    of_clean, of_attacked = np.split(found.confidences, [len(clean)])
    passes = {
        "network_passes": found.network_passes,
        "network_passes_naive": found.network_passes_naive,
    }
    np.savez(
        results,
        allow_pickle=False,
        shard=shard,
        shards=shards,
        **{name: np.array([getattr(one, name) for one in points]) for name in PARAMETERS},
        clean_ids=np.array(clean_ids, dtype=np.str_),
        clean_confidence_real=of_clean[..., 0],
        adversarial_ids=np.array(attack_ids, dtype=np.str_),
        adversarial_confidence_real=of_attacked[..., 0],
        adversarial_confidence_target=of_attacked[..., 1],
        **passes,
    )
    return {
        "clean_pictures": len(clean),
        "adversarial_pictures": len(attacks),
        "combinations": len(points),
        **passes,
    }
