"""Figures of a study beside those that the two studies print."""

import pytest

from glassguard.report.verdicts import FIGURES, Figure, verdict, verdicts


def rate(name, value, low, high):
    return {name: value, f"{name}_low": low, f"{name}_high": high}


HALF = {"detector": "influence", "population": "half_wearing", "wanted_fpr": 0.0991, "tpr": 0.415}
SUMMARY = {
    "recognizer": rate("test_accuracy", 0.97, 0.95, 0.985) | {"train_accuracy": 1.0},
    "attacks": {"glasses": rate("success", 0.95, 0.93, 0.97) | {"success_jpeg": 0.123}},
    "detection": {
        "slice": "conv4_1",
        "mean": {"impersonation": 0.9},
        "tpr_at_fpr": {"0.01": 0.5, "0.05": 0.7, "0.0991": 0.8},
        "tpr_at_fpr_low": {"0.0991": 0.7},
        "tpr_at_fpr_high": {"0.0991": 0.82},
        "flag_rate": {"plain_frames": 0.456},
        "auc": float("nan"),
        "detectors": [HALF | {"population": "bare", "tpr": 0.9}, HALF],
    },
    "saliency": {
        "best": {"goodness": 0.7768, "map": "relative", "fill": "telea"},
        "test": {
            "after": rate("adversarial_success", 0.1, 0.05, 0.2),
            "saliency_source": {"adversarial_success": 0.321},
        },
    },
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("recognizer_accuracy", "reproduced"),  # 0.981 lies in [0.95, 0.985]
        ("attack_success", "exceeded"),  # 0.850 lies below [0.93, 0.97]
        ("influence_at_10_percent", "not reached"),  # 0.83 lies above [0.70, 0.82]
        ("mask_goodness", "reproduced"),  # no interval, the same to three decimals
        ("masked_attack_success", "exceeded"),  # fewer is better: 0.217 above [0.05, 0.20]
        ("seconds", ""),
        ("influence_auc", ""),
    ],
)
def test_a_verdict_compares_the_interval_with_the_study(name, expected):
    assert verdict(SUMMARY, FIGURES[name]) == expected


def test_where_less_is_better_more_is_not_reached():
    figure = Figure("flagged", ("rate",), study=0.1, falls=True)
    assert verdict(rate("rate", 0.3, 0.2, 0.4), figure) == "not reached"


def test_a_row_says_what_is_printed_what_was_measured_and_why():
    rows = {row.figure: row for row in verdicts(SUMMARY)}
    assert len(rows) == 6, "what was not measured has no verdict"
    success = rows["attacks that succeed"]
    assert success[:6] == (
        *("Study S", "attacks that succeed", "85.0 %"),
        *("95.0 %", "[93.0–97.0]", "exceeded"),
    )
    assert [row.leads for row in rows.values()] == [False, True, True, True, False, True]
    assert success.why == "After a JPEG round trip 12.3 %."
    rejected = rows["influence: impersonations rejected"]
    assert (rejected.study, rejected.here, rejected.verdict) == ("Study I", "90.0 %", "not reached")
    assert "45.6 % of honest plain frames" in rejected.why
    assert "41.5 %" in rows["influence: attacks found at 9.91 % false alarms (AmI's)"].why
    assert rows["best mask, goodness"][2:6] == ("0.777", "0.777", "", "reproduced")
    assert "own setting, " in rows["masked: attacks that succeed"].why
    assert "32.1 %" in rows["masked: attacks that succeed"].why


def test_what_is_not_reached_is_shown_at_once():
    saliency = {"best": {"goodness": 0.7}}
    (row,) = verdicts({"saliency": saliency})
    assert (row.verdict, row.leads) == ("not reached", True)
