"""Who impersonates whom."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, order=True)
class Pair:
    """An attacker and the person whom the attacker is to be taken for."""

    target: str
    attacker: str


def choose_pairs(
    identities: list[str], *, targets: int, attackers_per_target: int, seed: int
) -> list[Pair]:
    """Draw targets, and attackers of each.

    People attack once where there are enough of them, so that pairs are as independent as the
    number of people allows.

    Args:
        identities: names of all people.
        targets: how many people are impersonated; at most all of them are.
        attackers_per_target: attackers of each target; at most everyone else.
        seed: seed of the draw.

    Returns:
        Pairs, sorted by target and attacker.
    """
    generator = np.random.default_rng([seed, 0x9A1])
    people = sorted(identities)
    chosen = [people[i] for i in generator.permutation(len(people))[:targets]]
    used = dict.fromkeys(people, 0)
    pairs = []
    for target in chosen:
        order = [people[i] for i in generator.permutation(len(people)) if people[i] != target]
        order.sort(key=lambda person: used[person])
        for attacker in order[:attackers_per_target]:
            used[attacker] += 1
            pairs.append(Pair(target, attacker))
    return sorted(pairs)
