"""Which pictures are attacked, and how the work is split."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from glassguard.attack.pairs import Pair


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
