import numpy as np
import pytest

from glassguard.faces.splits import split_by_person

FRACTIONS = {"val": 0.16, "test": 0.20}


def counts(splits: np.ndarray) -> dict[str, int]:
    return {name: int((splits == name).sum()) for name in ("train", "val", "test")}


@pytest.mark.parametrize("pictures", [5, 8, 10, 50, 77, 101])
def test_each_person_has_the_wanted_share(pictures):
    labels = np.repeat(["b", "a", "ç"], pictures)
    splits = split_by_person(labels, np.arange(len(labels)), fractions=FRACTIONS, seed=3)
    for person in np.unique(labels):
        found = counts(splits[labels == person])
        assert abs(found["val"] - max(1, 0.16 * pictures)) <= 0.5
        assert abs(found["test"] - max(1, 0.20 * pictures)) <= 0.5
        assert min(found.values()) >= 1


@pytest.mark.parametrize("seed", range(20))
def test_groups_stay_together_and_no_split_is_empty(seed):
    generator = np.random.default_rng(seed)
    labels = np.repeat(["a", "b"], 40)
    groups = np.concatenate([generator.integers(0, 12, 40), 100 + generator.integers(0, 4, 40)])
    splits = split_by_person(labels, groups, fractions=FRACTIONS, seed=seed)
    for group in np.unique(groups):
        assert len(set(splits[groups == group])) == 1
    for person in "ab":
        assert min(counts(splits[labels == person]).values()) >= 1


def test_three_groups_fill_three_splits():
    groups = np.array([0, 0, 1, 1, 2])
    splits = split_by_person(["a"] * 5, groups, fractions=FRACTIONS, seed=0)
    assert min(counts(splits).values()) >= 1


def test_too_few_distinct_pictures_name_the_person():
    with pytest.raises(ValueError, match="Zoë"):
        split_by_person(["Zoë"] * 5, [0, 0, 0, 1, 1], fractions=FRACTIONS, seed=0)


def test_the_seed_decides_and_other_people_do_not():
    alone = split_by_person(["b"] * 30, np.arange(30), fractions=FRACTIONS, seed=1)
    labels = np.repeat(["a", "b"], 30)
    joined = split_by_person(labels, np.arange(60), fractions=FRACTIONS, seed=1)
    assert (joined[30:] == alone).all()
    assert (split_by_person(["b"] * 30, np.arange(30), fractions=FRACTIONS, seed=2) != alone).any()


def test_two_splits_for_a_pool():
    splits = split_by_person(["a"] * 40, np.arange(40), fractions={"val": 0.1}, seed=0)
    assert (splits == "val").sum() == 4
    assert (splits == "train").sum() == 36


def test_folds_share_nothing_and_hold_everything():
    labels = np.repeat(["ann", "bob"], [43, 50])
    groups = np.arange(93)
    groups[:4] = 0
    fractions = {"val": 0.16, "test": 0.2}
    splits = [
        split_by_person(labels, groups, fractions=fractions, seed=3, fold=fold) for fold in range(5)
    ]
    tested = np.array([split == "test" for split in splits])
    assert (tested.sum(axis=0) == 1).all()
    for split in splits:
        for name, count in (("ann", 43), ("bob", 50)):
            own = split[labels == name]
            assert abs((own == "test").sum() - count / 5) <= 2
            assert abs((own == "val").sum() - count * 0.16) <= 2
        assert len(set(split[:4])) == 1, "a group is not taken apart"
    again = split_by_person(labels, groups, fractions=fractions, seed=3, fold=2)
    assert (again == splits[2]).all()


def test_too_few_pictures_for_the_folds_are_named():
    with pytest.raises(ValueError, match="ann: 5 distinct"):
        split_by_person(["ann"] * 5, range(5), fractions={"val": 0.16, "test": 0.2}, seed=0, fold=0)
