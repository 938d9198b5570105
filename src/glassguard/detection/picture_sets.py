"""Sets of pictures, made of tables and arrays that are checked against each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.detection.pictures import NOBODY, Pictures
from glassguard.detection.settings import PIXEL_DETECTORS
from glassguard.errors import InputError
from glassguard.files.formats import require_columns

LARGEST, MEAN = "largest_", "mean_"
"""Prefixes of activations in the file of baselines, by the reduction over space."""

PIXEL_SCORES = tuple(one.array for one in PIXEL_DETECTORS)


NO_SLICES = frozenset(
    {"ids", "identities", "prediction", "confidence", "quantity", "distribution"}
    | {"times_activation", "reduction", "places"}
)
"""What a file of profiles holds beside them."""


class SetFiles(NamedTuple):
    """The files of one set of pictures, which messages name.

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
class PictureSet:
    """Contents of the files of one set.

    Attributes:
        files: where they come from.
        table: row = picture.
        profiles: ``ids``, ``identities``, ``prediction``, ``confidence``, ``quantity`` and N x
            filters float32 for each slice.
        decisions: ``ids``, ``decision`` and ``log_confidence`` (N x masks) of held-out pictures.
        baselines: ``ids``, ``prediction``, ``squeezed`` and activations of each slice.
    """

    files: SetFiles
    table: pd.DataFrame
    profiles: Mapping[str, NDArray]
    decisions: Mapping[str, NDArray]
    baselines: Mapping[str, NDArray]


@dataclass(frozen=True)
class Bare:
    """What checks of the other sets need of the bare faces.

    Attributes:
        identities: the network's classes.
        misnamed: whether the network misnames a face, by the id of the picture.
    """

    identities: list[str]
    misnamed: dict[str, bool]


def benign_pictures(given: PictureSet) -> tuple[Pictures, Bare, str]:
    """Benign pictures of all splits, what checks of other sets need, and the quantity.

    Raises:
        InputError: a part is damaged, parts do not belong together, or a split is missing.
    """
    files, table = given.files, given.table
    arrays = _checked_profiles(given, table["image_id"])
    identities = [str(name) for name in arrays["identities"]]
    identity = _indices(table["identity"], identities, files.table)
    misnamed = arrays["prediction"] != identity
    faces = _pictures(given, identity, None, misnamed)
    for split in ("train", "val", "test"):
        missing = set(range(len(identities))) - set(faces.identity[faces.split == split].tolist())
        if split == "train" and missing:
            raise InputError(f"{files.table}: {identities[min(missing)]} has no training picture")
        if not (faces.split == split).any():
            raise InputError(f"{files.table}: no picture has split {split}")
    by_id = dict(zip(table["image_id"].tolist(), misnamed.tolist(), strict=True))
    return faces, Bare(identities, by_id), str(arrays["quantity"])


def attack_pictures(given: PictureSet, bare: Bare) -> Pictures:
    """Adversarial pictures; the target of a dodging attacker is the person the network sees.

    Raises:
        InputError: a part is damaged, or parts do not belong together.
    """
    arrays, table, path = _worn_profiles(given, bare), given.table, given.files.table
    attackers = _indices(table["attacker"], bare.identities, path)
    dodging = (table["goal"] == "dodging").to_numpy()
    targets = np.where(dodging, arrays["prediction"], NOBODY)
    targets[~dodging] = _indices(table["target"][~dodging], bare.identities, path)
    targets[targets == attackers] = NOBODY
    return _pictures(given, attackers, targets, _misnamed_bare(table, bare, path))


def control_pictures(given: PictureSet, bare: Bare) -> Pictures:
    """Benign pictures with frames.

    Raises:
        InputError: a part is damaged, or parts do not belong together.
    """
    _worn_profiles(given, bare)
    identity = _indices(given.table["identity"], bare.identities, given.files.table)
    misnamed = _misnamed_bare(given.table, bare, given.files.table)
    return _pictures(given, identity, None, misnamed)


def _worn_profiles(given: PictureSet, bare: Bare) -> Mapping[str, NDArray]:
    arrays = _checked_profiles(given, given.table["example_id"])
    if arrays["identities"].tolist() != bare.identities:
        raise InputError(
            f"{given.files.profiles}: made with a recognizer of other people; compute it again"
        )
    return arrays


