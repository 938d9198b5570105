"""Every detector of the study side by side, fitted on benign pictures."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from glassguard.detection.characteristic_profiles import METRICS
from glassguard.detection.covered_area import CoveredArea, GivenArea
from glassguard.detection.pictures import Pictures, with_activations
from glassguard.detection.scores import (
    Confidence,
    Distance,
    Masking,
    OnActivations,
    OnPixels,
    Score,
    Sum,
    dimensionality_over_layers,
    mahalanobis_over_layers,
)
from glassguard.detection.settings import PIXEL_DETECTORS, Squeezing
from glassguard.detection.study import DetectionStudy, Reading

SEEDS_NOT_SHOWN = 1
"""Of the classifier, while slices are compared in a study whose comparison no table shows."""

AS_INFLUENCE = "as influence"
"""How detectors that read where ``influence`` does came by their slice."""


def compare(
    study: DetectionStudy,
    of_activations: DetectionStudy,
    *,
    wearing: Pictures,
    mixture: Pictures,
) -> tuple[dict[str, Score], dict[str, Reading]]:
    """Fit every detector; none sees an attack except to choose a slice, none a test picture.

    Args:
        study: on influence profiles.
        of_activations: on activations.
        wearing: benign pictures with and without honest frames, for the detectors
            ``..._with_frames``: to train (``train``), and to choose and calibrate on (``val``).
        mixture: benign validation pictures that show how large scores are when they are added, and
            what is usual where a part of the face is covered.

    Returns:
        The detectors by name, and where those of them read that read a chosen slice.
    """
    influence, chosen = study.best()
    slice_name = chosen.slices[0]
    training, validation = study.training, study.validation
    layers, layers_read = study.layers_combined()
    activations, activations_read = of_activations.best()
    framed, framed_read = study.of_others(
        wearing, study.attacks, sweep_seeds=SEEDS_NOT_SHOWN
    ).best()
    framed_activations, framed_activations_read = study.of_others(
        with_activations(wearing), of_activations.attacks, sweep_seeds=SEEDS_NOT_SHOWN
    ).best()
    area = CoveredArea.fitted(wearing.in_split("train"))
    squeezing, neighbours = OnPixels(Squeezing.array), study.detector.baselines.neighbours
    scores: dict[str, Score] = {
        "influence": influence,
        "influence_quadratic": study.fitted(slice_name, "quadratic"),
        "influence_layers": layers,
        "influence_with_frames": framed,
        "influence_given_area": GivenArea.fitted(influence, area=area, benign=mixture),
        "activations": OnActivations(activations),
        "activations_with_frames": OnActivations(framed_activations),
        **{
            f"distance_{metric}": Distance.fitted(training, slice_name=slice_name, metric=metric)
            for metric in METRICS
        },
        "softmax_confidence": Confidence(),
        **{one.detector: OnPixels(one.array) for one in PIXEL_DETECTORS},
        "mahalanobis_layers": mahalanobis_over_layers(training, validation=validation),
        "intrinsic_dimensionality": dimensionality_over_layers(
            training, validation=validation, neighbours=neighbours
        ),
        "masking": Masking(),
        "influence_and_masking": Sum.fitted([influence, Masking()], benign=mixture),
        "squeezing_and_masking": Sum.fitted([squeezing, Masking()], benign=mixture),
    }
    there = replace(chosen, chosen_by=AS_INFLUENCE, votes=())
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
    return scores, readings


def readings_table(readings: Mapping[str, Reading]) -> pd.DataFrame:
    """``choices.csv``: where each detector reads, and what else the pairs would have chosen.

    Columns: detector; slice; variant; ``chosen_by``, the rule; ``pairs``, how many pairs chose
    this slice and variant, each without itself and all that share its target or attacker, empty
    where pairs were not asked; ``used``, whether curves, thresholds and flag rates read here.
    """
    rows = []
    for detector, reading in readings.items():
        votes = {(name, variant): count for name, variant, count in reading.votes}
        used = [(name, reading.variant) for name in reading.slices]
        rows += [
            (detector, *name, reading.chosen_by, votes.get(name), name in used)
            for name in dict.fromkeys([*used, *votes])
        ]
    columns = ["detector", "slice", "variant", "chosen_by", "pairs", "used"]
    return pd.DataFrame(rows, columns=columns).astype({"pairs": "Int64"})
