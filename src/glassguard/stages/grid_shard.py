"""Classify one shard of the validation pictures under every saliency mask of the grid."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_string_dtype

from glassguard.configuration.sections import GridSection
from glassguard.errors import InputError
from glassguard.progress import Progress, track
from glassguard.saliency.grid import (
    NO_TARGET,
    Combination,
    Maps,
    SearchResult,
    Seen,
    exact_mean,
    exact_sum,
    goodness,
    search,
    spread,
)
from glassguard.saliency.sampling import tried
from glassguard.saliency.settings import MaskSearch
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import (
    attacked_classes,
    class_indices,
    grid_values,
    open_pictures,
    planned_points,
    read_maps,
    source_combination,
    use_threads,
    with_maps,
)


def run(
    config: GridSection,
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

    A Bayesian search is one shard; its file holds the points that were tried.

    The adversarial side are the attacked validation pictures (``saliency.grid.images`` of them,
    evenly spread), the clean side the different pictures that those were made from. Both are
    sorted by id and dealt to the shards one by one.
    """
    settings = config.saliency
    use_threads(settings.threads)
    if not 0 <= shard < shards:
        raise InputError(f"--shard must be between 0 and {shards - 1}: {shard}")
    if settings.search.method == "bayesian" and shards > 1:
        raise InputError(
            f"--shards {shards}: a Bayesian search looks at all pictures at once, as one shard"
        )
    study = open_pictures(
        manifest=manifest,
        images=images,
        examples=examples,
        adversarial_images=adversarial_images,
        recognizer=recognizer,
    )
    people, attacks, identities = study.people, study.attacks, study.identities
    attacks = attacks[attacks["split"] == "val"].sort_values("example_id")
    attacks = attacks.iloc[spread(len(attacks), settings.grid.images, config.seed)]
    unknown = sorted(set(attacks["image_id"]) - set(people["image_id"]))
    if unknown:
        raise InputError(f"{examples}: image_id {unknown[0]} is not in {manifest}")
    clean = people[people["image_id"].isin(attacks["image_id"])].sort_values("image_id")
    attacks, clean = attacks.iloc[shard::shards], clean.iloc[shard::shards]

    real, target = attacked_classes(attacks, identities, examples)
    clean_real = class_indices(clean["identity"], identities, manifest)
    nobody = np.full(len(clean), NO_TARGET, dtype=np.int64)
    classes = np.stack([np.append(clean_real, real), np.append(nobody, target)], axis=1)

    kinds = {*settings.grid.map, source_combination(settings).map}

    def pictures() -> Iterator[tuple[np.ndarray, Maps]]:
        for file, rows, images_of, name in (
            (maps, clean, study.clean, "image_id"),
            (adversarial_maps, attacks, study.attacked, "example_id"),
        ):
            yield from with_maps(rows, images_of, read_maps(file, rows[name].tolist(), kinds=kinds))

    looked_through = partial(
        search, study.network, kernel=settings.kernel, batch_size=settings.batch_size
    )
    points = planned_points(settings, seed=config.seed)
    if points is not None:
        shown = track(pictures(), description="mask grid, pictures", total=len(classes))
        found = looked_through(shown, classes=classes, points=points)
    else:
        points, found = _by_trial(
            lambda point, seen: looked_through(
                pictures(), classes=classes, points=[point], seen=seen
            ),
            settings,
            clean_pictures=len(clean),
            seed=config.seed,
        )
    columns = pd.DataFrame([asdict(point) for point in points])
    parameters = {
        str(name): column.to_numpy(dtype=np.str_ if is_string_dtype(column) else None)
        for name, column in columns.items()
    }
    np.savez(
        results,
        allow_pickle=False,
        shard=shard,
        shards=shards,
        **parameters,
        clean_ids=clean["image_id"].to_numpy(dtype=np.str_),
        clean_confidence_real=found.confidences[: len(clean), :, 0],
        adversarial_ids=attacks["example_id"].to_numpy(dtype=np.str_),
        adversarial_confidence_real=found.confidences[len(clean) :, :, 0],
        adversarial_confidence_target=found.confidences[len(clean) :, :, 1],
        network_passes=found.network_passes,
        network_passes_naive=found.network_passes_naive,
    )
    return {
        "clean_pictures": len(clean),
        "adversarial_pictures": len(attacks),
        "combinations": len(points),
        "network_passes": found.network_passes,
        "network_passes_naive": found.network_passes_naive,
    }


def _by_trial(
    look: Callable[[Combination, Seen], SearchResult],
    settings: MaskSearch,
    *,
    clean_pictures: int,
    seed: int,
) -> tuple[list[Combination], SearchResult]:
    """Bayesian search for goodness over all pictures, of which the clean ones come first."""
    seen: Seen = {}
    results: dict[Combination, SearchResult] = {}

    with Progress(description="mask search, trials", total=settings.search.trials) as progress:

        def score(point: Combination) -> float:
            results[point] = look(point, seen)
            progress.advance()
            confidences = results[point].confidences[:, 0]
            clean, attacked = confidences[:clean_pictures], confidences[clean_pictures:]
            means = (exact_mean(exact_sum(part), len(part)) for part in (clean[:, 0], *attacked.T))
            return float(goodness(*means))

        tried(
            grid_values(settings),
            score,
            method="bayesian",
            trials=settings.search.trials,
            seed=seed,
        )
        # A point that was drawn again was not looked at again.
        progress.advance(settings.search.trials - len(results))
        source = source_combination(settings)
        if source not in results:
            results[source] = look(source, seen)
    found = SearchResult(
        confidences=np.concatenate([one.confidences for one in results.values()], axis=1),
        network_passes=sum(one.network_passes for one in results.values()),
        network_passes_naive=sum(one.network_passes_naive for one in results.values()),
    )
    return list(results), found
