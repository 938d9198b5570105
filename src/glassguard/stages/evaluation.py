"""Judge the chosen saliency mask on the test split, beside its controls."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from glassguard.configuration.sections import EvaluationSection
from glassguard.errors import InputError
from glassguard.files.formats import (
    check_rows,
    read_table,
    require_columns,
    write_csv,
    write_json,
)
from glassguard.progress import track
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
from glassguard.saliency.evaluation import working_point as working_point_of
from glassguard.saliency.fill import filled
from glassguard.saliency.grid import Combination, Maps, spread
from glassguard.saliency.mask import (
    closed,
    exceeding,
    threshold_levels,
    without_small_components,
)
from glassguard.saliency.settings import Fill, MaskBasics
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import (
    affordable_row,
    attacked_classes,
    best_combination,
    class_indices,
    combination_of,
    open_pictures,
    read_frames,
    read_maps,
    source_combination,
    use_threads,
)

SHOWN_EXAMPLES = 6
CURVE_THRESHOLDS = np.arange(101) / 100


@dataclass(frozen=True)
class Defence:
    """A way of masking and what it led to.

    Attributes:
        name: ``none``, ``saliency``, ``saliency_affordable``, ``saliency_guided``,
            ``saliency_source``, ``oracle`` or ``random``.
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


@dataclass(frozen=True)
class _SplitPictures:
    """Clean and attacked pictures of a split with their tables, saliency maps and classes."""

    people: pd.DataFrame
    attacks: pd.DataFrame
    clean: np.ndarray
    attacked: np.ndarray
    clean_maps: Maps
    attacked_maps: Maps
    clean_real: np.ndarray
    classes: tuple[np.ndarray, np.ndarray]

    def masks_under(self, one: Combination, *, kernel: int) -> tuple[np.ndarray, np.ndarray]:
        """Masks of the attacked and of the clean pictures."""
        return (
            masks_under(self.attacked_maps, one, kernel=kernel),
            masks_under(self.clean_maps, one, kernel=kernel),
        )


