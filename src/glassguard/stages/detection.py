"""Detectors per slice and person, the best slice, Table 1, curves, controls and distances."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from glassguard.configuration.slices import DetectionSlice
from glassguard.detection.calibration import threshold_for_every_kind
from glassguard.detection.characteristic_profiles import METRICS
from glassguard.detection.evaluation import (
    DetectorSettings,
    SliceDetectors,
    fit_slice,
    pair_rates,
    pairs_of,
    sweep,
)
from glassguard.detection.linear_detector import Variant, variant_named
from glassguard.detection.pictures import (
    JOINED,
    Pictures,
    half_wearing,
    joined,
    only,
    together,
    with_activations,
)
from glassguard.detection.scores import (
    Score,
    confidence_score,
    dimensionality_over_layers,
    distance_score,
    joint_score,
    mahalanobis_over_layers,
    masking_score,
    on_activations,
    remembered,
    squeezing_score,
)
from glassguard.detection.selection import GROUPS, TUNED, Choice, choose, choose_without
from glassguard.detection.tables import (
    BARE,
    FALSE_POSITIVE_RATES,
    HALF_WEARING,
    classifier_sweep_table,
    controls_table,
    detector_name,
    distance_matrix_table,
    distances_table,
    histograms_table,
    layers_table,
    operating_points,
    roc_table,
    with_intervals,
)
from glassguard.errors import InputError
from glassguard.recognizer.layers import paper_index
from glassguard.stages.detection_inputs import SetFiles, read_attacks, read_benign, read_control
from glassguard.stages.files import write_csv, write_json
from glassguard.stages.paths import OutputPath

SOURCE_SETTING = ("conv3_2", "raw")
"""Study I's own: "the eighth layer, vector size 256" and gradients as they are."""


