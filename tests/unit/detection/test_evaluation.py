"""Rates, flags and the tables that they stand in."""

from dataclasses import replace

import numpy as np
import pytest
from detection.made_up_profiles import PEOPLE, SETTINGS, made_up, rates_of, sweep

from glassguard.detection.evaluation import pair_rates
from glassguard.detection.linear_detector import ProfileDetector
from glassguard.detection.pictures import (
    only,
)
from glassguard.detection.settings import Variant
from glassguard.detection.slice_detectors import fit_slice
from glassguard.detection.tables import (
    controls_table,
    layers_table,
    operating_points,
    roc_table,
)
from glassguard.detection.thresholds import thresholds_of


def test_rates_by_hand() -> None:
    benign, attacks = made_up()
    fitted = fit_slice(
        benign.in_split("train"),
        benign.in_split("val"),
        slice_name="conv4_1",
        variant="standardised",
        people=np.array([0, 1]),
        settings=SETTINGS,
        seeds=[4],
    )
    test, attacked = benign.in_split("test"), attacks.in_split("test")
    row = pair_rates(fitted, test, attacked, [(1, 4)], tuned=[False]).iloc[0]
    detector = ProfileDetector("standardised", 0.005, 100, 4).fit(
        benign.in_split("train").profiles["conv4_1"], benign.in_split("train").identity == 1
    )
    says = detector.predict(test.profiles["conv4_1"])
    theirs = (attacked.target == 1) & (attacked.identity == 4) & (attacked.prediction == 1)
    assert row["benign_target"] == says[test.identity == 1].mean()
    assert row["benign_other"] == 1 - says[test.identity != 1].mean()
    assert row["impersonation_n"] == theirs.sum() > 0
    assert row["impersonation"] == 1 - detector.predict(attacked.profiles["conv4_1"][theirs]).mean()


def test_scores_and_flags_use_the_predicted_person() -> None:
    benign, attacks = made_up()
    fitted = fit_slice(
        benign.in_split("train"),
        benign.in_split("val"),
        slice_name="conv4_1",
        variant="standardised",
        people=np.arange(PEOPLE),
        settings=SETTINGS,
        seeds=[0, 1, 2],
    )
    test, attacked = benign.in_split("test"), attacks.in_split("test")
    success, failed = (
        attacked.where(attacked.impersonating),
        attacked.where(~attacked.impersonating),
    )
    scores = {"influence": fitted}
    points = operating_points(
        scores,
        populations={"bare": test},
        thresholds=thresholds_of(scores, {"bare": [benign.in_split("val")]}),
        impersonations=success,
        bootstrap=50,
        seed=0,
    )
    assert points["auc"].min() > 0.98
    assert (points["auc_low"] <= points["auc"]).all()
    assert (points["fpr"] < 0.3).all()
    assert (points["tpr_n"] == len(success)).all()
    curve = roc_table({"influence": (scores["influence"], test)}, success)
    assert (curve["fpr_n"] == len(test)).all()
    assert (curve["tpr_low"] <= curve["tpr"]).all()
    assert curve[["fpr", "tpr"]].iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [1, 1]]
    flags = controls_table(
        {"influence": lambda pictures: fitted.flagged(pictures, tuned=True)},
        {"benign": test, "failed_attacks": failed, "impersonations": success},
    ).set_index("control")
    assert flags.loc["impersonations", "flag_rate"] > 0.9
    assert flags.loc["benign", "flag_rate"] < 0.3
    # A failed attack is seen as its wearer, whose profile it has here.
    assert flags.loc["failed_attacks", "flag_rate"] < 0.6
    assert flags.loc["benign", "n"] == len(test)
    assert flags.loc["benign", "flag_rate_low"] <= flags.loc["benign", "flag_rate"]


def test_layers_table_has_the_columns_that_others_read() -> None:
    benign, attacks = made_up()
    layers = layers_table(
        rates_of(benign, attacks),
        sizes=dict.fromkeys(benign.profiles, 12),
        quantity="logit",
        seeds=2,
    )
    contract = (
        "slice paper_index size quantity variant benign_target benign_other impersonation "
        "balanced_accuracy auc seeds"
    )
    assert set(contract.split()) <= set(layers.columns)
    assert len(layers) == 3 * 4
    best = layers.loc[layers["balanced_accuracy"].idxmax()]
    assert best["slice"] == "conv4_1"
    # Two targets of ten validation pictures each, attacked by two people each.
    assert best["benign_target_n"] == 20
    # Every validation picture is somebody else's for one of the two targets, and counts once.
    assert best["benign_other_n"] == 10 * PEOPLE
    seeds = [f"balanced_accuracy_{end}_seed" for end in ("lowest", "highest")]
    assert best[seeds[0]] <= best["balanced_accuracy"] <= best[seeds[1]]
    assert (layers[seeds[0]] < layers[seeds[1]]).any()
    assert 0 <= best["impersonation_low"] <= best["impersonation"] <= best["impersonation_high"]


def test_the_area_of_every_seed_is_its_own() -> None:
    benign, attacks = made_up()
    seeds = [0, 1, 2]
    variants: list[Variant] = ["standardised"]
    rates = sweep(
        only(benign, "conv1_1"),
        only(attacks, "conv1_1"),
        variants=variants,
        settings=SETTINGS,
        seeds=seeds,
    )
    each = [
        sweep(
            only(benign, "conv1_1"),
            only(attacks, "conv1_1"),
            variants=variants,
            settings=SETTINGS,
            seeds=[seed],
        )
        for seed in seeds
    ]
    for split in ("val", "test"):
        areas = [one.loc[one["split"] == split, "auc"].mean() for one in each]
        found = rates[rates["split"] == split]
        assert found["auc_lowest_seed"].unique() == pytest.approx([min(areas)])
        assert found["auc_highest_seed"].unique() == pytest.approx([max(areas)])
        assert min(areas) < max(areas)


def test_controls_say_whom_the_network_misnames() -> None:
    benign, _ = made_up()
    test = benign.in_split("test")
    rows = np.arange(len(test))
    shown = replace(
        test,
        prediction=np.where(rows < 6, (test.identity + 1) % PEOPLE, test.identity),
        misnamed_bare=rows < 3,
    )
    table = controls_table(
        {"all_of_the_misnamed": lambda pictures: (rows < 6).astype(float)}, {"plain_frames": shown}
    ).iloc[0]
    assert table["flag_rate"] == table["misnamed"] == 6 / len(test)
    assert table["misnamed_bare"] == 3 / len(test)
    assert table["flag_rate_named_right"] == 0
    assert table["flag_rate_named_right_n"] == len(test) - 6
    assert table["misnamed_bare_low"] < table["misnamed_bare"] < table["misnamed_bare_high"]
