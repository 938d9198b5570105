"""Influence profiles of a set of pictures at every slice."""

from pathlib import Path

import numpy as np
import torch

from glassguard.configuration.sections import InfluenceSection
from glassguard.errors import InputError
from glassguard.files.formats import check_rows, read_images, read_pictures_table
from glassguard.influence.measure import internal_influence, pictures_at_once
from glassguard.influence.profiles import profiles_of_images
from glassguard.recognizer.weights import read_recognizer
from glassguard.stages.network_slices import chosen_slices
from glassguard.stages.paths import OutputPath


def run(
    config: InfluenceSection, *, images: Path, ids: Path, recognizer: Path, profiles: OutputPath
) -> dict[str, float | int | str]:
    """Compute the profiles of all pictures.

    ``ids`` is a manifest or an ``examples.csv``. ``profiles`` holds per slice float32 N x filters
    (with several places N x (filters · places)), ``ids``, ``prediction`` (index into
    ``identities``), ``confidence``, ``identities``, and the settings ``quantity``,
    ``distribution``, ``times_activation``, ``reduction`` and ``places``.

    Raises:
        InputError: a file cannot be used, or table and pictures do not fit.
    """
    settings = config.influence
    torch.set_num_threads(settings.threads)
    network, identities = read_recognizer(recognizer)
    pictures = read_images(images)
    table, column = read_pictures_table(ids)
    check_rows(table, pictures, ids, images)
    names = table[column].tolist()
    if pictures.shape[1:3] != (network.image_size, network.image_size):
        raise InputError(
            f"{images}: pictures of {pictures.shape[1]}x{pictures.shape[2]} pixels, "
            f"{recognizer} takes {network.image_size}x{network.image_size}"
        )
    found = profiles_of_images(
        internal_influence(
            settings, network, chosen_slices(network, settings.slices, settings.positions)
        ),
        pictures,
        reduction=settings.reduction,
        places=settings.places,
        batch_size=pictures_at_once(settings),
    )
    np.savez(
        profiles,
        allow_pickle=False,
        **found.profiles,
        ids=np.array(names, dtype=np.str_),
        prediction=found.prediction,
        confidence=found.confidence,
        identities=np.array(identities, dtype=np.str_),
        quantity=np.array(settings.quantity),
        distribution=np.array(settings.distribution.kind),
        times_activation=np.array(settings.times_activation),
        reduction=np.array(settings.reduction),
        places=np.array(settings.places, dtype=np.int64),
    )
    return {
        "pictures": len(names),
        "slices": len(found.profiles),
        "mean_confidence": float(found.confidence.mean()) if len(names) else 0.0,
    }
