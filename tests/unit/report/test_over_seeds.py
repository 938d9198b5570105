"""Headline figures over seeds, as the page shows them."""

import pytest
from scipy import stats

from glassguard.report.over_seeds import over_seeds, worst_seed


def summary(seed: int, success: float, still_correct: float, certified: float = 0.9) -> dict:
    return {
        "seed": seed,
        "attacks": {"glasses": {"success": success, "still_correct": still_correct}},
        "detection": {
            "auc": 0.875,
            "detectors": [
                {
                    "detector": "influence",
                    "population": "half_wearing",
                    "wanted_fpr": 0.05,
                    "tpr": success / 2,
                }
            ],
        },
        "guard": {"certified": {"rate": certified}},
    }


def test_a_row_has_the_mean_students_interval_and_the_ends() -> None:
    seeds = {1: 0.80, 2: 0.95, 3: 0.92}
    rows = {
        row.title: row
        for row in over_seeds(
            [summary(seed, value, 0.5 - value / 2) for seed, value in seeds.items()]
        )
    }
    attack = rows["attacks that succeed"]
    low, high = stats.ttest_1samp(list(seeds.values()), 0).confidence_interval(0.95)
    assert (attack.mean, attack.printed) == ("89.0 %", "85.0 %")
    assert attack.interval == f"[{100 * low:.1f}–{100 * min(1, high):.1f}]"
    assert (attack.worst, attack.best) == ("80.0 % (seed 1)", "95.0 % (seed 2)")
    assert attack.marks == ((0.80, 1), (0.95, 2), (0.92, 3))
    # The printed value lies in the interval of the mean.
    assert low < 0.85 < high
    assert attack.verdict == "reproduced"
    # Where less is better, the smallest is best.
    named = rows["attacked faces named right"]
    assert (named.worst, named.best) == ("10.0 % (seed 1)", "2.5 % (seed 2)")
    title = "influence: attacks found at 5 % false alarms where half of the honest wear glasses"
    assert rows[title].mean == "44.5 %"
    # Scores are no shares, and seeds that read alike have no worst.
    area = rows["influence: area under the curve"]
    assert (area.mean, area.interval, area.worst) == ("0.875", "[0.875–0.875]", "")


@pytest.mark.parametrize(
    ("success", "verdict"), [(0.95, "exceeded"), (0.85, "reproduced"), (0.5, "not reached")]
)
def test_a_single_seed_has_no_interval_and_its_value_a_verdict(
    success: float, verdict: str
) -> None:
    attack = over_seeds([summary(7, success, 0.133)])[0]
    assert (attack.interval, attack.worst, attack.best) == ("", "", "")
    assert attack.verdict == verdict


def test_the_seed_that_is_worst_most_often_is_named() -> None:
    rows = over_seeds([summary(1, 0.9, 0.1, 0.8), summary(2, 0.5, 0.3), summary(5, 0.7, 0.2)])
    # Seed 2 at success, at still_correct and at influence; seed 1 at the certified share.
    assert worst_seed(rows) == f"Seed 2 is worst most often, in 3 of {len(rows)} figures."
    assert worst_seed(over_seeds([summary(1, 0.9, 0.1)])) == ""


def test_a_figure_that_a_seed_lacks_is_of_the_others() -> None:
    lacking = summary(2, 0.5, 0.3)
    del lacking["attacks"]["glasses"]["success"]
    rows = over_seeds([summary(1, 0.9, 0.1), lacking, summary(3, 0.7, 0.1)])
    assert rows[0].mean == "80.0 %"
    assert [seed for _, seed in rows[0].marks] == [1, 3]
