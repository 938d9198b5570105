"""How well detectors do: rates per pair, flags and their scores (Study I, section 3).

A picture is *flagged* when the network says it shows some person and that person's detector says
it does not. Rates are means over the seeds of the classifier.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.detection.calibration import Calibration, calibrate
from glassguard.detection.linear_detector import DetectorBank, fit_detectors
from glassguard.detection.pictures import NOBODY, Pictures, only
from glassguard.detection.selection import GROUPS, TUNED
from glassguard.detection.settings import Variant
from glassguard.progress import track
from glassguard.recognizer.layers import PRE_RELU
from glassguard.statistics import area_under_curve

SPLITS = ("val", "test")
"""What detectors are measured on: slices are chosen on the first, results are of the second."""


@dataclass(frozen=True)
class DetectorSettings:
    """What the detectors of a study have in common.

    Attributes:
        alpha: weight of the classifier's regularisation.
        max_iter: passes over the training profiles, at most.
        acceptance: share of a person's benign validation pictures that tuned detectors accept.
    """

    alpha: float
    max_iter: int
    acceptance: float


@dataclass(frozen=True)
class SliceDetectors:
    """Calibrated detectors of several people at one slice.

    Attributes:
        slice: name of the slice.
        variant: how profiles are prepared.
        bank: the detectors.
        calibration: their calibration on N benign validation pictures, seeds x P.
        calibrated_on: N, faces (:attr:`~glassguard.detection.pictures.Pictures.face`) of those.
        calibrated_people: N, who is in them.
    """

    slice: str
    variant: Variant
    bank: DetectorBank
    calibration: Calibration
    calibrated_on: NDArray[np.str_]
    calibrated_people: NDArray[np.integer]

    def margins(self, pictures: Pictures) -> NDArray[np.float64]:
        """Margins of every detector, seeds x P x N."""
        return self.bank.margins(pictures.profiles[self.slice])

    def accepted(self, margins: NDArray[np.float64], *, tuned: bool) -> NDArray[np.bool_]:
        """Which margins speak for the person, by the classifier's or by the tuned threshold."""
        return margins > (self.calibration.thresholds[..., None] if tuned else 0.0)

    def _rows(self, pictures: Pictures) -> NDArray[np.int64]:
        """The detector of each picture's predicted person."""
        position = {int(person): row for row, person in enumerate(self.bank.people)}
        return np.array([position[int(one)] for one in pictures.prediction], dtype=np.int64)

    def flagged(self, pictures: Pictures, *, tuned: bool) -> NDArray[np.float64]:
        """Share of seeds under which each picture is flagged, N values in [0, 1].

        Every predicted person needs a detector.
        """
        accepted = self.accepted(self.margins(pictures), tuned=tuned)
        return 1.0 - accepted[:, self._rows(pictures), np.arange(len(pictures))].mean(axis=0)

    def scores(self, pictures: Pictures) -> NDArray[np.float64]:
        """How much each picture is worth flagging: minus the predicted person's calibrated margin.

        Mean over seeds. Every predicted person needs a detector. A face that the person was
        calibrated on is measured from the person's others, as a face that is new: a threshold set
        on scores of such faces would otherwise be too low for new ones.
        """
        rows = self._rows(pictures)
        margins = self.margins(pictures)[:, rows, np.arange(len(pictures))]
        location = self.calibration.location[:, rows]
        known = {
            (str(face), int(person)): picture
            for picture, (face, person) in enumerate(
                zip(self.calibrated_on, self.calibrated_people, strict=True)
            )
        }
        for row, key in enumerate(zip(pictures.face, pictures.prediction, strict=True)):
            picture = known.get((str(key[0]), int(key[1])))
            if picture is not None:
                location[:, row] = self.calibration.others[:, picture]
        return -((margins - location) / self.calibration.scale[:, rows]).mean(axis=0)


def fit_slice(
    training: Pictures,
    validation: Pictures,
    *,
    slice_name: str,
    variant: Variant,
    people: NDArray[np.integer],
    settings: DetectorSettings,
    seeds: Sequence[int],
) -> SliceDetectors:
    """Fit detectors on benign training pictures and calibrate them on benign validation pictures.

    Calibration asks those alone whom the network names right. Of a misnamed picture the profile is
    another class's, and the person's own detector would never be asked about it. Only where the
    network names nobody right is everybody asked.

    Args:
        training: benign pictures to fit on.
        validation: benign pictures to set thresholds on.
        slice_name: the slice whose profiles are used.
        variant: how profiles are prepared.
        people: who gets a detector.
        settings: of the classifier.
        seeds: seeds of the classifier.
    """
    bank = fit_detectors(
        training.profiles[slice_name],
        training.identity,
        people=people,
        variant=variant,
        alpha=settings.alpha,
        max_iter=settings.max_iter,
        seeds=seeds,
    )
    named = validation.where(validation.named_right)
    if not np.isin(named.identity, people).any():
        named = validation
    own = named.identity[None, :] == people[:, None]
    margins = bank.margins(named.profiles[slice_name])
    calibration = calibrate(margins, own, acceptance=settings.acceptance)
    return SliceDetectors(slice_name, variant, bank, calibration, named.face, named.identity)


def pairs_of(attacks: Pictures) -> list[tuple[int, int]]:
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
    pairs: Iterable[tuple[int, int]],
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


def sweep(
    benign: Pictures,
    attacks: Pictures,
    *,
    variants: Sequence[Variant],
    settings: DetectorSettings,
    seeds: Sequence[int],
    splits: Sequence[str] = SPLITS,
) -> pd.DataFrame:
    """Rates of every pair at every slice under every variant, default and tuned.

    Args:
        benign: benign pictures, those of ``train`` to fit on and of ``val`` to calibrate on.
        attacks: adversarial pictures of the splits that are measured.
        variants: how profiles are prepared.
        settings: of the classifier.
        seeds: seeds of the classifier.
        splits: what is measured; ``val`` alone where a slice is chosen and nothing reported.

    Returns:
        :func:`pair_rates` of each of ``splits``, told apart by ``split``.
    """
    held_out = {split: (benign.in_split(split), attacks.in_split(split)) for split in splits}
    validation = benign.in_split("val")
    training = benign.in_split("train")
    pairs = pairs_of(attacks)
    targets = np.array(sorted({target for target, _ in pairs}))
    parts = []
    for slice_name in track(list(benign.profiles), description="detectors, slices"):
        of_slice = {
            split: tuple(only(pictures, slice_name) for pictures in both)
            for split, both in held_out.items()
        }
        for variant in variants:
            if variant == "raw" and slice_name.endswith(PRE_RELU):
                # The source's variant stands where the source has it, behind the activation.
                continue
            detectors = fit_slice(
                only(training, slice_name),
                only(validation, slice_name),
                slice_name=slice_name,
                variant=variant,
                people=targets,
                settings=settings,
                seeds=seeds,
            )
            for split, (faces, attacked) in of_slice.items():
                rates = pair_rates(detectors, faces, attacked, pairs, tuned=(False, True))
                parts.append(rates.assign(split=split))
    return pd.concat(parts, ignore_index=True)