def _misnamed_bare(table: pd.DataFrame, bare: Bare, path: Path) -> NDArray[np.bool_]:
    unknown = sorted(set(table["image_id"]) - set(bare.misnamed))
    if unknown:
        raise InputError(f"{path}: made from {unknown[0]}, which is no picture of the study")
    return np.array([bare.misnamed[name] for name in table["image_id"]], dtype=bool)


def _checked_profiles(given: PictureSet, ids: pd.Series) -> Mapping[str, NDArray]:
    arrays, path = given.profiles, given.files.profiles
    lacking = {"ids", "identities", "prediction", "confidence", "quantity"} - set(arrays)
    if lacking:
        raise InputError(f"{path}: not a file of profiles: lacks {min(lacking)}")
    _check_profiles(arrays, "", path)
    if arrays["ids"].tolist() != ids.tolist():
        raise InputError(f"{path}: its rows are not those of {given.files.table}; compute it again")
    return arrays


def slices_of(arrays: Mapping[str, NDArray], prefix: str = "") -> list[str]:
    """Names of the slices in a file of profiles or activations, in its order.

    A file has other arrays too: those that are no numbers of filters of each picture.

    Args:
        arrays: of the file.
        prefix: what the names of the slices start with there.
    """
    return [
        name.removeprefix(prefix)
        for name, array in arrays.items()
        if name.startswith(prefix) and name not in NO_SLICES and name not in PIXEL_SCORES
    ]


def _check_profiles(arrays: Mapping[str, NDArray], prefix: str, path: Path) -> None:
    count = len(arrays["ids"])
    for name in (prefix + name for name in slices_of(arrays, prefix)):
        profile = arrays[name]
        if profile.ndim != 2 or len(profile) != count:
            raise InputError(f"{path}: {name} must have {count} rows of filters: {profile.shape}")
        if not np.isfinite(profile).all():
            raise InputError(f"{path}: {name} holds numbers that are not finite")


def _agreement(given: PictureSet) -> NDArray[np.float64]:
    """Mean log confidence under masks, in the order of the profiles; NaN if not measured."""
    arrays, profiles, path = given.decisions, given.profiles, given.files.decisions
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


def _checked_baselines(given: PictureSet) -> Mapping[str, NDArray]:
    arrays, profiles, path = given.baselines, given.profiles, given.files.baselines
    lacking = {"ids", "prediction", *PIXEL_SCORES} - set(arrays)
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
    given: PictureSet,
    identity: NDArray[np.int64],
    target: NDArray[np.int64] | None,
    misnamed_bare: NDArray[np.bool_],
) -> Pictures:
    arrays, table, baselines = given.profiles, given.table, _checked_baselines(given)

    def beginning(prefix: str) -> dict[str, NDArray]:
        return {name: baselines[prefix + name] for name in slices_of(baselines, prefix)}

    return Pictures(
        profiles={name: arrays[name] for name in slices_of(arrays)},
        prediction=arrays["prediction"],
        confidence=arrays["confidence"],
        identity=identity,
        target=np.full(len(table), NOBODY) if target is None else target,
        split=table["split"].to_numpy(dtype=np.str_),
        face=table["image_id"].to_numpy(dtype=np.str_),
        agreement=_agreement(given),
        covered=_covered(table, given.files.table),
        misnamed_bare=misnamed_bare,
        activations=beginning(LARGEST),
        mean_activations=beginning(MEAN),
        pixel_scores={name: baselines[name] for name in PIXEL_SCORES},
    )


def _covered(table: pd.DataFrame, path: Path) -> NDArray[np.float64]:
    # A manifest is of bare faces.
    if "example_id" not in table.columns:
        return np.zeros(len(table))
    require_columns(table, ("frame_area",), path)
    return table["frame_area"].to_numpy(dtype=np.float64)


def _indices(names: pd.Series, identities: list[str], path: Path) -> NDArray[np.int64]:
    index = {name: position for position, name in enumerate(identities)}
    unknown = sorted(set(names) - set(index))
    if unknown:
        raise InputError(f"{path}: the recognizer does not know {unknown[0]}")
    return np.array([index[name] for name in names], dtype=np.int64)
