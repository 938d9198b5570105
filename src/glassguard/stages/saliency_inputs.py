"""What the stages around the saliency mask read: held-out rows, their maps and their classes."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch

from glassguard.errors import InputError
from glassguard.files.formats import (
    check_rows,
    read_examples,
    read_images,
    read_json,
    read_manifest,
    read_table,
    require_columns,
)
from glassguard.recognizer.network import FaceRecognizer
from glassguard.recognizer.weights import read_recognizer
from glassguard.saliency.grid import NO_TARGET, Combination, Maps, combinations
from glassguard.saliency.sampling import tried
from glassguard.saliency.settings import MapKind, MaskBasics, MaskSearch

PARAMETERS = tuple(field.name for field in fields(Combination))
"""Of a mask, as ``grid.csv`` and ``best.json`` name them."""


@dataclass(frozen=True)
class StudyPictures:
    """The study's and an attack's pictures with their tables, and the network that sees them.

    Attributes:
        clean: uint8 N x H x W x 3, memory-mapped.
        people: the manifest; row = picture.
        attacked: uint8 M x H x W x 3, memory-mapped.
        attacks: the attack's examples; row = picture.
        network: the recognizer.
        identities: its classes.
    """

    clean: np.ndarray
    people: pd.DataFrame
    attacked: np.ndarray
    attacks: pd.DataFrame
    network: FaceRecognizer
    identities: list[str]


def open_pictures(
    *, manifest: Path, images: Path, examples: Path, adversarial_images: Path, recognizer: Path
) -> StudyPictures:
    """Open pictures, tables and recognizer, checked against each other.

    Raises:
        InputError: a file cannot be used, or the files do not belong together.
    """
    clean, attacked = read_images(images), read_images(adversarial_images)
    people, attacks = read_manifest(manifest), read_examples(examples)
    check_rows(people, clean, manifest, images)
    check_rows(attacks, attacked, examples, adversarial_images)
    network, identities = open_recognizer(recognizer, clean, images)
    open_recognizer(recognizer, attacked, adversarial_images)
    return StudyPictures(clean, people, attacked, attacks, network, identities)


def use_threads(threads: int) -> None:
    """Fix the threads of torch, and of OpenCV, whose work here is too small to share."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)


def open_recognizer(
    path: Path, images: np.ndarray, images_path: Path
) -> tuple[FaceRecognizer, list[str]]:
    """The recognizer and its people, checked against the size of the pictures.

    Raises:
        InputError: the pictures have another size than the recognizer takes.
    """
    network, identities = read_recognizer(path)
    size = network.image_size
    if images.shape[1:3] != (size, size):
        raise InputError(
            f"{images_path}: pictures are {images.shape[1]}x{images.shape[2]}, "
            f"{path} takes {size}x{size}"
        )
    return network, identities


def read_maps(path: Path, ids: list[str], *, kinds: Collection[MapKind]) -> Maps:
    """The saliency maps of some pictures by kind, in the order of ``ids``.

    Args:
        path: a file of ``saliency_maps``.
        ids: names of pictures.
        kinds: those that are wanted, repetitions allowed.

    Returns:
        N x H x W float32 in [0, 1] of every kind.

    Raises:
        InputError: the file is missing, is none of ``saliency_maps``', or lacks a picture or a
            kind of map.
    """
    return read_decided_maps(path, ids, kinds=kinds)[0]


def read_decided_maps(
    path: Path, ids: list[str], *, kinds: Collection[MapKind]
) -> tuple[Maps, np.ndarray]:
    """The saliency maps of some pictures and the classes that they explain.

    Returns:
        N x H x W float32 in [0, 1] of every kind, and N int64.

    Raises:
        InputError: see :func:`read_maps`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            row_of = {name: row for row, name in enumerate(file["ids"].tolist())}
            lacking = [name for name in ids if name not in row_of]
            if lacking:
                raise InputError(
                    f"{path}: has no saliency map of {lacking[0]} ({len(lacking)} missing)"
                )
            rows = np.array([row_of[name] for name in ids], dtype=np.int64)
            unknown = [kind for kind in kinds if kind not in file.files]
            if unknown:
                raise InputError(f"{path}: holds no {unknown[0]} maps; run saliency_maps again")
            wanted = dict.fromkeys(kinds)
            return {kind: file[kind][rows] for kind in wanted}, file["prediction"][rows]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (KeyError, ValueError, OSError) as error:
        raise InputError(f"{path}: not a file of saliency maps: {error}") from None


def with_maps(
    table: pd.DataFrame, pictures: np.ndarray, maps: Maps
) -> Iterator[tuple[np.ndarray, Maps]]:
    """Each picture of a table with its saliency maps by kind, as a search takes them.

    Args:
        table: its index is the row in ``pictures``, whatever was selected since.
        pictures: N x H x W x 3 uint8, may be memory-mapped.
        maps: of every kind, one for each row of the table.
    """
    for place, row in enumerate(table.index):
        yield pictures[row], {kind: of_kind[place] for kind, of_kind in maps.items()}


def read_frames(path: Path) -> np.ndarray:
    """Open the attack's frame masks without loading them: bool N x H x W.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a .npy file of frames: {error}") from None
    if frames.dtype != np.bool_ or frames.ndim != 3:
        raise InputError(f"{path}: must hold one bool array of shape N×H×W")
    return frames


