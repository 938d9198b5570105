"""The figures of docs/real-faces.md are those of the committed table."""

import json

import pandas as pd
from shipped import DOCS, script_of

figures = script_of("figures")
real_faces = figures.real_faces_tables


def test_backbones_are_compared_on_the_page() -> None:
    page = (DOCS / "real-faces.md").read_text(encoding="utf-8")
    assert "| the study's own | 0." in page
    assert "| recognizer: test_accuracy | 0." in page


def rate(name: str, value: float, n: int = 10) -> dict:
    return {name: value, f"{name}_n": n, f"{name}_low": value / 2, f"{name}_high": 1.0}


def test_every_part_of_a_summary_stands_beside_its_source() -> None:
    accuracies = [rate(f"{split}_accuracy", 0.5) for split in ("train", "val", "test")]
    attack = {"pairs": 2} | rate("success", 0.97) | rate("success_jpeg", 0.9)
    pair = {"target": "Tess", "attacker": "Abe"} | rate("benign_target", 0.75)
    pair |= rate("benign_other", 0.96) | {"impersonation": None, "impersonation_n": 0}
    means = {"benign_target": 0.75, "benign_other": 0.96, "impersonation": 0.5}
    masking = {"detector": "masking", "population": "half_wearing"} | rate("tpr", 0.9)
    masking |= rate("fpr", 0.04) | rate("auc", 0.99)
    summary = {
        "started": "2026-01-01T00:00:00+00:00",
        "wall_s": 61.7,
        "recognizer": {key: value for part in accuracies for key, value in part.items()},
        "attacks": {"glasses": attack | rate("still_correct", 0.01)},
        "detection": {
            "slice": "conv5_3",
            "variant": "standardised",
            "pairs": [pair],
            "mean": means,
            "tpr_at_fpr": {"0.01": 0.2, "0.0991": 0.7},
            "flag_rate": {"plain_frames": 0.1},
            "flag_rate_n": {"plain_frames": 450},
            "detectors": [masking | {"wanted_fpr": wanted} for wanted in (0.01, 0.05)],
            **rate("auc", 0.94),
        },
        "saliency": {
            "best": {
                "map": "relative",
                "mu": 0.96,
                "n": 1,
                "phi": 4,
                "fill": "telea",
                "goodness": 0.66,
            },
            "by_fill": {"zero": 0.55, "telea": 0.66},
            "by_map": {"guided": 0.60, "relative": 0.66},
            "source_setting": {"goodness": 0.54},
            "test": {"before": rate("adversarial_success", 0.97), "after": rate("mask_iou", 0.2)},
        },
    }
    backbone = {"pool_identities": 945, "pool_val_accuracy": 0.5812, "sha256": "0" * 64}
    timings = [
        {"stage": "pretrain", "wall_s": 2100.4, "cpu_s": 4000.6},
        {"stage": "mask_grid_1-of-2", "wall_s": 10, "cpu_s": 9},
        {"stage": "mask_grid_2-of-2", "wall_s": 12, "cpu_s": None},
    ]
    page = "<dt>cores</dt><dd>2</dd>\n<dt>processor</dt><dd>A &amp; B</dd><dt>other</dt><dd>x</dd>"
    machine = real_faces.machine_of(page)
    rows = list(
        real_faces.rows_of(
            json.loads(json.dumps(summary)), backbone, pd.DataFrame(timings), machine
        )
    )
    found = {(row["part"], row["figure"]): row for row in rows}
    success = found["attack glasses", "success"]
    assert (success["here"], success["low"], success["n"]) == ("0.970", "0.485", 10)
    assert success["source"] == 0.85
    assert found["recognizer", "val_accuracy"]["source"] == 0.981
    assert found["detection, pair 1", "impersonation"]["here"] == ""
    assert not any("Tess" in row["part"] for row in rows)
    assert found["detector masking, benign half wearing", "tpr at 0.05"]["here"] == "0.900"
    assert found["detection", "flag rate, plain_frames"]["n"] == 450
    assert found["detection", "impersonation, mean over pairs"]["source"] == "0.957"
    assert found["saliency", "goodness, best guided map"]["here"] == "0.600"
    assert found["detection", "tpr at fpr 0.0991"]["source"] == "AmI 0.83 to 0.85"
    assert found["saliency, test, before", "adversarial_success"]["source"] == 0.85
    assert found["saliency, test, after", "mask_iou"]["source"] == ""
    assert found["saliency", "goodness, best with fill zero"]["here"] == "0.550"
    assert found["backbone", "pool_identities"]["here"] == 945
    assert found["backbone", "pool_val_accuracy"]["here"] == "0.581"
    assert ("backbone", "sha256") not in found
    assert found["run", "pretrain, wall_s"]["here"] == 2100
    assert found["run", "pretrain, processor_s"]["here"] == 4001
    assert found["run", "mask_grid, wall_s"]["here"] == 22
    assert found["run", "processor_s"]["here"] == 4010
    assert found["run", "processor"]["here"] == "A & B"
    assert ("run", "other") not in found
    texts = [{column: str(row.get(column, "")) for column in real_faces.COLUMNS} for row in rows]
    assert "| attack glasses: success | 0.970 | 0.485–1.000 | 10 | 0.85 |" in (
        figures.published.rendered("real-faces", "figures", rows=texts)
    )
