"""What the detectors beside influence read of a set of pictures."""

from pathlib import Path

import numpy as np

from glassguard.configuration.sections import BaselinesSection
from glassguard.detection.activations import activation_profiles
from glassguard.detection.feature_squeezing import squeezing_distance
from glassguard.detection.picture_sets import LARGEST, MEAN
from glassguard.files.formats import check_rows, read_images, read_pictures_table
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import (
    open_recognizer,
    use_threads,
)


def run(
    config: BaselinesSection, *, images: Path, ids: Path, recognizer: Path, baselines: OutputPath
) -> dict[str, float | int | str]:
    """Activations of every picture at every slice, and how far squeezing moves held-out answers.

    Writes ``ids`` (text), ``prediction`` (int64), per slice ``largest_<slice>`` and
    ``mean_<slice>`` (float32 N x filters; with several places the largest are N x (filters ·
    places)), and ``squeezed`` (float32 N, NaN in training pictures).

    Args:
        config: the squeezers, and the places that activations are read at.
        images: ``.npy``, uint8 N x H x W x 3.
        ids: the table beside it, a manifest or an ``examples.csv``; row = picture.
        recognizer: the network.
        baselines: file to write.

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
        network.slice_modules(),
        pictures,
        batch_size=settings.batch_size,
        places=config.places,
    )
    held_out = np.flatnonzero(table["split"].isin(("val", "test")))
    squeezed = np.full(len(pictures), np.nan, dtype=np.float32)
    squeezed[held_out] = squeezing_distance(
        network,
        pictures[held_out],
        found.logits[held_out],
        bits=settings.squeezing.bits,
        median=settings.squeezing.median,
        batch_size=settings.batch_size,
    )
    np.savez(
        baselines,
        allow_pickle=False,
        **{LARGEST + name: profile for name, profile in found.largest.items()},
        **{MEAN + name: profile for name, profile in found.mean.items()},
        ids=np.array(table[column].tolist(), dtype=np.str_),
        prediction=found.logits.argmax(axis=1).astype(np.int64),
        squeezed=squeezed,
    )
    return {
        "pictures": len(pictures),
        "squeezed": len(held_out),
        "mean_squeezed": float(squeezed[held_out].mean()) if len(held_out) else 0.0,
    }
