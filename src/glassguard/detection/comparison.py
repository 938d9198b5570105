"""Every detector of the study side by side: fitted on benign pictures, flags at set rates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.detection.calibration import threshold_for_every_kind
from glassguard.detection.characteristic_profiles import METRICS
from glassguard.detection.covered_area import estimated_area, given_area
from glassguard.detection.pictures import Pictures, with_activations
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
from glassguard.detection.study import DetectionStudy, Reading
from glassguard.detection.tables import FALSE_POSITIVE_RATES, detector_name

AS_INFLUENCE = "as influence"
"""How detectors that read where ``influence`` does came by their slice."""


@dataclass(frozen=True)
class Comparison:
    """Detectors by name.

    Attributes:
        scores: by what a picture is flagged; a larger one is more suspicious.
        readings: where those detectors read that look at a chosen slice.
    """

    scores: Mapping[str, Score]
    readings: Mapping[str, Reading]


def compare(
    study: DetectionStudy,
    rates: pd.DataFrame,
    of_activations: DetectionStudy,
    activation_rates: pd.DataFrame,
    *,
    wearing: Pictures,
    mixture: Pictures,
    neighbours: int,
) -> Comparison:
    """Fit every detector; none sees an attack except to choose a slice, none a test picture.

    Args:
        study: on influence profiles.
        rates: its sweep; the validation rows choose.
        of_activations: on activations in their place.
        activation_rates: its sweep.
        wearing: benign pictures with and without honest frames, to train (``train``) and to
            choose and calibrate on (``val``), for the detectors ``..._with_frames``.
        mixture: benign validation pictures that say how large scores are when they are added, and
            what is usual where a part of the face is covered.
        neighbours: of the intrinsic dimensionality.
    """
    influence, chosen = study.best_scores(rates)
    slice_name = chosen.slices[0]
    training, validation = study.faces.in_split("train"), study.faces.in_split("val")
    layers, layers_read = study.layers_combined(rates)
    activations, activations_read = of_activations.best_scores(activation_rates)
    framed, framed_read = _chosen_again(study.beside(wearing, study.attacks))
    framed_activations, framed_activations_read = _chosen_again(
        study.beside(with_activations(wearing), of_activations.attacks)
    )
    influence = remembered(influence)
    area = estimated_area(wearing.in_split("train"))
    scores: dict[str, Score] = {
        "influence": influence,
        "influence_quadratic": remembered(study.fitted(slice_name, "quadratic").scores),
        "influence_layers": remembered(layers),
        "influence_with_frames": remembered(framed),
        "influence_given_area": remembered(given_area(influence, area=area, benign=mixture)),
        "activations": remembered(on_activations(activations)),
        "activations_with_frames": remembered(on_activations(framed_activations)),
        **{
            f"distance_{metric}": remembered(
                distance_score(training, slice_name=slice_name, metric=metric)
            )
            for metric in METRICS
        },
        "softmax_confidence": confidence_score,
        "feature_squeezing": squeezing_score,
        "mahalanobis_layers": remembered(mahalanobis_over_layers(training, validation=validation)),
        "intrinsic_dimensionality": remembered(
            dimensionality_over_layers(training, validation=validation, neighbours=neighbours)
        ),
        "masking": masking_score,
        "influence_and_masking": remembered(
            joint_score([influence, masking_score], benign=mixture)
        ),
        "squeezing_and_masking": remembered(
            joint_score([squeezing_score, masking_score], benign=mixture)
        ),
    }
    there = replace(chosen, chosen_by=AS_INFLUENCE, votes={})
    readings = {
        "influence": chosen,
        "influence_quadratic": replace(there, variant="quadratic"),
        "influence_layers": layers_read,
        "influence_with_frames": framed_read,
        "influence_given_area": there,
        "activations": activations_read,
        "activations_with_frames": framed_activations_read,
        **{f"distance_{metric}": replace(there, variant=metric) for metric in METRICS},
        "influence_and_masking": there,
    }
    return Comparison(scores, readings)


def _chosen_again(study: DetectionStudy) -> tuple[Score, Reading]:
    return study.best_scores(study.sweep(study.detector.variants, splits=("val",)))


def flags_at_rates(
    scores: Mapping[str, Score], validation: Mapping[str, Sequence[Pictures]]
) -> dict[str, Score]:
    """What flags a picture: every score at every set false-alarm rate, in every population.

    Args:
        scores: by detector.
        validation: per population benign validation pictures, first of the population, then of
            its kinds, if it has several (:func:`..calibration.threshold_for_every_kind`).
    """

    def above(score: Score, threshold: float) -> Score:
        def flag(pictures: Pictures) -> NDArray[np.float64]:
            return (score(pictures) > threshold).astype(np.float64)

        return flag

    flags: dict[str, Score] = {}
    for population, benign_kinds in validation.items():
        for name, score in scores.items():
            whole, *kinds = [score(pictures) for pictures in benign_kinds]
            for rate in FALSE_POSITIVE_RATES:
                key = detector_name(f"{name}@{rate:g}", population)
                flags[key] = above(score, threshold_for_every_kind(whole, kinds, rate))
    return flags


def readings_table(readings: Mapping[str, Reading]) -> pd.DataFrame:
    """``choices.csv``: where each detector reads, and what else the pairs would have chosen.

    Columns: detector; slice; variant; ``chosen_by``, the rule; ``pairs``, how many pairs chose
    this slice and variant, each without itself and all that share its target or attacker, empty
    where pairs were not asked; ``used``, whether curves, thresholds and flag rates read here.
    """
    rows = []
    for detector, reading in readings.items():
        used = [(name, reading.variant) for name in reading.slices]
        for slice_name, variant in dict.fromkeys([*used, *reading.votes]):
            rows.append(
                {
                    "detector": detector,
                    "slice": slice_name,
                    "variant": variant,
                    "chosen_by": reading.chosen_by,
                    "pairs": reading.votes.get((slice_name, variant)),
                    "used": (slice_name, variant) in used,
                }
            )
    return pd.DataFrame(rows).astype({"pairs": "Int64"})
