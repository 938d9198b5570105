"""The choice of slice, variant and classifier, made without the reported pair."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from detection.made_up_profiles import FAIR, SETTINGS, made_up, rates_of, sweep, thresholds

from glassguard.detection.evaluation import pairs_of
from glassguard.detection.pictures import (
    Pictures,
)
from glassguard.detection.selection import choose, choose_without, left_out
from glassguard.detection.tables import (
    classifier_sweep_table,
)


def test_the_planted_slice_is_found_for_every_pair() -> None:
    benign, attacks = made_up(scale=1e-3)
    rates = rates_of(benign, attacks)
    seen = rates[rates["split"] == "val"]
    for target, attacker in pairs_of(attacks):
        chosen = choose_without(seen, target=target, attacker=attacker, minimum=FAIR)
        assert chosen.slice == "conv4_1"
        # The other target's two pairs; the pair beside it shares its target.
        assert chosen.pairs == 2
    # Without mercy for honest people the one that rejects everybody looks fine.
    raw = seen[(seen["slice"] == "fc7") & (seen["variant"] == "raw")]
    assert raw["benign_target"].max() == 0
    assert raw["impersonation"].min() == 1


def test_thresholds_and_choice_never_read_the_test_split() -> None:
    benign, attacks = made_up()
    rates = rates_of(benign, attacks)
    other_benign, other_attacks = made_up(seed=9)

    def with_other_test(ours: Pictures, other: Pictures) -> Pictures:
        test = (ours.split == "test")[:, None]
        mixed = {
            name: np.where(test, 5 * other.profiles[name], profile)
            for name, profile in ours.profiles.items()
        }
        return replace(ours, profiles=mixed)

    changed = rates_of(
        with_other_test(benign, other_benign), with_other_test(attacks, other_attacks)
    )
    for split, same in (("val", True), ("test", False)):
        left, right = (frame[frame["split"] == split] for frame in (rates, changed))
        assert left.equals(right) is same
    fits = [thresholds(pictures) for pictures in (benign, with_other_test(benign, other_benign))]
    assert np.array_equal(*fits)


def table(rows: list[tuple]) -> pd.DataFrame:
    columns = ["slice", "variant", "target", "attacker", "benign_target", "benign_other"]
    found = pd.DataFrame(rows, columns=[*columns, "impersonation"])
    return found.assign(benign_target_named=found["benign_target"])


def test_the_reported_pair_has_no_say_in_its_choice() -> None:
    pairs = [("a", "b"), ("a", "c"), ("d", "b"), ("d", "e")]
    rates = table(
        [("conv1_1", "standardised", *pair, 0.9, 1.0, 0.5) for pair in pairs]
        + [("conv2_1", "standardised", *pair, 0.9, 1.0, 0.4) for pair in pairs]
    )
    shared = (rates["target"] == "a") | (rates["attacker"] == "b")
    assert left_out(rates, target="a", attacker="b")[
        ["target", "attacker"]
    ].drop_duplicates().to_numpy().tolist() == [["d", "e"]]
    before = choose_without(rates, target="a", attacker="b", minimum=FAIR)
    tempting = rates.copy()
    tempting.loc[shared & (tempting["slice"] == "conv2_1"), "impersonation"] = 1.0
    assert choose_without(tempting, target="a", attacker="b", minimum=FAIR) == before
    assert before.slice == "conv1_1"
    # The same temptation decides where it may: for the pair it does not concern.
    assert choose(tempting, FAIR).slice == "conv2_1"


def test_a_lone_pair_is_chosen_for_on_benign_pictures() -> None:
    rates = table(
        [
            ("conv1_1", "standardised", "a", "b", 0.8, 1.0, 1.0),
            ("conv2_1", "standardised", "a", "b", 0.9, 1.0, 0.0),
        ]
    )
    chosen = choose_without(rates, target="a", attacker="b", minimum=FAIR)
    assert (chosen.slice, chosen.pairs) == ("conv2_1", 0)


def test_detectors_that_turn_honest_people_away_come_last() -> None:
    rates = table(
        [
            ("conv1_1", "raw", "a", "b", 0.6, 1.0, 1.0),
            ("conv2_1", "standardised", "a", "b", 0.8, 0.95, 0.7),
        ]
    )
    assert choose(rates, FAIR).slice == "conv2_1"
    assert choose(rates.iloc[:1], FAIR).slice == "conv1_1"
    with pytest.raises(ValueError, match="nothing to choose"):
        choose(rates.iloc[:0], FAIR)


def test_misnamed_pictures_do_not_make_a_slice_unfair() -> None:
    rates = table(
        [
            ("conv1_1", "raw", "a", "b", 0.6, 1.0, 1.0),
            ("conv2_1", "standardised", "a", "b", 0.8, 0.95, 0.7),
        ]
    )
    # Of those whom the network names right, the first accepts enough as well.
    assert choose(rates.assign(benign_target_named=[0.75, 0.8]), FAIR).slice == "conv1_1"


def test_classifier_settings_are_chosen_without_the_pair() -> None:
    benign, attacks = made_up()
    parts = [
        sweep(
            benign,
            attacks,
            variants=("standardised",),
            settings=replace(SETTINGS, alpha=alpha, max_iter=max_iter),
            seeds=[0, 1],
        ).assign(alpha=alpha, max_iter=max_iter)
        for alpha, max_iter in ((0.005, 100), (100.0, 1))
    ]
    rates = pd.concat(parts)
    found = classifier_sweep_table(
        rates[rates["slice"] == "conv4_1"],
        variant="standardised",
        sizes={"conv4_1": 12},
        seeds=2,
        minimum=FAIR,
    )
    assert found[["alpha", "max_iter"]].to_numpy().tolist() == [[0.005, 100], [100, 1]]
    # So heavy a weight on regularisation leaves nothing to tell anybody by.
    assert found["chosen"].tolist() == [len(pairs_of(attacks)), 0]
    assert {"impersonation_low", "test_impersonation_n", "seeds"} <= set(found.columns)


def test_a_sweep_of_validation_touches_no_test_picture() -> None:
    benign, attacks = made_up()
    rates = sweep(
        benign.where(benign.split != "test"),
        attacks.where(attacks.split != "test"),
        variants=["standardised"],
        settings=SETTINGS,
        seeds=[0],
        splits=("val",),
    )
    both = sweep(benign, attacks, variants=["standardised"], settings=SETTINGS, seeds=[0])
    assert set(rates["split"]) == {"val"}
    assert rates.equals(both[both["split"] == "val"].reset_index(drop=True))
