"""What the recognizer makes of a set of pictures: all that detectors and masks read of it."""

from pathlib import Path

import numpy as np

from glassguard.configuration.sections import ResponsesSection
from glassguard.detection.activations import profiles_and_activations
from glassguard.detection.picture_sets import LARGEST, MEAN
from glassguard.detection.pixel_detectors import pixel_scores
from glassguard.files.formats import check_rows, check_top_classes, read_images, read_pictures_table
from glassguard.influence.measure import internal_influence, pictures_at_once
from glassguard.saliency.agreement import masked_agreement
from glassguard.saliency.explanation import explained
from glassguard.saliency.grid import Combination, with_maps
from glassguard.stages.network_slices import chosen_slices
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import open_recognizer, use_threads


def run(
    config: ResponsesSection,
    *,
    images: Path,
    ids: Path,
    recognizer: Path,
    profiles: OutputPath,
    baselines: OutputPath,
    maps: OutputPath,
    decisions: OutputPath,
) -> dict[str, float | int | str]:
    """Read profiles and activations of all pictures, and explain, squeeze and mask held-out ones.

    ``ids`` is a manifest or an ``examples.csv``; validation and test pictures are held out. Every
    file has its pictures' ``ids`` and predicted classes (int64, in the recognizer's order), and

    * ``profiles``: per slice float32 N x filters (with several places N x (filters · places)),
      ``confidence``, ``identities`` and the settings of influence;
    * ``baselines``: per slice ``largest_<slice>``, of the same shape, and ``mean_<slice>`` (float32
      N x filters), and the scores of each detector on pixels (float32 N, NaN in training pictures);
    * ``maps``: float32 M x H x W in [0, 1] of held-out pictures, for every kind of map;
    * ``decisions``: ``log_confidence`` in the ``decision`` on held-out pictures under masks of each
      ``mu`` (float32 M x masks).

    Raises:
        InputError: a file cannot be used, or table and pictures do not fit.
    """
    measure, saliency = config.influence, config.saliency
    use_threads(measure.threads)
    pictures = read_images(images)
    table, column = read_pictures_table(ids)
    check_rows(table, pictures, ids, images)
    network, identities = open_recognizer(recognizer, pictures, images)
    check_top_classes("saliency.top_classes", saliency.top_classes, identities, recognizer)
    names = np.array(table[column].tolist(), dtype=np.str_)
    rows = np.flatnonzero(table["split"].isin(("val", "test")))
    held_out = pictures[rows]

    found, activations = profiles_and_activations(
        internal_influence(
            measure, network, chosen_slices(network, measure.slices, measure.positions)
        ),
        chosen_slices(network, measure.slices),
        pictures,
        reduction=measure.reduction,
        places=measure.places,
        batch_size=pictures_at_once(measure),
    )
    np.savez(
        profiles,
        allow_pickle=False,
        **found.profiles,
        ids=names,
        prediction=found.prediction,
        confidence=found.confidence,
        identities=np.array(identities, dtype=np.str_),
        **{name: np.array(value) for name, value in measure.noted().items()},
    )

    answers, size = activations.logits[rows], config.baselines.batch_size
    scores = {}
    for name, score in pixel_scores(config.baselines).items():
        scores[name] = np.full(len(pictures), np.nan, dtype=np.float32)
        scores[name][rows] = score(network, held_out, answers, batch_size=size)
    np.savez(
        baselines,
        allow_pickle=False,
        **{LARGEST + name: profile for name, profile in activations.largest.items()},
        **{MEAN + name: profile for name, profile in activations.mean.items()},
        ids=names,
        prediction=found.prediction,
        **scores,
    )

    size = saliency.batch_size
    explanations, decided = explained(network, held_out, saliency.maps, saliency, batch_size=size)
    np.savez(maps, allow_pickle=False, ids=names[rows], prediction=decided, **explanations)

    fixed = saliency.masking.model_dump(exclude={"mu"})
    masks = [Combination(**fixed, mu=mu) for mu in dict.fromkeys(saliency.masking.mu)]
    pairs = with_maps(held_out, range(len(rows)), explanations)
    how: dict[str, int] = {"kernel": saliency.kernel, "batch_size": size}
    left = masked_agreement(network, pairs, decided, masks, **how)
    mu, confidence = np.array([mask.mu for mask in masks]), {"log_confidence": left}
    np.savez(decisions, allow_pickle=False, ids=names[rows], decision=decided, **confidence, mu=mu)
    of_held_out = {name: one[rows] for name, one in scores.items()} | confidence
    means = {"confidence": found.confidence, **explanations, **of_held_out}
    return {
        "pictures": len(names),
        "held_out": len(rows),
        **{f"mean_{name}": float(one.mean()) if one.size else 0.0 for name, one in means.items()},
    }
