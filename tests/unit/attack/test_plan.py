"""Who attacks whom, on which pictures, in which shards."""

import pandas as pd
import pytest

from glassguard.attack.plan import Pair, choose_pairs, plan_attacks, shard_of


def test_pairs_are_distinct_people_and_spread():
    people = [f"p{i:02d}" for i in range(30)]
    pairs = choose_pairs(people, targets=12, attackers_per_target=2, seed=0)
    assert len(set(pairs)) == 24
    assert all(pair.target != pair.attacker for pair in pairs)
    assert len({pair.target for pair in pairs}) == 12
    assert len({pair.attacker for pair in pairs}) == 24, (
        "nobody attacks twice while others are free"
    )
    assert pairs == choose_pairs(people[::-1], targets=12, attackers_per_target=2, seed=0)
    assert pairs != choose_pairs(people, targets=12, attackers_per_target=2, seed=1)


def test_named_pairs_come_first_and_are_not_drawn_again():
    people = [f"p{i:02d}" for i in range(5)]
    named = [Pair("p03", "p01"), Pair("p00", "p04")]
    pairs = choose_pairs(people, targets=5, attackers_per_target=2, seed=0, named=named)
    assert pairs[:2] == named
    assert len(set(pairs)) == len(pairs) == 12
    with pytest.raises(ValueError, match="there is no p9; the people are p00, p01"):
        choose_pairs(people, targets=1, attackers_per_target=1, seed=0, named=[Pair("p9", "p01")])
    with pytest.raises(ValueError, match="p01 cannot attack p01"):
        choose_pairs(people, targets=1, attackers_per_target=1, seed=0, named=[Pair("p01", "p01")])


def test_plan_attacks_held_out_pictures_of_the_attacker_only() -> None:
    people = ["ada", "bob", "cleo", "dan", "eve", "finn"]
    rows = pd.DataFrame(
        [
            (
                f"{person}{number}",
                person,
                "train" if number < 4 else "val" if number < 8 else "test",
            )
            for person in people
            for number in range(12)
        ],
        columns=["image_id", "identity", "split"],
    )
    pairs = choose_pairs(people, targets=3, attackers_per_target=2, seed=0)
    chosen = {"images": {"val": 2, "test": 3}, "seed": 0}
    plan = plan_attacks(rows, pairs, **chosen)
    assert plan.groupby(["split", "target", "attacker"]).size().to_dict() == {
        (split, target, attacker): count
        for split, count in (("val", 2), ("test", 3))
        for target, attacker in {*zip(plan["target"], plan["attacker"], strict=True)}
    }
    assert len(plan) == 6 * 5
    for _, entry in plan.iterrows():
        assert rows.loc[entry["row"], "identity"] == entry["attacker"] != entry["target"]
        assert rows.loc[entry["row"], "split"] == entry["split"]
        assert rows.loc[entry["row"], "image_id"] == entry["image_id"]
    pd.testing.assert_frame_equal(plan, plan_attacks(rows, pairs, **chosen))
    assert list(plan["split"].unique()) == ["val", "test"]


def test_shards_make_up_the_plan():
    plan = pd.DataFrame({"row": range(7)})
    parts = [shard_of(plan, shard, 3) for shard in range(3)]
    pd.testing.assert_frame_equal(pd.concat(parts).sort_index(), plan)
    assert shard_of(plan, 8, 9).empty
    for shard in (-1, 3):
        with pytest.raises(ValueError, match=f"shard must be between 0 and 2: {shard}"):
            shard_of(plan, shard, 3)
