"""How well detectors do: rates per pair, flags and their scores (Study I, section 3).

A picture is *flagged* when the network says it shows some person and that person's detector says
it does not. Rates are means over the seeds of the classifier.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.detection.pictures import NOBODY, Pictures, only
from glassguard.detection.selection import GROUPS, TUNED
from glassguard.detection.slice_detectors import SliceDetectors
from glassguard.progress import track
from glassguard.statistics import area_under_curve

Pair = tuple[int, int]
"""Target and attacker, by class index."""


def pairs_of(attacks: Pictures) -> list[Pair]:
    """The (target, attacker) pairs among adversarial pictures, sorted."""
    return sorted(
        {
            (int(target), int(attacker))
            for target, attacker in zip(attacks.target, attacks.identity, strict=True)
            if target != NOBODY
        }
    )


def pair_rates(
    detectors: SliceDetectors,
    benign: Pictures,
    attacks: Pictures,
    pairs: Iterable[Pair],
    *,
    tuned: Sequence[bool],
) -> pd.DataFrame:
    """The columns of Table 1 for every pair, and the area under the curve.

    Of the pair (target, attacker): ``benign_target`` is the share of the target's pictures that
    the target's detector accepts, ``benign_target_named`` of those that the network names right,
    ``benign_other`` the share of everybody else's that it rejects,
    ``impersonation`` the share of the attacker's successful impersonations that it rejects;
    ``..._n`` counts pictures. ``auc`` sets the impersonations against the target's pictures.
    ``lowest_seed`` and ``highest_seed`` are the extremes over the classifier's seeds of the
    balanced accuracy over all of ``pairs``, ``auc_lowest_seed`` and ``auc_highest_seed`` of the
    mean area under the curve. A share of nothing is NaN.

    Args:
        detectors: with a detector of every target.
        benign: benign pictures of one split.
        attacks: adversarial pictures of the same split; only successful ones count.
        pairs: pairs to report.
        tuned: thresholds to report, the classifier's own (False), the tuned (True), or both.
    """
    successes = attacks.where(attacks.impersonating)
    benign_margins, attack_margins = detectors.margins(benign), detectors.margins(successes)
    position = {int(person): row for row, person in enumerate(detectors.bank.people)}
    pairs = list(pairs)
    areas = []
    for target, attacker in pairs:
        own = benign.identity == target
        theirs = (successes.target == target) & (successes.identity == attacker)
        negatives, positives = (
            -margins[:, position[target], rows]
            for margins, rows in ((benign_margins, own), (attack_margins, theirs))
        )
        areas.append([area_under_curve(*one) for one in zip(negatives, positives, strict=True)])
    area_of_seed = _mean_of_known(np.array(areas))
    parts = []
    for is_tuned in tuned:
        rows, of_seeds = [], []
        benign_accepted = detectors.accepted(benign_margins, tuned=is_tuned)
        attack_accepted = detectors.accepted(attack_margins, tuned=is_tuned)
        for target, attacker in pairs:
            detector = position[target]
            own = benign.identity == target
            theirs = (successes.target == target) & (successes.identity == attacker)
            measured = {
                "benign_target": benign_accepted[:, detector, own],
                "benign_target_named": benign_accepted[:, detector, own & benign.named_right],
                "benign_other": ~benign_accepted[:, detector, ~own],
                "impersonation": ~attack_accepted[:, detector, theirs],
            }
            of_seeds.append([_by_seed(measured[name]) for name in GROUPS])
            rows.append(
                {
                    "slice": detectors.slice,
                    "variant": detectors.variant + (TUNED if is_tuned else ""),
                    "target": target,
                    "attacker": attacker,
                    **{
                        column: value
                        for name, values in measured.items()
                        for column, value in (
                            (name, _mean(values)),
                            (f"{name}_n", values.shape[1]),
                        )
                    },
                    "auc": area_under_curve(
                        -benign_margins[:, detector, own].mean(axis=0),
                        -attack_margins[:, detector, theirs].mean(axis=0),
                    ),
                }
            )
        # Groups without a picture have no say, as in the mean over seeds.
        balanced = _mean_of_known(_mean_of_known(np.array(of_seeds)))
        parts.append(
            pd.DataFrame(rows).assign(
                lowest_seed=balanced.min(),
                highest_seed=balanced.max(),
                auc_lowest_seed=area_of_seed.min(),
                auc_highest_seed=area_of_seed.max(),
            )
        )
    return pd.concat(parts, ignore_index=True)


def _mean(values: NDArray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis without NaN; NaN where there is nothing else."""
    known = ~np.isnan(values)
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def _by_seed(values: NDArray) -> NDArray[np.float64]:
    """Mean over pictures for every seed; NaN where there is no picture."""
    return np.array([_mean(row) for row in values])


def sweep_rates(
    swept: Iterable[SliceDetectors],
    held_out: Mapping[str, tuple[Pictures, Pictures]],
    pairs: Sequence[Pair],
) -> pd.DataFrame:
    """Rates of every pair under detectors of several slices and variants, default and tuned.

    Args:
        swept: with a detector of every target each.
        held_out: benign and adversarial pictures by split; ``val`` alone where a slice is chosen
            and nothing is reported.
        pairs: pairs to report.

    Returns:
        :func:`pair_rates` of each split; column ``split`` tells them apart.
    """
    parts = []
    for detectors in track(list(swept), description="rates, slices"):
        for split, pictures in held_out.items():
            faces, attacks = (only(one, detectors.slice) for one in pictures)
            rates = pair_rates(detectors, faces, attacks, pairs, tuned=(False, True))
            parts.append(rates.assign(split=split))
    return pd.concat(parts, ignore_index=True)