def run(
    config: DetectionSlice,
    *,
    manifest: Path,
    examples: list[Path],
    benign: Path,
    attack: list[Path],
    plain: Path,
    plain_examples: Path,
    random: Path,
    random_examples: Path,
    benign_decisions: Path,
    attack_decisions: list[Path],
    plain_decisions: Path,
    random_decisions: Path,
    benign_baselines: Path,
    attack_baselines: list[Path],
    plain_baselines: Path,
    random_baselines: Path,
    layers: OutputPath,
    activation_layers: OutputPath,
    classifier_sweep: OutputPath,
    best_layer: OutputPath,
    table1: OutputPath,
    roc: OutputPath,
    points: OutputPath,
    controls: OutputPath,
    distances: OutputPath,
    distance_matrix: OutputPath,
    histograms: OutputPath,
    summary: OutputPath,
) -> dict[str, float | int | str]:
    """Detect the attack from influence profiles (Study I, section 3).

    The slice and variant are chosen on validation pictures and validation attacks. A pair's row
    of Table 1 uses the choice made without every pair that shares its target or its attacker.
    Curves and controls use the most frequent of these choices, with a detector of every person.

    Args:
        config: the classifier, its seeds and its thresholds.
        manifest: the benign pictures.
        examples: the adversarial pictures, a table for each of ``config.attacks``. Slice and
            settings are chosen on the first; the others are only tested on.
        benign: profiles of the benign pictures.
        attack: profiles of the adversarial pictures, a file for each attack.
        plain: profiles of pictures with plain frames.
        plain_examples: the table beside them.
        random: profiles of pictures with frames of random texture.
        random_examples: the table beside them.
        benign_decisions: whether decisions on the benign pictures hold under masks.
        attack_decisions: the same of the adversarial pictures.
        plain_decisions: the same of pictures with plain frames.
        random_decisions: the same of pictures with frames of random texture.
        benign_baselines: what other detectors read of the benign pictures.
        attack_baselines: the same of the adversarial pictures.
        plain_baselines: the same of pictures with plain frames.
        random_baselines: the same of pictures with frames of random texture.
        layers: every slice and variant, to write.
        activation_layers: the same of activations in place of influence, to write.
        classifier_sweep: the classifier's settings compared at the chosen slice, to write.
        best_layer: the most frequent choice, to write.
        table1: one row a pair, to write.
        roc: curves of all detectors, to write.
        points: every detector on every attack at thresholds set beforehand, to write.
        controls: flag rates on honest pictures, to write.
        distances: distances to characteristic profiles, to write.
        distance_matrix: distances between people, to write.
        histograms: distributions of the distances, to write.
        summary: the headline, to write.

    Raises:
        InputError: a file cannot be used, tables and profiles do not fit, or there is nothing to
            choose a slice on.
    """
    # Sums in linear algebra depend on the number of threads: it is fixed, not the machine's.
    with threadpool_limits(limits=config.detector.threads):
        settings = config.detector
        faces, bare, quantity = read_benign(
            SetFiles(manifest, benign, benign_decisions, benign_baselines)
        )
        attack_files = examples, attack, attack_decisions, attack_baselines
        if any(len(files) != len(config.attacks) for files in attack_files):
            raise InputError(
                f"attacks are {', '.join(config.attacks)}: one file of each kind for each of them"
            )
        by_attack = {
            name: read_attacks(SetFiles(*files), bare)
            for name, *files in zip(config.attacks, *attack_files, strict=True)
        }
        attacks = next(iter(by_attack.values()))
        honest = {
            "plain_frames": read_control(
                SetFiles(plain_examples, plain, plain_decisions, plain_baselines), bare
            ),
            "random_frames": read_control(
                SetFiles(random_examples, random, random_decisions, random_baselines), bare
            ),
        }
        study = _Study(config, faces, attacks)

        rates = study.sweep(settings.variants)
        write_csv(
            layers_table(rates, sizes=study.sizes, quantity=quantity, seeds=study.sweep_seeds),
            layers,
        )
        choices = study.choices(rates)
        chosen = study.most_frequent(choices, rates)
        write_json(_best_layer(chosen, choices, study), best_layer)

        pairs = study.table1(choices)
        named = _with_names(pairs, bare.identities)
        write_csv(named, table1)
        write_csv(study.classifier_sweep(chosen), classifier_sweep)

        training, validation = faces.in_split("train"), faces.in_split("val")
        test, test_attacks = faces.in_split("test"), attacks.in_split("test")
        impersonations = test_attacks.where(test_attacks.impersonating)
        wearers = {
            split: [honest[name].in_split(split) for name in ("plain_frames", "random_frames")]
            for split in ("train", "val", "test")
        }
        mixture = half_wearing(validation, *wearers["val"])
        populations = {
            BARE: ([validation], test),
            HALF_WEARING: (
                [mixture, validation, *wearers["val"]],
                half_wearing(test, *wearers["test"]),
            ),
        }
        detectors = study.fitted(chosen.slice, chosen.variant)
        of_activations = _Study(config, with_activations(faces), with_activations(attacks))
        activation_rates = of_activations.sweep([detectors.variant])
        write_csv(
            layers_table(
                activation_rates,
                sizes=of_activations.sizes,
                quantity="activation",
                seeds=study.sweep_seeds,
            ),
            activation_layers,
        )
        # The same again for detectors that have seen honest frames, chosen where half wear them.
        wearing = together([training, *wearers["train"], mixture, populations[HALF_WEARING][1]])
        with_frames = _Study(config, wearing, attacks)
        of_activations_with_frames = _Study(
            config, with_activations(wearing), with_activations(attacks)
        )
        influence = remembered(detectors.scores)
        scores: dict[str, Score] = {
            "influence": influence,
            "influence_quadratic": remembered(study.fitted(chosen.slice, "quadratic").scores),
            "influence_layers": remembered(study.layers_combined(rates, detectors.variant)),
            "influence_with_frames": remembered(
                with_frames.best_scores(with_frames.sweep([detectors.variant]))
            ),
            "activations": remembered(on_activations(of_activations.best_scores(activation_rates))),
            "activations_with_frames": remembered(
                on_activations(
                    of_activations_with_frames.best_scores(
                        of_activations_with_frames.sweep([detectors.variant])
                    )
                )
            ),
            **{
                f"distance_{metric}": remembered(
                    distance_score(training, slice_name=chosen.slice, metric=metric)
                )
                for metric in METRICS
            },
            "softmax_confidence": confidence_score,
            "feature_squeezing": squeezing_score,
            "mahalanobis_layers": remembered(
                mahalanobis_over_layers(training, validation=validation)
            ),
            "intrinsic_dimensionality": remembered(
                dimensionality_over_layers(
                    training, validation=validation, neighbours=settings.baselines.neighbours
                )
            ),
            "masking": masking_score,
            "influence_and_masking": remembered(
                joint_score([influence, masking_score], benign=mixture)
            ),
        }
        curves = {
            detector_name(name, population): (score, tested)
            for population, (_, tested) in populations.items()
            for name, score in scores.items()
        }
        write_csv(roc_table(curves, impersonations), roc)
        detected = pd.concat(
            [
                operating_points(
                    scores,
                    populations=populations,
                    impersonations=seen.where(seen.impersonating),
                    bootstrap=settings.bootstrap,
                    seed=config.seed,
                ).assign(attack=name)
                for name, seen in (
                    (name, pictures.in_split("test")) for name, pictures in by_attack.items()
                )
            ],
            ignore_index=True,
        )
        write_csv(detected[["attack", *detected.columns.drop("attack")]], points)

        flags = _flags(
            scores, detectors, chosen, {name: seen for name, (seen, _) in populations.items()}
        )
        kinds = {
            "benign": test,
            **dict(zip(honest, wearers["test"], strict=True)),
            "failed_attacks": test_attacks.where(~test_attacks.impersonating),
            "impersonations": impersonations,
        }
        flagged = controls_table(flags, kinds)
        write_csv(flagged, controls)

        write_csv(distances_table(faces, attacks, slices=list(faces.profiles)), distances)
        write_csv(
            distance_matrix_table(training, slice_name=chosen.slice, identities=bare.identities),
            distance_matrix,
        )
        write_csv(
            histograms_table(faces, attacks, slice_name=chosen.slice, score=influence),
            histograms,
        )
        of_first = detected[detected["attack"] == config.attacks[0]].drop(columns="attack")
        headline = _summary(chosen, named, of_first, flagged, study.source_setting(rates))
        write_json(headline, summary)
        return _metrics(headline)


