"""Reader of the files that ``saliency_maps`` writes."""

from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

import numpy as np

from glassguard.errors import InputError

Kind = TypeVar("Kind", bound=str)


def read_maps(path: Path, ids: list[str], *, kinds: Collection[Kind]) -> dict[Kind, np.ndarray]:
    """The saliency maps of some pictures, in the order of ``ids``.

    Args:
        path: a file of ``saliency_maps``.
        ids: names of pictures.
        kinds: kinds of map; repetitions are allowed.

    Returns:
        By kind, N x H x W float32 in [0, 1].

    Raises:
        InputError: the file is missing, was not written by ``saliency_maps``, or lacks a picture or
            a kind of map.
    """
    return read_decided_maps(path, ids, kinds=kinds)[0]


def read_decided_maps(
    path: Path, ids: list[str], *, kinds: Collection[Kind]
) -> tuple[dict[Kind, np.ndarray], np.ndarray]:
    """The saliency maps of some pictures and the classes that they explain.

    Returns:
        By kind, N x H x W float32 in [0, 1]; classes, N int64.

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