def class_indices(names: pd.Series, identities: list[str], path: Path) -> np.ndarray:
    """Positions of people among the recognizer's classes, N int64.

    Raises:
        InputError: the recognizer does not know somebody.
    """
    position = {name: index for index, name in enumerate(identities)}
    unknown = sorted(set(names) - set(position))
    if unknown:
        raise InputError(f"{path}: the recognizer does not know {unknown[0]!r}")
    return names.map(position).to_numpy(dtype=np.int64)


def attacked_classes(
    examples: pd.DataFrame, identities: list[str], path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Real and target class of adversarial pictures.

    Returns:
        N int64 each; the target is :data:`glassguard.saliency.grid.NO_TARGET` where an attack
        only dodges.

    Raises:
        InputError: a column is missing or the recognizer does not know somebody.
    """
    lacking = [name for name in ("attacker", "target", "goal") if name not in examples.columns]
    if lacking:
        raise InputError(f"{path}: lacks the column(s) {', '.join(lacking)}")
    real = class_indices(examples["attacker"], identities, path)
    target = np.full(len(examples), NO_TARGET, dtype=np.int64)
    impersonates = (examples["goal"] != "dodging").to_numpy()
    target[impersonates] = class_indices(examples["target"][impersonates], identities, path)
    return real, target


def planned_points(saliency: MaskSearch, *, seed: int) -> list[Combination] | None:
    """The points of the grid that are tried and, where it is not one, the source's setting.

    Returns:
        None where a point depends on what was found before it (Bayesian search).
    """
    source = source_combination(saliency)
    values = grid_values(saliency)
    method, trials = saliency.search.method, saliency.search.trials
    if method == "grid":
        return combinations(**values, extra=[source])
    if method == "random":
        drawn = tried(values, lambda point: 0.0, method=method, trials=trials, seed=seed)
        return list(dict.fromkeys([*drawn, source]))
    return None


def grid_values(saliency: MaskSearch) -> dict[str, Any]:
    """What each parameter of a mask may be, by the names of a combination."""
    grid = saliency.grid
    return {name: getattr(grid, name) for name in PARAMETERS}


def source_combination(saliency: MaskBasics) -> Combination:
    """The setting that Study S found, as a point of the grid."""
    return Combination(**saliency.source_setting.model_dump())


def best_combination(path: Path, *, of_map: MapKind | None = None) -> Combination:
    """The combination with the best goodness in a ``best.json``.

    Args:
        path: the file.
        of_map: among those of one kind of map, which was searched; among all when None.

    Raises:
        InputError: the file is missing or none of ``grid``'s.
    """
    return combination_of(_best_row(path, of_map), path)


def affordable_row(
    grid: Path, best: Path, *, clean_confidence: float, largest_clean_loss: float
) -> dict[str, Any] | None:
    """The best goodness among the combinations that cost clean pictures little.

    Args:
        grid: ``grid.csv``.
        best: ``best.json`` of the same search.
        clean_confidence: mean confidence in the true person of the clean pictures without a mask.
        largest_clean_loss: by how much a mask may lower it, in [0, 1].

    Returns:
        Parameters and measures of the combination; None where every one costs more.

    Raises:
        InputError: a file is missing or none of ``grid``'s.
    """
    table = read_table(grid)
    counts = ("n_clean", "n_adv")
    require_columns(table, (*PARAMETERS, "ac_clean_real", "goodness", *counts), grid)
    bound = clean_confidence - largest_clean_loss
    row = _best_row(best, None)
    if not isinstance(row.get("ac_clean_real"), float):
        raise InputError(f"{best}: lacks ac_clean_real of the best goodness")
    # Not looked up in the table, whose digits may make others its equals.
    if row["ac_clean_real"] >= bound:
        return row
    kept = table[table["ac_clean_real"] >= bound].drop(columns=list(counts))
    if kept.empty:
        return None
    found = kept.nlargest(1, "goodness").to_dict("records")[0]
    return {str(name): value for name, value in found.items()}


def combination_of(row: dict[str, Any], path: Path) -> Combination:
    """The combination that a row of ``best.json`` or ``grid.csv`` is of.

    Raises:
        InputError: the row, which comes from ``path``, lacks a parameter.
    """
    try:
        return Combination(**{name: row[name] for name in PARAMETERS})
    except (KeyError, TypeError):
        raise InputError(f"{path}: lacks goodness with {', '.join(PARAMETERS)}") from None


def _best_row(path: Path, of_map: MapKind | None) -> dict[str, Any]:
    found = read_json(path)
    try:
        row = found["goodness"] if of_map is None else found["by_map"][of_map]
    except (KeyError, TypeError):
        row = None
    if not isinstance(row, dict):
        raise InputError(f"{path}: lacks goodness with {', '.join(PARAMETERS)}")
    return row