class _Study:
    """One study's pictures and settings, and the detectors that were fitted so far."""

    def __init__(self, config: DetectionSlice, faces: Pictures, attacks: Pictures) -> None:
        self.detector = config.detector
        self.faces, self.attacks = faces, attacks
        self.pairs = pairs_of(attacks)
        if not self.pairs:
            raise InputError("the attack has no example: there is no pair to choose a slice for")
        self.sizes = {name: profile.shape[1] for name, profile in faces.profiles.items()}
        self.settings = DetectorSettings(
            alpha=self.detector.alpha,
            max_iter=self.detector.max_iter,
            acceptance=self.detector.target_acceptance,
        )
        drawn = np.random.SeedSequence([config.seed, 0xDE7]).generate_state(self.detector.seeds)
        self.seeds = [int(seed) for seed in drawn]
        self.sweep_seeds = min(self.detector.sweep_seeds, len(self.seeds))
        self._fitted: dict[tuple[str, str], SliceDetectors] = {}

    def sweep(self, variants: Sequence[Variant]) -> pd.DataFrame:
        return sweep(
            self.faces,
            self.attacks,
            variants=variants,
            settings=self.settings,
            seeds=self.seeds[: self.sweep_seeds],
        )

    def choices(self, rates: pd.DataFrame) -> dict[tuple[int, int], Choice]:
        seen = rates[rates["split"] == "val"]
        return {
            (target, attacker): choose_without(
                seen,
                target=target,
                attacker=attacker,
                minimum_benign_target=self.detector.minimum_benign_target,
                minimum_benign_other=self.detector.minimum_benign_other,
            )
            for target, attacker in self.pairs
        }

    def most_frequent(self, choices: dict[tuple[int, int], Choice], rates: pd.DataFrame) -> Choice:
        """The choice of most pairs, with its score over all of them; ties as in the sweep."""
        chosen = [(choice.slice, choice.variant) for choice in choices.values()]
        seen = rates[rates["split"] == "val"]
        order = list(dict.fromkeys(zip(seen["slice"], seen["variant"], strict=True)))
        best = max(order, key=chosen.count)
        own = seen[(seen["slice"] == best[0]) & (seen["variant"] == best[1])]
        return choose(own, minimum_benign_target=0.0, minimum_benign_other=0.0)

    def fitted(self, slice_name: str, variant: str) -> SliceDetectors:
        """Detectors of every person under all seeds; fitted once."""
        key = slice_name, variant.removesuffix(TUNED)
        if key not in self._fitted:
            self._fitted[key] = fit_slice(
                self.faces.in_split("train"),
                self.faces.in_split("val"),
                slice_name=slice_name,
                variant=variant_named(key[1]),
                people=np.unique(self.faces.identity),
                settings=self.settings,
                seeds=self.seeds,
            )
        return self._fitted[key]

    def best_scores(self, rates: pd.DataFrame) -> Score:
        """Scores by the detectors that most pairs would choose."""
        choice = self.most_frequent(self.choices(rates), rates)
        return self.fitted(choice.slice, choice.variant).scores

    def layers_combined(self, rates: pd.DataFrame, variant: Variant) -> Score:
        """Detectors on the joined profiles of the best slices, by validation pictures."""
        seen = rates[
            (rates["split"] == "val") & (rates["variant"].str.removesuffix(TUNED) == variant)
        ]
        best: list[str] = []
        while len(best) < min(self.detector.combined_slices, len(self.sizes)):
            left = seen[~seen["slice"].isin(best)]
            best.append(
                choose(
                    left,
                    minimum_benign_target=self.detector.minimum_benign_target,
                    minimum_benign_other=self.detector.minimum_benign_other,
                ).slice
            )
        fitted = fit_slice(
            joined(self.faces.in_split("train"), best),
            joined(self.faces.in_split("val"), best),
            slice_name=JOINED,
            variant="standardised",
            people=np.unique(self.faces.identity),
            settings=self.settings,
            seeds=self.seeds,
        )
        return lambda pictures: fitted.scores(joined(pictures, best))

    def classifier_sweep(self, chosen: Choice) -> pd.DataFrame:
        """``sweep.csv``: alpha and iterations at the chosen slice, and who would choose them."""
        parts = []
        for alpha, max_iter in product(self.detector.sweep.alpha, self.detector.sweep.max_iter):
            rates = sweep(
                only(self.faces, chosen.slice),
                only(self.attacks, chosen.slice),
                variants=[variant_named(chosen.variant.removesuffix(TUNED))],
                settings=replace(self.settings, alpha=alpha, max_iter=max_iter),
                seeds=self.seeds,
            )
            parts.append(rates.assign(alpha=alpha, max_iter=max_iter))
        return classifier_sweep_table(
            pd.concat(parts, ignore_index=True),
            variant=chosen.variant,
            sizes=self.sizes,
            seeds=len(self.seeds),
            minimum_benign_target=self.detector.minimum_benign_target,
            minimum_benign_other=self.detector.minimum_benign_other,
        )

    def table1(self, choices: dict[tuple[int, int], Choice]) -> pd.DataFrame:
        test, attacks = self.faces.in_split("test"), self.attacks.in_split("test")
        rows = []
        for pair, choice in choices.items():
            row = pair_rates(
                self.fitted(choice.slice, choice.variant),
                test,
                attacks,
                [pair],
                tuned=(choice.variant.endswith(TUNED),),
            )
            rows.append(
                row.assign(
                    paper_index=paper_index(choice.slice),
                    size=self.sizes[choice.slice],
                    chosen_on_pairs=choice.pairs,
                    seeds=len(self.seeds),
                )
            )
        return with_intervals(pd.concat(rows, ignore_index=True), GROUPS)

    def source_setting(self, rates: pd.DataFrame) -> dict[str, float | str | None] | None:
        """Study I's own slice and variant on test pictures, where they were swept."""
        own = rates[
            (rates["slice"] == SOURCE_SETTING[0])
            & (rates["variant"] == SOURCE_SETTING[1])
            & (rates["split"] == "test")
        ]
        if own.empty:
            return None
        return {
            "slice": SOURCE_SETTING[0],
            "variant": SOURCE_SETTING[1],
            **{name: _number(own[name].mean()) for name in GROUPS},
        }


