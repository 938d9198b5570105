"""Stochastic gradient descent for many people, seeds and matrices at once.

It is scikit-learn's ``SGDClassifier`` with hinge loss, L2 penalty and the ``optimal`` learning rate
(Shalev-Shwartz et al. 2007; Bottou 2010), one person against all others, with the same order of
visits and the same coefficients up to rounding. The step at visit t is η(t) = 1 / α(t0 + t), and
the penalty shrinks the weights by 1 - αη(t). The product of all that shrinking is t0 α η(t), so
that the weights are η(t) times the plain sum of all profiles that came too close to the boundary,
each with its sign. Such visits are rare. All margins of a block of visits are one matrix product,
and between two such visits of a detector nothing else happens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Visits per matrix product."""

TOLERANCE = 1e-3
PATIENCE = 5
"""Descent ends when the objective has not fallen by the tolerance in so many passes in a row; both
are scikit-learn's defaults."""

PRODUCTS = 1 << 25
"""Products of two profiles that are kept in memory, 8 bytes each."""


def most_profiles() -> int:
    """The most profiles whose products fit (:data:`PRODUCTS`)."""
    return int(PRODUCTS**0.5)


def orders(count: int, seeds: Sequence[int]) -> NDArray[np.intp]:
    """By what each pass permutes the order of the pass before, seeds x ``count``.

    The shuffle is scikit-learn's: Fisher and Yates's with Marsaglia's 32-bit xorshift (2003).
    """
    found = np.tile(np.arange(count), (len(seeds), 1))
    for order, seed in zip(found, seeds, strict=True):
        source = np.random.RandomState(seed)
        # SGDClassifier draws two numbers and shuffles by the second.
        source.randint(1, np.iinfo(np.int32).max)
        state = int(source.randint(np.iinfo(np.int32).max)) or 1
        for place in range(count - 1):
            state ^= state << 13 & 0xFFFFFFFF
            state ^= state >> 17
            state ^= state << 5 & 0xFFFFFFFF
            other = place + (state & 0x7FFFFFFF) % (count - place)
            order[[place, other]] = order[[other, place]]
    return found


