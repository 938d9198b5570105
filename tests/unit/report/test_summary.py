"""The headline as numbers, and the timings."""

import json

import numpy as np
import pandas as pd
import pytest

from glassguard.report.summary import attack_rates, covered_seconds, started, timings


def test_summary_has_the_keys_of_the_contract(results):
    summary = json.loads((results / "summary.json").read_text())
    assert summary["experiment"] == "made_up"
    assert summary["seed"] == 3
    assert summary["started"] == "1970-01-01T00:16:40+00:00"
    # 1000-1020 and 1100-1130: overlap counts once, the report's own record not at all.
    assert summary["wall_s"] == 50.0
    assert summary["recognizer"]["test_accuracy"] == 0.5
    assert summary["recognizer"]["test_accuracy_n"] == 12
    attack = summary["attacks"]["glasses"]
    assert (attack["n"], attack["success"], attack["still_correct"]) == (12, 8 / 12, 4 / 12)
    assert attack["validation"]["n"] == 12
    assert summary["detection"]["flag_rate"]["plain_frames"] == 0.25
    assert summary["detection"]["flag_rate_high"]["plain_frames"] == 0.5
    assert summary["detection"]["tpr_at_fpr_n"] == {"0.01": 8, "0.05": 8, "0.0991": 8}
    assert summary["detection"]["pairs"][0]["impersonation_n"] == 2
    saliency = summary["saliency"]
    assert set(saliency["best"]) == {"map", "mu", "mu_as", "n", "phi", "fill", "goodness"}
    assert saliency["source_setting"]["fill"] == "zero"
    assert saliency["test"]["before"]["adversarial_success"] == pytest.approx(8 / 12)
    assert "defence_success" not in saliency["test"]["before"]
    assert saliency["test"]["after"]["defence_success"] == 0.75
    assert saliency["test"]["after_threshold_0.8"]["adversarial_success_n"] == 12
    assert saliency["test"]["oracle"]["mask_iou"] == 0.4


def test_attack_rates_without_a_test_split_give_no_rate():
    examples = pd.DataFrame(
        {
            "split": ["val"],
            "attacker": ["a"],
            "target": ["b"],
            "prediction": ["b"],
            "success": [True],
            "success_jpeg": [False],
        }
    )
    rates = attack_rates(examples)
    assert rates["n"] == 0
    assert "success" not in rates
    assert rates["validation"]["success"] == 1.0


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [([], 0), ([(0, 5)], 5), ([(0, 5), (1, 2)], 5), ([(7, 9), (0, 5), (4, 6)], 8)],
)
def test_covered_seconds_is_the_length_of_the_union(intervals, seconds):
    assert covered_seconds(intervals) == seconds


def test_started_of_nothing_is_empty():
    assert started([]) == ""


def test_timings_keep_jobs_that_were_too_short_to_measure(results):
    table = pd.read_csv(results / "timings.csv")
    assert table.columns.tolist() == ["stage", "wall_s", "cpu_s", "max_rss_mb"]
    # A job of a former run, with a record and a benchmark still there, is no part of this one.
    assert table["stage"].tolist() == ["attack_0", "data", "detection"]
    assert table.loc[1].tolist() == ["data", 10.5, 9.75, 321.5]
    assert np.isnan(table.loc[2, "max_rss_mb"])
    assert timings({}).empty
