"""Racing: the winners of the whole grid from a part of its passes.

Points are measured on more and more pictures, as in Hoeffding races (Maron and Moore 1994), but
with bounds that hold for certain. A confidence is in [0, 1], so what a point has lost on the
pictures seen so far it has lost for good. A few points that look best are measured on all pictures
first. Every other one is dropped as soon as it has lost more than they did in all (the capping of
Hutter et al. 2009, section 7.1), so a bad point is seen on a few pictures and a good one on all.

Pictures on which finished points lose much come first: most other points lose there as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassguard.progress import Progress
from glassguard.saliency.grid import Combination, goodness

ROUNDS = 24
"""Parts in which the pictures of either kind are measured."""

FINISHING = (0, 1, 3, 7)
"""Rounds, counted from 0, after which the leaders are measured on all pictures."""

ROUNDING = 1e-9
"""Means this close may be equal: sums have a rounding error, and the first of equal points wins."""

LAST_DIGITS = 2e-6
"""The same where means are compared that were written into a table, with six digits."""

GROUPS = (("fill",), ("map",), ("fill", "mu_as"))
"""Parameters of which every combination of values has a winner of its own, by goodness."""

Measure = Callable[[NDArray[np.bool_]], NDArray[np.float32]]
"""From pictures x points bool, what is wanted, to pictures x points x 2 confidences in [0, 1], of
the real and of the target class; read only where they were wanted."""


@dataclass(frozen=True)
class Bounds:
    """What the means over all pictures can still become; equal where a point is finished.

    Attributes:
        low: of every measure, an array over points, float64 in [0, 1].
        high: the same.
    """

    low: dict[str, NDArray[np.float64]]
    high: dict[str, NDArray[np.float64]]


def bounds(confidences: NDArray[np.float32], clean: int) -> Bounds:
    """Bounds of ``ac_clean_real``, ``ac_adv_real``, ``ac_adv_target`` and ``goodness``.

    Args:
        confidences: pictures x points x 2 in [0, 1], clean pictures first; NaN: not measured.
        clean: number of clean pictures.
    """
    real, target = confidences[..., 0].astype(np.float64), confidences[..., 1].astype(np.float64)
    parts = {
        "ac_clean_real": real[:clean],
        "ac_adv_real": real[clean:],
        "ac_adv_target": target[clean:],
    }
    low = {name: np.nansum(part, axis=0) / len(part) for name, part in parts.items()}
    high = {name: low[name] + np.isnan(part).mean(axis=0) for name, part in parts.items()}
    low["goodness"] = goodness(low["ac_clean_real"], low["ac_adv_real"], high["ac_adv_target"])
    high["goodness"] = goodness(high["ac_clean_real"], high["ac_adv_real"], low["ac_adv_target"])
    return Bounds(low, high)


def contenders(
    found: Bounds, points: Sequence[Combination]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The points that may still win something on clean and on attacked pictures, bool each.

    There is a winner of every objective, of goodness in every one of :data:`GROUPS`, and of
    goodness among the points that keep any given confidence in clean pictures.
    """
    low, high = found.low, found.high
    clean = high["ac_clean_real"] >= low["ac_clean_real"].max() - ROUNDING
    right = high["ac_adv_real"] >= low["ac_adv_real"].max() - ROUNDING
    harmless = low["ac_adv_target"] <= high["ac_adv_target"].min() + ROUNDING
    good = np.zeros(len(points), dtype=bool)
    for places in _members(points):
        least = low["goodness"][places].max() - LAST_DIGITS
        good[places] |= high["goodness"][places] >= least
    cleaner = low["ac_clean_real"][:, None] >= high["ac_clean_real"] + LAST_DIGITS
    better = low["goodness"][:, None] >= high["goodness"] + LAST_DIGITS
    good |= ~(cleaner & better).any(axis=0)
    return clean | good, right | harmless | good


def raced(
    measure: Measure, points: Sequence[Combination], *, clean: int, attacked: int, source: int
) -> NDArray[np.float32]:
    """Confidences from which the winners of the whole grid follow.

    Args:
        measure: asks for points on pictures, clean pictures first; never twice for the same.
        points: the combinations, each once.
        clean: number of clean pictures, at least 1.
        attacked: number of attacked pictures, at least 1.
        source: position of a point that is measured on all pictures in any case.

    Returns:
        Pictures x points x 2 float32, NaN where a point was dropped before. Every point that may
        win something (:func:`contenders`) has been measured on all pictures.
    """
    pictures = clean + attacked
    confidences = np.full((pictures, len(points), 2), np.nan, dtype=np.float32)

    def ask(wanted: NDArray[np.bool_]) -> None:
        missing = wanted & np.isnan(confidences[..., 0])
        if missing.any():
            confidences[missing] = measure(missing)[missing]

    wanted = np.zeros((pictures, len(points)), dtype=bool)
    wanted[:, source] = True
    sides = slice(0, clean), slice(clean, pictures)
    orders = [_spread_out(clean), _spread_out(attacked)]
    with Progress(description="mask race, rounds", total=ROUNDS) as progress:
        for number in range(ROUNDS):
            for side, order, alive in zip(
                sides, orders, contenders(bounds(confidences, clean), points), strict=True
            ):
                reached = order[: -(-len(order) * (number + 1) // ROUNDS)]
                part = np.zeros((len(order), len(points)), dtype=bool)
                part[np.ix_(reached, alive)] = True
                wanted[side] |= part
            ask(wanted)
            if number in FINISHING:
                wanted[:, _leaders(bounds(confidences, clean), points)] = True
                ask(wanted)
            if number == 0:
                orders = [_hardest_first(confidences[side], side.start > 0) for side in sides]
            progress.advance()
    # Who wins on pictures of one kind has its row in the table, which is of both.
    winners = np.logical_or(*contenders(bounds(confidences, clean), points))
    wanted[:, winners] = True
    ask(wanted)
    return confidences


def _spread_out(count: int) -> NDArray[np.int64]:
    """Positions in steps: neighbours show the same person."""
    stride = max(1, round(count / ROUNDS))
    return np.concatenate([np.arange(start, count, stride) for start in range(stride)])


def _hardest_first(confidences: NDArray[np.float32], adversarial: bool) -> NDArray[np.int64]:
    """Positions of pictures by what finished points lose on them."""
    finished = ~np.isnan(confidences[..., 0]).any(axis=0)
    real, target = confidences[:, finished].astype(np.float64).transpose(2, 0, 1)
    lost = 1 - real + (target if adversarial else 0)
    return np.argsort(-lost.mean(axis=1), kind="stable")


def _leaders(found: Bounds, points: Sequence[Combination]) -> list[int]:
    """The points that can become best, by every objective."""
    best = [
        int(found.high["ac_clean_real"].argmax()),
        int(found.high["ac_adv_real"].argmax()),
        int(found.low["ac_adv_target"].argmin()),
    ]
    for places in _members(points):
        best.append(places[int(found.high["goodness"][places].argmax())])
    return best


def _members(points: Sequence[Combination]) -> list[list[int]]:
    """Positions of the points of every group."""
    members: dict[tuple[object, ...], list[int]] = {}
    for place, point in enumerate(points):
        for group in GROUPS:
            values = tuple(getattr(point, name) for name in group)
            members.setdefault((group, values), []).append(place)
    return list(members.values())
