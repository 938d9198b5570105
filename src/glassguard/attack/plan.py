"""Who impersonates whom, on which pictures, in which shards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


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


def plan_attacks(
    manifest: pd.DataFrame, pairs: Sequence[Pair], *, images: Mapping[str, int], seed: int
) -> pd.DataFrame:
    """Draw the pictures of every pair's attacker that are attacked.

    Args:
        manifest: one row per picture, numbered from 0; columns image_id, identity and split.
        pairs: who impersonates whom.
        images: the splits to attack and the maximum number of pictures of a pair in each.
        seed: seed of the draw.

    Returns:
        One row per attack: image_id, row (of the manifest), split, attacker, target; ordered by
        split, as in ``images``, and then by pair.
    """
    chosen = []
    for split, limit in images.items():
        for number, pair in enumerate(pairs):
            generator = np.random.default_rng([seed, number, len(split)])
            of_attacker = (manifest["identity"] == pair.attacker) & (manifest["split"] == split)
            candidates = manifest.index[of_attacker].to_numpy()
            for row in np.sort(generator.permutation(candidates)[:limit]):
                image = str(manifest.at[row, "image_id"])
                chosen.append((image, int(row), split, pair.attacker, pair.target))
    return pd.DataFrame(chosen, columns=["image_id", "row", "split", "attacker", "target"])


def shard_of(plan: pd.DataFrame, shard: int, shards: int) -> pd.DataFrame:
    """Every ``shards``-th row of a plan, from ``shard`` on; the index keeps the order of the plan.

    Raises:
        ValueError: there is no such shard.
    """
    if not 0 <= shard < shards:
        raise ValueError(f"shard must be between 0 and {shards - 1}: {shard}")
    return plan.iloc[shard::shards]
