"""The tables of the detection study, from rates and scores."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from glassguard.detection.characteristic_profiles import METRICS, profiles_of_people
from glassguard.detection.pictures import Pictures
from glassguard.detection.scores import Score
from glassguard.detection.selection import GROUPS, Minimum, choose_without
from glassguard.detection.thresholds import FALSE_POSITIVE_RATES, Thresholds
from glassguard.recognizer.layers import paper_index
from glassguard.statistics import (
    Rate,
    area_under_curve,
    bootstrap_auc_difference_interval,
    bootstrap_auc_interval,
)

COMPARED = {
    "influence": "activations",
    "influence_with_frames": "activations_with_frames",
}
"""Detectors on influence and the same detectors on activations."""

HISTOGRAM_BINS = 40
ROC_COLUMNS = ["detector", *(f"{name}{end}" for name in ("fpr", "tpr") for end in Rate.ENDS)]


def layers_table(
    rates: pd.DataFrame, *, sizes: Mapping[str, int], quantity: str, seeds: int
) -> pd.DataFrame:
    """``layers.csv``: every slice and variant, means over pairs.

    Columns are of validation pictures, which the choice is made on; ``test_...`` are of test
    pictures. ``benign_target_named`` is the acceptance of those whom the network names right.
    ``..._n`` counts every picture once, however many pairs use it. ``..._lowest_seed`` and
    ``..._highest_seed`` are extremes over seeds; ``auc`` is that of the mean margin over seeds and
    may exceed both.

    Args:
        rates: :func:`glassguard.detection.evaluation.sweep_rates`.
        sizes: filters per slice.
        quantity: quantity of interest, printed.
        seeds: number of seeds of the classifier, printed.
    """
    rows = []
    for (slice_name, variant), group in rates.groupby(["slice", "variant"], sort=False):
        row: dict[str, object] = {
            "slice": slice_name,
            "paper_index": paper_index(str(slice_name)),
            "size": sizes[str(slice_name)],
            "quantity": quantity,
            "variant": variant,
        }
        for split, prefix in (("val", ""), ("test", "test_")):
            part = group[group["split"] == split]
            first, means = part.iloc[0], {name: part[name].mean() for name in GROUPS}
            for name, n in _distinct_pictures(part).items():
                row |= Rate.estimated(means[name], n).columns(prefix + name)
            row[f"{prefix}benign_target_named"] = part["benign_target_named"].mean()
            row[f"{prefix}balanced_accuracy"] = pd.Series(means).mean()
            row[f"{prefix}balanced_accuracy_lowest_seed"] = first["lowest_seed"]
            row[f"{prefix}balanced_accuracy_highest_seed"] = first["highest_seed"]
            row[f"{prefix}auc"] = part["auc"].mean()
            row[f"{prefix}auc_lowest_seed"] = first["auc_lowest_seed"]
            row[f"{prefix}auc_highest_seed"] = first["auc_highest_seed"]
        rows.append(row | {"seeds": seeds})
    return pd.DataFrame(rows)


def classifier_sweep_table(
    rates: pd.DataFrame, *, variant: str, sizes: Mapping[str, int], seeds: int, minimum: Minimum
) -> pd.DataFrame:
    """``sweep.csv``: alpha and iterations of the classifier at one slice.

    Columns are those of :func:`layers_table` after ``alpha``, ``max_iter`` and ``chosen``: the
    number of pairs that would choose the setting on the validation pictures of other people's
    pairs.

    Args:
        rates: :func:`glassguard.detection.evaluation.sweep_rates` of every setting, with columns
            ``alpha`` and ``max_iter``.
        variant: the variant that is reported.
        sizes: filters per slice.
        seeds: number of seeds of the classifier, printed.
        minimum: see :func:`glassguard.detection.selection.choose`.
    """
    kept = rates[rates["variant"] == variant]
    # A setting takes the place of a variant among the candidates.
    seen = kept[kept["split"] == "val"]
    named = seen.assign(
        variant=[f"{a:g} {m:g}" for a, m in zip(seen["alpha"], seen["max_iter"], strict=True)]
    )
    pairs = named[["target", "attacker"]].drop_duplicates().itertuples(index=False)
    choices = [
        choose_without(named, target=target, attacker=attacker, minimum=minimum).variant
        for target, attacker in pairs
    ]
    parts = []
    for alpha, max_iter in kept[["alpha", "max_iter"]].drop_duplicates().to_numpy().tolist():
        group = kept[(kept["alpha"] == alpha) & (kept["max_iter"] == max_iter)]
        row = layers_table(group, sizes=sizes, quantity="", seeds=seeds).drop(columns="quantity")
        row.insert(0, "chosen", choices.count(f"{alpha:g} {max_iter:g}"))
        row.insert(0, "max_iter", int(max_iter))
        row.insert(0, "alpha", alpha)
        parts.append(row)
    return pd.concat(parts, ignore_index=True)


def _distinct_pictures(rates: pd.DataFrame) -> dict[str, int]:
    """Number of pictures in the means over pairs of one split."""
    targets = rates.drop_duplicates("target")
    first = targets.iloc[0]
    everybody = int(first["benign_target_n"] + first["benign_other_n"])
    return {
        "benign_target": int(targets["benign_target_n"].sum()),
        # The others of two targets are everybody: each is among the other's.
        "benign_other": everybody if len(targets) > 1 else int(first["benign_other_n"]),
        "impersonation": int(rates["impersonation_n"].sum()),
    }


def distances_table(benign: Pictures, attacks: Pictures, *, slices: Sequence[str]) -> pd.DataFrame:
    """``distances.csv``: distances of test pictures to characteristic profiles, per slice.

    ``within``: to the own person's; ``between``: to everybody else's; ``impersonation``: of
    successful ones to their target's. ``auc`` is of impersonation against within.
    """
    rows = []
    for slice_name in slices:
        for metric, groups in _distance_groups(benign, attacks, slice_name).items():
            row: dict[str, object] = {
                "slice": slice_name,
                "paper_index": paper_index(slice_name),
                "metric": metric,
            }
            for name, distances in groups.items():
                known = len(distances) > 0
                row[f"{name}_mean"] = distances.mean() if known else np.nan
                row[f"{name}_sd"] = distances.std() if known else np.nan
                row[f"{name}_n"] = len(distances)
            row["auc"] = area_under_curve(groups["within"], groups["impersonation"])
            rows.append(row)
    return pd.DataFrame(rows)


def _distance_groups(
    benign: Pictures, attacks: Pictures, slice_name: str
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """By metric, the distances of each group of test pictures."""
    training, test = benign.in_split("train"), benign.in_split("test")
    successes = attacks.in_split("test").successful
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for metric in METRICS:
        fitted = profiles_of_people(training.profiles[slice_name], training.identity, metric)
        distances = fitted.transform(test.profiles[slice_name])
        own = test.identity[:, None] == np.arange(distances.shape[1])
        to_all = fitted.transform(successes.profiles[slice_name])
        found[metric] = {
            "within": distances[own],
            "between": distances[~own],
            "impersonation": to_all[np.arange(len(successes)), successes.target],
        }
    return found


def distance_matrix_table(
    training: Pictures, *, slice_name: str, identities: Sequence[str]
) -> pd.DataFrame:
    """``distance_matrix.csv``: distance between the characteristic profiles of all people."""
    names, parts = np.array(identities), []
    for metric in METRICS:
        fitted = profiles_of_people(training.profiles[slice_name], training.identity, metric)
        matrix = fitted.between()
        row, column = np.indices(matrix.shape).reshape(2, -1)
        columns = {"identity": names[row], "other": names[column], "distance": matrix.ravel()}
        parts.append(pd.DataFrame({"slice": slice_name, "metric": metric, **columns}))
    return pd.concat(parts, ignore_index=True)


def histograms_table(
    benign: Pictures, attacks: Pictures, *, slice_name: str, score: Score
) -> pd.DataFrame:
    """``histograms.csv``: distributions behind ``distances.csv`` at one slice, in equal bins.

    Metric ``flag_score`` has the groups ``within`` (benign pictures) and ``impersonation``.
    """
    measured = _distance_groups(benign, attacks, slice_name)
    measured["flag_score"] = {
        "within": score(benign.in_split("test")),
        "impersonation": score(attacks.in_split("test").successful),
    }
    parts = []
    for metric, groups in measured.items():
        edges = np.histogram_bin_edges(np.concatenate(list(groups.values())), HISTOGRAM_BINS)
        for group, values in groups.items():
            counts, _ = np.histogram(values, edges)
            columns = {"lower": edges[:-1], "upper": edges[1:], "count": counts}
            part = pd.DataFrame({"slice": slice_name, "metric": metric, "group": group, **columns})
            parts.append(part.assign(share=counts / max(1, len(values))))
    return pd.concat(parts, ignore_index=True)


def roc_table(
    detectors: Mapping[str, tuple[Score, Pictures]], impersonations: Pictures
) -> pd.DataFrame:
    """``roc.csv``: benign pictures against successful impersonations.

    Args:
        detectors: score and benign pictures by name.
        impersonations: successful impersonations.
    """
    rows = []
    for name, (score, benign) in detectors.items():
        negatives, positives = score(benign), score(impersonations)
        if not len(negatives) or not len(positives):
            continue
        truth = np.r_[np.zeros(len(negatives)), np.ones(len(positives))]
        for fpr, tpr, _ in zip(*roc_curve(truth, np.r_[negatives, positives]), strict=True):
            rates = Rate.estimated(fpr, len(negatives)), Rate.estimated(tpr, len(positives))
            rows.append({"detector": name, **rates[0].columns("fpr"), **rates[1].columns("tpr")})
    return pd.DataFrame(rows, columns=ROC_COLUMNS)


def operating_points(
    detectors: Mapping[str, Score],
    *,
    populations: Mapping[str, Pictures],
    thresholds: Thresholds,
    impersonations: Pictures,
    bootstrap: int,
    seed: int,
) -> pd.DataFrame:
    """Area under the curve, and detection at thresholds set on benign validation pictures.

    Args:
        detectors: scores by name.
        populations: by name, benign test pictures.
        thresholds: of every detector in every population.
        impersonations: successful test impersonations.
        bootstrap: resamples of the interval.
        seed: seed of the bootstrap.

    Returns:
        One row per population, detector and rate: detector, population, wanted_fpr, threshold,
        fpr, tpr (each with ``_n`` and interval), auc, auc_low, auc_high.
    """
    rows = []
    for (population, benign), (name, score) in product(populations.items(), detectors.items()):
        negatives, positives = score(benign), score(impersonations)
        low, high = bootstrap_auc_interval(negatives, positives, resamples=bootstrap, seed=seed)
        area = area_under_curve(negatives, positives)
        at_rates = thresholds[population][name]
        for rate, threshold in zip(FALSE_POSITIVE_RATES, at_rates, strict=True):
            rows.append(
                {
                    "detector": name,
                    "population": population,
                    "wanted_fpr": rate,
                    "threshold": threshold,
                    **Rate.mean(negatives > threshold).columns("fpr"),
                    **Rate.mean(positives > threshold).columns("tpr"),
                    "auc": area,
                    "auc_low": low,
                    "auc_high": high,
                }
            )
    return pd.DataFrame(rows)


def gain_table(
    detectors: Mapping[str, Score],
    *,
    populations: Mapping[str, Pictures],
    impersonations: Pictures,
    bootstrap: int,
    seed: int,
) -> pd.DataFrame:
    """``gain.csv``: area under the curve of influence minus that of activations, paired.

    Args:
        detectors: scores by name, among them those of :data:`COMPARED`.
        populations: by name, benign test pictures.
        impersonations: successful test impersonations.
        bootstrap: resamples of the interval.
        seed: seed of the bootstrap.

    Returns:
        One row per population and pair of detectors: detector, against, population, auc,
        against_auc, difference, difference_low, difference_high.
    """
    rows = []
    for (population, benign), (ours, theirs) in product(populations.items(), COMPARED.items()):
        first, second = (
            (detectors[name](benign), detectors[name](impersonations)) for name in (ours, theirs)
        )
        area, other = area_under_curve(*first), area_under_curve(*second)
        low, high = bootstrap_auc_difference_interval(first, second, resamples=bootstrap, seed=seed)
        rows.append(
            {
                "detector": ours,
                "against": theirs,
                "population": population,
                "auc": area,
                "against_auc": other,
                "difference": area - other,
                "difference_low": low,
                "difference_high": high,
            }
        )
    return pd.DataFrame(rows)


def controls_table(flags: Mapping[str, Score], controls: Mapping[str, Pictures]) -> pd.DataFrame:
    """``controls.csv``: how often each detector flags each kind of picture.

    Three more rates say how much of it is deserved: the share whom the network misnames without and
    with the glasses, and the flag rate among those whom it still names right. Of an attack, "right"
    is the attacker's own name.

    Args:
        flags: per detector, the share of its seeds that flag each picture.
        controls: kinds of pictures by name.
    """
    rows = []
    for (detector, flag), (control, pictures) in product(flags.items(), controls.items()):
        values, right = flag(pictures), pictures.named_right
        rows.append(
            {
                "detector": detector,
                "control": control,
                **Rate.mean(values).columns("flag_rate"),
                **Rate.mean(pictures.misnamed_bare).columns("misnamed_bare"),
                **Rate.mean(~right).columns("misnamed"),
                **Rate.mean(values[right]).columns("flag_rate_named_right"),
            }
        )
    return pd.DataFrame(rows).rename(columns={"flag_rate_n": "n"})
