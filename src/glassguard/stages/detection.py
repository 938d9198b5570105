"""Detectors per slice and person, the best slice, Table 1, curves, controls and distances."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from glassguard.detection.pictures import NOBODY, Pictures, half_wearing
from glassguard.detection.selection import GROUPS, TUNED, Choice, choose, choose_without
from glassguard.detection.tables import (
    BARE,
    FALSE_POSITIVE_RATES,
    HALF_WEARING,
    Score,
    confidence_score,
    controls_table,
    detector_name,
    distance_matrix_table,
    distance_score,
    distances_table,
    histograms_table,
    joint_score,
    layers_table,
    masking_score,
    operating_points,
    roc_table,
    with_intervals,
)
from glassguard.errors import InputError
from glassguard.recognizer.network import SLICES, paper_index
from glassguard.stages.files import read_examples, read_manifest, write_csv, write_json
from glassguard.stages.paths import OutputPath

SOURCE_SETTING = ("conv3_2", "raw")
"""Study I's own: "the eighth layer, vector size 256" and gradients as they are."""


def run(
    config: DetectionSlice,
    *,
    manifest: Path,
    examples: Path,
    benign: Path,
    attack: Path,
    plain: Path,
    plain_examples: Path,
    random: Path,
    random_examples: Path,
    benign_decisions: Path,
    attack_decisions: Path,
    plain_decisions: Path,
    random_decisions: Path,
    layers: OutputPath,
    best_layer: OutputPath,
    table1: OutputPath,
    roc: OutputPath,
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
        examples: the adversarial pictures.
        benign: profiles of the benign pictures.
        attack: profiles of the adversarial pictures.
        plain: profiles of pictures with plain frames.
        plain_examples: the table beside them.
        random: profiles of pictures with frames of random texture.
        random_examples: the table beside them.
        benign_decisions: whether decisions on the benign pictures hold under masks.
        attack_decisions: the same of the adversarial pictures.
        plain_decisions: the same of pictures with plain frames.
        random_decisions: the same of pictures with frames of random texture.
        layers: every slice and variant, to write.
        best_layer: the most frequent choice, to write.
        table1: one row a pair, to write.
        roc: curves of all detectors, to write.
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
        faces, bare, quantity = _read_benign(benign, manifest, benign_decisions)
        identities = bare.identities
        attacks = _read_attacks(attack, examples, bare, attack_decisions)
        honest = {
            "plain_frames": _read_control(plain, plain_examples, bare, plain_decisions),
            "random_frames": _read_control(random, random_examples, bare, random_decisions),
        }
        study = _Study(config, faces, attacks)

        rates = study.sweep()
        write_csv(
            layers_table(rates, sizes=study.sizes, quantity=quantity, seeds=study.sweep_seeds),
            layers,
        )
        choices = study.choices(rates)
        chosen = study.most_frequent(choices, rates)
        write_json(_best_layer(chosen, choices, study), best_layer)

        pairs = study.table1(choices)
        named = _with_names(pairs, identities)
        write_csv(named, table1)

        detectors = study.fitted(chosen.slice, chosen.variant)
        training, validation = faces.in_split("train"), faces.in_split("val")
        test, test_attacks = faces.in_split("test"), attacks.in_split("test")
        impersonations = test_attacks.where(test_attacks.impersonating)
        scores: dict[str, Score] = {"influence": detectors.scores}
        for metric in METRICS:
            scores[f"distance_{metric}"] = distance_score(
                training, slice_name=chosen.slice, metric=metric
            )
        scores["softmax_confidence"] = confidence_score

        wearers = {
            split: [honest[name].in_split(split) for name in ("plain_frames", "random_frames")]
            for split in ("val", "test")
        }
        populations = {
            BARE: ([validation], test),
            HALF_WEARING: ([validation, *wearers["val"]], half_wearing(test, *wearers["test"])),
        }
        scores["masking"] = masking_score
        scores["influence_and_masking"] = joint_score(
            [detectors.scores, masking_score], benign=half_wearing(validation, *wearers["val"])
        )
        curves = {
            detector_name(name, population): (score, tested)
            for population, (_, tested) in populations.items()
            for name, score in scores.items()
        }
        write_csv(roc_table(curves, impersonations), roc)
        points = operating_points(
            scores,
            populations=populations,
            impersonations=impersonations,
            bootstrap=settings.bootstrap,
            seed=config.seed,
        )

        flags = _flags(
            scores, detectors, chosen, {name: seen for name, (seen, _) in populations.items()}
        )
        kinds = {
            "benign": test,
            **{name: pictures.in_split("test") for name, pictures in honest.items()},
            "failed_attacks": test_attacks.where(~test_attacks.impersonating),
            "impersonations": impersonations,
        }
        flagged = controls_table(flags, kinds)
        write_csv(flagged, controls)

        write_csv(distances_table(faces, attacks, slices=list(faces.profiles)), distances)
        write_csv(
            distance_matrix_table(training, slice_name=chosen.slice, identities=identities),
            distance_matrix,
        )
        write_csv(
            histograms_table(faces, attacks, slice_name=chosen.slice, score=detectors.scores),
            histograms,
        )
        headline = _summary(chosen, named, points, flagged, study.source_setting(rates))
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

    def sweep(self) -> pd.DataFrame:
        return sweep(
            self.faces,
            self.attacks,
            variants=self.detector.variants,
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
                variant=next(v for v in self.detector.variants if v == key[1]),
                people=np.unique(self.faces.identity),
                settings=self.settings,
                seeds=self.seeds,
            )
        return self._fitted[key]

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
                threshold = threshold_for_every_kind([score(kind) for kind in benign_kinds], rate)
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


@dataclass(frozen=True)
class _Bare:
    """What other sets of pictures are read against.

    Attributes:
        identities: the network's classes.
        misnamed: whether the network misnames a face, by the id of the picture.
    """

    identities: list[str]
    misnamed: dict[str, bool]


def _read_benign(profiles: Path, manifest: Path, decisions: Path) -> tuple[Pictures, _Bare, str]:
    arrays = _read_profiles(profiles)
    identities = [str(name) for name in arrays["identities"]]
    table = read_manifest(manifest)
    _check_ids(arrays, table["image_id"], profiles, manifest)
    agreement = _read_agreement(decisions, arrays)
    identity = _indices(table["identity"], identities, manifest)
    misnamed = arrays["prediction"] != identity
    faces = _pictures(arrays, table, identity, None, agreement, misnamed)
    for split in ("train", "val", "test"):
        missing = set(range(len(identities))) - set(faces.identity[faces.split == split].tolist())
        if split == "train" and missing:
            raise InputError(f"{manifest}: {identities[min(missing)]} has no training picture")
        if not (faces.split == split).any():
            raise InputError(f"{manifest}: no picture has split {split}")
    by_id = dict(zip(table["image_id"].tolist(), misnamed.tolist(), strict=True))
    return faces, _Bare(identities, by_id), str(arrays["quantity"])


def _read_attacks(profiles: Path, examples: Path, bare: _Bare, decisions: Path) -> Pictures:
    arrays = _read_profiles(profiles)
    table = read_examples(examples)
    _check_ids(arrays, table["example_id"], profiles, examples)
    _check_identities(arrays, bare.identities, profiles)
    attackers = _indices(table["attacker"], bare.identities, examples)
    # A dodging attacker means nobody in particular: whoever is seen instead is impersonated.
    dodging = (table["goal"] == "dodging").to_numpy()
    targets = np.where(dodging, arrays["prediction"], NOBODY)
    targets[~dodging] = _indices(table["target"][~dodging], bare.identities, examples)
    targets[targets == attackers] = NOBODY
    agreement = _read_agreement(decisions, arrays)
    misnamed = _misnamed_bare(table, bare, examples)
    return _pictures(arrays, table, attackers, targets, agreement, misnamed)


def _read_control(profiles: Path, examples: Path, bare: _Bare, decisions: Path) -> Pictures:
    arrays = _read_profiles(profiles)
    table = read_examples(examples)
    _check_ids(arrays, table["example_id"], profiles, examples)
    _check_identities(arrays, bare.identities, profiles)
    agreement = _read_agreement(decisions, arrays)
    identity = _indices(table["identity"], bare.identities, examples)
    misnamed = _misnamed_bare(table, bare, examples)
    return _pictures(arrays, table, identity, None, agreement, misnamed)


def _misnamed_bare(table: pd.DataFrame, bare: _Bare, path: Path) -> NDArray[np.bool_]:
    unknown = sorted(set(table["image_id"]) - set(bare.misnamed))
    if unknown:
        raise InputError(f"{path}: made from {unknown[0]}, which is no picture of the study")
    return np.array([bare.misnamed[name] for name in table["image_id"]], dtype=bool)


def _read_agreement(path: Path, profiles: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """Mean log confidence under masks, in the order of the profiles; NaN where not measured."""
    try:
        with np.load(path, allow_pickle=False) as file:
            ids, decision = file["ids"].tolist(), file["decision"]
            agreement = file["log_confidence"].mean(axis=1, dtype=np.float64)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, OSError, KeyError) as error:
        raise InputError(f"{path}: not a file of masked decisions: {error}") from None
    row_of = {name: row for row, name in enumerate(profiles["ids"].tolist())}
    if not set(ids) <= set(row_of):
        raise InputError(f"{path}: its pictures are not those of the profiles; compute it again")
    rows = np.array([row_of[name] for name in ids], dtype=np.int64)
    if (profiles["prediction"][rows] != decision).any():
        raise InputError(f"{path}: made with another recognizer; compute it again")
    placed = np.full(len(row_of), np.nan)
    placed[rows] = agreement
    return placed


def _read_profiles(path: Path) -> dict[str, NDArray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, OSError, KeyError) as error:
        raise InputError(f"{path}: not a file of profiles: {str(error).splitlines()[0]}") from None


def _pictures(
    arrays: Mapping[str, NDArray],
    table: pd.DataFrame,
    identity: NDArray[np.int64],
    target: NDArray[np.int64] | None,
    agreement: NDArray[np.float64],
    misnamed_bare: NDArray[np.bool_],
) -> Pictures:
    return Pictures(
        profiles={name: arrays[name] for name in SLICES if name in arrays},
        prediction=arrays["prediction"],
        confidence=arrays["confidence"],
        identity=identity,
        target=np.full(len(table), NOBODY) if target is None else target,
        split=table["split"].to_numpy(dtype=np.str_),
        agreement=agreement,
        misnamed_bare=misnamed_bare,
    )


def _check_ids(arrays: Mapping[str, NDArray], ids: pd.Series, profiles: Path, table: Path) -> None:
    if arrays["ids"].tolist() != ids.tolist():
        raise InputError(f"{profiles}: its rows are not those of {table}; compute it again")


def _check_identities(arrays: Mapping[str, NDArray], identities: list[str], path: Path) -> None:
    if arrays["identities"].tolist() != identities:
        raise InputError(f"{path}: made with a recognizer of other people; compute it again")


def _indices(names: pd.Series, identities: list[str], path: Path) -> NDArray[np.int64]:
    index = {name: position for position, name in enumerate(identities)}
    unknown = sorted(set(names) - set(index))
    if unknown:
        raise InputError(f"{path}: the recognizer does not know {unknown[0]}")
    return np.array([index[name] for name in names], dtype=np.int64)
