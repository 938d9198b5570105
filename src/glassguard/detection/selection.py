"""Choice of slice and detector, made without the pair that is reported (Study I, section 3)."""

from dataclasses import dataclass

import pandas as pd

TUNED = "_tuned"
"""Ends the name of a variant whose threshold was set on benign validation pictures."""

GROUPS = ("benign_target", "benign_other", "impersonation")
FAIRNESS = ("benign_target_named", "benign_other")
"""Rates that a slice should keep: whom the network misnames, no detector of theirs is asked."""


@dataclass(frozen=True)
class Choice:
    """A slice and a detector variant.

    Attributes:
        slice: name of the slice.
        variant: name of the variant, with :data:`TUNED` where its threshold was set on validation.
        score: its balanced accuracy on what it was chosen on.
        pairs: number of pairs whose impersonations the choice has seen.
    """

    slice: str
    variant: str
    score: float
    pairs: int


def balanced_accuracy(rates: pd.DataFrame) -> pd.Series:
    """Mean of Table 1's three columns, so that each group of pictures counts the same.

    A column without a value (no impersonation to judge by) is left out of the mean.
    """
    return rates[list(GROUPS)].mean(axis=1, skipna=True)


def left_out(rates: pd.DataFrame, *, target: int | str, attacker: int | str) -> pd.DataFrame:
    """Rates without the pairs that share their target or their attacker with the reported one."""
    return rates[(rates["target"] != target) & (rates["attacker"] != attacker)]


def choose(
    rates: pd.DataFrame, *, minimum_benign_target: float, minimum_benign_other: float
) -> Choice:
    """The best slice and variant over the pairs given.

    The balanced accuracy alone would praise a detector that rejects everybody, so candidates
    that turn away too many honest people, of those whom the network names right, come after all
    others. Ties go to the candidate that
    stands first in ``rates``.

    Args:
        rates: one row per slice, variant and pair, rates of validation pictures in
            ``benign_target``, ``benign_target_named``, ``benign_other`` and ``impersonation`` (NaN
            where there is none).
        minimum_benign_target: least mean acceptance of the person's own pictures, of those that the
            network names right.
        minimum_benign_other: least mean rejection of other people's benign pictures.

    Raises:
        ValueError: there is nothing to choose from.
    """
    if rates.empty:
        raise ValueError("nothing to choose from")
    columns = list(dict.fromkeys([*GROUPS, *FAIRNESS]))
    means = rates.groupby(["slice", "variant"], sort=False)[columns].mean()
    score = balanced_accuracy(means)
    own, others = FAIRNESS
    fair = (means[own] >= minimum_benign_target) & (means[others] >= minimum_benign_other)
    ranked = score[fair] if fair.any() else score
    best = ranked.index[int(ranked.argmax())]
    pairs = rates.loc[rates["impersonation"].notna(), ["target", "attacker"]].drop_duplicates()
    return Choice(best[0], best[1], float(ranked.max()), len(pairs))


def choose_without(
    rates: pd.DataFrame,
    *,
    target: int | str,
    attacker: int | str,
    minimum_benign_target: float,
    minimum_benign_other: float,
) -> Choice:
    """The choice for one reported pair, made on other people's pairs.

    Where no other pair is left, as with a single target, the choice rests on benign pictures
    alone: looking at the pair's own impersonations would be cheating.

    Args:
        rates: as :func:`choose`, the reported pair among them.
        target: the reported pair's target.
        attacker: the reported pair's attacker.
        minimum_benign_target: see :func:`choose`.
        minimum_benign_other: see :func:`choose`.
    """
    others = left_out(rates, target=target, attacker=attacker)
    if not others["impersonation"].notna().any():
        others = rates.assign(impersonation=float("nan"))
    return choose(
        others,
        minimum_benign_target=minimum_benign_target,
        minimum_benign_other=minimum_benign_other,
    )