def _flags(
    scores: Mapping[str, Score],
    detectors: SliceDetectors,
    chosen: Choice,
    validation: Mapping[str, Sequence[Pictures]],
) -> dict[str, Score]:
    """What flags a picture: the detectors' own boundary, and every score at every set rate."""

    def own_boundary(pictures: Pictures) -> NDArray[np.float64]:
        return detectors.flagged(pictures, tuned=chosen.variant.endswith(TUNED))

    def above(score: Score, threshold: float) -> Score:
        return lambda pictures: (score(pictures) > threshold).astype(np.float64)

    flags: dict[str, Score] = {"influence": own_boundary}
    for population, benign_kinds in validation.items():
        for name, score in scores.items():
            for rate in FALSE_POSITIVE_RATES:
                key = detector_name(f"{name}@{rate:g}", population)
                whole, *kinds = [score(pictures) for pictures in benign_kinds]
                threshold = threshold_for_every_kind(whole, kinds, rate)
                flags[key] = above(score, threshold)
    return flags


def _with_names(pairs: pd.DataFrame, identities: list[str]) -> pd.DataFrame:
    names = np.array(identities)
    named = pairs.assign(
        target=names[pairs["target"].to_numpy()], attacker=names[pairs["attacker"].to_numpy()]
    )
    first = ["target", "attacker", *(c for c in named.columns if c.startswith(GROUPS))]
    return named[first + [c for c in named.columns if c not in first]]


