"""Calibrated detectors of several people at one slice (Study I, section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassguard.detection.calibration import Calibration, calibrate
from glassguard.detection.linear_detector import DetectorBank, fit_banks, fit_detectors
from glassguard.detection.pictures import Pictures, only
from glassguard.detection.settings import Variant
from glassguard.recognizer.layers import PRE_RELU


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

    Raises:
        ValueError: detectors and calibration have different sizes.
    """

    slice: str
    variant: Variant
    bank: DetectorBank
    calibration: Calibration
    calibrated_on: NDArray[np.str_]
    calibrated_people: NDArray[np.integer]

    def __post_init__(self) -> None:
        seeds, people = self.bank.intercepts.shape
        pictures, of = self.calibrated_on.shape, self.calibration
        shapes = of.location.shape, of.scale.shape, of.cut.shape, of.others.shape
        wanted = (seeds, people), (seeds, people), (seeds,), (seeds, *pictures)
        if shapes != wanted or self.calibrated_people.shape != pictures:
            raise ValueError(
                f"{self.slice}: the calibration is not that of {people} people, {seeds} seeds"
            )

    @property
    def seeds(self) -> int:
        """Number of seeds of the classifier."""
        return len(self.bank.intercepts)

    def margins(self, pictures: Pictures) -> NDArray[np.float64]:
        """Margins of every detector, seeds x P x N."""
        return self.bank.margins(pictures.profiles[self.slice])

    def accepted(self, margins: NDArray[np.float64], *, tuned: bool) -> NDArray[np.bool_]:
        """Which margins accept the person, by the classifier's or by the tuned threshold."""
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

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """Score of each picture: minus the predicted person's calibrated margin, mean over seeds.

        Every predicted person needs a detector. A face that was used to calibrate the person is
        measured from the person's other faces, as a new face would be. Otherwise a threshold set
        on scores of such faces would be too low for new ones.
        """
        rows = self._rows(pictures)
        margins = self.margins(pictures)[:, rows, np.arange(len(pictures))]
        location = self.calibration.location[:, rows]
        calibrated = zip(self.calibrated_on.tolist(), self.calibrated_people.tolist(), strict=True)
        known = {key: picture for picture, key in enumerate(calibrated)}
        shown = zip(pictures.face.tolist(), pictures.prediction.tolist(), strict=True)
        for row, key in enumerate(shown):
            if key in known:
                location[:, row] = self.calibration.others[:, known[key]]
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

    Calibration reads only pictures that the network names right: the profile of a misnamed picture
    belongs to another class, and the person's own detector is never asked about it. Where the
    network names nobody right, calibration reads all pictures.

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
    return _calibrated(bank, validation, slice_name, variant, settings.acceptance)


def _calibrated(
    bank: DetectorBank,
    validation: Pictures,
    slice_name: str,
    variant: Variant,
    acceptance: float,
) -> SliceDetectors:
    named, people = validation.where(validation.named_right), bank.people
    if not np.isin(named.identity, people).any():
        named = validation
    own = named.identity[None, :] == people[:, None]
    margins = bank.margins(named.profiles[slice_name])
    calibration = calibrate(margins, own, acceptance=acceptance)
    return SliceDetectors(slice_name, variant, bank, calibration, named.face, named.identity)


def fit_slices(
    training: Pictures,
    validation: Pictures,
    *,
    variants: Sequence[Variant],
    people: NDArray[np.integer],
    settings: DetectorSettings,
    seeds: Sequence[int],
) -> tuple[SliceDetectors, ...]:
    """:func:`fit_slice` at every slice under every variant, slice by slice.

    The source's variant, ``raw``, is fitted only where the source has it: after the activation.
    """
    wanted = [
        (slice_name, variant)
        for slice_name in training.profiles
        for variant in variants
        if variant != "raw" or not slice_name.endswith(PRE_RELU)
    ]
    banks = fit_banks(
        [(training.profiles[slice_name], variant) for slice_name, variant in wanted],
        training.identity,
        people=people,
        alpha=settings.alpha,
        max_iter=settings.max_iter,
        seeds=seeds,
    )
    return tuple(
        _calibrated(bank, only(validation, slice_name), slice_name, variant, settings.acceptance)
        for bank, (slice_name, variant) in zip(banks, wanted, strict=True)
    )
