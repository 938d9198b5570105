"""Attackers who see answers only: random textures, and random search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Judge = Callable[
    [NDArray[np.uint8], NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.bool_]]
]
"""N x S x S x 3 uint8 pictures and the N numbers of the attacked pictures that they are of, to N
losses, low where an attack comes nearer, and N bool, whether it gets through."""

SHARES = ((0, 0.4), (50, 0.28), (200, 0.2), (500, 0.14), (1000, 0.1), (2000, 0.07), (4000, 0.05))
"""From which query on the side of a square is which share of the frame's width; of 10,000."""


@dataclass(frozen=True)
class Searched:
    """What a search found.

    Attributes:
        images: N x S x S x 3 uint8, the best of each picture.
        loss: N float64, of the best.
        passed: N bool, whether the best gets through.
        queries: N int64, pictures that were asked about.
    """

    images: NDArray[np.uint8]
    loss: NDArray[np.float64]
    passed: NDArray[np.bool_]
    queries: NDArray[np.int64]


def random_search(
    judge: Judge,
    images: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    *,
    queries: int,
    numbers: Sequence[int],
    seed: int,
) -> Searched:
    """Random search in a frame (Sparse-RS for frames and patches, Croce et al. 2022, section 5).

    The start is one colour of the cube's corners for each square of a coarse grid. Each query
    replaces the texture in one square by one such colour and keeps what is no worse. Squares shrink
    as the search goes on.

    Args:
        judge: see :data:`Judge`.
        images: N x S x S x 3 uint8.
        masks: N x S x S bool, none empty.
        queries: of each picture, at most; at least 1.
        numbers: N numbers by which draws tell pictures apart.
        seed: of the draws.
    """
    generators = [np.random.default_rng([seed, 0x5EA, number]) for number in numbers]
    boxes = [_box(mask) for mask in masks]
    best = images.copy()
    for row, generator in enumerate(generators):
        top, bottom, left, right = boxes[row]
        side = max(1, (right - left) // 8)
        colours = _corners(generator, (-(-(bottom - top) // side), -(-(right - left) // side)))
        texture = colours.repeat(side, axis=0).repeat(side, axis=1)
        area = (slice(top, bottom), slice(left, right))
        fitted = texture[: bottom - top, : right - left]
        best[row][area] = np.where(masks[row][area][..., None], fitted, best[row][area])
    every = np.arange(len(images))
    loss, passed = judge(best, every)
    asked = np.ones(len(images), dtype=np.int64)
    for query in range(1, queries):
        rows = np.flatnonzero(~passed)
        if not len(rows):
            break
        trial = best[rows].copy()
        for picture, row in zip(trial, rows.tolist(), strict=True):
            _replace_square(picture, masks[row], boxes[row], generators[row], query / queries)
        found, through = judge(trial, rows)
        better = found <= loss[rows]
        better |= through
        kept = rows[better]
        best[kept], loss[kept], passed[kept] = trial[better], found[better], through[better]
        asked[rows] += 1
    return Searched(best, loss, passed, asked)


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("a mask is empty: there is nothing to search in")
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _corners(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return (generator.integers(0, 2, (*shape, 3)) * 255).astype(np.uint8)


def _replace_square(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    box: tuple[int, int, int, int],
    generator: np.random.Generator,
    progress: float,
) -> None:
    """Paint one square around a pixel of the mask."""
    share = next(share for start, share in reversed(SHARES) if progress * 10_000 >= start)
    side = max(1, round(share * (box[3] - box[2])))
    places = np.argwhere(mask)
    y, x = places[generator.integers(len(places))]
    top, left = max(0, int(y) - side // 2), max(0, int(x) - side // 2)
    area = (slice(top, top + side), slice(left, left + side))
    image[area] = np.where(mask[area][..., None], _corners(generator, (1, 1)), image[area])