def _best_layer(
    chosen: Choice, choices: dict[tuple[int, int], Choice], study: _Study
) -> dict[str, object]:
    counted = pd.Series([f"{c.slice} {c.variant}" for c in choices.values()]).value_counts()
    return {
        "slice": chosen.slice,
        "paper_index": paper_index(chosen.slice),
        "size": study.sizes[chosen.slice],
        "variant": chosen.variant,
        "chosen_on": "validation pictures and attacks; each pair without those that share its "
        "target or attacker; the most frequent of these choices",
        "score": chosen.score,
        "choices": {str(name): int(counted[name]) for name in sorted(counted.index)},
    }


def _summary(
    chosen: Choice,
    pairs: pd.DataFrame,
    points: pd.DataFrame,
    flagged: pd.DataFrame,
    source_setting: dict[str, float | str | None] | None,
) -> dict[str, object]:
    influence = points[(points["detector"] == "influence") & (points["population"] == BARE)]
    rates = flagged[flagged["detector"] == "influence"].set_index("control")["flag_rate"]
    return {
        "slice": chosen.slice,
        "variant": chosen.variant,
        "pairs": [
            {
                "target": row["target"],
                "attacker": row["attacker"],
                **{name: _number(row[name]) for name in GROUPS},
            }
            for row in pairs.to_dict("records")
        ],
        "mean": {name: _number(pairs[name].mean()) for name in GROUPS},
        "auc": _number(influence["auc"].iloc[0]),
        "auc_low": _number(influence["auc_low"].iloc[0]),
        "auc_high": _number(influence["auc_high"].iloc[0]),
        "tpr_at_fpr": {
            f"{row['wanted_fpr']:g}": _number(row["tpr"]) for row in influence.to_dict("records")
        },
        "flag_rate": {str(control): _number(rate) for control, rate in rates.items()},
        "detectors": [
            {
                key: value if key in ("detector", "population") else _number(value)
                for key, value in row.items()
            }
            for row in points.to_dict("records")
        ],
        "source_setting": source_setting,
    }


def _metrics(headline: dict) -> dict[str, float | int | str]:
    values = {
        **headline["mean"],
        "auc": headline["auc"],
        **{f"tpr_at_fpr_{rate}": tpr for rate, tpr in headline["tpr_at_fpr"].items()},
        **{f"flag_rate_{control}": rate for control, rate in headline["flag_rate"].items()},
    }
    known = {name: value for name, value in values.items() if value is not None}
    return {
        "slice": headline["slice"],
        "variant": headline["variant"],
        "pairs": len(headline["pairs"]),
        **known,
    }


def _number(value: float) -> float | None:
    """Six significant digits; None in place of NaN, which JSON does not have."""
    return None if math.isnan(value) else float(f"{value:.6g}")
