"""Judge masks that were tuned on one accessory on all others."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from glassguard.configuration.sections import MaskEvaluationSection
from glassguard.errors import InputError
from glassguard.files.formats import check_rows, read_frames, read_images, write_csv
from glassguard.saliency.defences import HeldOutPictures
from glassguard.saliency.transfer import transfer as transfer_of
from glassguard.stages.judged_masks import open_split, read_best
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import open_pictures, open_recognizer, use_threads


def run(
    config: MaskEvaluationSection,
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
    transfer: OutputPath,
) -> dict[str, float | int | str]:
    """Mask every attack of the test split with the best combination of every attack.

    The lists name files of the attacks in one order, and ``best`` those of the first and of all
    others that masks were tuned on. The name of an attack is that of the folder of its
    ``examples.csv``; that of a search, of the folder of ``best``. The table is that of
    :func:`glassguard.saliency.transfer.transfer`.
    """
    settings = config.saliency
    use_threads(settings.threads)
    files = (examples, adversarial_images, frames, adversarial_maps)
    if len({len(paths) for paths in files}) != 1:
        raise InputError(
            "--examples, --adversarial-images, --frames and --adversarial-maps must name as many "
            "files each"
        )
    names = [path.absolute().parent.name for path in examples]
    tuned_on = [names[0], *(path.absolute().parent.name for path in best[1:])]
    if unknown := sorted(set(tuned_on) - set(names)):
        raise InputError(f"--best: {unknown[0]} is none of the attacks {', '.join(names)}")
    masks = {name: read_best(path)[0] for name, path in zip(tuned_on, best, strict=True)}

    def attacks() -> Iterator[tuple[str, HeldOutPictures]]:
        for name, table, attacked, worn, attacked_maps in zip(names, *files, strict=True):
            study = open_pictures(
                manifest=manifest,
                images=images,
                examples=table,
                adversarial_images=attacked,
                recognizer=recognizer,
            )
            true_frames = read_frames(worn)
            check_rows(study.attacks, true_frames, table, worn)
            yield (
                name,
                open_split(
                    study,
                    "test",
                    maps=maps,
                    adversarial_maps=attacked_maps,
                    kinds={mask.map for mask in masks.values()},
                    frames=true_frames,
                ),
            )

    network, _ = open_recognizer(recognizer, read_images(images), images)
    found = transfer_of(
        network,
        attacks(),
        masks,
        kernel=settings.kernel,
        batch_size=settings.batch_size,
        threshold=settings.confidence_threshold,
    )
    write_csv(found, transfer)
    free = found[found["threshold"].isna()]
    same = free["tuned_on"] == free["tested_on"]
    metrics: dict[str, float | int | str] = {
        "attacks": len(names),
        "defence_success_same": float(np.mean(free.loc[same, "defence_success"])),
    }
    if not same.all():
        metrics["defence_success_other"] = float(np.mean(free.loc[~same, "defence_success"]))
    return metrics
