"""How well detectors do: rates per pair of target and attacker (Study I, section 3).

Rates are means over the seeds of the classifier.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.detection.pictures import NOBODY, Pictures, only
from glassguard.detection.selection import GROUPS, TUNED
from glassguard.detection.slice_detectors import SliceDetectors
from glassguard.progress import track
from glassguard.statistics import Rate, area_under_curve

Pair = tuple[int, int]
"""Target and attacker, by class index."""


def pairs_of(attacks: Pictures) -> list[Pair]:
    """The (target, attacker) pairs among adversarial pictures, sorted."""
    pairs = zip(attacks.target.tolist(), attacks.identity.tolist(), strict=True)
    return sorted({(target, attacker) for target, attacker in pairs if target != NOBODY})


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
    the target's detector accepts, ``benign_target_named`` the same of those that the network names
    right, ``benign_other`` the share of everybody else's that it rejects, ``impersonation`` the
    share of the attacker's successful impersonations that it rejects; ``..._n`` counts pictures.
    ``auc`` is of the impersonations against the target's pictures. ``lowest_seed`` and
    ``highest_seed`` are the extremes over the classifier's seeds of the balanced accuracy over all
    ``pairs``, ``auc_lowest_seed`` and ``auc_highest_seed`` of the mean area under the curve. A
    share of nothing is NaN.

    Args:
        detectors: with a detector of every target.
        benign: benign pictures of one split.
        attacks: adversarial pictures of the same split; only successful ones count.
        pairs: pairs to report.
        tuned: thresholds to report, the classifier's own (False), the tuned (True), or both.
    """
    successes = attacks.successful
    benign_margins, attack_margins = detectors.margins(benign), detectors.margins(successes)
    detector_of = {int(person): row for row, person in enumerate(detectors.bank.people)}
    shown = []
    for target, attacker in pairs:
        own = benign.identity == target
        theirs = (successes.target == target) & (successes.identity == attacker)
        shown.append((target, attacker, detector_of[target], own, theirs))
    areas = []
    for _, _, row, own, theirs in shown:
        sides = -benign_margins[:, row, own], -attack_margins[:, row, theirs]
        of_seeds = [area_under_curve(*one) for one in zip(*sides, strict=True)]
        areas.append((of_seeds, area_under_curve(*(side.mean(axis=0) for side in sides))))
    area_of_seed = _mean_of_known(np.array([of_seeds for of_seeds, _ in areas]))
    parts = []
    for is_tuned in tuned:
        rows, rates_of_seeds = [], []
        benign_accepted = detectors.accepted(benign_margins, tuned=is_tuned)
        attack_accepted = detectors.accepted(attack_margins, tuned=is_tuned)
        for (target, attacker, row, own, theirs), (_, area) in zip(shown, areas, strict=True):
            judged = {
                "benign_target": benign_accepted[:, row, own],
                "benign_target_named": benign_accepted[:, row, own & benign.named_right],
                "benign_other": ~benign_accepted[:, row, ~own],
                "impersonation": ~attack_accepted[:, row, theirs],
            }
            rates_of_seeds.append([_by_seed(judged[name]) for name in GROUPS])
            rates: dict[str, float | int | None] = {}
            for name, values in judged.items():
                rate = Rate.mean(values)
                rates |= {name: rate.value, f"{name}_n": rate.n}
            rows.append(
                {
                    "slice": detectors.slice,
                    "variant": detectors.variant + (TUNED if is_tuned else ""),
                    "target": target,
                    "attacker": attacker,
                    **rates,
                    "auc": area,
                }
            )
        # Groups without a picture have no say, as in the mean over seeds.
        balanced = _mean_of_known(_mean_of_known(np.array(rates_of_seeds)))
        parts.append(
            pd.DataFrame(rows).assign(
                lowest_seed=balanced.min(),
                highest_seed=balanced.max(),
                auc_lowest_seed=area_of_seed.min(),
                auc_highest_seed=area_of_seed.max(),
            )
        )
    return pd.concat(parts, ignore_index=True)


def _by_seed(values: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of pictures for every seed; NaN without a picture."""
    return values.mean(axis=1) if values.size else np.full(len(values), np.nan)


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis without NaN; NaN where there is nothing else."""
    known = ~np.isnan(values)
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def sweep_rates(
    swept: Iterable[SliceDetectors],
    held_out: Mapping[str, tuple[Pictures, Pictures]],
    pairs: Sequence[Pair],
) -> pd.DataFrame:
    """Rates of every pair under detectors of several slices and variants, default and tuned.

    Args:
        swept: each with a detector of every target.
        held_out: benign and adversarial pictures by split; ``val`` alone to choose a slice.
        pairs: pairs to report.

    Returns:
        :func:`pair_rates` of each split, with a column ``split``.
    """
    parts = []
    for detectors in track(list(swept), description="rates, slices"):
        for split, pictures in held_out.items():
            faces, attacks = (only(one, detectors.slice) for one in pictures)
            rates = pair_rates(detectors, faces, attacks, pairs, tuned=(False, True))
            parts.append(rates.assign(split=split))
    return pd.concat(parts, ignore_index=True)
