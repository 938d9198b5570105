"""Reader of the files of saliency maps that ``responses`` writes."""

from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

import numpy as np

from glassguard.errors import InputError

Kind = TypeVar("Kind", bound=str)


def read_maps(path: Path, ids: list[str], *, kinds: Collection[Kind]) -> dict[Kind, np.ndarray]:
    """The saliency maps of some pictures, in the order of ``ids``.

    Args:
        path: a file of saliency maps that ``responses`` wrote.
        ids: names of pictures.
        kinds: kinds of map; repetitions are allowed.

    Returns:
        By kind, N x H x W float32 in [0, 1].

    Raises:
        InputError: the file is missing, was not written by ``responses``, or lacks a picture or a
            kind of map.
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
                raise InputError(f"{path}: holds no {unknown[0]} maps; run responses again")
            return {kind: file[kind][rows] for kind in dict.fromkeys(kinds)}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (KeyError, ValueError, OSError) as error:
        raise InputError(f"{path}: not a file of saliency maps: {error}") from None
