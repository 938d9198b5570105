"""Judge masks that were tuned on one accessory on all others."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.configuration.sections import EvaluationSection
from glassguard.errors import InputError
from glassguard.files.formats import check_rows, write_csv
from glassguard.progress import track
from glassguard.saliency.evaluation import (
    Predictions,
    adversarial_success,
    classify,
    classify_masked,
    mask_quality,
    masks_under,
    rate,
    rates,
)
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import (
    attacked_classes,
    best_combination,
    class_indices,
    open_pictures,
    read_frames,
    read_maps,
    use_threads,
)


def run(
    config: EvaluationSection,
    *,
    manifest: Path,
    images: Path,
    maps: Path,
    examples: list[Path],
    adversarial_images: list[Path],
    frames: list[Path],
    adversarial_maps: list[Path],
    best: list[Path],
    recognizer: Path,
    generality: OutputPath,
) -> dict[str, float | int | str]:
    """Mask every attack of the test split with the best combination of every attack.

    The lists name files of the attacks, all in one order; an attack is called like the folder in
    which its ``examples.csv`` lies. Each combination was chosen on validation attacks of its own
    kind (``best``). A row is one combination (``tuned_on``) on one attack (``tested_on``), without
    and with the confidence threshold; ``undefended_success`` is the attack's success without mask
    and threshold.
    """
    settings = config.saliency
    use_threads(settings.threads)
    files = (examples, adversarial_images, frames, adversarial_maps, best)
    if len({len(paths) for paths in files}) != 1:
        raise InputError(
            "--examples, --adversarial-images, --frames, --adversarial-maps and --best must name "
            "as many files each"
        )
    batch_size = settings.batch_size
    names = [path.absolute().parent.name for path in examples]
    combinations = [best_combination(path) for path in best]
    kinds = {combination.map for combination in combinations}
    # Predictions of clean pictures depend on the combination alone.
    behind: list[Predictions] = []
    rows: list[dict[str, float | int | str | None]] = []
    attacks = zip(names, *files[:-1], strict=True)
    for name, table, pictures, frames_file, maps_file in track(
        attacks, description="attacks under every mask", total=len(names)
    ):
        study = open_pictures(
            manifest=manifest,
            images=images,
            examples=table,
            adversarial_images=pictures,
            recognizer=recognizer,
        )
        people = study.people[study.people["split"] == "test"]
        attacked = study.attacks[study.attacks["split"] == "test"]
        if attacked.empty:
            raise InputError(f"{table}: has no attacked test picture to evaluate on")
        true_frames = read_frames(frames_file)
        check_rows(study.attacks, true_frames, table, frames_file)
        clean_real = class_indices(people["identity"], study.identities, manifest)
        if not behind:
            clean_images = study.clean[people.index]
            clean_maps = read_maps(maps, people["image_id"].tolist(), kinds=kinds)
            bare = classify(study.network, clean_images, batch_size=batch_size)
            behind = [
                classify_masked(
                    study.network,
                    clean_images,
                    masks_under(clean_maps, one, kernel=settings.kernel),
                    one.fill,
                    bare,
                    batch_size=batch_size,
                )
                for one in combinations
            ]
        classes = attacked_classes(attacked, study.identities, table)
        attacked_images = study.attacked[attacked.index]
        attacked_maps = read_maps(maps_file, attacked["example_id"].tolist(), kinds=kinds)
        before = classify(study.network, attacked_images, batch_size=batch_size)
        undefended = rate("undefended_success", adversarial_success(before, *classes))
        for tuned_on, combination, clean in zip(names, combinations, behind, strict=True):
            masks = masks_under(attacked_maps, combination, kernel=settings.kernel)
            after = classify_masked(
                study.network,
                attacked_images,
                masks,
                combination.fill,
                before,
                batch_size=batch_size,
            )
            quality = mask_quality(masks, true_frames[attacked.index])
            rows += [
                {
                    "tuned_on": tuned_on,
                    "tested_on": name,
                    "threshold": threshold,
                    **asdict(combination),
                    **undefended,
                    **rates(before, after, clean, classes, clean_real, threshold),
                    **quality,
                }
                for threshold in (None, settings.confidence_threshold)
            ]
    found = pd.DataFrame(rows)
    order = {name: place for place, name in enumerate(names)}
    found = found.sort_values(
        ["tuned_on", "tested_on"], key=lambda column: column.map(order), kind="stable"
    )
    write_csv(found, generality)
    free = found[found["threshold"].isna()]
    elsewhere = free[free["tuned_on"] != free["tested_on"]]
    return {
        "attacks": len(names),
        "defence_success_same": float(
            np.mean(free.loc[free["tuned_on"] == free["tested_on"], "defence_success"])
        ),
        **(
            {"defence_success_other": float(np.mean(elsewhere["defence_success"]))}
            if len(elsewhere)
            else {}
        ),
    }
