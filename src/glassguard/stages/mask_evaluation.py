"""Judge the chosen saliency mask on the test split, together with its controls."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from glassguard.configuration.sections import MaskEvaluationSection
from glassguard.files.formats import write_csv, write_json
from glassguard.saliency.choice import affordable_row, combination_of
from glassguard.saliency.defences import controls, evaluation_rows, headline, judged
from glassguard.saliency.grid import source_combination
from glassguard.saliency.mask_steps import shown_masks
from glassguard.saliency.working_point import chosen_working_point, threshold_curve
from glassguard.stages.judged_masks import open_split, read_best, read_confidence, read_grid
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import open_pictures, use_threads


def run(
    config: MaskEvaluationSection,
    *,
    benign: list[Path],
    attack: list[Path],
    recognizer: Path,
    best: Path,
    grid: Path,
    predictions: Path,
    evaluation: OutputPath,
    curve: OutputPath,
    working_point: OutputPath,
    masks: OutputPath,
) -> dict[str, float | int | str]:
    """Classify the test split without and with each defence.

    Both sets are table, pictures, for the attack frames, and saliency maps.

    ``saliency`` has the best goodness on the validation split; ``saliency_affordable`` the best of
    those that lower the mean confidence in the clean validation pictures by at most
    ``largest_clean_loss``, if there is one; ``saliency_guided`` the best of guided backpropagation;
    ``saliency_source`` is Study S's. The column ``attack`` names the folder of ``examples.csv``.
    Curves of no mask and of the saliency mask are also of the validation split, on which the
    working point is chosen.
    """
    settings, seed = config.saliency, config.seed
    use_threads(settings.threads)
    study = open_pictures(benign=benign, attack=attack, recognizer=recognizer)
    attacks, examples = study.attack.table, study.attack.files[0]
    (chosen, best_row), source = read_best(best), source_combination(settings.source_setting)
    attacked = attacks.loc[attacks["split"] == "val", "image_id"].unique()
    affordable = affordable_row(
        best_row,
        read_grid(grid),
        clean_confidence=read_confidence(predictions, attacked, examples),
        largest_clean_loss=settings.largest_clean_loss,
    )
    tuned = {
        "saliency": chosen,
        **({} if affordable is None else {"saliency_affordable": combination_of(affordable)}),
        "saliency_guided": read_best(best, of_map=source.map)[0],
        "saliency_source": source,
    }
    validation, test = (
        open_split(study, split, kinds={one.map for one in tuned.values()})
        for split in ("val", "test")
    )
    how: dict[str, Any] = {"kernel": settings.kernel, "batch_size": settings.batch_size}
    on_validation = judged(study.network, validation, {"saliency": chosen}, **how)
    defences = judged(study.network, test, tuned, **how)
    defences += controls(study.network, test, defences[0], chosen, **how, seed=seed)
    rows = evaluation_rows(defences, test, threshold=settings.confidence_threshold)
    table = pd.DataFrame(rows)
    table.insert(0, "attack", examples.absolute().parent.name)
    write_csv(table, evaluation)
    curves = (
        threshold_curve("val", on_validation, validation),
        threshold_curve("test", defences, test),
    )
    write_csv(pd.concat([curves[1], curves[0]]), curve)
    point = chosen_working_point(*curves, largest_clean_loss=settings.largest_clean_loss)
    write_json({**point, "affordable_mask": affordable}, working_point)
    before, after, names = *defences[:2], study.identities
    shown = shown_masks(before, after, test, chosen, names, kernel=settings.kernel, seed=seed)
    np.savez(masks, allow_pickle=False, **shown)
    return headline(rows)