def run(
    config: EvaluationSection,
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
    grid: Path,
    predictions: Path,
    evaluation: OutputPath,
    curve: OutputPath,
    working_point: OutputPath,
    masks: OutputPath,
) -> dict[str, float | int | str]:
    """Classify the test split without and with each defence.

    ``saliency`` is the combination with the best goodness on the validation split,
    ``saliency_affordable`` the best of those that lower the mean confidence in the validation
    pictures that were attacked, before they were, by at most ``largest_clean_loss`` (left out where
    none does), ``saliency_guided`` the best of guided backpropagation, and ``saliency_source``
    Study S's; a mask that is several of these has as many rows. ``oracle`` masks the true frame
    (and nothing of a clean picture), ``random`` the saliency mask at a wrong place; both with the
    best fill. The column ``attack`` is the name of the folder in which ``examples.csv`` lies.

    The curves are of the test split (``split`` = ``test``) and, for no mask and the saliency mask,
    of the validation split (``val``), on which the working point is chosen.
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
    all_frames = read_frames(frames)
    check_rows(study.attacks, all_frames, examples, frames)
    network, identities, batch_size = study.network, study.identities, settings.batch_size
    chosen, source = best_combination(best), source_combination(settings)
    guided = best_combination(best, of_map=source.map)
    cheaper = affordable_row(
        grid,
        best,
        clean_confidence=_clean_confidence(predictions, study.attacks, examples),
        largest_clean_loss=settings.largest_clean_loss,
    )
    affordable = None if cheaper is None else combination_of(cheaper, grid)
    kinds = {chosen.map, source.map} | ({affordable.map} if affordable else set())

    def pictures_of(split: str) -> _SplitPictures:
        people = study.people[study.people["split"] == split]
        attacks = study.attacks[study.attacks["split"] == split]
        if attacks.empty:
            raise InputError(f"{examples}: has no attacked {split} picture to evaluate on")
        return _SplitPictures(
            people=people,
            attacks=attacks,
            clean=study.clean[people.index],
            attacked=study.attacked[attacks.index],
            clean_maps=read_maps(maps, people["image_id"].tolist(), kinds=kinds),
            attacked_maps=read_maps(adversarial_maps, attacks["example_id"].tolist(), kinds=kinds),
            clean_real=class_indices(people["identity"], identities, manifest),
            classes=attacked_classes(attacks, identities, examples),
        )

    def undefended(pictures: _SplitPictures) -> Defence:
        return Defence(
            name="none",
            fill="",
            adversarial=classify(network, pictures.attacked, batch_size=batch_size),
            clean=classify(network, pictures.clean, batch_size=batch_size),
            masks=None,
        )

    def defended(
        pictures: _SplitPictures,
        before: Defence,
        name: str,
        fill: Fill,
        masks: tuple[np.ndarray, np.ndarray],
    ) -> Defence:
        adversarial, clean = (
            classify_masked(network, images, mask, fill, unmasked, batch_size=batch_size)
            for images, mask, unmasked in (
                (pictures.attacked, masks[0], before.adversarial),
                (pictures.clean, masks[1], before.clean),
            )
        )
        return Defence(name, fill, adversarial, clean, masks[0])

    kernel = settings.kernel
    validation = pictures_of("val")
    bare = undefended(validation)
    masked = validation.masks_under(chosen, kernel=kernel)
    before_and_after = [bare, defended(validation, bare, "saliency", chosen.fill, masked)]
    validation_curve = _threshold_curve("val", before_and_after, validation)

    test = pictures_of("test")
    before = undefended(test)
    true_frames = all_frames[test.attacks.index]
    by_saliency = test.masks_under(chosen, kernel=kernel)
    elsewhere = (
        _misplaced(by_saliency[0], test.attacks["example_id"], config.seed),
        _misplaced(by_saliency[1], test.people["image_id"], config.seed),
    )
    frames_alone = (true_frames, np.zeros_like(by_saliency[1]))
    tuned = {
        "saliency": chosen,
        **({} if affordable is None else {"saliency_affordable": affordable}),
        "saliency_guided": guided,
        "saliency_source": source,
    }
    # A mask that is several things at once is judged once and has a row as each of them, so that
    # means over seeds are over all seeds.
    judged = {
        one: defended(test, before, "", one.fill, test.masks_under(one, kernel=kernel))
        for one in track(
            list(dict.fromkeys(tuned.values())), description="masks judged on the test split"
        )
    }
    defences = [
        before,
        *(replace(judged[one], name=name) for name, one in tuned.items()),
        defended(test, before, "oracle", chosen.fill, frames_alone),
        defended(test, before, "random", chosen.fill, elsewhere),
    ]

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
                    **_rates(defence, before, test, threshold),
                    **quality,
                }
            )
    write_csv(pd.DataFrame(rows), evaluation)
    test_curve = _threshold_curve("test", defences, test)
    write_csv(pd.concat([test_curve, validation_curve]), curve)
    write_json(
        {
            **_working_point(validation_curve, test_curve, settings.largest_clean_loss),
            "affordable_mask": cheaper,
        },
        working_point,
    )

    saliency = defences[1]
    attacks = test.attacks
    undone = defence_success(before.adversarial, saliency.adversarial, *test.classes)
    fooled = adversarial_success(before.adversarial, *test.classes)
    shown = _shown(fooled & undone, fooled & ~undone, config.seed)
    arrays = {
        **_parameters(chosen),
        **_stages_of_masks(test.attacked, test.attacked_maps[chosen.map], chosen, settings, shown),
        "example_ids": attacks["example_id"].to_numpy(dtype=np.str_)[shown],
        "attacker": attacks["attacker"].to_numpy(dtype=np.str_)[shown],
        "target": attacks["target"].to_numpy(dtype=np.str_)[shown],
        "worked": undone[shown],
        "frames": true_frames[shown],
        "prediction_before": np.array(identities)[before.adversarial.classes[shown]],
        "confidence_before": before.adversarial.confidences[shown],
        "prediction_after": np.array(identities)[saliency.adversarial.classes[shown]],
        "confidence_after": saliency.adversarial.confidences[shown],
    }
    np.savez(masks, allow_pickle=False, **arrays)
    return _headline(rows)


def _clean_confidence(predictions: Path, attacks: pd.DataFrame, examples: Path) -> float:
    """Mean confidence in the true person of the validation pictures that were attacked, bare."""
    attacked = attacks.loc[attacks["split"] == "val", "image_id"].unique()
    table = read_table(predictions)
    require_columns(table, ("image_id", "confidence_true"), predictions)
    table = table.set_index("image_id")
    if missing := sorted(set(attacked) - set(table.index)):
        raise InputError(f"{predictions}: lacks {missing[0]}, which {examples} attacks")
    return float(table.loc[attacked, "confidence_true"].mean())


def _parameters(combination: Combination) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in vars(combination).items()}


def _misplaced(masks: np.ndarray, names: pd.Series, seed: int) -> np.ndarray:
    moved = np.zeros_like(masks)
    for row, name in enumerate(names):
        moved[row] = misplaced(masks[row], seed=seed, name=name)
    return moved


def _rates(
    defence: Defence, undefended: Defence, pictures: _SplitPictures, threshold: float | None
) -> dict[str, float]:
    return rates(
        undefended.adversarial,
        defence.adversarial,
        defence.clean,
        pictures.classes,
        pictures.clean_real,
        threshold,
    )


def _threshold_curve(split: str, defences: list[Defence], pictures: _SplitPictures) -> pd.DataFrame:
    """Rates of every defence, of which the first is none, at every threshold."""
    return pd.DataFrame(
        {
            "defence": defence.name,
            "fill": defence.fill,
            "threshold": threshold,
            "split": split,
            **_rates(defence, defences[0], pictures, float(threshold)),
        }
        for defence in defences
        for threshold in CURVE_THRESHOLDS
    )


def _working_point(
    validation: pd.DataFrame, test: pd.DataFrame, largest_clean_loss: float
) -> dict[str, Any]:
    """The threshold chosen on the validation curve of the saliency mask, and what it does."""
    masked = validation[validation["defence"] == "saliency"]
    threshold = working_point_of(
        masked["threshold"].to_numpy(),
        masked["clean_accuracy"].to_numpy(),
        masked["adversarial_success"].to_numpy(),
        clean_pictures=int(masked["clean_accuracy_n"].iloc[0]),
        largest_clean_loss=largest_clean_loss,
    )
    found: dict[str, Any] = {
        "threshold": threshold,
        "chosen_on": "val",
        "largest_clean_loss": largest_clean_loss,
    }
    for split, curve in (("val", validation), ("test", test)):
        row = curve[(curve["defence"] == "saliency") & (curve["threshold"] == threshold)].iloc[0]
        found[split] = row.drop(["defence", "fill", "threshold", "split"]).to_dict()
    return found


def _shown(worked: np.ndarray, failed: np.ndarray, seed: int) -> np.ndarray:
    """Rows of a few attacks that the mask undid, then of a few that it did not."""
    rows = [np.flatnonzero(group) for group in (worked, failed)]
    return np.concatenate([group[spread(len(group), SHOWN_EXAMPLES, seed)] for group in rows])


def _stages_of_masks(
    pictures: np.ndarray,
    maps: np.ndarray,
    combination: Combination,
    settings: MaskBasics,
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
