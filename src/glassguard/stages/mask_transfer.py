"""Judge masks that were tuned on one accessory on all others."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from glassguard.configuration.sections import MaskEvaluationSection
from glassguard.errors import InputError
from glassguard.files.formats import read_images, write_csv
from glassguard.saliency.defences import HeldOutPictures
from glassguard.saliency.transfer import transfer as transfer_of
from glassguard.stages.judged_masks import open_split, read_best
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import open_pictures, open_recognizer, use_threads


def run(
    config: MaskEvaluationSection,
    *,
    benign: list[Path],
    attacks: list[Path],
    best: list[Path],
    recognizer: Path,
    transfer: OutputPath,
) -> dict[str, float | int | str]:
    """Mask every attack of the test split with the best combination of every attack.

    ``benign`` is manifest, pictures and saliency maps; ``attacks`` are the examples, pictures,
    frames and saliency maps of one attack after the other; ``best`` are the combinations of the
    first attack and of all others that masks were tuned on. The folder of an ``examples.csv`` names
    the attack, and so does the folder of every further ``best``. The table is that of
    :func:`glassguard.saliency.transfer.transfer`.
    """
    settings = config.saliency
    use_threads(settings.threads)
    files = [attacks[start : start + 4] for start in range(0, len(attacks), 4)]
    if not files or len(files[-1]) != 4:
        raise InputError(
            "--attacks must name examples, pictures, frames and maps of every attack, and names "
            f"{len(attacks)} files"
        )
    names = [examples.absolute().parent.name for examples, *_ in files]
    tuned_on = [names[0], *(path.absolute().parent.name for path in best[1:])]
    if unknown := sorted(set(tuned_on) - set(names)):
        raise InputError(f"--best: {unknown[0]} is none of the attacks {', '.join(names)}")
    masks = {name: read_best(path)[0] for name, path in zip(tuned_on, best, strict=True)}
    kinds = {mask.map for mask in masks.values()}

    def held_out() -> Iterator[tuple[str, HeldOutPictures]]:
        for name, attack in zip(names, files, strict=True):
            study = open_pictures(benign=benign, attack=attack, recognizer=recognizer)
            yield name, open_split(study, "test", kinds=kinds)

    network, _ = open_recognizer(recognizer, read_images(benign[1]), benign[1])
    found = transfer_of(
        network,
        held_out(),
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
