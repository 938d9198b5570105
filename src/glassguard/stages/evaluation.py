"""Judge the chosen saliency mask on the test split, beside its controls."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.configuration.schema import Saliency
from glassguard.configuration.slices import SaliencySlice
from glassguard.errors import InputError
from glassguard.saliency.evaluation import (
    Predictions,
    adversarial_success,
    classify,
    classify_masked,
    defence_success,
    mask_quality,
    masks_under,
    misplaced,
    rates,
)
from glassguard.saliency.fill import filled
from glassguard.saliency.grid import Combination, spread
from glassguard.saliency.mask import (
    closed,
    exceeding,
    threshold_levels,
    without_small_components,
)
from glassguard.stages.files import (
    check_rows,
    write_csv,
)
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import (
    attacked_classes,
    best_combination,
    class_indices,
    open_pictures,
    read_frames,
    read_maps,
    source_combination,
    use_threads,
)

SHOWN_EXAMPLES = 6
CURVE_THRESHOLDS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Defence:
    """A way of masking and what it led to.

    Attributes:
        name: ``none``, ``saliency``, ``saliency_source``, ``oracle`` or ``random``.
        fill: what replaced the masked pixels, empty for ``none``.
        adversarial: predictions of the attacked test pictures.
        clean: predictions of all clean test pictures.
        masks: of the attacked pictures, N x H x W bool; None where nothing is masked.
    """

    name: str
    fill: str
    adversarial: Predictions
    clean: Predictions
    masks: np.ndarray | None


def run(
    config: SaliencySlice,
    *,
    manifest: Path,
    images: Path,
    maps: Path,
    examples: Path,
    adversarial_images: Path,
    frames: Path,
    adversarial_maps: Path,
    recognizer: Path,
    best: Path,
    evaluation: OutputPath,
    curve: OutputPath,
    masks: OutputPath,
) -> dict[str, float | int | str]:
    """Classify the test split without and with each defence.

    ``saliency`` is the combination with the best goodness on the validation split,
    ``saliency_source`` Study S's. ``oracle`` masks the true frame (and nothing of a clean
    picture), ``random`` the saliency mask at a wrong place; both with the best fill. The column
    ``attack`` is the name of the folder in which ``examples.csv`` lies.
    """
    settings = config.saliency
    use_threads(settings.threads)
    study = open_pictures(
        manifest=manifest,
        images=images,
        examples=examples,
        adversarial_images=adversarial_images,
        recognizer=recognizer,
    )
    people, attacks = study.people, study.attacks
    network, identities = study.network, study.identities
    true_frames = read_frames(frames)
    check_rows(attacks, true_frames, examples, frames)

    people, attacks = people[people["split"] == "test"], attacks[attacks["split"] == "test"]
    if attacks.empty:
        raise InputError(f"{examples}: has no attacked test picture to evaluate on")
    clean_pictures = study.clean[people.index]
    attacked_pictures = study.attacked[attacks.index]
    true_frames = true_frames[attacks.index]
    clean_maps = read_maps(maps, people["image_id"].tolist())
    attacked_maps = read_maps(adversarial_maps, attacks["example_id"].tolist())
    clean_real = class_indices(people["identity"], identities, manifest)
    real, target = attacked_classes(attacks, identities, examples)

    chosen = best_combination(best)
    source = source_combination(settings)
    saliency_attacked = masks_under(attacked_maps, chosen, kernel=settings.kernel)
    saliency_clean = masks_under(clean_maps, chosen, kernel=settings.kernel)
    ways = (
        ("saliency", chosen.fill, saliency_attacked, saliency_clean),
        (
            "saliency_source",
            source.fill,
            masks_under(attacked_maps, source, kernel=settings.kernel),
            masks_under(clean_maps, source, kernel=settings.kernel),
        ),
        ("oracle", chosen.fill, true_frames, np.zeros_like(saliency_clean)),
        (
            "random",
            chosen.fill,
            _misplaced(saliency_attacked, attacks["example_id"], config.seed),
            _misplaced(saliency_clean, people["image_id"], config.seed),
        ),
    )
    batch_size = settings.batch_size
    undefended = Defence(
        name="none",
        fill="",
        adversarial=classify(network, attacked_pictures, batch_size=batch_size),
        clean=classify(network, clean_pictures, batch_size=batch_size),
        masks=None,
    )
    defences = [undefended]
    for name, fill, masks_attacked, masks_clean in ways:
        adversarial = classify_masked(
            network,
            attacked_pictures,
            masks_attacked,
            fill,
            undefended.adversarial,
            batch_size=batch_size,
        )
        clean = classify_masked(
            network, clean_pictures, masks_clean, fill, undefended.clean, batch_size=batch_size
        )
        defences.append(Defence(name, fill, adversarial, clean, masks_attacked))

    rows = []
    for defence in defences:
        quality = {} if defence.masks is None else mask_quality(defence.masks, true_frames)
        for threshold in (None, settings.confidence_threshold):
            rows.append(
                {
                    "attack": examples.absolute().parent.name,
                    "defence": defence.name,
                    "fill": defence.fill,
                    "threshold": threshold,
                    **_rates(defence, undefended, clean_real, (real, target), threshold),
                    **quality,
                }
            )
    write_csv(pd.DataFrame(rows), evaluation)
    write_csv(_threshold_curve(defences, undefended, clean_real, (real, target)), curve)

    saliency = defences[1]
    undone = defence_success(undefended.adversarial, saliency.adversarial, real, target)
    fooled = adversarial_success(undefended.adversarial, real, target)
    shown = _shown(fooled & undone, fooled & ~undone, config.seed)
    arrays = {
        **_parameters(chosen),
        **_stages_of_masks(attacked_pictures, attacked_maps, chosen, settings, shown),
        "example_ids": attacks["example_id"].to_numpy(dtype=np.str_)[shown],
        "attacker": attacks["attacker"].to_numpy(dtype=np.str_)[shown],
        "target": attacks["target"].to_numpy(dtype=np.str_)[shown],
        "worked": undone[shown],
        "frames": true_frames[shown],
        "prediction_before": np.array(identities)[undefended.adversarial.classes[shown]],
        "confidence_before": undefended.adversarial.confidences[shown],
        "prediction_after": np.array(identities)[saliency.adversarial.classes[shown]],
        "confidence_after": saliency.adversarial.confidences[shown],
    }
    np.savez(masks, allow_pickle=False, **arrays)
    return _headline(rows)


def _parameters(combination: Combination) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in vars(combination).items()}


def _misplaced(masks: np.ndarray, names: pd.Series, seed: int) -> np.ndarray:
    moved = np.zeros_like(masks)
    for row, name in enumerate(names):
        moved[row] = misplaced(masks[row], seed=seed, name=name)
    return moved


def _rates(
    defence: Defence,
    undefended: Defence,
    clean_real: np.ndarray,
    classes: tuple[np.ndarray, np.ndarray],
    threshold: float | None,
) -> dict[str, float]:
    before, after = undefended.adversarial, defence.adversarial
    return rates(before, after, defence.clean, classes, clean_real, threshold)


def _threshold_curve(
    defences: list[Defence],
    undefended: Defence,
    clean_real: np.ndarray,
    classes: tuple[np.ndarray, np.ndarray],
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "defence": defence.name,
            "fill": defence.fill,
            "threshold": threshold,
            **_rates(defence, undefended, clean_real, classes, float(threshold)),
        }
        for defence in defences
        for threshold in CURVE_THRESHOLDS
    )


def _shown(worked: np.ndarray, failed: np.ndarray, seed: int) -> np.ndarray:
    """Rows of a few attacks that the mask undid, then of a few that it did not."""
    rows = [np.flatnonzero(group) for group in (worked, failed)]
    return np.concatenate([group[spread(len(group), SHOWN_EXAMPLES, seed)] for group in rows])


def _stages_of_masks(
    pictures: np.ndarray,
    maps: np.ndarray,
    combination: Combination,
    settings: Saliency,
    rows: np.ndarray,
) -> dict[str, np.ndarray]:
    """Every step from a picture to its masked self, for the figure."""
    steps: dict[str, list[np.ndarray]] = {
        name: [] for name in ("thresholded", "closed", "filtered", "filled")
    }
    for row in rows:
        (level,) = threshold_levels(maps[row], (combination.mu,), combination.mu_as)
        above = exceeding(maps[row], level)
        whole = closed(above, combination.n, kernel=settings.kernel)
        mask = without_small_components(whole, combination.phi)
        steps["thresholded"].append(above)
        steps["closed"].append(whole)
        steps["filtered"].append(mask)
        steps["filled"].append(filled(pictures[row], mask, combination.fill))
    like = {name: pictures if name == "filled" else maps for name in steps}
    kind = {name: np.uint8 if name == "filled" else np.bool_ for name in steps}
    return {
        "images": pictures[rows],
        "saliency": maps[rows],
        **{
            name: np.array(found, dtype=kind[name]).reshape(len(rows), *like[name].shape[1:])
            for name, found in steps.items()
        },
    }


def _headline(rows: list[dict]) -> dict[str, float | int | str]:
    metrics: dict[str, float | int | str] = {}
    for row in rows:
        suffix = "" if row["threshold"] is None else f"_threshold_{row['threshold']:g}"
        for name in ("adversarial_success", "adversarial_correct", "clean_accuracy"):
            metrics[f"{row['defence']}{suffix}_{name}"] = row[name]
        if row["defence"] != "none":
            metrics[f"{row['defence']}{suffix}_defence_success"] = row["defence_success"]
            metrics[f"{row['defence']}{suffix}_mask_iou"] = row["mask_iou"]
    return metrics
