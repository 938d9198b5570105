"""Headlines of several studies as one table."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from glassguard.configuration.sections import Replicate, ReplicatesSection
from glassguard.errors import InputError
from glassguard.report.replicates import COLUMNS, figures_of, replicate_table
from glassguard.stages import replicates
from glassguard.statistics import mean_interval


def summary(seed: int, success: float, **saliency: float) -> dict:
    return {
        "experiment": "smoke",
        "seed": seed,
        "wall_s": 3.0 + seed,
        "attacks": {"glasses": {"n": 9, "success": success, "success_n": 9, "success_low": 0.1}},
        "detection": {
            "slice": f"conv{seed}",
            "pairs": [
                {"target": "a", "benign_target": 0.5, "benign_other": None},
                {"target": "b", "benign_target": 1.0, "benign_other": 0.8},
            ],
            "tpr_at_fpr": {"0.01": 0.25},
        },
        "saliency": {"best": {"mu": 0.9, "n": 4, "phi": 10, "goodness": 0.7, **saliency}},
    }


def test_the_interval_of_a_mean_is_students() -> None:
    values = [0.2, 0.4, 0.9, 0.5]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((expected.low, expected.high))
    assert all(math.isnan(bound) for bound in mean_interval([0.5]))


def test_figures_are_measurements_only() -> None:
    assert dict(figures_of(summary(0, 0.6))) == {
        "detection.pairs.benign_target": 0.75,
        "detection.pairs.benign_other": 0.8,
        "attacks.glasses.success": 0.6,
        "detection.tpr_at_fpr.0.01": 0.25,
        "saliency.best.goodness": 0.7,
    }


def test_figures_of_every_detector_are_replicated() -> None:
    point = {"detector": "masking", "population": "half_wearing", "auc": 0.9, "fpr": 0.04}
    points = [point | {"wanted_fpr": rate, "tpr": 10 * rate} for rate in (0.01, 0.05)]
    found = dict(figures_of({"detection": {"detectors": points}}))
    where = "detection.detectors.masking.half_wearing"
    assert found == {
        f"{where}.tpr_at_fpr.0.01": pytest.approx(0.1),
        f"{where}.tpr_at_fpr.0.05": pytest.approx(0.5),
        f"{where}.fpr_at_fpr.0.01": 0.04,
        f"{where}.fpr_at_fpr.0.05": 0.04,
        f"{where}.auc": 0.9,
    }


def test_every_figure_has_mean_and_interval_for_each_variant() -> None:
    given = [summary(0, 0.9), summary(1, 1.0), summary(2, 0.8), summary(0, 0.2, extra=0.5)]
    found = replicate_table(given, ["", "", "", "other"])
    assert tuple(found.columns) == COLUMNS
    rows = found.set_index(["variant", "figure"])
    own = rows.loc[("", "attacks.glasses.success")]
    assert own["n"] == 3
    assert own["mean"] == pytest.approx(0.9)
    assert own["mean_low"] == pytest.approx(mean_interval([0.9, 1.0, 0.8])[0])
    assert own["mean_high"] == 1.0  # a rate is at most 1
    assert (own["minimum"], own["maximum"]) == (0.8, 1.0)
    other = rows.loc[("other", "attacks.glasses.success")]
    assert (other["n"], other["mean"]) == (1, 0.2)
    assert math.isnan(other["mean_low"])
    assert ("", "saliency.best.extra") not in rows.index


def test_folds_have_a_mean_of_their_own() -> None:
    given = [summary(0, success) for success in (0.6, 0.9, 0.3, 0.1)]
    rows = replicate_table(given, ["", "fold_1", "fold_2", "other"]).set_index(
        ["variant", "figure"]
    )
    together = rows.loc[("all_folds", "attacks.glasses.success")]
    assert (together["n"], together["mean"]) == (3, pytest.approx(0.6))
    assert together["mean_low"] == pytest.approx(max(0, mean_interval([0.6, 0.9, 0.3])[0]))
    assert rows.loc[("fold_1", "attacks.glasses.success"), "n"] == 1
    assert "all_folds" not in set(replicate_table(given, ["", "other", "", ""])["variant"])


def test_the_stage_writes_the_table_and_refuses_a_wrong_seed(tmp_path: Path) -> None:
    paths = []
    for seed in (3, 4):
        path = tmp_path / f"{seed}.json"
        path.write_text(json.dumps(summary(seed, 0.1 * seed)))
        paths.append(path)
    config = ReplicatesSection(studies=[Replicate(variant="", seed=seed) for seed in (3, 4)])
    table, page = tmp_path / "replicates.csv", tmp_path / "replicates.html"
    found = replicates.run(config, summaries=paths, table=table, page=page)
    assert found == {"studies": 2, "figures": 5}
    html = page.read_text()
    assert 'href="report.html">seed 3</a>' in html
    assert "35.0 %" in html
    assert "seed 4: 0." in html
    found = pd.read_csv(table).set_index("figure")
    assert found.loc["attacks.glasses.success", "mean"] == pytest.approx(0.35)
    with pytest.raises(InputError, match=r"4\.json: is not the summary of a study with seed 3"):
        replicates.run(config, summaries=paths[::-1], table=table, page=page)
    with pytest.raises(InputError, match="1 files are given"):
        replicates.run(config, summaries=paths[:1], table=table, page=page)
