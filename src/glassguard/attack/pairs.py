"""Who impersonates whom."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, order=True)
class Pair:
    """An attacker and the target whom the attacker impersonates."""

    target: str
    attacker: str


def choose_pairs(
    identities: list[str],
    *,
    targets: int,
    attackers_per_target: int,
    seed: int,
    named: Sequence[Pair] = (),
) -> list[Pair]:
    """Draw targets and the attackers of each.

    Nobody attacks twice while others are free, so that pairs are as independent as the number of
    people allows.

    Args:
        identities: names of all people.
        targets: number of people who are impersonated, at most all.
        attackers_per_target: number of attackers of each target, at most everyone else.
        seed: seed of the draw.
        named: pairs to add to those that are drawn.

    Returns:
        The named pairs in their order, then the others, sorted by target and attacker.

    Raises:
        ValueError: a named pair is one person twice, or names somebody unknown.
    """
    for pair in named:
        for name in (pair.attacker, pair.target):
            if name not in identities:
                raise ValueError(f"there is no {name}; the people are {', '.join(identities)}")
        if pair.attacker == pair.target:
            raise ValueError(f"{pair.attacker} cannot attack {pair.attacker}")
    generator = np.random.default_rng([seed, 0x9A1])
    people = sorted(identities)
    chosen = [people[i] for i in generator.permutation(len(people))[:targets]]
    used = dict.fromkeys(people, 0)
    for pair in named:
        used[pair.attacker] += 1
    pairs = []
    for target in chosen:
        order = [
            people[i]
            for i in generator.permutation(len(people))
            if people[i] != target and Pair(target, people[i]) not in named
        ]
        order.sort(key=lambda person: used[person])
        for attacker in order[:attackers_per_target]:
            used[attacker] += 1
            pairs.append(Pair(target, attacker))
    return [*dict.fromkeys(named), *sorted(pairs)]
