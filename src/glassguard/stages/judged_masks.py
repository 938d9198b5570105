"""Readers that ``mask_evaluation`` and ``mask_transfer`` share: a split, and masks to judge."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from glassguard.errors import InputError
from glassguard.files.formats import read_json, read_table, require_columns
from glassguard.saliency.choice import Row, combination_of
from glassguard.saliency.defences import Explained, HeldOutPictures
from glassguard.saliency.grid import PARAMETERS, Combination
from glassguard.saliency.settings import MapKind
from glassguard.stages.saliency_inputs import StudyPictures


def open_split(study: StudyPictures, split: str, *, kinds: Collection[MapKind]) -> HeldOutPictures:
    """Clean and attacked pictures of a split with their maps of some kinds.

    Raises:
        InputError: no picture of the split is attacked, or a map is missing.
    """
    benign, attack = study.benign, study.attack
    people = benign.table[benign.table["split"] == split]
    attacks = attack.table[attack.table["split"] == split]
    if attacks.empty:
        raise InputError(f"{attack.files[0]}: has no attacked {split} picture to evaluate on")
    real, target = study.attacked_classes(attacks)
    clean, attacked = (
        Explained(one.images[rows.index], one.ids(rows), one.maps(rows, kinds=kinds), classes)
        for one, rows, classes in (
            (benign, people, study.classes_of(people)),
            (attack, attacks, real),
        )
    )
    return HeldOutPictures(clean, attacked, target, attack.frames[attacks.index])


def read_best(path: Path, *, of_map: MapKind | None = None) -> tuple[Combination, Row]:
    """The combination with the best goodness in a ``best.json``, and its row.

    Args:
        path: the file.
        of_map: among those of one kind of map, which was searched; among all when None.

    Raises:
        InputError: the file is missing or was not written by ``mask_grid``.
    """
    found = read_json(path)
    try:
        row = found["goodness"] if of_map is None else found["by_map"][of_map]
        return combination_of(row), row
    except (KeyError, TypeError):
        raise InputError(f"{path}: lacks goodness with {', '.join(PARAMETERS)}") from None


def read_grid(path: Path) -> pd.DataFrame:
    """``grid.csv`` (``InputError`` if it is missing or was not written by ``mask_grid``)."""
    table = read_table(path)
    columns = (*PARAMETERS, "ac_clean_real", "goodness", "n_clean", "n_adv")
    require_columns(table, columns, path)
    return table


def read_confidence(path: Path, ids: Collection[str], examples: Path) -> float:
    """Mean confidence in the true person of the clean pictures that a table attacks.

    Raises:
        InputError: ``predictions.csv`` is missing, or lacks a picture.
    """
    table = read_table(path)
    require_columns(table, ("image_id", "confidence_true"), path)
    table = table.set_index("image_id")
    if missing := sorted(set(ids) - set(table.index)):
        raise InputError(f"{path}: lacks {missing[0]}, which {examples} attacks")
    return float(table.loc[list(ids), "confidence_true"].mean())