def descend(
    values: NDArray[np.float64],
    identity: NDArray[np.integer],
    *,
    people: NDArray[np.integer],
    alpha: float,
    max_iter: int,
    seeds: Sequence[int],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Separate each person from all others, in each matrix under each seed.

    Args:
        values: K x N x filters, K matrices of N profiles of the same pictures, N at most
            :func:`most_profiles`.
        identity: N, who is in the pictures.
        people: P different people to separate.
        alpha: weight of the penalty, positive.
        max_iter: passes over the profiles, at most.
        seeds: S seeds of the order of visits, as ``random_state`` of scikit-learn.

    Returns:
        Weights, K x S x P x filters; intercepts, K x S x P; passes made, K x S x P.

    Raises:
        ValueError: a person is in no picture or in all, people repeat, there are too many profiles,
            or a number is not finite.
    """
    _check(values, identity, people)
    each = max(1, PRODUCTS // values.shape[1] ** 2)
    shuffles = orders(values.shape[1], seeds)
    found = [
        _Descent(values[start : start + each], identity, people, shuffles, alpha).run(max_iter)
        for start in range(0, len(values), each)
    ]
    weights, intercepts, passes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if not (np.isfinite(weights).all() and np.isfinite(intercepts).all()):
        raise ValueError("the descent overflows: standardise the profiles, or choose larger alpha")
    return weights, intercepts, passes


def _check(
    values: NDArray[np.float64], identity: NDArray[np.integer], people: NDArray[np.integer]
) -> None:
    if values.ndim != 3 or identity.shape != values.shape[1:2]:
        raise ValueError(f"values {values.shape} and identity {identity.shape} do not fit")
    if len(identity) > most_profiles():
        raise ValueError(f"{len(identity)} profiles: at most {most_profiles()} at once")
    if not np.isfinite(values).all():
        raise ValueError("values: not all are finite")
    if len(np.unique(people)) < len(people):
        raise ValueError("people: each may be named once")
    for person in people:
        if len(np.unique(identity == person)) < 2:
            raise ValueError(f"person {person}: nothing to tell apart, in no picture or in all")


@dataclass
class _Visits:
    """The steps of one pass, by position in it.

    Attributes:
        before: what the sums are multiplied by to be the weights, N; ``after`` the same after the
            visit, which is also the step.
        penalty: N + 1, what a squared length of the sums from a position on adds to the objective.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    penalty: NDArray[np.float64]

    @classmethod
    def of_pass(cls, number: int, count: int, alpha: float) -> "_Visits":
        visits = np.arange(number * count, (number + 1) * count)
        # The first step is as long as typical weights (Bottou).
        offset = 1.0 / (alpha * np.sqrt(1.0 / np.sqrt(alpha)))
        after = 1.0 / (alpha * (offset + visits))
        before = np.zeros(count)
        # Before the very first visit there are no weights.
        later = visits > 0
        before[later] = 1.0 / (alpha * (offset + visits[later] - 1.0))
        penalty = np.zeros(count + 1)
        penalty[:-1] = np.cumsum((alpha / 2 * before**2)[::-1])[::-1]
        return cls(before, after, penalty)


class _Descent:
    """Groups of detectors, one group for each matrix and seed, P detectors in each."""

    def __init__(
        self,
        values: NDArray[np.float64],
        identity: NDArray[np.integer],
        people: NDArray[np.integer],
        shuffles: NDArray[np.intp],
        alpha: float,
    ) -> None:
        matrices, self.count, filters = values.shape
        self.values, self.shuffles, self.alpha = values, shuffles, alpha
        self.products = values @ values.transpose(0, 2, 1)
        self.squares = np.ascontiguousarray(np.diagonal(self.products, axis1=1, axis2=2))
        # Which of the detectors is the picture's person's; -1: none.
        self.detector = np.full(self.count, -1)
        for row, person in enumerate(people):
            self.detector[identity == person] = row
        seeds, self.people = len(shuffles), len(people)
        self.shape = matrices, seeds, self.people
        self.matrix, self.seed = (one.ravel() for one in np.indices((matrices, seeds)))
        groups = len(self.matrix)
        self.order = np.tile(np.arange(self.count), (seeds, 1))
        self.group = np.arange(groups)
        self.sums = np.zeros((groups, self.people, filters))
        self.intercepts = np.zeros(groups * self.people)
        self.lengths = np.zeros(groups * self.people)
        self.objective = np.zeros(groups * self.people)
        self.best = np.full((groups, self.people), np.inf)
        self.stale = np.zeros((groups, self.people), dtype=np.int64)
        self.alive = np.ones((groups, self.people), dtype=bool)

    def run(
        self, max_iter: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Weights, intercepts and passes."""
        size = self.shape[0] * self.shape[1], self.people
        weights, intercepts = np.zeros((*size, self.sums.shape[2])), np.zeros(size)
        passes = np.zeros(size, dtype=np.int64)
        for number in range(max_iter):
            visits = _Visits.of_pass(number, self.count, self.alpha)
            self.order = np.take_along_axis(self.order, self.shuffles, axis=1)
            self.objective = self.lengths * visits.penalty[0]
            for start in range(0, self.count, BLOCK):
                self._visit(visits, start, min(start + BLOCK, self.count))
            ended = self._ended() | (self.alive if number == max_iter - 1 else False)
            group, person = np.nonzero(ended)
            into = self.group[group], person
            weights[into] = visits.after[-1] * self.sums[group, person]
            intercepts[into] = self.intercepts.reshape(-1, self.people)[group, person]
            passes[into] = number + 1
            self.alive &= ~ended
            self._keep(np.asarray(self.alive.any(axis=1)))
            if not len(self.group):
                break
        return (
            weights.reshape(*self.shape, -1),
            intercepts.reshape(self.shape),
            passes.reshape(self.shape),
        )

    def _ended(self) -> NDArray[np.bool_]:
        objective = self.objective.reshape(-1, self.people) / self.count
        self.stale = np.where(objective > self.best - TOLERANCE, self.stale + 1, 0)
        self.best = np.minimum(self.best, objective)
        return self.alive & (self.stale >= PATIENCE)

    def _keep(self, groups: NDArray[np.bool_]) -> None:
        if groups.all():
            return
        for name in ("group", "matrix", "seed", "sums", "best", "stale", "alive"):
            setattr(self, name, getattr(self, name)[groups])
        for name in ("intercepts", "lengths"):
            setattr(self, name, getattr(self, name).reshape(-1, self.people)[groups].ravel())

    def _visit(self, visits: _Visits, start: int, stop: int) -> None:
        """Take all detectors through one block of visits."""
        before, after = visits.before[start:stop], visits.after[start:stop]
        penalty = visits.penalty[start + 1 : stop + 1]
        seen = self.order[self.seed, start:stop]
        place = seen + (self.matrix * self.count)[:, None]
        block = self.values.reshape(-1, self.values.shape[2]).take(place, axis=0)
        margins = self.sums @ block.transpose(0, 2, 1)
        margins *= before
        margins += self.intercepts.reshape(-1, self.people, 1)
        detector = self.detector[seen]
        wrong = margins >= -1.0
        group, visit = np.nonzero(detector >= 0)
        own = group, detector[group, visit], visit
        wrong[own] = margins[own] <= 1.0
        wrong &= self.alive[..., None]
        rows = np.flatnonzero(wrong.any(axis=2))
        # Below, one row is one detector that still has such a visit in the block.
        margins = margins.reshape(-1, stop - start)[rows]
        wrong = wrong.reshape(-1, stop - start)[rows]
        group, person = np.divmod(rows, self.people)
        sign = np.where(detector[group] == person[:, None], 1.0, -1.0)
        sums, columns = self.sums.reshape(-1, self.sums.shape[2]), np.arange(stop - start)
        while len(rows):
            at, each = wrong.argmax(axis=1), np.arange(len(rows))
            side, margin, picture = sign[each, at], margins[each, at], seen[group, at]
            matrix = self.matrix[group]
            factor = before[at]
            inner = (margin - self.intercepts[rows]) / np.where(factor > 0, factor, 1.0)
            longer = 2.0 * side * inner + self.squares[matrix, picture]
            self.objective[rows] += 1.0 - side * margin + longer * penalty[at]
            self.lengths[rows] += longer
            self.intercepts[rows] += side * after[at]
            sums[rows] += side[:, None] * block[group, at]
            moved = self.products.ravel().take(
                seen[group] + ((matrix * self.count + picture) * self.count)[:, None]
            )
            moved *= before
            moved += after[at][:, None]
            moved *= side[:, None]
            margins += moved
            wrong = (sign * margins <= 1.0) & (columns > at[:, None])
            left = wrong.any(axis=1)
            rows, group, sign = rows[left], group[left], sign[left]
            margins, wrong = margins[left], wrong[left]
