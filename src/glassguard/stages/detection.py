"""Detectors per slice and person, the best slice, Table 1, curves, controls and distances."""

from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from glassguard.configuration.sections import DetectionSection
from glassguard.detection.comparison import compare, flags_at_rates, readings_table
from glassguard.detection.evaluation import pairs_of
from glassguard.detection.headline import best_layer as best_layer_of
from glassguard.detection.headline import headline, metrics
from glassguard.detection.pictures import half_wearing, together, with_activations
from glassguard.detection.selection import GROUPS, TUNED
from glassguard.detection.study import DetectionStudy
from glassguard.detection.tables import (
    BARE,
    HALF_WEARING,
    controls_table,
    detector_name,
    distance_matrix_table,
    distances_table,
    gain_table,
    histograms_table,
    layers_table,
    operating_points,
    roc_table,
)
from glassguard.errors import InputError
from glassguard.files.formats import write_csv, write_json
from glassguard.stages.detection_inputs import SetFiles, read_attacks, read_benign, read_control
from glassguard.stages.paths import OutputPath


def run(
    config: DetectionSection,
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
    choices: OutputPath,
    table1: OutputPath,
    roc: OutputPath,
    points: OutputPath,
    gain: OutputPath,
    controls: OutputPath,
    distances: OutputPath,
    distance_matrix: OutputPath,
    histograms: OutputPath,
    summary: OutputPath,
) -> dict[str, float | int | str]:
    """Detect the attack from influence profiles (Study I, section 3).

    The slice and variant are chosen on validation pictures and validation attacks. A pair's row
    of Table 1 uses the choice made without every pair that shares its target or its attacker.
    Curves and controls use the most frequent of these choices, with a detector of every person:
    benign pictures belong to no pair that could be left out, so one slice serves all, and the
    reported pairs' own validation attacks had a vote in it.

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
        choices: where every detector reads, to write.
        table1: one row a pair, to write.
        roc: curves of all detectors, to write.
        points: every detector on every attack at thresholds set beforehand, to write.
        gain: what influence gains over activations, to write.
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
        if not pairs_of(attacks):
            raise InputError(f"{examples[0]}: no example has a target: no slice can be chosen")
        honest = {
            "plain_frames": read_control(
                SetFiles(plain_examples, plain, plain_decisions, plain_baselines), bare
            ),
            "random_frames": read_control(
                SetFiles(random_examples, random, random_decisions, random_baselines), bare
            ),
        }
        study = DetectionStudy(settings, faces, attacks, seed=config.seed)

        rates = study.sweep(settings.variants)
        write_csv(
            layers_table(rates, sizes=study.sizes, quantity=quantity, seeds=study.sweep_seeds),
            layers,
        )
        of_pairs = study.choices(rates)
        chosen = study.most_frequent(of_pairs, rates)
        write_json(best_layer_of(chosen, study.reading(of_pairs, chosen), study.sizes), best_layer)
        pairs = _with_names(study.table1(of_pairs), bare.identities)
        write_csv(pairs, table1)
        write_csv(study.classifier_sweep(chosen), classifier_sweep)

        training, validation = faces.in_split("train"), faces.in_split("val")
        test, test_attacks = faces.in_split("test"), attacks.in_split("test")
        impersonations = test_attacks.where(test_attacks.impersonating)
        wearers = {
            split: [honest[name].in_split(split) for name in ("plain_frames", "random_frames")]
            for split in ("train", "val", "test")
        }
        try:
            mixture = half_wearing(validation, *wearers["val"])
            tested_mixture = half_wearing(test, *wearers["test"])
        except ValueError as error:
            raise InputError(f"{plain_examples}, {random_examples}: {error}") from None
        populations = {
            BARE: ([validation], test),
            HALF_WEARING: ([mixture, validation, *wearers["val"]], tested_mixture),
        }
        of_activations = study.beside(with_activations(faces), with_activations(attacks))
        activation_rates = of_activations.sweep(settings.variants)
        write_csv(
            layers_table(
                activation_rates,
                sizes=of_activations.sizes,
                quantity="activation",
                seeds=study.sweep_seeds,
            ),
            activation_layers,
        )
        compared = compare(
            study,
            rates,
            of_activations,
            activation_rates,
            # A wearer whom the network takes for somebody else has that person's profile.
            wearing=together(
                [training, *(kind.where(kind.named_right) for kind in wearers["train"]), mixture]
            ),
            mixture=mixture,
            neighbours=settings.baselines.neighbours,
        )
        write_csv(readings_table(compared.readings), choices)
        scores = compared.scores
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

        write_csv(
            gain_table(
                scores,
                populations={name: tested for name, (_, tested) in populations.items()},
                impersonations=impersonations,
                bootstrap=settings.bootstrap,
                seed=config.seed,
            ),
            gain,
        )

        own_boundary = study.fitted(chosen.slice, chosen.variant)
        flags = {
            "influence": lambda pictures: own_boundary.flagged(
                pictures, tuned=chosen.variant.endswith(TUNED)
            ),
            **flags_at_rates(scores, {name: seen for name, (seen, _) in populations.items()}),
        }
        kinds = {
            "benign": test,
            "benign_targets": test.where(np.isin(test.identity, attacks.target)),
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
            histograms_table(faces, attacks, slice_name=chosen.slice, score=scores["influence"]),
            histograms,
        )
        of_first = detected[detected["attack"] == config.attacks[0]].drop(columns="attack")
        found = headline(chosen, pairs, of_first, flagged, rates)
        write_json(found, summary)
        return metrics(found)


def _with_names(pairs: pd.DataFrame, identities: list[str]) -> pd.DataFrame:
    names = np.array(identities)
    named = pairs.assign(
        target=names[pairs["target"].to_numpy()], attacker=names[pairs["attacker"].to_numpy()]
    )
    first = ["target", "attacker", *(c for c in named.columns if c.startswith(GROUPS))]
    return named[first + [c for c in named.columns if c not in first]]
