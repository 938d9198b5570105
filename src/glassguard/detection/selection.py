"""Choice of slice and detector, made without the pair that is reported (Study I, section 3)."""

from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

TUNED = "_tuned"
"""Ends the name of a variant whose threshold was set on benign validation pictures."""

GROUPS = ("benign_target", "benign_other", "impersonation")
FAIRNESS = ("benign_target_named", "benign_other")
"""Rates that a slice should keep: nobody asks the detector of a person who is misnamed."""


class Minimum(NamedTuple):
    """Least rates of a slice that is preferred, each of :data:`FAIRNESS`."""

    benign_target: float = 0.0
    benign_other: float = 0.0


@dataclass(frozen=True)
class Choice:
    """A slice and a detector variant.

    Attributes:
        slice: name of the slice.
        variant: name of the variant, with :data:`TUNED` where its threshold was set on validation.
        score: its balanced accuracy on the pictures that it was chosen on.
        pairs: number of pairs whose impersonations the choice has seen.
    """

    slice: str
    variant: str
    score: float
    pairs: int


def left_out(rates: pd.DataFrame, *, target: int | str, attacker: int | str) -> pd.DataFrame:
    """Rates without the pairs that share their target or their attacker with the reported one."""
    return rates[(rates["target"] != target) & (rates["attacker"] != attacker)]


def choose(rates: pd.DataFrame, minimum: Minimum) -> Choice:
    """The slice and variant of the best balanced accuracy over the pairs given.

    Balanced accuracy is the mean of Table 1's three columns; a column without a value is left out.
    It alone would praise a detector that rejects everybody, so candidates below the minimum come
    after all others. The first of equals in ``rates`` wins.

    Args:
        rates: one row per slice, variant and pair, rates of validation pictures in
            ``benign_target``, ``benign_target_named``, ``benign_other`` and ``impersonation`` (NaN
            where there is none).
        minimum: least mean acceptance of the person's own pictures that the network names right,
            and least mean rejection of other people's benign pictures.

    Raises:
        ValueError: there is nothing to choose from.
    """
    if rates.empty:
        raise ValueError("nothing to choose from")
    columns = list(dict.fromkeys([*GROUPS, *FAIRNESS]))
    means = rates.groupby(["slice", "variant"], sort=False)[columns].mean()
    score = means[list(GROUPS)].mean(axis=1, skipna=True)
    fair = (means[list(FAIRNESS)] >= list(minimum)).all(axis=1)
    ranked = score[fair] if fair.any() else score
    best = ranked.index[int(ranked.argmax())]
    pairs = rates.loc[rates["impersonation"].notna(), ["target", "attacker"]].drop_duplicates()
    return Choice(best[0], best[1], float(ranked.max()), len(pairs))


def choose_without(
    rates: pd.DataFrame, *, target: int | str, attacker: int | str, minimum: Minimum
) -> Choice:
    """The choice for the reported pair of target and attacker, made on other people's pairs.

    Where no other pair is left, as with a single target, the choice rests on benign pictures
    alone: to look at the pair's own impersonations would be cheating.

    Args:
        rates: as in :func:`choose`, the reported pair among them.
        target: the reported pair's target.
        attacker: the reported pair's attacker.
        minimum: see :func:`choose`.
    """
    others = left_out(rates, target=target, attacker=attacker)
    if not others["impersonation"].notna().any():
        others = rates.assign(impersonation=float("nan"))
    return choose(others, minimum)
