"""Splits: which pictures to learn from, which to choose on, and which only to measure on."""

from collections.abc import Mapping, Sequence

import numpy as np


def split_by_person(
    labels: Sequence[str] | np.ndarray,
    groups: Sequence[int] | np.ndarray,
    *,
    fractions: Mapping[str, float],
    seed: int,
    fold: int | None = None,
) -> np.ndarray:
    """Split each person's pictures on their own, without dividing a group.

    Every split gets its share of each person's pictures, to within half a picture as far as groups
    allow, and at least one picture. A person's split depends on the seed, the name and the
    person's own pictures, so adding people moves nobody's pictures.

    Args:
        labels: person of each picture, N.
        groups: N numbers; pictures of one number stay together.
        fractions: share by name of the split; the rest is ``train``.
        seed: non-negative.
        fold: number from 0 of one of the 1 / ``fractions["test"]`` disjoint parts that together
            hold every picture; it becomes ``test``. A random part when None.

    Returns:
        N names of splits.

    Raises:
        ValueError: a person has fewer groups than there are splits, or no more than there are
            folds; the message names the person.
    """
    names, numbers = np.asarray(labels), np.asarray(groups)
    splits = np.empty(len(names), dtype=object)
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        generator = np.random.default_rng([seed, *str(name).encode()])
        if fold is None:
            splits[rows] = _split_person(str(name), numbers[rows], fractions, generator)
            continue
        folds = _folds(str(name), numbers[rows], round(1 / fractions["test"]), generator)
        splits[rows[folds == fold]] = "test"
        rest = rows[folds != fold]
        shares = {
            split: share * len(rows) / len(rest)
            for split, share in fractions.items()
            if split != "test"
        }
        splits[rest] = _split_person(str(name), numbers[rest], shares, generator)
    return splits.astype(str)


def _folds(name: str, groups: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Number of the part of each picture; parts of one size, to within one group."""
    order = _large_first(groups, generator)
    if len(order) <= count:
        raise ValueError(f"{name}: {len(order)} distinct picture(s) cannot fill {count} folds")
    folds = np.empty(len(groups), dtype=np.int64)
    sizes = np.zeros(count, dtype=np.int64)
    for rows in order:
        smallest = int(sizes.argmin())
        folds[rows] = smallest
        sizes[smallest] += len(rows)
    return folds


def _split_person(
    name: str, groups: np.ndarray, fractions: Mapping[str, float], generator: np.random.Generator
) -> np.ndarray:
    order = _large_first(groups, generator)
    if len(order) <= len(fractions):
        raise ValueError(
            f"{name}: {len(order)} distinct picture(s) cannot fill {len(fractions) + 1} splits"
        )
    wanted = {split: max(1, round(share * len(groups))) for split, share in fractions.items()}
    missing = {"train": len(groups) - sum(wanted.values()), **wanted}
    empty = set(missing)
    splits = np.empty(len(groups), dtype=object)
    for done, rows in enumerate(order):
        allowed = empty if len(order) - done <= len(empty) else missing
        chosen = max((split for split in missing if split in allowed), key=lambda s: missing[s])
        splits[rows] = chosen
        missing[chosen] -= len(rows)
        empty.discard(chosen)
    return splits


def _large_first(groups: np.ndarray, generator: np.random.Generator) -> list[np.ndarray]:
    """Positions of each group in random order, large groups first: single pictures fill gaps."""
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    order = [members[position] for position in generator.permutation(len(members))]
    return sorted(order, key=len, reverse=True)
