"""What detection reads of every set of pictures, checked against each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.detection.pictures import NOBODY, Pictures
from glassguard.errors import InputError
from glassguard.files.formats import read_arrays, read_examples, read_manifest, require_columns
from glassguard.recognizer.layers import SLICES

LARGEST, MEAN = "largest_", "mean_"
"""Begin the names of activations in the file of baselines, by how space was reduced."""


@dataclass(frozen=True)
class SetFiles:
    """The files of one set of pictures.

    Attributes:
        table: a manifest, or the examples of an attack or a control.
        profiles: influence profiles.
        decisions: whether decisions hold under masks.
        baselines: activations, and how far squeezing moves the answer.
    """

    table: Path
    profiles: Path
    decisions: Path
    baselines: Path


@dataclass(frozen=True)
class Bare:
    """What the other sets of pictures are read against.

    Attributes:
        identities: the network's classes.
        misnamed: whether the network misnames a face, by the id of the picture.
    """

    identities: list[str]
    misnamed: dict[str, bool]


def read_benign(files: SetFiles) -> tuple[Pictures, Bare, str]:
    """Benign pictures of all splits, what other sets are read against, and the quantity.

    Raises:
        InputError: a file cannot be used, they do not belong together, or a split is missing.
    """
    arrays = _read_profiles(files.profiles)
    identities = [str(name) for name in arrays["identities"]]
    table = read_manifest(files.table)
    _check_ids(arrays, table["image_id"], files)
    identity = _indices(table["identity"], identities, files.table)
    misnamed = arrays["prediction"] != identity
    faces = _pictures(arrays, table, files, identity, None, misnamed)
    for split in ("train", "val", "test"):
        missing = set(range(len(identities))) - set(faces.identity[faces.split == split].tolist())
        if split == "train" and missing:
            raise InputError(f"{files.table}: {identities[min(missing)]} has no training picture")
        if not (faces.split == split).any():
            raise InputError(f"{files.table}: no picture has split {split}")
    by_id = dict(zip(table["image_id"].tolist(), misnamed.tolist(), strict=True))
    return faces, Bare(identities, by_id), str(arrays["quantity"])


def read_attacks(files: SetFiles, bare: Bare) -> Pictures:
    """Adversarial pictures; whoever a dodging attacker is seen as is their target.

    Raises:
        InputError: a file cannot be used, or they do not belong together.
    """
    arrays, table = _read_worn(files, bare)
    attackers = _indices(table["attacker"], bare.identities, files.table)
    # A dodging attacker means nobody in particular: whoever is seen instead is impersonated.
    dodging = (table["goal"] == "dodging").to_numpy()
    targets = np.where(dodging, arrays["prediction"], NOBODY)
    targets[~dodging] = _indices(table["target"][~dodging], bare.identities, files.table)
    targets[targets == attackers] = NOBODY
    misnamed = _misnamed_bare(table, bare, files.table)
    return _pictures(arrays, table, files, attackers, targets, misnamed)


def read_control(files: SetFiles, bare: Bare) -> Pictures:
    """Benign pictures with frames.

    Raises:
        InputError: a file cannot be used, or they do not belong together.
    """
    arrays, table = _read_worn(files, bare)
    identity = _indices(table["identity"], bare.identities, files.table)
    misnamed = _misnamed_bare(table, bare, files.table)
    return _pictures(arrays, table, files, identity, None, misnamed)


def _read_worn(files: SetFiles, bare: Bare) -> tuple[dict[str, NDArray], pd.DataFrame]:
    arrays = _read_profiles(files.profiles)
    table = read_examples(files.table)
    _check_ids(arrays, table["example_id"], files)
    if arrays["identities"].tolist() != bare.identities:
        raise InputError(
            f"{files.profiles}: made with a recognizer of other people; compute it again"
        )
    return arrays, table


def _misnamed_bare(table: pd.DataFrame, bare: Bare, path: Path) -> NDArray[np.bool_]:
    unknown = sorted(set(table["image_id"]) - set(bare.misnamed))
    if unknown:
        raise InputError(f"{path}: made from {unknown[0]}, which is no picture of the study")
    return np.array([bare.misnamed[name] for name in table["image_id"]], dtype=bool)


def _read_profiles(path: Path) -> dict[str, NDArray]:
    arrays = read_arrays(path, kind="a file of profiles")
    lacking = {"ids", "identities", "prediction", "confidence", "quantity"} - set(arrays)
    if lacking:
        raise InputError(f"{path}: not a file of profiles: lacks {min(lacking)}")
    _check_profiles(arrays, "", path)
    return arrays


def _check_profiles(arrays: Mapping[str, NDArray], prefix: str, path: Path) -> None:
    """Refuse slices that lack rows or hold what is no number."""
    count = len(arrays["ids"])
    for name in (prefix + name for name in SLICES if prefix + name in arrays):
        profile = arrays[name]
        if profile.ndim != 2 or len(profile) != count:
            raise InputError(f"{path}: {name} must have {count} rows of filters: {profile.shape}")
        if not np.isfinite(profile).all():
            raise InputError(f"{path}: {name} holds numbers that are not finite")


def _read_agreement(path: Path, profiles: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """Mean log confidence under masks, in the order of the profiles; NaN where not measured."""
    arrays = read_arrays(path, kind="a file of masked decisions")
    try:
        ids, decision = arrays["ids"].tolist(), arrays["decision"]
        agreement = arrays["log_confidence"].mean(axis=1, dtype=np.float64)
    except KeyError as error:
        raise InputError(f"{path}: not a file of masked decisions: lacks {error}") from None
    row_of = {name: row for row, name in enumerate(profiles["ids"].tolist())}
    if not set(ids) <= set(row_of):
        raise InputError(f"{path}: its pictures are not those of the profiles; compute it again")
    rows = np.array([row_of[name] for name in ids], dtype=np.int64)
    _check_decisions(profiles["prediction"][rows], decision, path)
    placed = np.full(len(row_of), np.nan)
    placed[rows] = agreement
    return placed


def _read_baselines(path: Path, profiles: Mapping[str, NDArray]) -> dict[str, NDArray]:
    arrays = read_arrays(path, kind="a file of baselines")
    lacking = {"ids", "prediction", "squeezed"} - set(arrays)
    if lacking:
        raise InputError(f"{path}: not a file of baselines: lacks {min(lacking)}")
    if arrays["ids"].tolist() != profiles["ids"].tolist():
        raise InputError(f"{path}: its pictures are not those of the profiles; compute it again")
    _check_decisions(profiles["prediction"], arrays["prediction"], path)
    for prefix in (LARGEST, MEAN):
        _check_profiles(arrays, prefix, path)
    return arrays


def _check_decisions(expected: NDArray, found: NDArray, path: Path) -> None:
    if (expected != found).any():
        raise InputError(f"{path}: made with another recognizer; compute it again")


def _pictures(
    arrays: Mapping[str, NDArray],
    table: pd.DataFrame,
    files: SetFiles,
    identity: NDArray[np.int64],
    target: NDArray[np.int64] | None,
    misnamed_bare: NDArray[np.bool_],
) -> Pictures:
    baselines = _read_baselines(files.baselines, arrays)

    def beginning(prefix: str) -> dict[str, NDArray]:
        return {name: baselines[prefix + name] for name in SLICES if prefix + name in baselines}

    return Pictures(
        profiles={name: arrays[name] for name in SLICES if name in arrays},
        prediction=arrays["prediction"],
        confidence=arrays["confidence"],
        identity=identity,
        target=np.full(len(table), NOBODY) if target is None else target,
        split=table["split"].to_numpy(dtype=np.str_),
        face=table["image_id"].to_numpy(dtype=np.str_),
        agreement=_read_agreement(files.decisions, arrays),
        covered=_covered(table, files.table),
        misnamed_bare=misnamed_bare,
        activations=beginning(LARGEST),
        mean_activations=beginning(MEAN),
        squeezed=baselines["squeezed"],
    )


def _covered(table: pd.DataFrame, path: Path) -> NDArray[np.float64]:
    # A manifest is of bare faces.
    if "example_id" not in table.columns:
        return np.zeros(len(table))
    require_columns(table, ("frame_area",), path)
    return table["frame_area"].to_numpy(dtype=np.float64)


def _check_ids(arrays: Mapping[str, NDArray], ids: pd.Series, files: SetFiles) -> None:
    if arrays["ids"].tolist() != ids.tolist():
        raise InputError(
            f"{files.profiles}: its rows are not those of {files.table}; compute it again"
        )


def _indices(names: pd.Series, identities: list[str], path: Path) -> NDArray[np.int64]:
    index = {name: position for position, name in enumerate(identities)}
    unknown = sorted(set(names) - set(index))
    if unknown:
        raise InputError(f"{path}: the recognizer does not know {unknown[0]}")
    return np.array([index[name] for name in names], dtype=np.int64)
