"""What the other detectors read of a set of pictures: activations, and scores of the pixels."""

from pathlib import Path

import numpy as np

from glassguard.configuration.sections import BaselinesSection
from glassguard.detection.activations import activation_profiles
from glassguard.detection.picture_sets import LARGEST, MEAN
from glassguard.detection.pixel_detectors import pixel_scores
from glassguard.files.formats import check_rows, read_images, read_pictures_table
from glassguard.stages.network_slices import chosen_slices
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import open_recognizer, use_threads


def run(
    config: BaselinesSection, *, images: Path, ids: Path, recognizer: Path, baselines: OutputPath
) -> dict[str, float | int | str]:
    """Write the activations of all pictures, and scores of the pixels of held-out pictures.

    ``baselines`` holds ``ids`` (text), ``prediction`` (int64), per slice ``largest_<slice>`` and
    ``mean_<slice>`` (float32 N x filters; with several places the largest are N x (filters ·
    places)), and of each detector on pixels its array (float32 N, NaN in training pictures).
    ``ids`` is a manifest or an ``examples.csv``.

    Raises:
        InputError: a file cannot be used, or table and pictures do not fit.
    """
    use_threads(config.threads)
    settings = config.baselines
    pictures = read_images(images)
    table, column = read_pictures_table(ids)
    check_rows(table, pictures, ids, images)
    network, _ = open_recognizer(recognizer, pictures, images)
    found = activation_profiles(
        network,
        chosen_slices(network, config.slices),
        pictures,
        batch_size=settings.batch_size,
        places=config.places,
    )
    held_out = np.flatnonzero(table["split"].isin(("val", "test")))
    asked, answers = pictures[held_out], found.logits[held_out]
    scores = {}
    for name, score in pixel_scores(settings).items():
        scores[name] = np.full(len(pictures), np.nan, dtype=np.float32)
        scores[name][held_out] = score(network, asked, answers, batch_size=settings.batch_size)
    np.savez(
        baselines,
        allow_pickle=False,
        **{LARGEST + name: profile for name, profile in found.largest.items()},
        **{MEAN + name: profile for name, profile in found.mean.items()},
        ids=np.array(table[column].tolist(), dtype=np.str_),
        prediction=found.logits.argmax(axis=1).astype(np.int64),
        **scores,
    )
    means = {
        f"mean_{name}": float(values[held_out].mean()) if len(held_out) else 0.0
        for name, values in scores.items()
    }
    return {"pictures": len(pictures), "held_out": len(held_out), **means}
