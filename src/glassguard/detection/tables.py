"""The tables of the detection study, from rates and scores."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from glassguard.detection.characteristic_profiles import (
    METRICS,
    CharacteristicProfiles,
    profiles_of_people,
)
from glassguard.detection.pictures import Pictures
from glassguard.detection.scores import Score
from glassguard.detection.selection import GROUPS, balanced_accuracy, choose_without
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


def with_intervals(frame: pd.DataFrame, rates: Sequence[str]) -> pd.DataFrame:
    """Put Wilson's interval (``..._low``, ``..._high``) of every rate behind its ``..._n``."""
    parts: dict[str, pd.Series | list[float]] = {}
    for column in frame.columns:
        parts[column] = frame[column]
        name = column.removesuffix("_n")
        if column.endswith("_n") and name in rates:
            found = [
                Rate.counted(rate * n if n else 0, n)
                for rate, n in zip(frame[name], frame[column], strict=True)
            ]
            parts[f"{name}_low"] = [rate.low for rate in found]
            parts[f"{name}_high"] = [rate.high for rate in found]
    return pd.DataFrame(parts, index=frame.index)


def layers_table(
    rates: pd.DataFrame, *, sizes: Mapping[str, int], quantity: str, seeds: int
) -> pd.DataFrame:
    """``layers.csv``: every slice and variant, means over pairs.

    Validation pictures, which the choice is made on; the same on test pictures stands beside in
    columns ``test_...``. ``benign_target_named`` is the acceptance of those whom the network names
    right, which a chosen slice should keep. ``..._n`` counts pictures, each once, however many
    pairs judge by it. ``balanced_accuracy_lowest_seed`` and ``..._highest_seed`` are the extremes
    over seeds, and so are ``auc_lowest_seed`` and ``..._highest_seed``; ``auc`` itself is that of
    the mean margin over seeds, and may lie above both.

    Args:
        rates: :func:`glassguard.detection.evaluation.sweep_rates`.
        sizes: filters per slice.
        quantity: quantity of interest, printed.
        seeds: seeds of the classifier, printed.
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
            counts = _distinct_pictures(part)
            for name in GROUPS:
                row[prefix + name] = part[name].mean()
                row[f"{prefix}{name}_n"] = counts[name]
            row[f"{prefix}benign_target_named"] = part["benign_target_named"].mean()
            means = pd.DataFrame([{name: row[prefix + name] for name in GROUPS}])
            row[f"{prefix}balanced_accuracy"] = float(balanced_accuracy(means).iloc[0])
            for end in ("lowest_seed", "highest_seed"):
                row[f"{prefix}balanced_accuracy_{end}"] = float(part[end].iloc[0])
            row[f"{prefix}auc"] = part["auc"].mean()
            for end in ("lowest_seed", "highest_seed"):
                row[f"{prefix}auc_{end}"] = float(part[f"auc_{end}"].iloc[0])
        row["seeds"] = seeds
        rows.append(row)
    return with_intervals(pd.DataFrame(rows), [*GROUPS, *(f"test_{name}" for name in GROUPS)])


def classifier_sweep_table(
    rates: pd.DataFrame,
    *,
    variant: str,
    sizes: Mapping[str, int],
    seeds: int,
    minimum_benign_target: float,
    minimum_benign_other: float,
) -> pd.DataFrame:
    """``sweep.csv``: alpha and iterations of the classifier at one slice.

    Columns as in :func:`layers_table`, behind ``alpha`` and ``max_iter``. ``chosen`` counts the
    pairs that would choose this setting on the validation pictures of other people's pairs.

    Args:
        rates: :func:`glassguard.detection.evaluation.sweep_rates` of every setting; columns
            ``alpha`` and ``max_iter`` tell them apart.
        variant: the variant that is reported.
        sizes: filters per slice.
        seeds: seeds of the classifier, printed.
        minimum_benign_target: see :func:`glassguard.detection.selection.choose`.
        minimum_benign_other: see there.
    """
    kept = rates[rates["variant"] == variant]
    settings = kept[["alpha", "max_iter"]].drop_duplicates().to_numpy().tolist()
    # A setting takes the place of a variant among what is chosen from.
    seen = kept[kept["split"] == "val"]
    named = seen.assign(
        variant=[f"{a:g} {m:g}" for a, m in zip(seen["alpha"], seen["max_iter"], strict=True)]
    )
    pairs = named[["target", "attacker"]].drop_duplicates().itertuples(index=False)
    choices = [
        choose_without(
            named,
            target=target,
            attacker=attacker,
            minimum_benign_target=minimum_benign_target,
            minimum_benign_other=minimum_benign_other,
        ).variant
        for target, attacker in pairs
    ]
    parts = []
    for alpha, max_iter in settings:
        group = kept[(kept["alpha"] == alpha) & (kept["max_iter"] == max_iter)]
        row = layers_table(group, sizes=sizes, quantity="", seeds=seeds).drop(columns="quantity")
        row.insert(0, "chosen", choices.count(f"{alpha:g} {max_iter:g}"))
        row.insert(0, "max_iter", int(max_iter))
        row.insert(0, "alpha", alpha)
        parts.append(row)
    return pd.concat(parts, ignore_index=True)


def _distinct_pictures(rates: pd.DataFrame) -> dict[str, int]:
    """How many pictures stand behind the means over pairs of one split."""
    targets = rates.drop_duplicates("target")
    first = targets.iloc[0]
    everybody = int(first["benign_target_n"] + first["benign_other_n"])
    return {
        "benign_target": int(targets["benign_target_n"].sum()),
        # Two targets have everybody for others: each the other's pictures too.
        "benign_other": everybody if len(targets) > 1 else int(first["benign_other_n"]),
        "impersonation": int(rates["impersonation_n"].sum()),
    }


def distances_table(benign: Pictures, attacks: Pictures, *, slices: Sequence[str]) -> pd.DataFrame:
    """``distances.csv``: how far test pictures lie from characteristic profiles, per slice.

    ``within``: from their own person's; ``between``: from everybody else's; ``impersonation``:
    successful ones from their target's. ``auc`` sets impersonation against within.
    """
    training, test = benign.in_split("train"), benign.in_split("test")
    successes = attacks.in_split("test")
    successes = successes.where(successes.impersonating)
    rows = []
    for slice_name in slices:
        for metric in METRICS:
            fitted = profiles_of_people(training.profiles[slice_name], training.identity, metric)
            groups = _distance_groups(fitted, test, successes, slice_name)
            rows.append(
                {
                    "slice": slice_name,
                    "paper_index": paper_index(slice_name),
                    "metric": metric,
                    **{
                        f"{name}_{what}": value
                        for name, distances in groups.items()
                        for what, value in (
                            ("mean", distances.mean() if len(distances) else float("nan")),
                            ("sd", distances.std() if len(distances) else float("nan")),
                            ("n", len(distances)),
                        )
                    },
                    "auc": area_under_curve(groups["within"], groups["impersonation"]),
                }
            )
    return pd.DataFrame(rows)


def _distance_groups(
    fitted: CharacteristicProfiles, benign: Pictures, attacks: Pictures, slice_name: str
) -> dict[str, NDArray[np.float64]]:
    distances = fitted.transform(benign.profiles[slice_name])
    own = benign.identity[:, None] == np.arange(distances.shape[1])
    to_all = fitted.transform(attacks.profiles[slice_name])
    return {
        "within": distances[own],
        "between": distances[~own],
        "impersonation": to_all[np.arange(len(attacks)), attacks.target],
    }


def distance_matrix_table(
    training: Pictures, *, slice_name: str, identities: Sequence[str]
) -> pd.DataFrame:
    """``distance_matrix.csv``: distance between the characteristic profiles of all people."""
    parts = []
    for metric in METRICS:
        fitted = profiles_of_people(training.profiles[slice_name], training.identity, metric)
        matrix = fitted.between()
        row, column = np.indices(matrix.shape).reshape(2, -1)
        names = np.array(identities)
        parts.append(
            pd.DataFrame(
                {
                    "slice": slice_name,
                    "metric": metric,
                    "identity": names[row],
                    "other": names[column],
                    "distance": matrix.ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def histograms_table(
    benign: Pictures, attacks: Pictures, *, slice_name: str, score: Score
) -> pd.DataFrame:
    """``histograms.csv``: distributions behind ``distances.csv`` at one slice, in equal bins.

    Beside the three distances stands metric ``flag_score`` with the groups ``within`` (benign
    pictures) and ``impersonation``.
    """
    training, test = benign.in_split("train"), benign.in_split("test")
    successes = attacks.in_split("test")
    successes = successes.where(successes.impersonating)
    measured: dict[str, dict[str, NDArray[np.float64]]] = {}
    for metric in METRICS:
        fitted = profiles_of_people(training.profiles[slice_name], training.identity, metric)
        measured[metric] = _distance_groups(fitted, test, successes, slice_name)
    measured["flag_score"] = {"within": score(test), "impersonation": score(successes)}
    parts = []
    for measure, groups in measured.items():
        edges = np.histogram_bin_edges(np.concatenate(list(groups.values())), HISTOGRAM_BINS)
        for group, values in groups.items():
            counts, _ = np.histogram(values, edges)
            parts.append(
                pd.DataFrame(
                    {
                        "slice": slice_name,
                        "metric": measure,
                        "group": group,
                        "lower": edges[:-1],
                        "upper": edges[1:],
                        "count": counts,
                        "share": counts / max(1, len(values)),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def roc_table(
    detectors: Mapping[str, tuple[Score, Pictures]], impersonations: Pictures
) -> pd.DataFrame:
    """``roc.csv``: benign pictures against successful impersonations, each with n and interval.

    Args:
        detectors: score and benign pictures by name.
        impersonations: successful impersonations.
    """
    parts = []
    for name, (score, benign) in detectors.items():
        negatives, positives = score(benign), score(impersonations)
        if not len(negatives) or not len(positives):
            continue
        truth = np.r_[np.zeros(len(negatives)), np.ones(len(positives))]
        fpr, tpr, _ = roc_curve(truth, np.r_[negatives, positives])
        parts.append(
            pd.DataFrame(
                {
                    "detector": name,
                    "fpr": fpr,
                    "fpr_n": len(negatives),
                    "tpr": tpr,
                    "tpr_n": len(positives),
                }
            )
        )
    columns = ["detector", "fpr", "fpr_n", "tpr", "tpr_n"]
    curves = pd.concat(parts or [pd.DataFrame(columns=columns)], ignore_index=True)
    return with_intervals(curves, ["fpr", "tpr"])


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
        at_rates = thresholds[population][name]
        for rate, threshold in zip(FALSE_POSITIVE_RATES, at_rates, strict=True):
            rows.append(
                {
                    "detector": name,
                    "population": population,
                    "wanted_fpr": rate,
                    "threshold": threshold,
                    "fpr": _share(negatives > threshold),
                    "fpr_n": len(negatives),
                    "tpr": _share(positives > threshold),
                    "tpr_n": len(positives),
                    "auc": area_under_curve(negatives, positives),
                    "auc_low": low,
                    "auc_high": high,
                }
            )
    return with_intervals(pd.DataFrame(rows), ["fpr", "tpr"])


def gain_table(
    detectors: Mapping[str, Score],
    *,
    populations: Mapping[str, Pictures],
    impersonations: Pictures,
    bootstrap: int,
    seed: int,
) -> pd.DataFrame:
    """``gain.csv``: area under the curve of influence less that of activations, paired.

    Args:
        detectors: scores by name, those of :data:`COMPARED` among them.
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

    Beside the flag rate stand three figures that say how much of it is deserved: the share whom
    the network misnames before and with the glasses, and the flag rate among those whom it still
    names right. Of an attack, "right" is the attacker's own name.

    Args:
        flags: per detector, the share of its seeds that flag each picture.
        controls: kinds of pictures by name.
    """
    rows = []
    for detector, flag in flags.items():
        for control, pictures in controls.items():
            values = flag(pictures)
            right = pictures.prediction == pictures.identity
            rows.append(
                {
                    "detector": detector,
                    "control": control,
                    "flag_rate": _share(values),
                    "flag_rate_n": len(values),
                    "misnamed_bare": _share(pictures.misnamed_bare),
                    "misnamed_bare_n": len(values),
                    "misnamed": _share(~right),
                    "misnamed_n": len(values),
                    "flag_rate_named_right": _share(values[right]),
                    "flag_rate_named_right_n": int(right.sum()),
                }
            )
    frame = with_intervals(
        pd.DataFrame(rows), ["flag_rate", "misnamed_bare", "misnamed", "flag_rate_named_right"]
    )
    return frame.rename(columns={"flag_rate_n": "n"})


def _share(values: NDArray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
